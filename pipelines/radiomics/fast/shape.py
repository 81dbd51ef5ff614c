"""Shape of the region in 3D: marching-cubes mesh, diameters and principal axes."""

from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.radiomics.fast.hull import largest_distances
from pipelines.radiomics.fast.mesh_rows import MESH_ROWS

Spacing = tuple[float, float, float]

NAMES = (
    "Elongation",
    "Flatness",
    "LeastAxisLength",
    "MajorAxisLength",
    "Maximum2DDiameterColumn",
    "Maximum2DDiameterRow",
    "Maximum2DDiameterSlice",
    "Maximum3DDiameter",
    "MeshVolume",
    "MinorAxisLength",
    "Sphericity",
    "SurfaceArea",
    "SurfaceVolumeRatio",
    "VoxelVolume",
)
DEPRECATED = ("Compactness1", "Compactness2", "SphericalDisproportion")
# Below this, a negative eigenvalue of the covariance is rounding and counts as zero (PyRadiomics's limit).
ROUNDING_MM2 = 1e-10
# Below this part of the largest variance, the least one is too much of its rounding.
WELL_DETERMINED = 1e-3
AXES = range(3)


def shape_features(inside: NDArray[np.bool_], spacing_mm: Spacing) -> dict[str, float]:
    """Returns the shape features of a region.

    Args:
        inside: Box of the region, shape (z, y, x).
        spacing_mm: Voxel spacing (z, y, x).
    """
    padded = np.pad(inside, 1)
    area, volume = mesh(padded, spacing_mm)
    slice_mm, column_mm, row_mm, whole_mm = largest_distances(padded, spacing_mm)
    least, minor, major = axis_variances(padded, spacing_mm)
    with np.errstate(invalid="ignore", divide="ignore"):
        ball = np.float64(36 * np.pi * volume**2) ** (1.0 / 3.0)
        values = {
            "Elongation": np.sqrt(minor / major),
            "Flatness": np.sqrt(least / major),
            "LeastAxisLength": np.sqrt(least) * 4,
            "MajorAxisLength": np.sqrt(major) * 4,
            "Maximum2DDiameterColumn": column_mm,
            "Maximum2DDiameterRow": row_mm,
            "Maximum2DDiameterSlice": slice_mm,
            "Maximum3DDiameter": whole_mm,
            "MeshVolume": volume,
            "MinorAxisLength": np.sqrt(minor) * 4,
            "Sphericity": ball / area,
            "SurfaceArea": area,
            "SurfaceVolumeRatio": area / volume,
            "VoxelVolume": int(inside.sum()) * (spacing_mm[0] * spacing_mm[2] * spacing_mm[1]),
            "Compactness1": volume / (area**1.5 * np.sqrt(np.pi)),
            "Compactness2": 36.0 * np.pi * volume**2 / area**3,
            "SphericalDisproportion": area / ball,
        }
    return {name: float(value) for name, value in values.items()}


def axis_variances(padded: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> NDArray[np.float64]:
    """Returns the variances along the principal axes, ascending, in mm²; NaN where one is truly negative."""
    variances = _variances(_moments(padded, spacing_mm)) if padded.ndim == len(AXES) else None
    if variances is None or variances[0] < WELL_DETERMINED * variances[-1]:
        variances = _variances(_moments_in_order(padded, spacing_mm))
    variances[variances < 0] = np.nan
    return variances


def _variances(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    variances: NDArray[np.float64] = np.real(np.linalg.eigvals(moments))
    variances[(variances < 0) & (variances > -ROUNDING_MM2)] = 0
    variances.sort()
    return variances


def _moments(inside: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> NDArray[np.float64]:
    """Returns the covariance of the region's voxels from exact sums."""
    n, sums, products = _sums(inside)
    # n Σab - Σa Σb is at most n² times the square of a box's side.
    exact = [[n * int(products[a, b]) - int(sums[a]) * int(sums[b]) for b in AXES] for a in AXES]
    spacing = np.asarray(spacing_mm)
    return np.array([[value / (n * n) for value in row] for row in exact]) * np.outer(spacing, spacing)


@njit(cache=True, nogil=True)
def _sums(inside):  # type: ignore[no-untyped-def]
    n = np.int64(0)
    sums = np.zeros(3, np.int64)
    products = np.zeros((3, 3), np.int64)
    for z in range(inside.shape[0]):
        for y in range(inside.shape[1]):
            count, of_x, of_squares = np.int64(0), np.int64(0), np.int64(0)
            for x in range(inside.shape[2]):
                one = np.int64(inside[z, y, x])
                count += one
                of_x += one * x
                of_squares += one * x * x
            n += count
            sums += np.array((z * count, y * count, of_x))
            products[0] += np.array((z * z * count, z * y * count, z * of_x))
            products[1] += np.array((y * z * count, y * y * count, y * of_x))
            products[2] += np.array((z * of_x, y * of_x, of_squares))
    return n, sums, products


def _moments_in_order(padded: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> NDArray[np.float64]:
    """Returns the covariance by PyRadiomics's operations: of flat regions, the least variance is their rounding."""
    points = np.array(np.nonzero(padded)).T * np.asarray(spacing_mm)[None, :]
    points -= np.mean(points, axis=0)
    points /= np.sqrt(len(points))
    return np.dot(points.T.copy(), points)


def mesh(padded: NDArray[np.bool_], spacing_mm: Spacing) -> tuple[np.float64, np.float64]:
    """Returns surface in mm² and volume in mm³ of the mesh of a region with an empty rim."""
    crosses, volumes = _tables()
    counts, sixfold = _count_cubes(padded.view(np.uint8), volumes)
    z, y, x = spacing_mm
    # A cross product's component along one axis scales with the spacings of the other two.
    scaled = crosses / 4.0 * np.array([y * x, z * x, z * y])
    surfaces = 0.5 * np.sqrt((scaled**2).sum(axis=2)).sum(axis=1)
    return np.float64(counts @ surfaces), np.float64(sixfold / 48.0 * (z * y * x))


@cache
def _tables() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    crosses = np.zeros((256, 5, 3))
    volumes = np.zeros((256, 4), dtype=np.int64)
    for row, text in enumerate(MESH_ROWS):
        triangles, terms = text.split("|")
        for at, triangle in enumerate(triangles.split()):
            crosses[row, at] = crosses[255 - row, at] = [int(digit) for digit in triangle]
        volumes[row] = [int(term) for term in terms.split()]
        volumes[255 - row] = -volumes[row]
    return crosses, volumes


@njit(cache=True, nogil=True)
def _count_cubes(inside, volumes):  # type: ignore[no-untyped-def]
    counts = np.zeros(256, np.int64)
    sixfold = 0
    for z in range(inside.shape[0] - 1):
        for y in range(inside.shape[1] - 1):
            for x in range(inside.shape[2] - 1):
                cube = (
                    inside[z, y, x]
                    + (inside[z, y, x + 1] << 1)
                    + (inside[z, y + 1, x + 1] << 2)
                    + (inside[z, y + 1, x] << 3)
                    + (inside[z + 1, y, x] << 4)
                    + (inside[z + 1, y, x + 1] << 5)
                    + (inside[z + 1, y + 1, x + 1] << 6)
                    + (inside[z + 1, y + 1, x] << 7)
                )
                if cube != 0 and cube != 255:
                    counts[cube] += 1
                    terms = volumes[cube]
                    sixfold += terms[0] + terms[1] * z + terms[2] * y + terms[3] * x
    return counts, sixfold
