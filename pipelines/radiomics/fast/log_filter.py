"""Laplacian of Gaussian, equal to ITK's recursive filter inside the region and computed only where it counts.

ITK writes single precision after every pass and every sum, so the same chain is kept: along each axis the second
derivative first, then smoothing along the other two in ascending order. The filter's answer decays like
exp(-1.37 d/σ) and its weights multiply over axes, so what lies beyond |dx| + |dy| + |dz| of the reach around the
region's box adds nothing to a single-precision result, and no pass looks further.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.radiomics.fast.recursive import derivative_coefficients, smoothing_coefficients
from pipelines.radiomics.fast.scene import Scene

# At 22 σ an edge of ±3,000 HU no longer moves any single-precision result that was tried.
REACH_SIGMA = 24.0
SHORTEST_LINE = 4  # ITK's recursion needs four voxels
LANES = np.uint64(32)
_X, _CAUSAL, _ANTI = np.uint64(0), LANES, np.uint64(2) * LANES
_ROW = np.uint64(3) * LANES


def log_image(scene: Scene, sigma_mm: float) -> NDArray[np.float32] | None:
    """Returns the filtered box of the region, or None where PyRadiomics calls the image too small.

    Args:
        scene: Image and region.
        sigma_mm: Width of the Gaussian.
    """
    size = np.array(scene.domain)
    if size.min() < SHORTEST_LINE or (size < np.ceil(sigma_mm / np.array(scene.spacing_mm)) + 1).any():
        return None
    reach = np.array([max(SHORTEST_LINE, math.ceil(REACH_SIGMA * sigma_mm / step)) for step in scene.spacing_mm])
    voxels, lower, upper = scene.around(reach)
    total = np.zeros(scene.inside.shape, dtype=np.float32)
    for axis in (2, 1, 0):
        spacing = scene.spacing_mm[axis]
        part = _pass(voxels, axis, lower, upper, reach, derivative_coefficients(sigma_mm, spacing))
        low, high = lower.copy(), upper.copy()
        low[axis], high[axis] = 0, part.shape[axis]
        for other in [other for other in (2, 1, 0) if other != axis]:
            weights = smoothing_coefficients(sigma_mm, scene.spacing_mm[other])
            part = _pass(part, other, low, high, reach, weights)
            low[other], high[other] = 0, part.shape[other]
        total = (total + part * np.float64(1.0 / (spacing * spacing))).astype(np.float32)
    return total


def _pass(
    voxels: NDArray[np.generic],
    axis: int,
    lower: NDArray[np.int64],
    upper: NDArray[np.int64],
    reach: NDArray[np.int64],
    coefficients: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Filters along one axis and keeps the region's box along it."""
    shape = list(voxels.shape)
    shape[axis] = int(upper[axis] - lower[axis])
    out = np.zeros(shape, dtype=np.float32)
    # Lanes run along x, except for lines along x, whose lanes are rows.
    lanes_axis = 2 if axis != 2 else 1
    outer_axis = 3 - axis - lanes_axis
    order = (outer_axis, axis, lanes_axis)
    _lines(
        voxels.transpose(order),
        out.transpose(order),
        lower[list(order)],
        upper[list(order)],
        reach[list(order)].astype(np.float64),
        coefficients,
    )
    return out


@njit(cache=True, nogil=True)
def _outside(start, end, low, high):  # type: ignore[no-untyped-def]
    if end <= low:
        return low - end + 1
    if start >= high:
        return start - high + 1
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def _lines(voxels, out, lower, upper, reach, k):  # type: ignore[no-untyped-def]
    n_lanes = int(LANES)
    buffer = np.zeros(voxels.shape[1] * int(_ROW), np.float64)
    for outer in range(voxels.shape[0]):
        share = 1.0 - _outside(outer, outer + 1, lower[0], upper[0]) / reach[0]
        if share <= 0.0:
            continue
        for lane in range(0, voxels.shape[2], n_lanes):
            end = min(lane + n_lanes, voxels.shape[2])
            left = share - _outside(lane, end, lower[2], upper[2]) / reach[2]
            if left <= 0.0:
                continue
            margin = max(int(np.ceil(reach[1] * left)), 4)
            first = max(lower[1] - margin, 0)
            last = min(upper[1] + margin, voxels.shape[1])
            _load(voxels, buffer, outer, first, last, lane, end)
            _filter(buffer, last - first, lower[1] - first, upper[1] - first, k)
            _store(buffer, out, outer, lower[1] - first, upper[1] - first, lane, end)


@njit(cache=True, nogil=True)
def _load(voxels, buffer, outer, first, last, lane, end):  # type: ignore[no-untyped-def]
    width = int(_ROW)
    for i in range(first, last):
        row = (i - first) * width
        for w in range(end - lane):
            buffer[row + w] = voxels[outer, i, lane + w]


@njit(cache=True, nogil=True)
def _store(buffer, out, outer, low, high, lane, end):  # type: ignore[no-untyped-def]
    width = int(_ROW)
    for i in range(low, high):
        causal = i * width + int(_CAUSAL)
        anti = i * width + int(_ANTI)
        for w in range(end - lane):
            out[outer, i - low, lane + w] = np.float32(buffer[causal + w] + buffer[anti + w])


@njit(cache=True, nogil=True)
def _filter(b, n_rows, low, high, k):  # type: ignore[no-untyped-def]
    n0, n1, n2, n3 = k[0], k[1], k[2], k[3]
    d1, d2, d3, d4 = k[4], k[5], k[6], k[7]
    m1, m2, m3, m4 = k[8], k[9], k[10], k[11]
    n = np.uint64(n_rows)
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    _causal_start(b, k)
    for i in range(four, np.uint64(high)):
        at = i * _ROW
        for w in range(LANES):
            x = at + w
            y = at + _CAUSAL + w
            value = b[x] * n0 + b[x - _ROW] * n1 + b[x - two * _ROW] * n2 + b[x - three * _ROW] * n3
            feed = b[y - _ROW] * d1 + b[y - two * _ROW] * d2 + b[y - three * _ROW] * d3 + b[y - four * _ROW] * d4
            b[y] = value - feed
    _anticausal_start(b, n, k)
    for back in range(four, n - np.uint64(low)):
        at = (n - one - back) * _ROW
        for w in range(LANES):
            x = at + w
            y = at + _ANTI + w
            value = b[x + _ROW] * m1 + b[x + two * _ROW] * m2 + b[x + three * _ROW] * m3 + b[x + four * _ROW] * m4
            feed = b[y + _ROW] * d1 + b[y + two * _ROW] * d2 + b[y + three * _ROW] * d3 + b[y + four * _ROW] * d4
            b[y] = value - feed


@njit(cache=True, nogil=True)
def _causal_start(b, k):  # type: ignore[no-untyped-def]
    row, c = int(_ROW), int(_CAUSAL)
    n0, n1, n2, n3 = k[0], k[1], k[2], k[3]
    d1, d2, d3 = k[4], k[5], k[6]
    b1, b2, b3, b4 = k[12], k[13], k[14], k[15]
    for w in range(int(LANES)):
        edge, x1, x2, x3 = b[w], b[row + w], b[2 * row + w], b[3 * row + w]
        y0 = edge * n0 + edge * n1 + edge * n2 + edge * n3
        y1 = x1 * n0 + edge * n1 + edge * n2 + edge * n3
        y2 = x2 * n0 + x1 * n1 + edge * n2 + edge * n3
        y3 = x3 * n0 + x2 * n1 + x1 * n2 + edge * n3
        y0 -= edge * b1 + edge * b2 + edge * b3 + edge * b4
        y1 -= y0 * d1 + edge * b2 + edge * b3 + edge * b4
        y2 -= y1 * d1 + y0 * d2 + edge * b3 + edge * b4
        y3 -= y2 * d1 + y1 * d2 + y0 * d3 + edge * b4
        b[c + w], b[row + c + w], b[2 * row + c + w], b[3 * row + c + w] = y0, y1, y2, y3


@njit(cache=True, nogil=True)
def _anticausal_start(b, n, k):  # type: ignore[no-untyped-def]
    row, a = int(_ROW), int(_ANTI)
    top = (int(n) - 1) * row
    d1, d2, d3 = k[4], k[5], k[6]
    m1, m2, m3, m4 = k[8], k[9], k[10], k[11]
    b1, b2, b3, b4 = k[16], k[17], k[18], k[19]
    for w in range(int(LANES)):
        edge, x1, x2 = b[top + w], b[top - row + w], b[top - 2 * row + w]
        y0 = edge * m1 + edge * m2 + edge * m3 + edge * m4
        y1 = edge * m1 + edge * m2 + edge * m3 + edge * m4
        y2 = x1 * m1 + edge * m2 + edge * m3 + edge * m4
        y3 = x2 * m1 + x1 * m2 + edge * m3 + edge * m4
        y0 -= edge * b1 + edge * b2 + edge * b3 + edge * b4
        y1 -= y0 * d1 + edge * b2 + edge * b3 + edge * b4
        y2 -= y1 * d1 + y0 * d2 + edge * b3 + edge * b4
        y3 -= y2 * d1 + y1 * d2 + y0 * d3 + edge * b4
        b[top + a + w], b[top - row + a + w] = y0, y1
        b[top - 2 * row + a + w], b[top - 3 * row + a + w] = y2, y3
