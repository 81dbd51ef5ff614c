"""Mahalanobis distances in the space that an estimator sees, and those of patients whom the space was not made from."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from featurestore.training_sets import TrainingSet
from pipelines.models.base import Floats
from registry.harmonizing import Harmonizer
from registry.parts import Part

RELATIVE_VARIANCE_FLOOR = 1e-10
"""A direction that varies less than this share of the widest one is rounding."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Space:
    """The mean of some rows, and what makes their components independent with variance 1.

    Args:
        mean: Shape (k,).
        whiten: Shape (r, k).
    """

    mean: Floats
    whiten: Floats

    @classmethod
    def fit(cls, Z: Floats) -> Self | None:
        """Learns from components, shape (n, k); nothing where they do not vary."""
        if len(Z) < 2:
            return None
        covariance = np.atleast_2d(np.cov(Z, rowvar=False))
        values, axes = np.linalg.eigh(covariance)
        real = values > RELATIVE_VARIANCE_FLOOR * max(float(values[-1]), 0.0)
        if not real.any():
            return None
        return cls(mean=Z.mean(axis=0), whiten=np.ascontiguousarray((axes[:, real] / np.sqrt(values[real])).T))

    def distance(self, Z: Floats) -> Floats:
        """Returns the distance of each row, shape (n,)."""
        return np.sqrt((((Z - self.mean) @ self.whiten.T) ** 2).sum(axis=1))


def held_out_distances(part: Part, training: TrainingSet, fold: NDArray[np.int64]) -> Floats:
    """Returns each training patient's distance in a space made without the patients of his fold, shape (n,).

    Columns, and harmonization, are the model's; scaling, components and the space are made anew without the fold.

    Args:
        part: A tabular model.
        training: The patients who trained it.
        fold: In which fold each was held out, shape (n,).
    """
    X = _kept(part, training)
    found = np.full(len(X), np.nan)
    for number in np.unique(fold):
        own, others = fold == number, fold != number
        Z = _projected(part, X, others)
        space = Space.fit(Z[others])
        if space is not None:
            found[own] = space.distance(Z[own])
    return found


def _kept(part: Part, training: TrainingSet) -> Floats:
    """Returns the columns that reach the scaler, filled; shape (n, m)."""
    arrays, X = part.arrays, training.X
    if part.is_harmonized:
        X = Harmonizer(part).moved(X, training.center, {})
    if "impute.median" in arrays:
        X = np.where(np.isnan(X), arrays["impute.median"], X)
    return X[:, arrays["keep.index"]] if "keep.index" in arrays else X


def _projected(part: Part, X: Floats, fit: NDArray[np.bool_]) -> Floats:
    """Returns components of all rows, from axes that only some rows made; shape (n, k)."""
    arrays = part.arrays
    if "scale.mean" in arrays:
        sd = X[fit].std(axis=0)
        X = (X - X[fit].mean(axis=0)) / np.where(sd > 0, sd, 1.0)
    if "scale.limit" in arrays:
        X = np.clip(X, -arrays["scale.limit"], arrays["scale.limit"])
    if "pca.components" not in arrays:
        return X
    axes = np.asarray(arrays["pca.components"])
    is_mixed = (axes != 0).sum(axis=1) > 1
    single = X @ axes[~is_mixed].T
    if not is_mixed.any():
        return single
    mixed = X[:, (axes[is_mixed] != 0).any(axis=0)]
    center = mixed[fit].mean(axis=0)
    rows = np.linalg.svd(mixed[fit] - center, full_matrices=False)[2][: int(is_mixed.sum())]
    return np.hstack([(mixed - center) @ rows.T, single])
