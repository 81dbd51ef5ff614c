"""What a package that harmonizes centers needs of the rows it predicts: whose center they are from, and adapters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurestore.covariates import lacking_covariates
from featurestore.harmonization import Adapter, Combat, CombatRules
from registry.parts import Part
from registry.predict import predict, transform

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Harmonizer:
    """The harmonization inside a package."""

    package: Part

    @property
    def combat(self) -> Combat:
        """The fit, as the package's arrays hold it."""
        told = self.package.manifest["harmonization"]
        rules = CombatRules(**{**told["rules"], "covariates": tuple(told["rules"].get("covariates", ()))})
        return Combat.from_arrays(self.package.arrays, told["centers"], rules)

    def lacking(self, X: Floats) -> NDArray[np.bool_]:
        """Returns which rows lack a covariate and cannot be harmonized, shape (n,)."""
        own = self.package.arrays.get("combat.own")
        return np.zeros(len(X), np.bool_) if own is None else lacking_covariates(X, own)

    def adapter(self, X: Floats, center: str, case_ids: Sequence[str]) -> Adapter:
        """Estimates a center's shift from a fixed list of its cases, as measured; shape (n, p).

        Raises:
            TooFewCasesError: The list is shorter than the package's rules allow.
            CovariateMissingError: A case lacks a covariate.
        """
        self.combat.refuse_lacking(X)
        return self.combat.adapter(self._filled(X), center, case_ids)

    def moved(self, X: Floats, center: NDArray[np.str_], adapters: Mapping[str, Adapter]) -> Floats:
        """Returns features without the mark of their center, shape (n, p).

        Raises:
            UnseenCenterError: A row's center is in neither the fit nor the adapters.
            CovariateMissingError: A row lacks a covariate.
        """
        self.combat.refuse_lacking(X)
        return self.combat.transform(self._filled(X), center, adapters=adapters)

    def _filled(self, X: Floats) -> Floats:
        return np.where(np.isnan(X), self.package.arrays["impute.median"], X)


def predict_at_centers(
    package: Part, X: Floats, center: NDArray[np.str_], adapters: Mapping[str, Adapter] | None = None
) -> Floats:
    """Returns the probability of the positive class for rows of known centers, shape (n,).

    Args:
        package: Any package; one that does not harmonize is not asked for centers.
        X: Features as measured, in the package's order, shape (n, p).
        center: The center of each row, shape (n,).
        adapters: The shifts of centers that were not in the fit.

    Raises:
        UnseenCenterError: The package harmonizes, and a row's center is in neither the fit nor the adapters.
        CovariateMissingError: The package keeps a covariate that a row lacks.
    """
    if not package.is_harmonized:
        return predict(package, X)
    return predict(package, Harmonizer(package).moved(X, center, adapters or {}))


def components_at_centers(
    package: Part, X: Floats, center: NDArray[np.str_], adapters: Mapping[str, Adapter] | None = None
) -> Floats:
    """Returns what reaches the estimator of a tabular package for rows of known centers, shape (n, k).

    Args:
        package: A tabular package or member.
        X: Features as measured, in the package's order, shape (n, p).
        center: The center of each row, shape (n,).
        adapters: The shifts of centers that were not in the fit.

    Raises:
        UnseenCenterError: The package harmonizes, and a row's center is in neither the fit nor the adapters.
        CovariateMissingError: The package keeps a covariate that a row lacks.
    """
    rows = Harmonizer(package).moved(X, center, adapters or {}) if package.is_harmonized else X
    return transform(package, np.ascontiguousarray(rows, dtype=np.float64))
