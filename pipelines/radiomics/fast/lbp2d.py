"""Local binary patterns in slices, equal to scikit-image's.

Source: T. Ojala, M. Pietikäinen, T. Mäenpää, Multiresolution gray-scale and rotation invariant texture classification
with local binary patterns, IEEE TPAMI 24 (2002); rounding and borders follow scikit-image.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.radiomics.fast.scene import Scene

_METHODS = {"default": 0, "ror": 1, "uniform": 2, "var": 3}


def lbp2d_image(scene: Scene, radius: float, n_samples: int, method: str, axis: int) -> NDArray[np.generic]:
    """Returns the patterns in the region's box, in the image's own type as PyRadiomics stores them.

    Args:
        scene: Image and region.
        radius: Radius of the circle in voxels.
        n_samples: Points on it.
        method: default, ror, uniform or var.
        axis: Axis across which slices are taken (0 is z).
    """
    reach = np.full(3, int(np.ceil(radius)) + 1)
    reach[axis] = 0
    part, lower, upper = scene.around(reach)
    slices = np.ascontiguousarray(part.swapaxes(0, axis), dtype=np.float64)
    low, high = lower.copy(), upper.copy()
    low[[0, axis]], high[[0, axis]] = lower[[axis, 0]], upper[[axis, 0]]
    angles = 2 * np.pi * np.arange(n_samples, dtype=np.float64) / n_samples
    rows, columns = (np.round(points, 5) for points in (-radius * np.sin(angles), radius * np.cos(angles)))
    found = _patterns(slices, low, high, rows, columns, _METHODS[method])
    return found.swapaxes(0, axis).astype(part.dtype)


@njit(cache=True, nogil=True)
def _pixel(image, row, column):  # type: ignore[no-untyped-def]
    if row < 0 or column < 0 or row >= image.shape[0] or column >= image.shape[1]:
        return 0.0
    return image[row, column]


@njit(cache=True, nogil=True)
def _between(image, row, column):  # type: ignore[no-untyped-def]
    top, left = int(np.floor(row)), int(np.floor(column))
    bottom, right = int(np.ceil(row)), int(np.ceil(column))
    down, across = row - top, column - left
    above = (1 - across) * _pixel(image, top, left) + across * _pixel(image, top, right)
    below = (1 - across) * _pixel(image, bottom, left) + across * _pixel(image, bottom, right)
    return (1 - down) * above + down * below


@njit(cache=True, nogil=True)
def _code(texture, signs, method):  # type: ignore[no-untyped-def]
    n = len(signs)
    if method == 3:
        total = 0.0
        squares = 0.0
        for i in range(n):
            total += texture[i]
            squares += texture[i] * texture[i]
        variance = (squares - (total * total) / n) / n
        return variance if variance != 0 else np.nan
    code = np.int64(0)
    for i in range(n):
        code += signs[i] << i
    if method == 1:
        smallest = code
        for _ in range(1, n):
            code = (code >> 1) | ((code & 1) << (n - 1))
            smallest = min(smallest, code)
        return float(smallest)
    if method == 0:
        return float(code)
    changes = 0
    ones = 0
    for i in range(n):
        ones += signs[i]
        if i < n - 1:
            changes += 1 if signs[i] != signs[i + 1] else 0
    return float(ones) if changes <= 2 else float(n + 1)


@njit(cache=True, nogil=True)
def _patterns(slices, low, high, rows, columns, method):  # type: ignore[no-untyped-def]
    n = len(rows)
    out = np.empty((high[0] - low[0], high[1] - low[1], high[2] - low[2]))
    texture = np.empty(n)
    signs = np.empty(n, np.int64)
    for s in range(low[0], high[0]):
        image = slices[s]
        for r in range(low[1], high[1]):
            for c in range(low[2], high[2]):
                for i in range(n):
                    texture[i] = _between(image, r + rows[i], c + columns[i])
                    signs[i] = 1 if texture[i] - image[r, c] >= 0 else 0
                out[s - low[0], r - low[1], c - low[2]] = _code(texture, signs, method)
    return out
