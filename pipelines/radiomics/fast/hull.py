"""Largest distances between the vertices of the mesh: in each plane and in space.

The ends of a largest distance are corners of a convex hull, so a few points of each plane are enough.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.radiomics.fast.lanes import LANES, everywhere, larger, load, store


def largest_distances(padded: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> tuple[float, ...]:
    """Returns the largest distance within a plane of equal z, of equal y, of equal x, and in space, in mm.

    Args:
        padded: Region with an empty rim, shape (z, y, x).
        spacing_mm: Voxel spacing (z, y, x).
    """
    spacing = np.asarray(spacing_mm)
    ends = _row_ends(padded)
    found = []
    corners = np.empty((0, 3), dtype=np.int64)
    for axis in (2, 1, 0):
        first, second = (spacing[other] for other in range(3) if other != axis)
        squared, corners = _planes(*ends[2 * axis : 2 * axis + 2], first, second)
        found.append(float(np.sqrt(squared)))
    return *found[::-1], float(np.sqrt(_farthest(corners * (spacing / 2.0))))


def mesh_points(padded: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Returns the midpoints between neighbors of which one lies inside, in half voxels, shape (n, 3)."""
    parts = []
    for axis in range(padded.ndim):
        before = [slice(None)] * padded.ndim
        after = [slice(None)] * padded.ndim
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        points = np.argwhere(padded[tuple(before)] != padded[tuple(after)]) * 2
        points[:, axis] += 1
        parts.append(points)
    return np.concatenate(parts)


@njit(cache=True, nogil=True)
def _row_ends(padded):  # type: ignore[no-untyped-def]
    """Returns the first and the last mesh point of each row of each plane, for planes across z, y and x.

    A mesh point is the middle between two neighbors of which one lies inside; places are in half voxels, first and last
    are swapped where a row has none.
    """
    n_z, n_y, n_x = 2 * padded.shape[0], 2 * padded.shape[1], 2 * padded.shape[2]
    first_z, last_z = np.full((n_z, n_y), n_x, np.int64), np.full((n_z, n_y), -1, np.int64)
    first_y, last_y = np.full((n_y, n_z), n_x, np.int64), np.full((n_y, n_z), -1, np.int64)
    first_x, last_x = np.full((n_x, n_z), n_y, np.int64), np.full((n_x, n_z), -1, np.int64)
    for z in range(padded.shape[0] - 1):
        for y in range(padded.shape[1] - 1):
            for x in range(padded.shape[2] - 1):
                here = padded[z, y, x]
                crossings = (padded[z + 1, y, x] != here, padded[z, y + 1, x] != here, padded[z, y, x + 1] != here)
                if not (crossings[0] or crossings[1] or crossings[2]):
                    continue
                for axis in range(3):
                    if crossings[axis]:
                        c, b, a = 2 * z + (axis == 0), 2 * y + (axis == 1), 2 * x + (axis == 2)
                        first_z[c, b], last_z[c, b] = min(first_z[c, b], a), max(last_z[c, b], a)
                        first_y[b, c], last_y[b, c] = min(first_y[b, c], a), max(last_y[b, c], a)
                        first_x[a, c], last_x[a, c] = min(first_x[a, c], b), max(last_x[a, c], b)
    return first_z, last_z, first_y, last_y, first_x, last_x


@njit(cache=True, nogil=True)
def _planes(first, last, row_mm, place_mm):  # type: ignore[no-untyped-def]
    """Returns the largest squared distance within a plane and the corners of all hulls as (plane, row, place)."""
    best = 0.0
    n_rows = first.shape[1]
    corners = np.empty((2 * first.size, 3), np.int64)
    n_corners = 0
    rows = np.empty(2 * n_rows, np.int64)
    places = np.empty(2 * n_rows, np.int64)
    for plane in range(first.shape[0]):
        low = _half_hull(first[plane], last[plane], rows, places, 0, 1)
        n = _half_hull(last[plane], first[plane], rows, places, low, -1)
        for i in range(n):
            corners[n_corners] = plane, rows[i], places[i]
            n_corners += 1
            for j in range(i):
                row = rows[i] / 2.0 * row_mm - rows[j] / 2.0 * row_mm
                place = places[i] / 2.0 * place_mm - places[j] / 2.0 * place_mm
                best = max(best, row * row + place * place)
    return best, corners[:n_corners]


@njit(cache=True, nogil=True)
def _half_hull(ends, others, rows, places, start, sign):  # type: ignore[no-untyped-def]
    """Appends one side of a plane's hull from a start: its lower side with sign 1, its upper side with -1."""
    top = start
    for row in range(len(ends)):
        if sign * (others[row] - ends[row]) < 0:
            continue
        place = ends[row]
        while top >= start + 2:
            run, rise = rows[top - 1] - rows[top - 2], places[top - 1] - places[top - 2]
            turn = run * (place - places[top - 2]) - rise * (row - rows[top - 2])
            if sign * turn > 0:
                break
            top -= 1
        rows[top], places[top] = row, place
        top += 1
    return top


@njit(cache=True, nogil=True)
def _farthest(points):  # type: ignore[no-untyped-def]
    n = len(points)
    spread = np.empty((3, n + LANES))
    for axis in range(3):
        spread[axis, :n] = points[:, axis]
        spread[axis, n:] = points[0, axis]
    z, y, x = spread[0], spread[1], spread[2]
    best = everywhere(0.0)
    for i in range(n):
        here_z, here_y, here_x = everywhere(z[i]), everywhere(y[i]), everywhere(x[i])
        for j in range(0, i, LANES):
            gap_z, gap_y, gap_x = load(z, j) - here_z, load(y, j) - here_y, load(x, j) - here_x
            best = larger(best, gap_z * gap_z + gap_y * gap_y + gap_x * gap_x)
    found = np.empty(LANES)
    store(found, 0, best)
    return found.max()
