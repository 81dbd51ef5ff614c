"""GLDM and NGTDM: what surrounds each voxel, counted in one sweep."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.radiomics.fast import sizes
from pipelines.radiomics.fast.graylevels import GrayLevels
from pipelines.radiomics.fast.region import Region

GLDM_VALUE_OF = {
    "DependenceEntropy": sizes.ENTROPY,
    "DependenceNonUniformity": sizes.SIZE,
    "DependenceNonUniformityNormalized": sizes.SIZE_NORM,
    "DependenceVariance": sizes.SIZE_VAR,
    "GrayLevelNonUniformity": sizes.GRAY,
    "GrayLevelVariance": sizes.GRAY_VAR,
    "HighGrayLevelEmphasis": sizes.HIGH,
    "LargeDependenceEmphasis": sizes.LARGE,
    "LargeDependenceHighGrayLevelEmphasis": sizes.LARGE_HIGH,
    "LargeDependenceLowGrayLevelEmphasis": sizes.LARGE_LOW,
    "LowGrayLevelEmphasis": sizes.LOW,
    "SmallDependenceEmphasis": sizes.SMALL,
    "SmallDependenceHighGrayLevelEmphasis": sizes.SMALL_HIGH,
    "SmallDependenceLowGrayLevelEmphasis": sizes.SMALL_LOW,
}
GLDM_NAMES = tuple(GLDM_VALUE_OF)
NGTDM_NAMES = ("Busyness", "Coarseness", "Complexity", "Contrast", "Strength")
BOX = 27  # a voxel and its neighbors
FLAT_COARSENESS = 1e6  # PyRadiomics's value where no gray level differs from its surroundings


def surroundings(
    region: Region, gray: GrayLevels, box: NDArray[np.unsignedinteger], alpha: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the dependence matrix and the NGTDM sums.

    Args:
        region: The region.
        gray: Its gray levels.
        box: Ranks of the gray levels in the flat padded box, 0 outside.
        alpha: Largest difference of gray levels that still counts as dependent (`gldm_a`).

    Returns:
        Dependence counts of shape (m, largest + 1) and sums of |level - mean of neighbors| of shape (m,).
    """
    steps = region.flat(region.offsets)
    lookup = np.zeros(len(gray.levels) + 1, dtype=np.int32)
    lookup[1:] = gray.levels
    return _sweep(box, lookup[box], region.places, steps, region.n_neighbors, len(gray.levels), alpha)


def neighbor_sums(region: Region, gray: GrayLevels, box: NDArray[np.unsignedinteger]) -> NDArray[np.float64]:
    """Returns the NGTDM sums of |level - mean of neighbors| at distance 1 in space, shape (m,).

    The sums over 27 voxels are made along one axis after the other; differences are summed as integers.
    """
    _, y, x = region.padded_shape
    highest = int(gray.levels[-1])
    is_plain = len(gray.levels) == highest
    lookup = np.zeros(len(gray.levels) + 1, dtype=np.int16 if BOX * highest <= np.iinfo(np.int16).max else np.int32)
    lookup[1:] = gray.levels
    codes = box.astype(lookup.dtype) if is_plain else lookup[box]
    first, last = int(region.places[0]), int(region.places[-1]) + 1
    around = _box_sums(codes, first, last, y * x, x)
    totals = _differences(box, codes, around, region.places, region.n_neighbors, len(gray.levels))
    neighbors = np.arange(1, BOX)
    return np.asarray((totals[:, 1:] / neighbors).sum(axis=1))


@njit(cache=True, nogil=True)
def _box_sums(codes, first, last, plane, row):  # type: ignore[no-untyped-def]
    """Returns sums over the 27 places around each place from first to last."""
    lines = np.empty_like(codes)
    planes = np.empty_like(codes)
    start, stop = first - plane - row, last + plane + row
    _sum_three(codes, lines, start, stop, 1)
    _sum_three(lines, planes, start + row, stop - row, row)
    _sum_three(planes, lines, first, last, plane)
    return lines


@njit(cache=True, nogil=True)
def _sum_three(values, out, first, last, step):  # type: ignore[no-untyped-def]
    before, here, after = values[first - step : last - step], values[first:last], values[first + step : last + step]
    sums = out[first:last]
    for i in range(len(sums)):
        sums[i] = before[i] + here[i] + after[i]


@njit(cache=True, nogil=True)
def _differences(box, codes, around, places, n_neighbors, n_levels):  # type: ignore[no-untyped-def]
    """Returns sums of |n level - sum of neighbors| by gray level and number n of neighbors."""
    totals = np.zeros((n_levels, BOX), np.int64)
    for k in range(len(places)):
        place = np.uint64(places[k])
        code, n = np.int64(codes[place]), np.int64(n_neighbors[k])
        totals[np.uint64(box[place]) - np.uint64(1), np.uint64(n)] += abs(n * code - (np.int64(around[place]) - code))
    return totals


@njit(cache=True, nogil=True)
def _sweep(box, codes, places, steps, n_neighbors, n_levels, alpha):  # type: ignore[no-untyped-def]
    matrix = np.zeros((n_levels, 2 * len(steps) + 1))
    sums = np.zeros(n_levels)
    for k in range(len(places)):
        place = places[k]
        code = codes[place]
        total = 0
        dependent = 0
        for s in range(len(steps)):
            after = codes[place + steps[s]]
            before = codes[place - steps[s]]
            total += after + before
            dependent += (after != 0) & (abs(after - code) <= alpha)
            dependent += (before != 0) & (abs(before - code) <= alpha)
        row = np.int64(box[place]) - 1
        matrix[row, dependent] += 1.0
        if n_neighbors[k] > 0:
            sums[row] += abs(code - total / n_neighbors[k])
    return matrix, sums


def gldm_features(gray: GrayLevels, matrix: NDArray[np.float64]) -> dict[str, float]:
    """Returns the features of the dependence matrix."""
    found = sizes.matrix_features(matrix, gray.levels.astype(float))
    return {name: float(found[at]) for name, at in GLDM_VALUE_OF.items()}


def ngtdm_features(gray: GrayLevels, sums: NDArray[np.float64]) -> dict[str, float]:
    """Returns the features of the neighboring gray tone differences."""
    values = _ngtdm(gray.levels.astype(float), gray.counts.astype(float), sums)
    return dict(zip(NGTDM_NAMES, map(float, values), strict=True))


@njit(cache=True, nogil=True)
def _ngtdm(levels, counts, sums):  # type: ignore[no-untyped-def]
    voxels = counts.sum()
    share = counts / voxels
    n = len(levels)
    spread = 0.0
    busy = 0.0
    complexity = 0.0
    strength = 0.0
    for i in range(n):
        for j in range(n):
            gap = abs(levels[i] - levels[j])
            spread += share[i] * share[j] * gap * gap
            busy += abs(levels[i] * share[i] - levels[j] * share[j])
            both = share[i] + share[j]
            complexity += gap * (share[i] * sums[i] + share[j] * sums[j]) / both
            strength += both * gap * gap
    rough = (share * sums).sum()
    total = sums.sum()
    coarseness = 1.0 / rough if rough != 0 else FLAT_COARSENESS
    pairs = n * (n - 1)
    contrast = spread * total / voxels / pairs if pairs else 0.0
    busyness = rough / busy if busy != 0 else 0.0
    return busyness, coarseness, complexity / voxels, contrast, strength / total if total != 0 else 0.0
