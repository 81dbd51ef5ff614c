"""Logistic regression for reading: coefficients with their uncertainty, also where the classes are separated."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from pipelines.models.base import Floats, Labels

SEPARATED_LOG_ODDS = 25.0
"""A maximum so far out is none: predictors tell the classes apart completely, and coefficients run away."""

MAXIMUM_STEPS = 200
STEP_TOLERANCE = 1e-10
LARGEST_STEP = 5.0


@dataclass(frozen=True, kw_only=True, eq=False)
class LogisticFit:
    """A fitted logistic regression, the intercept first.

    Args:
        coefficients: Shape (1 + k,).
        covariance: Shape (1 + k, 1 + k).
        log_likelihood: At the maximum; the plain one for either method.
        method: `maximum likelihood`, or `firth` where that has no maximum.
    """

    coefficients: Floats
    covariance: Floats
    log_likelihood: float
    method: str

    @property
    def standard_errors(self) -> Floats:
        """Of the coefficients, shape (1 + k,)."""
        return np.sqrt(np.diag(self.covariance))


def fit_maximum_likelihood(Z: Floats, y: Labels) -> LogisticFit:
    """Returns the logistic regression of y on Z, shape (n, k); by Firth's penalty where the classes are separated."""
    import statsmodels.api as sm
    from statsmodels.tools.sm_exceptions import ConvergenceWarning, HessianInversionWarning, PerfectSeparationWarning

    X = np.column_stack([np.ones(len(Z)), Z])
    with warnings.catch_warnings():
        for kind in (ConvergenceWarning, HessianInversionWarning, PerfectSeparationWarning, RuntimeWarning):
            warnings.simplefilter("ignore", kind)
        try:
            found = sm.Logit(y.astype(np.float64), X).fit(method="newton", maxiter=100, tol=1e-12, disp=0)
        except np.linalg.LinAlgError:
            return fit_firth(Z, y)
    coefficients, covariance = np.asarray(found.params), np.asarray(found.cov_params())
    is_finite = bool(np.isfinite(covariance).all() and np.isfinite(coefficients).all())
    if not is_finite or not found.mle_retvals["converged"] or np.abs(X @ coefficients).max() > SEPARATED_LOG_ODDS:
        return fit_firth(Z, y)
    return LogisticFit(
        coefficients=coefficients,
        covariance=covariance,
        log_likelihood=float(found.llf),
        method="maximum likelihood",
    )


def fit_firth(Z: Floats, y: Labels) -> LogisticFit:
    """Returns the logistic regression whose likelihood is multiplied by the root of the information's determinant.

    Its maximum is finite whatever the data, and less biased.

    Source: Firth 1993, Biometrika 80:27; Heinze and Schemper 2002, Statistics in Medicine 21:2409.
    """
    X = np.column_stack([np.ones(len(Z)), Z])
    coefficients = np.zeros(X.shape[1])
    value, step, inverse = _firth_step(X, y, coefficients)
    for _ in range(MAXIMUM_STEPS):
        longest = np.abs(step).max()
        if longest < STEP_TOLERANCE:
            break
        step = step * min(1.0, LARGEST_STEP / longest)
        while True:
            tried = coefficients + step
            new_value, new_step, new_inverse = _firth_step(X, y, tried)
            if new_value >= value - 1e-12 or np.abs(step).max() < STEP_TOLERANCE:
                break
            step = step / 2
        coefficients, value, step, inverse = tried, new_value, new_step, new_inverse
    return LogisticFit(
        coefficients=coefficients,
        covariance=inverse,
        log_likelihood=_log_likelihood(X, y, coefficients),
        method="firth",
    )


def _firth_step(X: Floats, y: Labels, coefficients: Floats) -> tuple[float, Floats, Floats]:
    """Returns the penalized log likelihood, Newton's step and the inverse information."""
    p = expit(X @ coefficients)
    root = X * np.sqrt(p * (1 - p))[:, None]
    information = root.T @ root
    inverse = np.linalg.pinv(information, hermitian=True)
    leverage = ((root @ inverse) * root).sum(axis=1)
    score = X.T @ (y - p + leverage * (0.5 - p))
    sign, determinant = np.linalg.slogdet(information)
    penalty = determinant / 2 if sign > 0 else -np.inf
    return _log_likelihood(X, y, coefficients) + float(penalty), inverse @ score, inverse


def _log_likelihood(X: Floats, y: Labels, coefficients: Floats) -> float:
    eta = X @ coefficients
    return float((y * eta - np.logaddexp(0.0, eta)).sum())
