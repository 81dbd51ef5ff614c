"""Coefficients of the recursive Gaussian of order four and of its second derivative.

Source: G. Farnebäck and C.-F. Westin, Improving Deriche-style recursive Gaussian filters (2006), with the exponential
series of ITK's RecursiveGaussianImageFilter. Every order of operations follows ITK, because results are compared bit
by bit.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SMOOTH = (1.3530, 1.8151, -0.3531, 0.0902)
_SECOND = (-1.3563, 5.2318, 0.3446, -2.2355)
_W1, _L1, _W2, _L2 = 0.6681, -1.3932, 2.0787, -1.3732


@dataclass(frozen=True)
class _Denominator:
    d: tuple[float, float, float, float]
    total: float
    first: float
    second: float


def smoothing_coefficients(sigma_mm: float, spacing_mm: float) -> NDArray[np.float64]:
    """Returns N0–N3, D1–D4, M1–M4, BN1–BN4 and BM1–BM4 of the Gaussian, shape (20,)."""
    width = sigma_mm / spacing_mm
    below = _denominator(width)
    n = _numerator(width, _SMOOTH)
    alpha = 2 * _moments(n)[0] / below.total - n[0]
    return _with_borders(tuple(value * (1.0 / alpha) for value in n), below)


def derivative_coefficients(sigma_mm: float, spacing_mm: float) -> NDArray[np.float64]:
    """Returns the same of the second derivative, normalized across scale (times σ²), shape (20,)."""
    width = sigma_mm / spacing_mm
    below = _denominator(width)
    n_smooth, n_second = _numerator(width, _SMOOTH), _numerator(width, _SECOND)
    of_smooth, of_second = _moments(n_smooth), _moments(n_second)
    total = below.total
    beta = -(2 * of_second[0] - total * n_second[0]) / (2 * of_smooth[0] - total * n_smooth[0])
    n = tuple(b + beta * a for a, b in zip(n_smooth, n_second, strict=True))
    sn, dn, en = (b + beta * a for a, b in zip(of_smooth, of_second, strict=True))
    dd, ed = below.first, below.second
    alpha = en * total * total - ed * sn * total - 2 * dn * dd * total + 2 * dd * dd * sn
    alpha /= total * total * total
    return _with_borders(tuple(value * (sigma_mm * sigma_mm / alpha) for value in n), below)


def _numerator(width: float, series: tuple[float, float, float, float]) -> tuple[float, ...]:
    a1, b1, a2, b2 = series
    sin1, sin2 = math.sin(_W1 / width), math.sin(_W2 / width)
    cos1, cos2 = math.cos(_W1 / width), math.cos(_W2 / width)
    exp1, exp2 = math.exp(_L1 / width), math.exp(_L2 / width)
    n0 = a1 + a2
    n1 = exp2 * (b2 * sin2 - (a2 + 2 * a1) * cos2)
    n1 += exp1 * (b1 * sin1 - (a1 + 2 * a2) * cos1)
    n2 = (a1 + a2) * cos2 * cos1
    n2 -= b1 * cos2 * sin1 + b2 * cos1 * sin2
    n2 *= 2 * exp1 * exp2
    n2 += a2 * exp1 * exp1 + a1 * exp2 * exp2
    n3 = exp2 * exp1 * exp1 * (b2 * sin2 - a2 * cos2)
    n3 += exp1 * exp2 * exp2 * (b1 * sin1 - a1 * cos1)
    return n0, n1, n2, n3


def _moments(n: tuple[float, ...]) -> tuple[float, float, float]:
    return n[0] + n[1] + n[2] + n[3], n[1] + 2 * n[2] + 3 * n[3], n[1] + 4 * n[2] + 9 * n[3]


def _denominator(width: float) -> _Denominator:
    cos1, cos2 = math.cos(_W1 / width), math.cos(_W2 / width)
    exp1, exp2 = math.exp(_L1 / width), math.exp(_L2 / width)
    d4 = exp1 * exp1 * exp2 * exp2
    d3 = -2 * cos1 * exp1 * exp2 * exp2
    d3 += -2 * cos2 * exp2 * exp1 * exp1
    d2 = 4 * cos2 * cos1 * exp1 * exp2
    d2 += exp1 * exp1 + exp2 * exp2
    d1 = -2 * (exp2 * cos2 + exp1 * cos1)
    return _Denominator(
        (d1, d2, d3, d4),
        1.0 + d1 + d2 + d3 + d4,
        d1 + 2 * d2 + 3 * d3 + 4 * d4,
        d1 + 4 * d2 + 9 * d3 + 16 * d4,
    )


def _with_borders(n: tuple[float, ...], below: _Denominator) -> NDArray[np.float64]:
    d1, d2, d3, d4 = below.d
    m = (n[1] - d1 * n[0], n[2] - d2 * n[0], n[3] - d3 * n[0], -d4 * n[0])
    sn = n[0] + n[1] + n[2] + n[3]
    sm = m[0] + m[1] + m[2] + m[3]
    borders = [d * total / below.total for total in (sn, sm) for d in below.d]
    return np.array([*n, *below.d, *m, *borders])
