"""Largest distances between the vertices of the mesh: in each plane and in space.

The ends of a largest distance are corners of a convex hull, so a few points of each plane are enough.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray


def largest_distances(padded: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> tuple[float, ...]:
    """Returns the largest distance within a plane of equal z, of equal y, of equal x, and in space, in mm.

    Args:
        padded: Region with an empty rim, shape (z, y, x).
        spacing_mm: Voxel spacing (z, y, x).
    """
    points = mesh_points(padded)
    spacing = np.asarray(spacing_mm)
    found = []
    corners = points
    for axis in range(3):
        # Sorted by plane, then along the first axis that lies in the plane.
        first, second = [other for other in range(3) if other != axis]
        ordered = points[np.lexsort((points[:, second], points[:, first], points[:, axis]))]
        squared, on_hull = _planes(ordered, axis, first, second, spacing)
        found.append(float(np.sqrt(squared)))
        if axis == 0:
            corners = ordered[on_hull]
    return *found, float(np.sqrt(_farthest(corners, spacing)))


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
def _squared(a, b, spacing):  # type: ignore[no-untyped-def]
    total = 0.0
    for axis in range(len(spacing)):
        gap = a[axis] / 2.0 * spacing[axis] - b[axis] / 2.0 * spacing[axis]
        total += gap * gap
    return total


@njit(cache=True, nogil=True)
def _farthest(points, spacing):  # type: ignore[no-untyped-def]
    best = 0.0
    n = len(points)
    z = np.empty(n)
    y = np.empty(n)
    x = np.empty(n)
    for i in range(n):
        z[i] = points[i, 0] / 2.0 * spacing[0]
        y[i] = points[i, 1] / 2.0 * spacing[1]
        x[i] = points[i, 2] / 2.0 * spacing[2]
    for i in range(n):
        nearest = 0.0
        for j in range(i):
            distance = (z[i] - z[j]) ** 2 + (y[i] - y[j]) ** 2 + (x[i] - x[j]) ** 2
            nearest = max(nearest, distance)
        best = max(best, nearest)
    return best


@njit(cache=True, nogil=True)
def _turn(points, a, b, c, first, second):  # type: ignore[no-untyped-def]
    return (points[b, first] - points[a, first]) * (points[c, second] - points[a, second]) - (
        points[b, second] - points[a, second]
    ) * (points[c, first] - points[a, first])


@njit(cache=True, nogil=True)
def _planes(points, axis, first, second, spacing):  # type: ignore[no-untyped-def]
    best = 0.0
    on_hull = np.zeros(len(points), np.bool_)
    stack = np.empty(len(points) + 1, np.int64)
    start = 0
    while start < len(points):
        end = start
        while end < len(points) and points[end, axis] == points[start, axis]:
            end += 1
        for side in range(2):
            top = 0
            for k in range(end - start):
                at = start + k if side == 0 else end - 1 - k
                while top >= 2 and _turn(points, stack[top - 2], stack[top - 1], at, first, second) <= 0:
                    top -= 1
                stack[top] = at
                top += 1
            for k in range(top):
                on_hull[stack[k]] = True
        best = max(best, _widest(points, on_hull, start, end, spacing))
        start = end
    return best, on_hull


@njit(cache=True, nogil=True)
def _widest(points, on_hull, start, end, spacing):  # type: ignore[no-untyped-def]
    best = 0.0
    for i in range(start, end):
        if not on_hull[i]:
            continue
        for j in range(start, i):
            if on_hull[j]:
                best = max(best, _squared(points[i], points[j], spacing))
    return best
