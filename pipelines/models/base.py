"""The contract of a model: fit, predict, and leave everything in plain arrays."""

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]
Arrays = dict[str, NDArray[np.float64] | NDArray[np.int64]]
Values = dict[str, float | int | str]
"""Hyperparameters by name."""


class Model(Protocol):
    """What tuning and packaging need of a model. Everything it learns is learned in `fit`, from these rows alone."""

    def fit(self, X: Floats, y: Labels) -> Self:
        """Learns from features, shape (n, p) with NaN where missing, and labels, shape (n,) of 0 and 1."""
        ...

    def predict_proba(self, X: Floats) -> Floats:
        """Returns the probability of the positive class for each row, shape (n,)."""
        ...

    def to_arrays(self) -> Arrays:
        """Returns the fitted model as the arrays that a package stores."""
        ...
