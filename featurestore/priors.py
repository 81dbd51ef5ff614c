"""Empirical Bayes for one center: each feature's shift and variance, drawn towards those of its other features.

Source: Johnson, Li and Rabinovic 2007, Biostatistics 8:118, section 3.2 (parametric) and 3.3 (non-parametric).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONVERGED = 1e-4
"""Largest relative change of the last step; that of the authors' own program, so that results can be compared."""

MOST_STEPS = 10_000
"""Far more than any real table needs (some 10 to 50)."""

_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Shift:
    """What a center does to each feature: a shift gamma and a variance delta, both shape (p,)."""

    gamma: Floats
    delta: Floats


def raw_shift(Z: Floats) -> Shift:
    """Returns mean and variance (n - 1) of standardized features, shape (n, p); a variance of 0 counts as 1."""
    variance = Z.var(axis=0, ddof=1)
    return Shift(gamma=Z.mean(axis=0), delta=np.where(variance > 0, variance, 1.0))


def bayes_shift(Z: Floats, raw: Shift, *, is_parametric: bool) -> Shift:
    """Returns the posterior shift of each feature.

    Args:
        Z: Standardized features of one center, shape (n, p).
        raw: What `raw_shift` gave.
        is_parametric: Whether the priors are normal and inverse gamma, or the features' own distribution.
    """
    return _parametric(Z, raw) if is_parametric else _nonparametric(Z, raw)


def _parametric(Z: Floats, raw: Shift) -> Shift:
    n = len(Z)
    center, spread = raw.gamma.mean(), raw.gamma.var(ddof=1)
    mean, variance = raw.delta.mean(), raw.delta.var(ddof=1)
    if not (spread > 0 and variance > 0):
        return raw
    shape, scale = (2 * variance + mean**2) / variance, (mean * variance + mean**3) / variance
    gamma, delta = raw.gamma, raw.delta
    # Σ (z - gamma)² = Σ (z - raw)² + n (raw - gamma)²: no pass over the rows in a step
    within = ((Z - raw.gamma) ** 2).sum(axis=0)
    for _ in range(MOST_STEPS):
        new_gamma = (spread * n * raw.gamma + delta * center) / (spread * n + delta)
        squares = within + n * (raw.gamma - new_gamma) ** 2
        new_delta = (0.5 * squares + scale) / (n / 2 + shape - 1)
        change = max(_change(new_gamma, gamma), _change(new_delta, delta))
        gamma, delta = new_gamma, new_delta
        if change <= CONVERGED:
            break
    return Shift(gamma=gamma, delta=delta)


def _change(new: Floats, old: Floats) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.nanmax(np.abs(new - old) / np.abs(old)))


def _nonparametric(Z: Floats, raw: Shift) -> Shift:
    """Weighs the other features' shifts by how likely they make this feature's values.

    The likelihood is taken in logarithms: with some hundred patients it would be 0 in plain numbers.
    """
    n, p = Z.shape
    total, squares = Z.sum(axis=0), (Z**2).sum(axis=0)
    gamma, delta = np.empty(p), np.empty(p)
    size = max(1, _CELLS_AT_ONCE // p)
    for first in range(0, p, size):
        rows = slice(first, min(first + size, p))
        misfit = squares[rows, None] - 2 * total[rows, None] * raw.gamma + n * raw.gamma**2
        likelihood = -0.5 * n * np.log(2 * np.pi * raw.delta) - misfit / (2 * raw.delta)
        likelihood[np.arange(likelihood.shape[0]), np.arange(rows.start, rows.stop)] = -np.inf
        weight = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        gamma[rows], delta[rows] = weight @ raw.gamma, weight @ raw.delta
    return Shift(gamma=gamma, delta=delta)
