"""Looks: at 10, 30, 100, 300, 1,000 … cases it is asked, once, whether a hospital differs from development.

Of the error that is allowed over all looks together, the k-th gets 1 / (k (k + 1)), which sums to 1 however many there
will be, and shares it out evenly among the families. Within a family the p-values are adjusted for a false discovery
rate (Benjamini and Hochberg); as long as nothing moved, the chance that any of them is below the limit is no larger
than the limit, for features that rise and fall together too. So a hospital whose cases come from where development's
came from rings, over all looks together, with at most the probability that was allowed. Components and scores are
compared with few held-out patients, the same for all hospitals of a package; see `guarded_p_values`.

When a look rings, the variables that moved are told at a false discovery rate of `MOVED_RATE`.

Source: Benjamini and Hochberg 1995, J R Stat Soc B 57:289; Benjamini and Yekutieli 2001, Ann Stat 29:1165.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipelines.scoring.drift_statistics import Codes, Moves, guarded_p_values, moves
from pipelines.scoring.drift_variables import COMPONENTS, FAMILIES, SCORES, Variable, ringing

FEWEST = 10
"""Below, a hospital's cases are too few to tell."""

MOVED_RATE = 0.05
"""The share of false ones that is accepted among the variables that are told to have moved."""

HELD_OUT = (COMPONENTS, SCORES)
"""Families that are compared with held-out patients alone, who are few; features are compared with all."""

QUARTER = 0.25
HIGHER, LOWER, WIDER, NARROWER = "higher", "lower", "wider", "narrower"


@dataclass(frozen=True, kw_only=True)
class FamilyVerdict:
    """What a look found in one family.

    Args:
        family: features, components or scores.
        tested: How many variables were looked at.
        moved: How many of them moved; none while the look does not ring.
        strongest: The one with the smallest p-value.
        p_value: The smallest p-value, adjusted for the number of variables.
        limit: From where down it rings; 0 for a family that may not.
        rings: Whether it does.
    """

    family: str
    tested: int
    moved: int
    strongest: str
    p_value: float
    limit: float
    rings: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class LookVerdict:
    """What a look found.

    Args:
        n: After how many cases it was made.
        families: One verdict a family.
        moves: How far each variable lies from development.
        adjusted: Their p-values, adjusted within families, shape (v,).
        moved: Which moved, shape (v,).
    """

    n: int
    families: tuple[FamilyVerdict, ...]
    moves: Moves
    adjusted: NDArray[np.float64]
    moved: NDArray[np.bool_]

    @property
    def rings(self) -> bool:
        """Whether the hospital differs from development."""
        return any(one.rings for one in self.families)


def look_sizes() -> Iterator[int]:
    """Yields after how many cases looks are made: 10, 30, 100, 300 and so on without end."""
    size = FEWEST
    while True:
        yield size
        yield 3 * size
        size *= 10


def looks_due(n: int) -> list[int]:
    """Returns the looks that n cases allow."""
    found: list[int] = []
    for size in look_sizes():
        if size > n:
            return found
        found.append(size)
    return found


def next_look(n: int) -> int:
    """Returns after how many cases the next look will be made."""
    return next(size for size in look_sizes() if size > n)


def share_of_error(n: int) -> float:
    """Returns what share of the allowed error the look after n cases may use."""
    number = looks_due(n).index(n) + 1
    return 1 / (number * (number + 1))


def look(found: Sequence[Variable], places: Codes, n: int, alpha: float) -> LookVerdict:
    """Asks whether a hospital's first n cases differ from development.

    Args:
        found: The variables.
        places: The cases' places among development's patients, shape (n, v), in the order in which they came.
        n: A look's size.
        alpha: The error allowed over all looks.
    """
    measured = _measured(found, places[:n])
    families = np.array([one.family for one in found])
    adjusted, moved = np.ones(len(found)), np.zeros(len(found), dtype=bool)
    for family in FAMILIES:
        adjusted[families == family] = adjusted_p_values(measured.p_value[families == family])
    limit = alpha * share_of_error(n) / max(len(ringing(found)), 1)
    verdicts = [_verdict(family, found, measured, limit) for family in FAMILIES if family in families]
    if any(one.rings for one in verdicts):
        moved = adjusted <= MOVED_RATE
    counted = [_counted(one, moved[families == one.family]) for one in verdicts]
    return LookVerdict(n=n, families=tuple(counted), moves=measured, adjusted=adjusted, moved=moved)


def _measured(found: Sequence[Variable], places: Codes) -> Moves:
    """Returns how far the variables lie; where held-out patients are compared, p-values allow for their being few."""
    measured = moves([one.scale for one in found], places)
    p_value = measured.p_value.copy()
    for family in HELD_OUT:
        own = np.flatnonzero([one.family == family for one in found])
        if len(own):
            m = np.array([found[place].scale.n for place in own.tolist()], dtype=np.int64)
            guarded = guarded_p_values(measured.distance[own], measured.n[own], m, len(own))
            p_value[own] = np.maximum(p_value[own], guarded)
    return replace(measured, p_value=p_value)


def adjusted_p_values(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns p-values adjusted for a false discovery rate, of the same shape."""
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p_values)) if p_values.size else p_values


def directions(measured: Moves) -> list[str]:
    """Returns how each variable moved: as a whole, or away from where it was to both sides, or in from both."""
    is_wider = np.minimum(measured.below, measured.above) > QUARTER
    is_narrower = np.maximum(measured.below, measured.above) < QUARTER
    sideways = np.abs(measured.below + measured.above - 2 * QUARTER)
    is_shift = (np.abs(measured.delta) >= 2 * sideways) | ~(is_wider | is_narrower)
    shift = np.where(measured.delta > 0, HIGHER, LOWER)
    return [str(word) for word in np.where(is_shift, shift, np.where(is_wider, WIDER, NARROWER))]


def _verdict(family: str, found: Sequence[Variable], measured: Moves, limit: float) -> FamilyVerdict:
    own = np.array([one.family == family for one in found])
    may = own & np.array([one.rings for one in found])
    asked = may if may.any() else own
    p_values = measured.p_value[asked]
    strongest = int(np.flatnonzero(asked)[np.argmin(p_values)])
    smallest = float(adjusted_p_values(p_values).min())
    allowed = limit if may.any() else 0.0
    return FamilyVerdict(
        family=family,
        tested=int(asked.sum()),
        moved=0,
        strongest=found[strongest].name,
        p_value=smallest,
        limit=allowed,
        rings=bool(may.any() and smallest <= allowed),
    )


def _counted(verdict: FamilyVerdict, moved: NDArray[np.bool_]) -> FamilyVerdict:
    return FamilyVerdict(**{**vars(verdict), "moved": int(moved.sum())})
