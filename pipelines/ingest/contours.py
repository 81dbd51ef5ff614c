"""Fills contours: which voxels of a slice lie inside closed polygons.

A voxel is inside when its center is, by the even-odd rule over all contours of the slice: a contour within another
makes a hole, one within the hole an island, and separate ones are separate parts. A center exactly on a line belongs to
the side of larger column and row, so that two regions that share a border share no voxel.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""Corners of a polygon, shape (n, 2): column and row in voxels, the center of the first voxel at (0, 0)."""


def filled(polygons: Sequence[Points], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Returns which voxels of a slice lie inside.

    Walks along each edge, marks in every row the first voxel center at or beyond the crossing, and counts marks along
    the row: an odd count is inside. Two contours on one slice are thereby joined by exclusive or.

    Args:
        polygons: Closed polygons; the last corner joins the first.
        shape: Rows and columns of the slice.

    Source: even-odd scan conversion, Foley et al., Computer Graphics: Principles and Practice, section 3.6.
    """
    rows, columns = shape
    marks = np.zeros((rows, columns + 1), dtype=np.int64)
    for polygon in polygons:
        row, column = _crossings(polygon, rows)
        np.add.at(marks, (row, np.clip(np.ceil(column), 0, columns).astype(np.int64)), 1)
    return (np.cumsum(marks, axis=1)[:, :columns] % 2).astype(np.bool_)


def _crossings(polygon: Points, rows: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Returns where the polygon's edges cross the lines of voxel centers: rows, and positions along them."""
    start, end = polygon, np.roll(polygon, -1, axis=0)
    low = np.clip(np.ceil(np.minimum(start[:, 1], end[:, 1])), 0, rows).astype(np.int64)
    high = np.clip(np.ceil(np.maximum(start[:, 1], end[:, 1])), 0, rows).astype(np.int64)
    counts = high - low
    edge = np.repeat(np.arange(len(polygon)), counts)
    row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)
    share = (row - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
    return row, start[edge, 0] + share * (end[edge, 0] - start[edge, 0])
