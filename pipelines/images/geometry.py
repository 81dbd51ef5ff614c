"""Whether two grids are the same, and if not, in what and by how much."""

import numpy as np

from pipelines.images.grid import Grid


def compare_grids(image: Grid, mask: Grid, tolerance_mm: float) -> list[str]:
    """Returns a phrase for each of size, spacing, origin and direction that differs; none when the grids are the same.

    Spacing and direction are judged by how far they move the far corner of the image, so that one tolerance in
    millimeters holds for all three and a grid rounded to single precision counts as the same.

    Args:
        image: The grid that is right.
        mask: The grid compared with it.
        tolerance_mm: Up to here positions count as the same.
    """
    found = []
    if image.size != mask.size:
        found.append(f"size {_times(mask.size)} instead of {_times(image.size)} voxels")
    steps = np.maximum(np.asarray(image.size) - 1, 1)
    spacing = np.abs(np.subtract(image.spacing_mm, mask.spacing_mm))
    if (spacing * steps).max() > tolerance_mm:
        found.append(f"spacing {_numbers(mask.spacing_mm)} instead of {_numbers(image.spacing_mm)} mm")
    shift = np.subtract(mask.origin_mm, image.origin_mm)
    if np.linalg.norm(shift) > tolerance_mm:
        found.append(f"origin {np.linalg.norm(shift):.4g} mm away ({_numbers(tuple(shift), sign='+')})")
    turned = (mask.matrix() - image.matrix()) @ (steps * np.asarray(image.spacing_mm))
    if np.linalg.norm(turned) > tolerance_mm or np.abs(mask.matrix() - image.matrix()).max() > 1e-3:
        found.append(f"direction turned by {turn_degrees(image, mask):.3g}°")
    return found


def turn_degrees(first: Grid, second: Grid) -> float:
    """Returns the largest angle between corresponding axes of two grids, in degrees."""
    cosines = (first.matrix() * second.matrix()).sum(axis=0)
    return float(np.degrees(np.arccos(np.clip(cosines, -1, 1))).max())


def largest_shift_mm(image: Grid, mask: Grid) -> float:
    """Returns how far apart corresponding corners of two grids lie at most, in millimeters.

    Their extents are compared, from the outer edge of the first voxel to that of the last, so that the size may differ.
    """
    return float(np.linalg.norm(_corners(image) - _corners(mask), axis=1).max())


def _corners(grid: Grid) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    ends = [(-0.5, n - 0.5) for n in grid.size]
    return np.array([grid.position_mm((x, y, z)) for x in ends[0] for y in ends[1] for z in ends[2]])


def _times(size: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in size)


def _numbers(values: tuple[float, ...], sign: str = "") -> str:
    return ", ".join(f"{value:{sign}.6g}" for value in values)
