"""Features that runs, zones and dependences share: moments of a matrix of gray level by size."""

import numpy as np
from numba import njit

EPSILON = float(np.spacing(1))  # PyRadiomics adds it inside every logarithm
# Order of the values that `size_features` returns.
SMALL, LARGE, GRAY, GRAY_NORM, SIZE, SIZE_NORM, GRAY_VAR, SIZE_VAR = range(8)
ENTROPY, LOW, HIGH, SMALL_LOW, SMALL_HIGH, LARGE_LOW, LARGE_HIGH, TOTAL, VOXELS = range(8, 17)
N_VALUES = 17


@njit(cache=True, nogil=True)
def size_features(  # type: ignore[no-untyped-def]
    ranks, sizes, weights, levels, n_sizes
):
    """Returns the 17 values of one matrix given as its filled cells.

    Args:
        ranks: Row of each cell, from 0, shape (k,).
        sizes: Size (run length, zone size, dependence) of each cell, shape (k,).
        weights: What each cell counts, shape (k,).
        levels: Gray level of each row, shape (m,).
        n_sizes: Largest size.
    """
    by_gray = np.zeros(len(levels))
    by_size = np.zeros(n_sizes + 1)
    total = 0.0
    for k in range(len(ranks)):
        by_gray[ranks[k]] += weights[k]
        by_size[sizes[k]] += weights[k]
        total += weights[k]
    out = np.zeros(N_VALUES)
    out[TOTAL] = total
    _joint(ranks, sizes, weights, levels, total, out)
    _gray(by_gray, levels, total, out)
    _size(by_size, total, out)
    return out


@njit(cache=True, nogil=True)
def _joint(ranks, sizes, weights, levels, total, out):  # type: ignore[no-untyped-def]
    for k in range(len(ranks)):
        count = weights[k]
        i2 = levels[ranks[k]] * levels[ranks[k]]
        j2 = np.float64(sizes[k]) * np.float64(sizes[k])
        share = count / total
        out[ENTROPY] -= share * np.log2(share + EPSILON)
        out[SMALL_LOW] += count / (i2 * j2)
        out[SMALL_HIGH] += count * i2 / j2
        out[LARGE_LOW] += count * j2 / i2
        out[LARGE_HIGH] += count * i2 * j2
    for value in (SMALL_LOW, SMALL_HIGH, LARGE_LOW, LARGE_HIGH):
        out[value] /= total


@njit(cache=True, nogil=True)
def _gray(by_gray, levels, total, out):  # type: ignore[no-untyped-def]
    mean = 0.0
    for i in range(len(levels)):
        mean += by_gray[i] / total * levels[i]
    for i in range(len(levels)):
        level = levels[i]
        out[GRAY] += by_gray[i] * by_gray[i]
        out[GRAY_VAR] += by_gray[i] / total * (level - mean) * (level - mean)
        out[LOW] += by_gray[i] / (level * level)
        out[HIGH] += by_gray[i] * (level * level)
    out[LOW] /= total
    out[HIGH] /= total
    out[GRAY_NORM] = out[GRAY] / (total * total)
    out[GRAY] /= total


@njit(cache=True, nogil=True)
def _size(by_size, total, out):  # type: ignore[no-untyped-def]
    mean = 0.0
    for j in range(1, len(by_size)):
        mean += by_size[j] / total * j
    for j in range(1, len(by_size)):
        if by_size[j] == 0.0:
            continue
        squared = np.float64(j) * np.float64(j)
        out[SMALL] += by_size[j] / squared
        out[LARGE] += by_size[j] * squared
        out[SIZE] += by_size[j] * by_size[j]
        out[SIZE_VAR] += by_size[j] / total * (j - mean) * (j - mean)
        out[VOXELS] += by_size[j] * j
    out[SMALL] /= total
    out[LARGE] /= total
    out[SIZE_NORM] = out[SIZE] / (total * total)
    out[SIZE] /= total


@njit(cache=True, nogil=True)
def matrix_features(matrix, levels):  # type: ignore[no-untyped-def]
    """Returns the 17 values of a dense matrix of gray level (rows) by size from 1 (columns)."""
    n_cells = np.count_nonzero(matrix)
    ranks = np.empty(n_cells, np.int64)
    sizes = np.empty(n_cells, np.int64)
    weights = np.empty(n_cells)
    n = 0
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            if matrix[i, j] != 0:
                ranks[n], sizes[n], weights[n] = i, j + 1, matrix[i, j]
                n += 1
    return size_features(ranks, sizes, weights, levels, matrix.shape[1])


@njit(cache=True, nogil=True)
def features_of_each(matrices, levels):  # type: ignore[no-untyped-def]
    """Returns the 17 values of each matrix, shape (n, 17)."""
    found = np.empty((len(matrices), N_VALUES))
    for at in range(len(matrices)):
        found[at] = matrix_features(matrices[at], levels)
    return found
