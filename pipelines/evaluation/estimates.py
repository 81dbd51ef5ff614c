"""Estimates with intervals, and the few general tools every measure needs.

A cohort that cannot answer (one class, too few patients) gives an estimate without a value and with a reason, because
a missing number with a reason is a result and a crash is not.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]
Labels = NDArray[np.integer]

MINIMUM_DRAWS = 100
"""Fewer usable bootstrap draws than this give no interval: its ends would rest on two or three draws each."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its interval, or the reason why there is none.

    Args:
        value: The estimate.
        low: The interval's lower end.
        high: The interval's upper end.
        reason: Why the value or the interval is missing.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""

    def columns(self, name: str) -> dict[str, float | None]:
        """Returns `name`, `name_low` and `name_high`."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


def absent(reason: str) -> Estimate:
    """Returns an estimate that says why it has no value."""
    return Estimate(reason=reason)


def z_value(confidence: float) -> float:
    """Returns the normal quantile of a two-sided interval."""
    return float(ndtri(0.5 + confidence / 2))


def class_problem(y: Labels) -> str:
    """Returns why a cohort cannot tell two classes apart, or an empty text."""
    if len(y) == 0:
        return "no patients"
    n_events = int(y.sum())
    if n_events == 0:
        return "no patient with the outcome"
    if n_events == len(y):
        return "every patient has the outcome"
    return ""


def wilson(successes: int, n: int, confidence: float) -> Estimate:
    """Returns a proportion with Wilson's score interval.

    Source: Wilson 1927; Newcombe 1998, Statistics in Medicine 17:857, method 3.
    """
    if n == 0:
        return absent("nobody to count")
    z = z_value(confidence)
    share = successes / n
    center = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low = 0.0 if successes == 0 else float(center - half)
    high = 1.0 if successes == n else float(center + half)
    return Estimate(value=share, low=low, high=high)


def resample_counts(n: int, n_draws: int, rng: np.random.Generator) -> Floats:
    """Returns how often each of `n` patients is drawn in each bootstrap draw, shape (n_draws, n)."""
    counts = np.empty((n_draws, n))
    for row in counts:  # ten times as fast as the multinomial law, which this is
        row[:] = np.bincount(rng.integers(n, size=n), minlength=n)
    return counts


def percentile(value: float, draws: Floats, confidence: float) -> Estimate:
    """Returns an estimate with its bootstrap percentile interval.

    Args:
        value: The estimate from the cohort itself.
        draws: The same measure on each bootstrap draw, NaN where a draw could not give it, shape (n_draws,).
        confidence: The interval's confidence.
    """
    usable = draws[np.isfinite(draws)]
    if len(usable) < MINIMUM_DRAWS:
        return Estimate(value=value, reason=f"only {len(usable)} bootstrap draws could give it")
    tail = (1 - confidence) / 2
    low, high = np.quantile(usable, [tail, 1 - tail])
    return Estimate(value=value, low=float(low), high=float(high))


def percentile_band(draws: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Returns the pointwise percentile band of curves, each of shape (n_points,).

    Args:
        draws: One curve a bootstrap draw, NaN where a draw could not give it, shape (n_draws, n_points).
        confidence: The band's pointwise confidence.
    """
    tail = (1 - confidence) / 2
    usable = np.isfinite(draws).sum(axis=0)
    ends = np.full((2, draws.shape[1]), np.nan)
    whole, part = usable == len(draws), (usable >= MINIMUM_DRAWS) & (usable < len(draws))
    for at, quantile in ((whole, np.quantile), (part, np.nanquantile)):  # the second is far slower
        if at.any():
            ends[:, at] = quantile(draws[:, at], [tail, 1 - tail], axis=0)
    return ends[0], ends[1]


def holm(p_values: Floats) -> Floats:
    """Returns p-values corrected for their number, NaN left out of the count and kept.

    Source: Holm 1979, Scandinavian Journal of Statistics 6:65.
    """
    corrected = np.full(len(p_values), np.nan)
    known = np.flatnonzero(np.isfinite(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return cast(Floats, corrected)
