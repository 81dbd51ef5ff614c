"""ComBat: takes the mark of each center out of features, and learns that of a new center from unlabelled cases.

The model of a feature is mean + covariates · beta + sd · (gamma + √delta · noise), with a shift gamma and a variance
delta of its own for every center, drawn towards the center's other features by empirical Bayes. A fit has no argument
for a label, and a label is refused as a covariate. A center that was not in the fit is never added to it: its shift is
estimated once against the frozen fit, from a fixed list of its cases, and kept as an adapter named by its digest.

Source: Johnson, Li and Rabinovic 2007, Biostatistics 8:118, section 3; Fortin et al. 2018, NeuroImage 167:104.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featurestore.covariates import refuse_lacking
from featurestore.errors import InputError
from featurestore.fingerprints import array_digest, combined_digest, digest
from featurestore.priors import Shift, bayes_shift, raw_shift

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Prior = Literal["parametric", "nonparametric", "none"]

MINIMUM_IN_FIT = 3
"""A center with fewer patients has no variance worth the name."""

MINIMUM_CASES = 20
"""From so many cases on, two draws of a center's list give shifts that differ less than its patients do."""

_RELATIVE_SD_FLOOR = 1e-10
"""A column that varies less than this share of its magnitude holds rounding and is left as it is."""


class ConfoundedError(InputError):
    """Covariates cannot be told apart from centers."""

    default_remedy = "leave out the covariate that does not vary within centers"


class TooFewCasesError(InputError):
    """A center has too few cases for its shift to be known."""

    default_remedy = "wait for more cases; until then the declared policy holds (withhold, or score unharmonized)"


class UnseenCenterError(InputError):
    """A center is in neither the fit nor the adapters."""

    default_remedy = "estimate its shift from a fixed list of its unlabelled cases; scoring does, once enough are here"


class OtherFitError(InputError):
    """An adapter belongs to another fit."""

    default_remedy = "estimate the center's shift against this model"


@dataclass(frozen=True, kw_only=True)
class CombatRules:
    """How centers are harmonized.

    Args:
        prior: `parametric`, `nonparametric`, or `none` for each feature's own estimate.
        reference: The center whose features stay as they are; none for the mean of all.
        covariates: Whose effect is kept; names for records, in the order of the columns.
        minimum_cases: How many cases a new center must have.
    """

    prior: Prior = "parametric"
    reference: str | None = None
    covariates: tuple[str, ...] = ()
    minimum_cases: int = MINIMUM_CASES


@dataclass(frozen=True, kw_only=True, eq=False)
class Adapter:
    """The shift of one center that was not in the fit. Data only.

    Args:
        center: Whose it is.
        fit: The digest of the fit it was estimated against.
        cases: The digest of the list of cases it was estimated from.
        n: How many cases these were.
        gamma: Shifts in pooled standard deviations, shape (p,).
        delta: Variances, as a share of the pooled one, shape (p,).
    """

    center: str
    fit: str
    cases: str
    n: int
    gamma: Floats
    delta: Floats

    @property
    def digest(self) -> str:
        """The adapter's name."""
        return digest(self.plain())

    def plain(self) -> dict[str, Any]:
        """Returns the adapter as JSON types; numbers come back to the last bit."""
        gamma, delta = self.gamma.tolist(), self.delta.tolist()
        facts = {"center": self.center, "fit": self.fit, "cases": self.cases, "n": self.n}
        return {**facts, "gamma": gamma, "delta": delta}

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> "Adapter":
        """Builds the adapter that `plain` described."""
        gamma, delta = (np.array(content[name], dtype=np.float64) for name in ("gamma", "delta"))
        facts = {name: content[name] for name in ("center", "fit", "cases", "n")}
        return cls(**facts, gamma=gamma, delta=delta)


@dataclass(frozen=True, kw_only=True, eq=False)
class Combat:
    """A fitted harmonization.

    Args:
        rules: How it was fitted.
        centers: The centers of the fit, sorted, shape (b,).
        mean: The common mean, shape (p,).
        beta: The covariates' effects, shape (q, p).
        sd: The pooled standard deviation within centers, shape (p,); 0 where a column is left as it is.
        gamma: Each center's shift, shape (b, p).
        delta: Each center's variance, as a share of the pooled one, shape (b, p).
        own: Which columns of X are the covariates, shape (q,), where they are among them; these stay as they are.
    """

    rules: CombatRules
    centers: tuple[str, ...]
    mean: Floats
    beta: Floats
    sd: Floats
    gamma: Floats
    delta: Floats
    own: Indices | None = None

    @classmethod
    def fit(
        cls,
        X: Floats,
        center: NDArray[np.str_],
        rules: CombatRules | None = None,
        covariates: Floats | None = None,
        own: Indices | None = None,
    ) -> "Combat":
        """Learns from features without missing values.

        Args:
            X: Features, shape (n, p).
            center: The center of each row, shape (n,).
            rules: How.
            covariates: What is kept, shape (n, q), numbers; categories as 0 and 1; or
            own: which columns of X are kept, shape (q,).

        Raises:
            TooFewCasesError: There is one center only, or one with too few rows.
            ConfoundedError: The covariates cannot be told apart from the centers.
            UnseenCenterError: The reference is no center of the rows.
        """
        rules = rules or CombatRules()
        names, at, counts = np.unique(center, return_inverse=True, return_counts=True)
        _check_fit(names.tolist(), counts, rules)
        C = _columns(covariates if own is None else X[:, own], len(X))
        one_hot = np.eye(len(names))[at]
        design = np.hstack([one_hot, C])
        if np.linalg.matrix_rank(design) < design.shape[1]:
            raise ConfoundedError(f"of {', '.join(rules.covariates) or 'the covariates'}", where="harmonization")
        effects = np.linalg.lstsq(design, X, rcond=None)[0]
        base = names == rules.reference if rules.reference is not None else np.ones(len(names), np.bool_)
        mean = (counts * base / counts[base].sum()) @ effects[: len(names)]
        rows = base[at]
        variance = ((X - design @ effects)[rows] ** 2).mean(axis=0)
        sd = np.sqrt(variance)
        sd = np.where(sd > _RELATIVE_SD_FLOOR * np.abs(X).max(axis=0), sd, 0.0)
        sd[[] if own is None else own] = 0.0
        beta = np.where(sd > 0, effects[len(names) :], 0.0)
        Z = _standardized(X, mean, C @ beta, sd)
        shifts = [_shift(Z[at == i], sd > 0, rules.prior) for i in range(len(names))]
        gamma, delta = np.array([s.gamma for s in shifts]), np.array([s.delta for s in shifts])
        if rules.reference is not None:
            gamma[base], delta[base] = 0.0, 1.0
        fitted = {"mean": mean, "beta": beta, "sd": sd, "gamma": gamma, "delta": delta}
        return cls(rules=rules, centers=tuple(names.tolist()), own=own, **fitted)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Returns the arrays that a package stores; covariates that are no columns of X have no place there."""
        kept = {} if self.own is None else {"combat.beta": self.beta, "combat.own": self.own}
        return {**{f"combat.{name}": getattr(self, name) for name in ("mean", "sd", "gamma", "delta")}, **kept}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], centers: Sequence[str], rules: CombatRules) -> "Combat":
        """Builds the fit that `to_arrays` described."""
        found = {name: np.array(arrays[f"combat.{name}"], np.float64) for name in ("mean", "sd", "gamma", "delta")}
        own = arrays.get("combat.own")
        beta = np.empty((0, len(found["mean"]))) if own is None else np.array(arrays["combat.beta"], np.float64)
        return cls(rules=rules, centers=tuple(centers), beta=beta, own=own, **found)

    def refuse_lacking(self, X: Floats) -> None:
        """Checks features as measured, shape (n, p): a covariate must not be filled by a guess.

        Raises:
            CovariateMissingError: A row lacks one.
        """
        if self.own is not None:
            refuse_lacking(X, self.own, self.rules.covariates)

    @property
    def digest(self) -> str:
        """The identity of all that decides what it does."""
        arrays = (self.mean, self.beta, self.sd, self.gamma, self.delta)
        own = [] if self.own is None else [array_digest(self.own)]
        return digest([list(self.centers), *map(array_digest, arrays), *own])

    def transform(
        self,
        X: Floats,
        center: NDArray[np.str_],
        covariates: Floats | None = None,
        adapters: Mapping[str, Adapter] | None = None,
    ) -> Floats:
        """Returns harmonized features, shape (n, p).

        Args:
            X: Features, shape (n, p); what is missing stays missing.
            center: The center of each row, shape (n,).
            covariates: As in the fit, shape (n, q).
            adapters: The shifts of centers that were not in the fit.

        Raises:
            UnseenCenterError: A row's center is in neither.
            OtherFitError: An adapter belongs to another fit.
        """
        kept = self._kept(X, covariates)
        found = np.array(X, dtype=np.float64)
        for name in np.unique(center).tolist():
            rows = center == name
            gamma, delta = self._of(name, adapters or {})
            if name != self.rules.reference:
                Z = _standardized(X[rows], self.mean, kept[rows], self.sd)
                moved = (Z - gamma) / np.sqrt(delta) * self.sd + self.mean + kept[rows]
                found[rows] = np.where(self.sd > 0, moved, X[rows])
        return found

    def adapter(self, X: Floats, center: str, case_ids: Sequence[str], covariates: Floats | None = None) -> Adapter:
        """Estimates the shift of a center that was not in the fit; the fit does not change.

        Args:
            X: The features of a fixed list of its cases, without missing values, shape (n, p).
            center: Its name.
            case_ids: Who is on the list, in the order of X.
            covariates: As in the fit, shape (n, q).

        Raises:
            TooFewCasesError: The list is shorter than the rules allow.
        """
        if len(X) < self.rules.minimum_cases:
            raise TooFewCasesError(f"{len(X)} cases, {self.rules.minimum_cases} are needed", where=f"center {center}")
        order = np.argsort(np.asarray(case_ids), kind="stable")  # sums in one order: same list, same bits
        Z = _standardized(X, self.mean, self._kept(X, covariates), self.sd)[order]
        shift = _shift(Z, self.sd > 0, self.rules.prior)
        return Adapter(
            center=center,
            fit=self.digest,
            cases=combined_digest(case_ids),
            n=len(X),
            gamma=shift.gamma,
            delta=shift.delta,
        )

    def _kept(self, X: Floats, covariates: Floats | None) -> Floats:
        return np.asarray(_columns(covariates if self.own is None else X[:, self.own], len(X)) @ self.beta)

    def _of(self, center: str, adapters: Mapping[str, Adapter]) -> tuple[Floats, Floats]:
        if center in self.centers:
            i = self.centers.index(center)
            return self.gamma[i], self.delta[i]
        if center not in adapters:
            raise UnseenCenterError(f"the fit knows {', '.join(self.centers)}", where=f"center {center}")
        if adapters[center].fit != self.digest:
            raise OtherFitError(f"made for fit {adapters[center].fit[:12]}", where=f"adapter of {center}")
        return adapters[center].gamma, adapters[center].delta


def _check_fit(names: list[str], counts: NDArray[np.int64], rules: CombatRules) -> None:
    if len(names) < 2:
        raise TooFewCasesError("one center only; there is nothing to harmonize", where="harmonization", remedy="")
    fewest = int(np.argmin(counts))
    if counts[fewest] < MINIMUM_IN_FIT:
        raise TooFewCasesError(
            f"{counts[fewest]} training patients, {MINIMUM_IN_FIT} are needed",
            where=f"center {names[fewest]}",
            remedy="leave the center out, or do not harmonize",
        )
    if rules.reference is not None and rules.reference not in names:
        raise UnseenCenterError(
            f"the reference {rules.reference} is not among {', '.join(names)}",
            where="harmonization",
            remedy="name a development center",
        )


def _columns(covariates: Floats | None, n: int) -> Floats:
    return np.empty((n, 0)) if covariates is None else np.asarray(covariates, dtype=np.float64).reshape(n, -1)


def _standardized(X: Floats, mean: Floats, kept: Floats, sd: Floats) -> Floats:
    return (X - mean - kept) / np.where(sd > 0, sd, 1.0)


def _shift(Z: Floats, varies: NDArray[np.bool_], prior: Prior) -> Shift:
    """Returns a center's shift; columns that do not vary have none, and no say in the others' prior."""
    own = raw_shift(Z[:, varies])
    if prior != "none" and varies.sum() > 1:
        own = bayes_shift(Z[:, varies], own, is_parametric=prior == "parametric")
    gamma, delta = np.zeros(len(varies)), np.ones(len(varies))
    gamma[varies], delta[varies] = own.gamma, own.delta
    return Shift(gamma=gamma, delta=delta)
