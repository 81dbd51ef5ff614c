"""Models that take columns as they are: no components, and nothing to search.

What they say is recalibrated on held-out training patients like any other model's.
"""

from abc import ABC, abstractmethod
from typing import Self

import numpy as np

from pipelines.models.base import Arrays, Floats, Labels
from registry.arrays import CALIBRATION
from registry.predict import recalibrated
from registry.stacking import COEFFICIENTS, EDGE, INTERCEPT


class DirectModel(ABC):
    """Log odds from columns, and a recalibration of them."""

    coefficients: Floats | None = None
    """Intercept and slope of the recalibration, shape (2,); none before there is one."""

    @abstractmethod
    def fit(self, X: Floats, y: Labels) -> Self:
        """Learns from columns, shape (n, p) with NaN where missing, and labels, shape (n,)."""

    @abstractmethod
    def log_odds(self, X: Floats) -> Floats:
        """Returns the log odds of the positive class before recalibration, shape (n,)."""

    @abstractmethod
    def own_arrays(self) -> Arrays:
        """Returns the fitted model as arrays, the recalibration left out."""

    def recalibrate(self, coefficients: Floats) -> Self:
        """Takes intercept and slope, which held-out patients must have taught."""
        self.coefficients = coefficients
        return self

    def predict_proba(self, X: Floats) -> Floats:
        """Returns the probability of the positive class for each row, shape (n,)."""
        coefficients = np.array([0.0, 1.0]) if self.coefficients is None else self.coefficients
        return recalibrated(self.log_odds(X), coefficients)

    def to_arrays(self) -> Arrays:
        """Returns the fitted model as the arrays that a package stores."""
        calibration: Arrays = {} if self.coefficients is None else {CALIBRATION: self.coefficients}
        return self.own_arrays() | calibration


class GivenModel(DirectModel):
    """What a table made elsewhere says, in one column; only the recalibration is learned here.

    Args:
        is_log_odds: Whether the column holds log odds, and not probabilities.
    """

    median: Floats

    def __init__(self, *, is_log_odds: bool) -> None:
        self.is_log_odds = is_log_odds

    def fit(self, X: Floats, y: Labels) -> Self:
        """Learns what a missing value becomes."""
        self.median = np.nanmedian(X, axis=0)
        return self

    def log_odds(self, X: Floats) -> Floats:
        """Returns the column as log odds."""
        from registry.stacking import member_log_odds

        told = np.where(np.isnan(X), self.median, X)[:, 0]
        return told if self.is_log_odds else member_log_odds(told)

    def own_arrays(self) -> Arrays:
        """Returns the arrays of a logistic regression that leaves the column as it is."""
        edge: Arrays = {} if self.is_log_odds else {"logit.edge": np.array([EDGE])}
        return {"impute.median": self.median, **edge, "lr.coef": np.ones(1), "lr.intercept": np.zeros(1)}


class Stack(DirectModel):
    """Weights on members' log odds: logistic regression with a penalty on the squared weights.

    Args:
        penalty: On half the sum of squared weights, as a share of the mean loss.
        nonnegative: Whether no weight may be below 0.
    """

    weights: Floats
    intercept: float

    def __init__(self, *, penalty: float, nonnegative: bool) -> None:
        self.penalty, self.nonnegative = penalty, nonnegative

    def fit(self, X: Floats, y: Labels) -> Self:
        """Learns the weights from members' out-of-fold log odds, shape (n, members), without gaps."""
        from scipy.optimize import minimize

        def loss(values: Floats) -> tuple[float, Floats]:
            eta = values[0] + X @ values[1:]
            residual = recalibrated(eta, np.array([0.0, 1.0])) - y
            value = (np.logaddexp(0.0, eta) - y * eta).mean() + self.penalty / 2 * (values[1:] ** 2).sum()
            slope = np.concatenate([[residual.mean()], X.T @ residual / len(y) + self.penalty * values[1:]])
            return float(value), slope

        m = X.shape[1]
        bounds = [(None, None), *([(0.0, None)] * m if self.nonnegative else [(None, None)] * m)]
        start = np.concatenate([[0.0], np.full(m, 1.0 / m)])
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-9})
        self.intercept, self.weights = float(found.x[0]), np.asarray(found.x[1:])
        return self

    def log_odds(self, X: Floats) -> Floats:
        """Returns the weighed sum."""
        return np.asarray((X * self.weights).sum(axis=1) + self.intercept)

    def own_arrays(self) -> Arrays:
        """Returns weights and intercept."""
        return {COEFFICIENTS: self.weights, INTERCEPT: np.array([self.intercept])}
