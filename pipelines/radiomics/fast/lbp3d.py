"""Local binary patterns in 3D: signs on a sphere around each voxel, reduced by spherical harmonics.

Source: J. Banerjee, A. Moelker, W. Niessen, T. van Walsum, 3D LBP-based rotationally invariant region description,
ACCV 2012 workshops; sampling, conventions and order of operations follow PyRadiomics.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipelines.radiomics.fast.scene import Scene

# The spline's prefilter forgets a voxel within these many others, to the last bit.
SPLINE_REACH = 48
_CHUNK_VOXELS = 4096  # keeps the samples of many spheres within some ten megabytes


def lbp3d_images(
    scene: Scene, n_levels: int, radius: float, subdivision: int
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yields the pattern of each harmonic level and the kurtosis, zero outside the region.

    Args:
        scene: Image and region.
        n_levels: Number of harmonic levels.
        radius: Radius of the sphere in voxels.
        subdivision: How often the icosahedron's faces are divided.
    """
    points = icosphere(subdivision, radius)
    harmonics, level_of = _harmonics(points, n_levels, radius)
    part, lower, _ = scene.around(np.full(3, SPLINE_REACH + int(np.ceil(radius))))
    places = np.argwhere(scene.inside)
    levels, kurtosis = _patterns(part, places + lower, points, harmonics, level_of, n_levels)
    for level in range(n_levels):
        yield f"lbp-3D-m{level + 1}", _spread(scene, levels[:, level])
    yield "lbp-3D-k", _spread(scene, kurtosis)


def _spread(scene: Scene, values: NDArray[np.float64]) -> NDArray[np.float64]:
    box = np.zeros(scene.inside.shape)
    box[scene.inside] = values
    return box


def icosphere(subdivision: int, radius: float) -> NDArray[np.float64]:
    """Returns the corners of a divided icosahedron on a sphere, shape (n, 3).

    Their order is that of trimesh: in single precision, the order of sums shows.
    """
    short, long = CORNER
    points = np.zeros((12, 3))
    for ring, (small, big) in enumerate([(0, 1), (1, 2), (2, 0)]):
        for at, (a, b) in enumerate([(-1, 1), (1, 1), (-1, -1), (1, -1)]):
            points[4 * ring + at, small], points[4 * ring + at, big] = a * short, b * long
    faces = _faces(points)
    for _ in range(subdivision):
        points, faces = _divided(points, faces)
        points = _on_sphere(points, radius)
    return points if subdivision else _on_sphere(points, radius)


# Corners of the icosahedron in the unit sphere, 1/√(1+φ²) and φ/√(1+φ²), to the digits that trimesh keeps.
CORNER = (0.5257311121191336, 0.85065080835204)


def _faces(points: NDArray[np.float64]) -> list[tuple[int, int, int]]:
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
    near = (gaps > 0) & (gaps < gaps[gaps > 0].min() * 1.01)
    n = len(points)
    return [
        (a, b, c)
        for a in range(n)
        for b in range(a + 1, n)
        for c in range(b + 1, n)
        if near[a, b] and near[b, c] and near[a, c]
    ]


def _divided(
    points: NDArray[np.float64], faces: list[tuple[int, int, int]]
) -> tuple[NDArray[np.float64], list[tuple[int, int, int]]]:
    sides = {tuple(sorted(pair)) for a, b, c in faces for pair in ((a, b), (b, c), (c, a))}
    ordered = sorted(sides, key=lambda side: side[::-1])
    middle = {side: len(points) + at for at, side in enumerate(ordered)}
    halves = points[np.array(ordered)].mean(axis=1)
    smaller = []
    for a, b, c in faces:
        ab, bc, ca = (middle[tuple(sorted(pair))] for pair in ((a, b), (b, c), (c, a)))
        smaller += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.vstack([points, halves]), smaller


def _on_sphere(points: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    lengths = np.sqrt(np.dot(points**2, [1, 1, 1]))[:, None]
    return points + points / lengths * (radius - lengths)


def _harmonics(
    points: NDArray[np.float64], n_levels: int, radius: float
) -> tuple[NDArray[np.complex128], NDArray[np.int64]]:
    # PyRadiomics hands the polar angle over as the azimuth and the other way round.
    azimuth = np.arccos(np.true_divide(points[:, 2], radius))
    polar = np.arctan2(points[:, 1], points[:, 0])
    orders = [(n, m) for n in range(n_levels) for m in range(-n, n + 1)]
    columns = [_harmonic(n, m, azimuth, polar) for n, m in orders]
    return np.column_stack(columns), np.array([n for n, _ in orders])


def _harmonic(n: int, m: int, azimuth: NDArray[np.float64], polar: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Returns a spherical harmonic as scipy's `sph_harm` gave it: `sph_harm_y` differs in the last bit.

    Voxels with mirrored surroundings have equal patterns up to rounding, and percentiles fall between them.
    """
    from scipy.special import lpmv, poch

    values = lpmv(abs(m), n, np.cos(polar)).astype(np.complex128)
    if m < 0:
        values *= (-1) ** abs(m) * poch(n + abs(m) + 1, -2 * abs(m))
    values *= np.sqrt((2 * n + 1) * poch(n + m + 1, -2 * m) / (4 * np.pi))
    return values * np.exp(1j * m * azimuth)


def _patterns(
    part: NDArray[np.generic],
    places: NDArray[np.int64],
    points: NDArray[np.float64],
    harmonics: NDArray[np.complex128],
    level_of: NDArray[np.int64],
    n_levels: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from scipy.ndimage import map_coordinates, spline_filter
    from scipy.stats import kurtosis

    smooth = spline_filter(part, order=3, output=np.float64, mode="mirror")
    levels = np.empty((len(places), n_levels))
    peaked = np.empty(len(places))
    for start in range(0, len(places), _CHUNK_VOXELS):
        chunk = slice(start, start + _CHUNK_VOXELS)
        around = (places[chunk][None] + points[:, None]).T
        samples = map_coordinates(smooth, around, order=3, prefilter=False, output=part.dtype)
        peaked[chunk] = np.real(kurtosis(samples, axis=1))
        centers = part[tuple(places[chunk].T)]
        signs = np.greater_equal(samples, centers[:, None]).astype(int)
        weights = np.multiply(signs[:, :, None], harmonics[None]).sum(axis=1)
        for level in range(n_levels):
            own = level_of == level
            field = np.sum(np.multiply(weights[:, None, own], harmonics[None, :, own]), axis=2)
            levels[chunk, level] = np.real(np.sqrt(np.sum(field**2, axis=1)))
    return levels, peaked
