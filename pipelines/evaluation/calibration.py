"""Calibration: of the patients given 30 %, do 30 % have the outcome?"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from pipelines.evaluation.estimates import (
    Estimate,
    Floats,
    Labels,
    absent,
    class_problem,
    percentile,
    percentile_band,
    z_value,
)

PROBABILITY_EDGE = 1e-6
"""Probabilities are kept this far from 0 and 1 before the logit, which has no value there."""

SMOOTHING_SHARE = 2 / 3
"""The share of patients in each neighborhood of the flexible curve: the default of Cleveland's lowess."""

MINIMUM_CURVE_PATIENTS = 20
"""Below this a flexible curve shows the neighborhoods, not the calibration."""

GRID_FROM_PATIENTS = 1000
"""With more patients the curve is computed on a grid half as fine as this many and interpolated."""

MAXIMUM_ITERATIONS = 50
SEPARATION_SLOPE = 50.0
"""A coefficient above this, per standard deviation, comes from classes that are separated completely."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The flexible calibration curve with its pointwise band, each of shape (n_points,)."""

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats


def brier(y: Labels, p: Floats, counts: Floats, confidence: float) -> Estimate:
    """Returns the mean squared error of the probabilities with its bootstrap percentile interval.

    Args:
        y: Labels, shape (n,).
        p: Probabilities, shape (n,).
        counts: How often each patient was drawn, shape (n_draws, n).
        confidence: The interval's confidence.
    """
    if len(y) == 0:
        return absent("no patients")
    errors = (p - y) ** 2
    return percentile(float(errors.mean()), counts @ errors / len(y), confidence)


def slope(y: Labels, p: Floats, confidence: float) -> Estimate:
    """Returns the calibration slope with Wald's interval: 1 is right.

    Below 1 the probabilities are too extreme, above 1 too much alike. It is the coefficient of a logistic regression
    of the outcome on the logit of the probability.

    Source: Cox 1958, Biometrika 45:562; Van Calster et al. 2019, BMC Medicine 17:230.
    """
    if problem := class_problem(y):
        return absent(problem)
    x = _logits(p)
    if np.ptp(x) < 1e-9:
        return absent("all probabilities are the same")
    spread = float(x.std())
    design = np.column_stack([np.ones(len(y)), (x - x.mean()) / spread])
    return _wald(_logistic(design, y, np.zeros(len(y))), 1, confidence, spread)


def intercept(y: Labels, p: Floats, confidence: float) -> Estimate:
    """Returns calibration in the large with Wald's interval: 0 is right, below 0 the probabilities are too high.

    It is the intercept of a logistic regression with the logit of the probability as offset (slope held at 1).

    Source: Van Calster et al. 2019, BMC Medicine 17:230.
    """
    if problem := class_problem(y):
        return absent(problem)
    return _wald(_logistic(np.ones((len(y), 1)), y, _logits(p)), 0, confidence)


def observed_expected(y: Labels, p: Floats, confidence: float) -> Estimate:
    """Returns observed over expected events, with an interval on the log scale.

    Source: Debray et al. 2017, BMJ 356:i6460, variance of log(O:E) = (1 - O/n) / O.
    """
    if len(y) == 0 or p.sum() <= 0:
        return absent("no patients" if len(y) == 0 else "no events expected")
    n_events = int(y.sum())
    ratio = n_events / float(p.sum())
    if n_events == 0:
        return Estimate(value=ratio, reason="no patient with the outcome")
    half = z_value(confidence) * float(np.sqrt((1 - n_events / len(y)) / n_events))
    return Estimate(value=ratio, low=ratio * float(np.exp(-half)), high=ratio * float(np.exp(half)))


def curve_problem(y: Labels, p: Floats) -> str:
    """Returns why there is no flexible curve, or an empty text."""
    if problem := class_problem(y):
        return problem
    if len(y) < MINIMUM_CURVE_PATIENTS:
        return f"{len(y)} patients; a flexible curve needs {MINIMUM_CURVE_PATIENTS}"
    return "all probabilities are the same" if np.ptp(p) < 1e-9 else ""


def flexible_curve(y: Labels, p: Floats, counts: Floats, confidence: float, n_points: int = 41) -> Curve | None:
    """Returns the smoothed observed frequency over the range of the probabilities, with a bootstrap band.

    Args:
        y: Labels, shape (n,).
        p: Probabilities, shape (n,).
        counts: How often each patient was drawn, shape (n_draws, n).
        confidence: The band's pointwise confidence.
        n_points: How many points the curve has.

    Returns:
        The curve, or none where `curve_problem` has a reason.
    """
    if curve_problem(y, p):
        return None
    grid = np.linspace(p.min(), p.max(), n_points)
    observed = smooth(p, y, grid, np.ones((1, len(y))))[0]
    low, high = percentile_band(smooth(p, y, grid, counts), confidence)
    return Curve(predicted=grid, observed=observed, low=low, high=high)


def calibration_errors(y: Labels, p: Floats, counts: Floats, confidence: float) -> dict[str, Estimate]:
    """Returns distances between the probabilities and the flexible curve over the patients.

    `ici` is the mean, `e50`, `e90` and `e_max` are the median, ninth decile and maximum of the absolute distance, `eci`
    is 100 times the mean squared one. None is ever below 0 and a resample adds noise of its own, so the bootstrap leans
    upward; the basic interval (twice the estimate less the percentiles, not below 0) takes that back.

    Source: Austin and Steyerberg 2019, Statistics in Medicine 38:4051 (ICI, E50, E90, Emax); Van Hoorde et al. 2015,
    Journal of Biomedical Informatics 54:283 (ECI).
    """
    if problem := curve_problem(y, p):
        return {name: absent(problem) for name in ("ici", "e50", "e90", "e_max", "eci")}
    weights = np.vstack([np.ones(len(y)), counts])
    distance = np.abs(_curve_at_patients(y, p, weights) - p)
    e50, e90, e_max = _weighted_quantiles(distance, weights, (0.5, 0.9, 1.0))
    drawn = {
        "ici": _weighted_mean(distance, weights),
        "e50": e50,
        "e90": e90,
        "e_max": e_max,
        "eci": 100 * _weighted_mean(distance**2, weights),
    }
    return {name: _basic(values, confidence) for name, values in drawn.items()}


def _curve_at_patients(y: Labels, p: Floats, weights: Floats) -> Floats:
    """Returns the smoothed frequency at each patient's probability; between points of a fine grid where there are many.

    Returns:
        Shape (n_draws, n).
    """
    if len(p) <= GRID_FROM_PATIENTS:
        return smooth(p, y, p, weights)
    grid = np.unique(np.quantile(p, np.linspace(0, 1, GRID_FROM_PATIENTS // 2)))
    curves = smooth(p, y, grid, weights)
    return np.vstack([np.interp(p, grid, curve) for curve in curves])


def smooth(x: Floats, y: Labels, at: Floats, counts: Floats) -> Floats:
    """Returns the local linear tricube smoother of `y` on `x` for each set of weights, clipped to 0–1.

    With weights of one it is Cleveland's lowess without robustness steps. The neighborhoods stay those of the cohort
    in every draw.

    Source: Cleveland 1979, Journal of the American Statistical Association 74:829.

    Args:
        x: Probabilities, shape (n,).
        y: Labels, shape (n,).
        at: Where the curve is wanted, shape (n_points,).
        counts: Weights, shape (n_draws, n).

    Returns:
        Smoothed frequencies, shape (n_draws, n_points).
    """
    n_neighbors = max(int(SMOOTHING_SHARE * len(x) + 1e-10), 2)
    offset = x[None, :] - at[:, None]
    reach = np.sort(np.abs(offset), axis=1)[:, n_neighbors - 1 : n_neighbors]
    kernel = np.clip(1 - (np.abs(offset) / np.maximum(reach, 1e-12)) ** 3, 0, None) ** 3
    s0, s1, s2 = (counts @ (kernel * offset**power).T for power in (0, 1, 2))
    t0, t1 = (counts @ (kernel * offset**power * y).T for power in (0, 1))
    determinant = s0 * s2 - s1**2
    level = np.divide(t0, s0, out=np.full_like(s0, np.nan), where=s0 > 1e-12)
    flat = determinant <= 1e-10 * np.maximum(s0, 1e-12) ** 2 * np.maximum(reach.T, 1e-12) ** 2
    line = np.divide(t0 * s2 - t1 * s1, determinant, out=level.copy(), where=~flat)
    return np.clip(line, 0.0, 1.0)


def _logits(p: Floats) -> Floats:
    return logit(np.clip(p, PROBABILITY_EDGE, 1 - PROBABILITY_EDGE))


def _logistic(design: Floats, y: Labels, offset: Floats) -> tuple[Floats, Floats] | None:
    """Returns coefficients and their covariance by Newton's method, or none when they run away."""
    beta = np.zeros(design.shape[1])
    for _ in range(MAXIMUM_ITERATIONS):
        fitted = expit(design @ beta + offset)
        information = design.T @ (design * (fitted * (1 - fitted))[:, None])
        if not np.isfinite(information).all() or np.linalg.cond(information) > 1e14:
            return None
        step = np.linalg.solve(information, design.T @ (y - fitted))
        beta = beta + np.clip(step, -5.0, 5.0)
        if np.abs(beta).max() > SEPARATION_SLOPE:
            return None
        if np.abs(step).max() < 1e-10:
            return beta, np.linalg.inv(information)
    return None


def _wald(fit: tuple[Floats, Floats] | None, index: int, confidence: float, unit: float = 1.0) -> Estimate:
    if fit is None:
        return absent("the probabilities separate the classes completely")
    beta, covariance = fit
    half = z_value(confidence) * float(np.sqrt(covariance[index, index])) / unit
    value = float(beta[index]) / unit
    return Estimate(value=value, low=value - half, high=value + half)


def _weighted_mean(values: Floats, weights: Floats) -> Floats:
    known = np.isfinite(values)
    total = (weights * known).sum(axis=1)
    summed = (np.where(known, values, 0.0) * weights).sum(axis=1)
    return np.divide(summed, total, out=np.full(len(total), np.nan), where=total > 0)


def _weighted_quantiles(values: Floats, weights: Floats, at: tuple[float, ...]) -> Floats:
    """Returns quantiles of each row with every value as often as its weight says; all rows have one total weight.

    A row with an unknown value has none.

    Returns:
        Shape (n_quantiles, n_draws).
    """
    drawn = np.repeat(values.ravel(), weights.ravel().astype(np.int64)).reshape(values.shape)
    return np.quantile(drawn, at, axis=1)


def _basic(draws: Floats, confidence: float) -> Estimate:
    value = float(draws[0])
    found = percentile(value, draws[1:], confidence)
    if found.low is None or found.high is None:
        return found
    low, high = max(2 * value - found.high, 0.0), max(2 * value - found.low, value)
    return Estimate(value=value, low=min(low, value), high=high)
