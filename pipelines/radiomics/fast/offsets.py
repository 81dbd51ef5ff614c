"""Neighbor offsets of texture matrices, in the order and under the limits that PyRadiomics generates them."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int, int]


def forward_offsets(shape: Shape, distances: tuple[int, ...], flat_axis: int | None) -> NDArray[np.int64]:
    """Returns one offset of each opposite pair, those that lie later in the array.

    Args:
        shape: Size of the region's box in voxels, (z, y, x); no offset reaches past it.
        distances: Chebyshev distances that are asked for, in voxels.
        flat_axis: Axis that must not be crossed (force2D), or None.

    Returns:
        Offsets of shape (n, 3), axis order (z, y, x).
    """
    steps = range(max(distances), -max(distances) - 1, -1)
    zero = (0, 0, 0)
    kept = [
        offset
        for offset in product(steps, repeat=3)
        if offset > zero and max(map(abs, offset)) in distances and _inside(offset, shape, flat_axis)
    ]
    return np.array(kept, dtype=np.int64).reshape(-1, 3)


def _inside(offset: tuple[int, ...], shape: Shape, flat_axis: int | None) -> bool:
    reach = all(abs(step) < size for step, size in zip(offset, shape, strict=True))
    return reach and (flat_axis is None or offset[flat_axis] == 0)


def distance_weights(
    offsets: NDArray[np.int64], spacing_mm: tuple[float, float, float], norm: str
) -> NDArray[np.float64]:
    """Returns the physical length of each offset, in mm, in the norm that `weightingNorm` names.

    Args:
        offsets: Offsets of shape (n, 3), axis order (z, y, x).
        spacing_mm: Voxel spacing (z, y, x).
        norm: infinity, euclidean or manhattan.
    """
    steps = np.abs(offsets) * np.asarray(spacing_mm)
    if norm == "infinity":
        return steps.max(axis=1)
    if norm == "euclidean":
        return np.sqrt((steps**2).sum(axis=1))
    return steps.sum(axis=1)
