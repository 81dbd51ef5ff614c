"""Logistic regression for searching: the optimum that scikit-learn finds, by Newton's method on few columns.

A search fits thousands of small models. scikit-learn takes five times as long for one as the arithmetic needs, most
of it for checks of input that has been checked once. Fitted models of candidates remain scikit-learn's.

Source: Hastie, Tibshirani and Friedman 2009, The Elements of Statistical Learning, section 4.4.1, with the penalty.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dposv
from scipy.special import expit

from pipelines.models.base import Floats, Labels

TOLERANCE = 1e-12
"""Of the largest entry of the mean gradient: a hundredth of what scikit-learn is asked for."""

MAXIMUM_STEPS = 60
MAXIMUM_HALVINGS = 25


@dataclass(frozen=True, kw_only=True, eq=False)
class Logistic:
    """A fitted model.

    Args:
        coef: The weights, shape (k,).
        intercept: The intercept.
    """

    coef: Floats
    intercept: float

    def predict_proba(self, Z: Floats) -> Floats:
        """Returns the probabilities of both classes, shape (n, 2)."""
        p = expit(Z @ self.coef + self.intercept)
        return np.column_stack([1 - p, p])


def fit_logistic(Z: Floats, y: Labels, C: float) -> Logistic | None:
    """Returns the model with the least log loss plus squared weights over 2 C; nothing if Newton's method stalls.

    Args:
        Z: Scores of the components, shape (n, k).
        y: Labels, shape (n,).
        C: The inverse of the penalty, which spares the intercept.
    """
    A = np.column_stack([Z, np.ones(len(Z))])
    target, penalty = y.astype(np.float64), np.full(A.shape[1], 1 / C)
    penalty[-1] = 0.0
    beta = np.zeros(A.shape[1])
    linear = np.zeros(len(A))
    loss = _loss(linear, target, penalty, beta)
    limit = TOLERANCE * len(A)
    for _ in range(MAXIMUM_STEPS):
        p = expit(linear)
        gradient = A.T @ (p - target) + penalty * beta
        if np.abs(gradient).max() <= limit:
            return Logistic(coef=beta[:-1], intercept=float(beta[-1]))
        hessian = (A.T * (p * (1 - p))) @ A
        hessian.flat[:: len(beta) + 1] += penalty
        _, step, failed = dposv(hessian, gradient)
        if failed:
            return None
        beta, linear, loss, is_better = _moved(A, target, penalty, beta, step, loss)
        if not is_better:
            break
    # rounding may stop Newton's method a little above the limit; what scikit-learn is asked for is enough
    is_near = np.abs(A.T @ (expit(linear) - target) + penalty * beta).max() <= 100 * limit
    return Logistic(coef=beta[:-1], intercept=float(beta[-1])) if is_near else None


def _moved(
    A: Floats, target: Floats, penalty: Floats, beta: Floats, step: Floats, loss: float
) -> tuple[Floats, Floats, float, bool]:
    """Goes the whole step, or a half, a quarter … of it until the loss falls."""
    share = 1.0
    for _ in range(MAXIMUM_HALVINGS):
        moved = beta - share * step
        linear = A @ moved
        found = _loss(linear, target, penalty, moved)
        if found <= loss + 1e-14 * abs(loss):
            return moved, linear, found, True
        share /= 2
    return beta, A @ beta, loss, False


def _loss(linear: Floats, target: Floats, penalty: Floats, beta: Floats) -> float:
    return float(np.logaddexp(0.0, linear).sum() - target @ linear + 0.5 * (penalty * beta) @ beta)
