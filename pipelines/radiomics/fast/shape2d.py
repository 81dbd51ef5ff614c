"""Shape of a flat region: marching-squares outline, diameter and principal axes."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.radiomics.fast.hull import mesh_points
from pipelines.radiomics.fast.shape import axis_variances

NAMES = (
    "Elongation",
    "MajorAxisLength",
    "MaximumDiameter",
    "MeshSurface",
    "MinorAxisLength",
    "Perimeter",
    "PerimeterSurfaceRatio",
    "PixelSurface",
    "Sphericity",
)
DEPRECATED = ("SphericalDisproportion",)


def shape2d_features(inside: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> dict[str, float]:
    """Returns the features of a flat region.

    Args:
        inside: The region in its plane, shape (rows, columns).
        spacing_mm: Pixel spacing (rows, columns).
    """
    padded = np.pad(inside, 1)
    perimeter, surface = outline(padded, spacing_mm)
    points = mesh_points(padded) / 2.0 * np.asarray(spacing_mm)
    minor, major = axis_variances(padded, spacing_mm)
    with np.errstate(invalid="ignore", divide="ignore"):
        sphericity = 2 * np.sqrt(np.pi * surface) / perimeter
        values = {
            "Elongation": np.sqrt(minor / major),
            "MajorAxisLength": np.sqrt(major) * 4,
            "MaximumDiameter": _diameter(points),
            "MeshSurface": surface,
            "MinorAxisLength": np.sqrt(minor) * 4,
            "Perimeter": perimeter,
            "PerimeterSurfaceRatio": perimeter / surface,
            "PixelSurface": int(inside.sum()) * (spacing_mm[1] * spacing_mm[0]),
            "Sphericity": sphericity,
            "SphericalDisproportion": 1.0 / sphericity,
        }
    return {name: float(value) for name, value in values.items()}


def outline(padded: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> tuple[np.float64, np.float64]:
    """Returns perimeter in mm and surface in mm² of the outline through midpoints of a region with an empty rim.

    Squares of four pixels: a single corner cuts off a triangle of an eighth; two beside each other a half;
    two across are joined, so that their square lacks two triangles.
    """
    y, x = spacing_mm
    corner = padded.astype(np.int64)
    square = corner[:-1, :-1] + 2 * corner[:-1, 1:] + 4 * corner[1:, 1:] + 8 * corner[1:, :-1]
    counts = np.bincount(square.ravel(), minlength=16)
    diagonal = np.sqrt((0.5 * y) ** 2 + (0.5 * x) ** 2)
    length = np.array([0, 1, 1, 0, 1, 2, 0, 1, 1, 0, 2, 1, 0, 1, 1, 0]) * diagonal
    length[[3, 12]], length[[6, 9]] = x, y
    share = np.array([0, 1, 1, 4, 1, DIAGONAL_PAIR, 4, 7, 1, 4, DIAGONAL_PAIR, 7, 4, 7, 7, 8]) / 8.0
    return np.float64(counts @ length), np.float64(counts @ share * (y * x))


DIAGONAL_PAIR = 2


@njit(cache=True, nogil=True)
def _diameter(points):  # type: ignore[no-untyped-def]
    best = 0.0
    for i in range(len(points)):
        for j in range(i):
            best = max(best, (points[i, 0] - points[j, 0]) ** 2 + (points[i, 1] - points[j, 1]) ** 2)
    return np.sqrt(best)
