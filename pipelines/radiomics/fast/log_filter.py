"""Laplacian of Gaussian, equal to ITK's recursive filter inside the region and computed only where it counts.

ITK writes single precision after every pass and every sum, so the same chain is kept: along each axis the second
derivative first, then smoothing along the other two in ascending order. The filter's answer decays like
exp(-1.37 d/σ) and its weights multiply over axes, so what lies beyond |dx| + |dy| + |dz| of the reach around the
region's box adds nothing to a single-precision result, and no pass looks further.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.radiomics.fast.lanes import LANES, TILE, everywhere, exact_floats, load, padded, store, transpose_tile
from pipelines.radiomics.fast.recursive import derivative_coefficients, smoothing_coefficients
from pipelines.radiomics.fast.scene import Scene
from pipelines.radiomics.settings import LOG_REACH_SIGMA, LOG_SHORTEST_VOXELS


def log_image(scene: Scene, sigma_mm: float) -> NDArray[np.float32] | None:
    """Returns the filtered box of the region, or None where PyRadiomics calls the image too small.

    Args:
        scene: Image and region.
        sigma_mm: Width of the Gaussian.
    """
    size = np.array(scene.domain)
    if size.min() < LOG_SHORTEST_VOXELS or (size < np.ceil(sigma_mm / np.array(scene.spacing_mm)) + 1).any():
        return None
    reach = np.array(
        [max(LOG_SHORTEST_VOXELS, math.ceil(LOG_REACH_SIGMA * sigma_mm / step)) for step in scene.spacing_mm]
    )
    voxels, lower, upper = scene.around(reach)
    volume = _Volume(padded(voxels), voxels.shape)
    total = np.zeros(scene.inside.shape, dtype=np.float32)
    for axis in (2, 1, 0):
        spacing = scene.spacing_mm[axis]
        part = _pass(volume, axis, lower, upper, reach, derivative_coefficients(sigma_mm, spacing))
        low, high = lower.copy(), upper.copy()
        low[axis], high[axis] = 0, part.shape[axis]
        for other in [other for other in (2, 1, 0) if other != axis]:
            weights = smoothing_coefficients(sigma_mm, scene.spacing_mm[other])
            part = _pass(part, other, low, high, reach, weights)
            low[other], high[other] = 0, part.shape[other]
        _accumulate(total, part.memory, 1.0 / (spacing * spacing))
    return total


class _Volume(NamedTuple):
    """Voxels in memory that is at least `LANES` wide along y and x."""

    memory: NDArray[np.generic]
    shape: tuple[int, ...]


def _pass(
    volume: _Volume,
    axis: int,
    lower: NDArray[np.int64],
    upper: NDArray[np.int64],
    reach: NDArray[np.int64],
    coefficients: NDArray[np.float64],
) -> _Volume:
    """Filters along one axis and keeps the region's box along it."""
    shape = list(volume.shape)
    shape[axis] = int(upper[axis] - lower[axis])
    out = np.empty([shape[0], *(max(size, LANES) for size in shape[1:])], dtype=np.float32)
    # Lanes run along x, except for lines along x, whose lanes are rows.
    order = [0, 2, 1] if axis == 2 else [1 - axis, axis, 2]
    limits = np.array([lower[order], upper[order]])
    block = np.empty((volume.memory.shape[order[1]], LANES), dtype=exact_floats(volume.memory.dtype))
    results = np.empty((out.shape[order[1]], LANES), dtype=np.float32)
    causal = np.empty((out.shape[order[1]], LANES))
    _lines(
        volume.memory.transpose(order),
        out.transpose(order),
        np.array(volume.shape)[order],
        limits,
        reach[order].astype(np.float64),
        coefficients,
        (block, results, causal),
        axis == 2,
    )
    return _Volume(out, tuple(shape))


@njit(cache=True, nogil=True)
def _accumulate(total, part, weight):  # type: ignore[no-untyped-def]
    for z in range(total.shape[0]):
        for y in range(total.shape[1]):
            for x in range(total.shape[2]):
                total[z, y, x] = np.float32(total[z, y, x] + np.float64(part[z, y, x]) * weight)


@njit(cache=True, nogil=True)
def _outside(start, end, low, high):  # type: ignore[no-untyped-def]
    if end <= low:
        return low - end + 1
    if start >= high:
        return start - high + 1
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def _lines(voxels, out, shape, limits, reach, k, buffers, is_across):  # type: ignore[no-untyped-def]
    """Filters along the second axis in groups of lanes; `is_across` says that lanes are not neighbors in memory."""
    low, high = limits[0], limits[1]
    for outer in range(shape[0]):
        share = 1.0 - _outside(outer, outer + 1, low[0], high[0]) / reach[0]
        for group in range(0, shape[2], LANES):
            lane = max(min(group, shape[2] - LANES), 0)
            left = share - _outside(lane, lane + LANES, low[2], high[2]) / reach[2]
            if left <= 0.0:
                out[outer, :, lane : lane + LANES] = 0.0
                continue
            margin = max(int(np.ceil(reach[1] * left)), TILE)
            first = max(low[1] - margin, 0)
            n_rows = min(high[1] + margin, shape[1]) - first
            box = (n_rows, low[1] - first, high[1] - first)
            if is_across:
                _filter_across(voxels[outer, first:], out[outer], lane, box, k, buffers)
            else:
                _filter(voxels[outer, first:, lane:], out[outer, :, lane:], box, k, buffers[2])


@njit(cache=True, nogil=True)
def _filter_across(voxels, out, lane, box, k, buffers):  # type: ignore[no-untyped-def]
    block, results, causal = buffers
    n_rows, low, high = box
    step = voxels.strides[1] // voxels.itemsize
    for tile in range(0, n_rows, TILE):
        at = max(min(tile, n_rows - TILE), 0)
        for first in range(0, LANES, TILE):
            transpose_tile(voxels, at + (lane + first) * step, step, block, at * LANES + first, LANES)
    _filter(block, results, box, k, causal)
    step = out.strides[1] // out.itemsize
    for tile in range(0, high - low, TILE):
        at = max(min(tile, high - low - TILE), 0)
        for first in range(0, LANES, TILE):
            transpose_tile(results, at * LANES + first, LANES, out, at + (lane + first) * step, step)


@njit(cache=True, nogil=True)
def _filter(x, out, box, k, causal):  # type: ignore[no-untyped-def]
    """Writes the rounded sums of both recursions for the box's rows."""
    _forward(x, box, k, causal)
    _backward(x, out, box, k, causal)


@njit(cache=True, nogil=True)
def _forward(x, box, k, out):  # type: ignore[no-untyped-def]
    _, low, high = box
    step = x.strides[0] // x.itemsize
    n0, n1, n2, n3 = everywhere(k[0]), everywhere(k[1]), everywhere(k[2]), everywhere(k[3])
    d1, d2, d3, d4 = everywhere(k[4]), everywhere(k[5]), everywhere(k[6]), everywhere(k[7])
    b1, b2, b3, b4 = everywhere(k[12]), everywhere(k[13]), everywhere(k[14]), everywhere(k[15])
    edge, x3, x2, x1 = load(x, 0), load(x, step), load(x, 2 * step), load(x, 3 * step)
    y4 = edge * n0 + edge * n1 + edge * n2 + edge * n3
    y3 = x3 * n0 + edge * n1 + edge * n2 + edge * n3
    y2 = x2 * n0 + x3 * n1 + edge * n2 + edge * n3
    y1 = x1 * n0 + x2 * n1 + x3 * n2 + edge * n3
    y4 = y4 - (edge * b1 + edge * b2 + edge * b3 + edge * b4)
    y3 = y3 - (y4 * d1 + edge * b2 + edge * b3 + edge * b4)
    y2 = y2 - (y3 * d1 + y4 * d2 + edge * b3 + edge * b4)
    y1 = y1 - (y2 * d1 + y3 * d2 + y4 * d3 + edge * b4)
    if low < LOG_SHORTEST_VOXELS:
        _keep(out, LANES, low, high, (0, 1, 2, 3), (y4, y3, y2, y1))
    for row in range(4, high):
        x0 = load(x, row * step)
        value = x0 * n0 + x1 * n1 + x2 * n2 + x3 * n3
        y0 = value - (y1 * d1 + y2 * d2 + y3 * d3 + y4 * d4)
        if row >= low:
            store(out, (row - low) * LANES, y0)
        x1, x2, x3 = x0, x1, x2
        y1, y2, y3, y4 = y0, y1, y2, y3


@njit(cache=True, nogil=True)
def _backward(x, out, box, k, causal):  # type: ignore[no-untyped-def]
    n_rows, low, high = box
    step = x.strides[0] // x.itemsize
    out_step = out.strides[0] // out.itemsize
    d1, d2, d3, d4 = everywhere(k[4]), everywhere(k[5]), everywhere(k[6]), everywhere(k[7])
    m1, m2, m3, m4 = everywhere(k[8]), everywhere(k[9]), everywhere(k[10]), everywhere(k[11])
    b1, b2, b3, b4 = everywhere(k[16]), everywhere(k[17]), everywhere(k[18]), everywhere(k[19])
    top = n_rows - 1
    edge, x3, x2 = load(x, top * step), load(x, (top - 1) * step), load(x, (top - 2) * step)
    y4 = edge * m1 + edge * m2 + edge * m3 + edge * m4
    y3 = edge * m1 + edge * m2 + edge * m3 + edge * m4
    y2 = x3 * m1 + edge * m2 + edge * m3 + edge * m4
    y1 = x2 * m1 + x3 * m2 + edge * m3 + edge * m4
    y4 = y4 - (edge * b1 + edge * b2 + edge * b3 + edge * b4)
    y3 = y3 - (y4 * d1 + edge * b2 + edge * b3 + edge * b4)
    y2 = y2 - (y3 * d1 + y4 * d2 + edge * b3 + edge * b4)
    y1 = y1 - (y2 * d1 + y3 * d2 + y4 * d3 + edge * b4)
    if high > top - 3:
        _keep_sums(out, out_step, low, high, (top, top - 1, top - 2, top - 3), (y4, y3, y2, y1), causal)
    x1, x2, x3, x4 = load(x, (top - 3) * step), x2, x3, edge
    for row in range(top - 4, low - 1, -1):
        value = x1 * m1 + x2 * m2 + x3 * m3 + x4 * m4
        y0 = value - (y1 * d1 + y2 * d2 + y3 * d3 + y4 * d4)
        if row < high:
            store(out, (row - low) * out_step, load(causal, (row - low) * LANES) + y0)
        x1, x2, x3, x4 = load(x, row * step), x1, x2, x3
        y1, y2, y3, y4 = y0, y1, y2, y3


@njit(cache=True, nogil=True)
def _keep(out, step, low, high, rows, values):  # type: ignore[no-untyped-def]
    for i in range(4):
        if low <= rows[i] < high:
            store(out, (rows[i] - low) * step, values[i])


@njit(cache=True, nogil=True)
def _keep_sums(out, step, low, high, rows, values, causal):  # type: ignore[no-untyped-def]
    for i in range(4):
        if low <= rows[i] < high:
            store(out, (rows[i] - low) * step, load(causal, (rows[i] - low) * LANES) + values[i])
