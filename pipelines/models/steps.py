"""Optional steps before scaling, each fitted on the rows of a training fold alone: centers, stability, redundancy."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import InputError
from featurestore.harmonization import Combat, CombatRules
from featurestore.stability import MINIMUM_PATIENTS, Agreement, Bound, Kind, TooFewRepeatsError, icc, representatives
from pipelines.models.base import Floats

Indices = NDArray[np.int64]


class NothingStableError(InputError):
    """No feature agrees between outlines as asked."""

    default_remedy = "lower models.<name>.stability.minimum, or look at how the outlines differ"


class CentersNeededError(InputError):
    """A model that harmonizes centers was not told the rows' centers."""

    default_remedy = "hand over the center of each row"


@dataclass(frozen=True, kw_only=True)
class StabilityRule:
    """Which features agree well enough between outlines.

    Args:
        kind: Whether raters are a sample of all raters, `icc2`, or the only ones, `icc3`.
        minimum: The smallest agreement.
        bound: Whether the estimate or the lower end of its interval must reach it.
    """

    kind: Kind
    minimum: float
    bound: Bound


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The steps a model takes; each may be left out.

    Args:
        harmonization: ComBat over centers.
        stability: The filter by agreement.
        redundancy: The absolute rank correlation from which on one of two features is dropped.
        covariates: Which columns harmonization keeps the effect of, in the order of its rules.
        beside: Columns that stand beside the components as they are, scaled: never harmonized, filtered or projected.
    """

    harmonization: CombatRules | None = None
    stability: StabilityRule | None = None
    redundancy: float | None = None
    covariates: tuple[int, ...] = ()
    beside: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class RowFacts:
    """What steps need to know of rows besides features. Never a label.

    Args:
        center: The center of each row, shape (n,).
        repeats: The same features by other outlines, shape (n, k, p), NaN where there is none.
    """

    center: NDArray[np.str_]
    repeats: Floats | None = None

    def at(self, rows: NDArray[np.int64]) -> "RowFacts":
        """Returns the facts of some rows."""
        return RowFacts(center=self.center[rows], repeats=None if self.repeats is None else self.repeats[rows])


def fit_harmonization(steps: Steps, filled: Floats, facts: RowFacts | None) -> Combat | None:
    """Learns the centers' shifts from features without gaps; nothing when the model does not harmonize."""
    if steps.harmonization is None:
        return None
    own = np.array(steps.covariates, dtype=np.int64) if steps.covariates else None
    found = Combat.fit(filled, _centers(facts), steps.harmonization, own=own)
    if not steps.beside:
        return found
    sd = found.sd.copy()
    sd[list(steps.beside)] = 0.0  # a column without spread is left as it is
    return replace(found, sd=sd)


def harmonized(combat: Combat | None, filled: Floats, facts: RowFacts | None) -> Floats:
    """Returns features with the mark of their center taken out."""
    return filled if combat is None else combat.transform(filled, _centers(facts))


def selected(steps: Steps, X: Floats, moved: Floats, keep: Indices, facts: RowFacts | None) -> Indices:
    """Returns the columns among `keep` that are stable and not redundant, rising.

    Args:
        steps: What is asked.
        X: Features as measured, shape (n, p).
        moved: Features without gaps, harmonized, shape (n, p).
        keep: Columns that vary.
        facts: Of the rows.

    Raises:
        TooFewRepeatsError: Too few of the rows were outlined more than once.
        NothingStableError: No column is stable.
    """
    rank = None
    if steps.stability is not None:
        found = _agreement(steps.stability, X, facts)
        reliable = found.reliable(steps.stability.minimum, steps.stability.bound)
        keep = keep[reliable[keep]]
        if not keep.size:
            raise NothingStableError(f"none of {X.shape[1]} features reaches {steps.stability.minimum:g}")
        rank = found.icc[keep]
    if steps.redundancy is not None:
        keep = keep[representatives(moved[:, keep], steps.redundancy, rank)]
    return keep


def _agreement(rule: StabilityRule, X: Floats, facts: RowFacts | None) -> Agreement:
    if facts is None or facts.repeats is None:
        raise TooFewRepeatsError("there are no other outlines", where="stability")
    repeated = ~np.isnan(facts.repeats).all(axis=(1, 2))
    if repeated.sum() < MINIMUM_PATIENTS:
        raise TooFewRepeatsError(
            f"{int(repeated.sum())} of the fold's patients were outlined again, {MINIMUM_PATIENTS} are needed",
            where="stability",
        )
    ratings = np.concatenate([X[repeated][:, None, :], facts.repeats[repeated]], axis=1)
    return icc(ratings, rule.kind)


def _centers(facts: RowFacts | None) -> NDArray[np.str_]:
    if facts is None:
        raise CentersNeededError("no centers were given", where="harmonization")
    return facts.center
