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

    The sums over 27 voxels are made along one axis after the other.
    """
    lookup = np.zeros(len(gray.levels) + 1, dtype=np.int32)
    lookup[1:] = gray.levels
    _, y, x = region.padded_shape
    is_plain = len(gray.levels) == gray.levels[-1]
    return _box_sums(box, lookup, is_plain, region.places, region.n_neighbors, y * x, x)


@njit(cache=True, nogil=True)
def _box_sums(box, lookup, is_plain, places, n_neighbors, plane, row):  # type: ignore[no-untyped-def]
    codes = np.empty(len(box), np.int32)
    for i in range(len(box)):
        codes[i] = box[i]
    if not is_plain:
        for i in range(len(box)):
            codes[i] = lookup[box[i]]
    lines = np.zeros(len(box), np.int32)
    planes = np.zeros(len(box), np.int32)
    for i in range(1, len(box) - 1):
        lines[i] = codes[i - 1] + codes[i] + codes[i + 1]
    for i in range(row, len(box) - row):
        planes[i] = lines[i - row] + lines[i] + lines[i + row]
    sums = np.zeros(len(lookup) - 1)
    for k in range(len(places)):
        place = places[k]
        code = codes[place]
        total = planes[place - plane] + planes[place] + planes[place + plane] - code
        if n_neighbors[k] > 0:
            sums[np.int64(box[place]) - 1] += abs(code - total / n_neighbors[k])
    return sums


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
