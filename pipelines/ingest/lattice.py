"""Places planes of a mask into a volume by their positions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pipelines.images.grid import Grid
from pipelines.ingest.problems import GridMismatchError, UnevenSlicesError

_SAME_VOXEL = 0.05
"""Voxel centers that lie closer, as a share of the voxel, are the same: positions are written with few decimals."""

_SAME_POSITION_MM = 0.01

_MOST_PLANES = 10_000
"""A mask that spans more was not made on one image."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One plane of a mask.

    Args:
        position_mm: The center of its first pixel (LPS), shape (3,).
        orientation: Direction cosines of its rows and columns, shape (6,).
        spacing_mm: Distance between rows, between columns, shape (2,).
        slice_mm: Distance to the next plane as its tags tell, 0 where they do not.
        pixels: Shape (rows, columns).
    """

    position_mm: NDArray[np.float64]
    orientation: NDArray[np.float64]
    spacing_mm: NDArray[np.float64]
    slice_mm: float
    pixels: NDArray[Any]

    @property
    def normal(self) -> NDArray[np.float64]:
        """The unit vector along which planes follow each other."""
        return np.cross(self.orientation[:3], self.orientation[3:])

    def with_pixels(self, pixels: NDArray[Any]) -> "Frame":
        """Returns the same plane with other pixels."""
        return replace(self, pixels=pixels)


def on_image(frames: Sequence[Frame], grid: Grid, name: str) -> NDArray[np.uint8] | None:
    """Returns the frames as a volume on the image's grid, shape (z, y, x); none where their voxels do not coincide.

    Args:
        frames: Planes of 0 and 1.
        grid: The image's grid.
        name: How the message calls the region.

    Raises:
        GridMismatchError: Voxels inside lie off the image.
    """
    volume = np.zeros(grid.size[::-1], dtype=np.uint8)
    outside = 0
    for frame in frames:
        steps = _steps(frame, grid)
        if steps is None:
            return None
        start, along_row, along_column = steps
        rows, columns = np.nonzero(frame.pixels)
        index = start + columns[:, None] * along_row + rows[:, None] * along_column
        is_in = ((index >= 0) & (index < grid.size)).all(axis=1)
        outside += int((~is_in).sum())
        x, y, z = index[is_in].T
        volume[z, y, x] = 1
    if outside:
        raise GridMismatchError(f"{outside} voxels of {name!r} lie off the image")
    return volume


def on_own_grid(frames: Sequence[Frame], name: str) -> sitk.Image:
    """Returns the frames as a mask on the grid that they span; planes left out are empty.

    Raises:
        UnevenSlicesError: Planes lie at distances that are no multiples of one.
        GridMismatchError: Planes are not parallel, or of different pixel spacing.
    """
    first = min(frames, key=lambda frame: float(frame.position_mm @ frame.normal))
    depths = np.array([float((frame.position_mm - first.position_mm) @ first.normal) for frame in frames])
    _check_parallel(frames, first, name)
    step = _step(depths, first.slice_mm)
    planes = depths / step
    if np.abs(planes - np.rint(planes)).max() > 2 * _SAME_VOXEL:
        raise UnevenSlicesError(f"frames of {name!r} lie at distances that are no multiples of {step:.4g} mm")
    if planes.max() > _MOST_PLANES:
        raise UnevenSlicesError(f"frames of {name!r} lie {depths.max():.4g} mm apart, {planes.max():.4g} planes")
    volume = np.zeros((int(np.rint(planes.max())) + 1, *first.pixels.shape), dtype=np.uint8)
    for plane, frame in zip(np.rint(planes).astype(int), frames, strict=True):
        volume[plane] |= frame.pixels.astype(np.uint8)
    mask = sitk.GetImageFromArray(volume)
    mask.SetSpacing((float(first.spacing_mm[1]), float(first.spacing_mm[0]), step))
    mask.SetOrigin([float(value) for value in first.position_mm])
    axes = np.stack([first.orientation[:3], first.orientation[3:], first.normal], axis=1)
    mask.SetDirection([float(value) for value in axes.ravel()])
    return mask


def _steps(frame: Frame, grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]] | None:
    """Returns the voxel index of the frame's first pixel, and the steps along its rows and its columns."""
    to_index = np.linalg.inv(grid.matrix() * np.asarray(grid.spacing_mm))
    start = to_index @ (frame.position_mm - np.asarray(grid.origin_mm))
    along_row = to_index @ (frame.orientation[:3] * frame.spacing_mm[1])
    along_column = to_index @ (frame.orientation[3:] * frame.spacing_mm[0])
    rows, columns = frame.pixels.shape
    drift = [
        np.abs(start - np.rint(start)).max(),
        np.abs(along_row - np.rint(along_row)).max() * columns,
        np.abs(along_column - np.rint(along_column)).max() * rows,
    ]
    if max(drift) > _SAME_VOXEL or np.abs(np.rint(along_row)).sum() != 1 or np.abs(np.rint(along_column)).sum() != 1:
        return None
    exact = [np.rint(vector).astype(np.int64) for vector in (start, along_row, along_column)]
    return exact[0], exact[1], exact[2]


def _check_parallel(frames: Sequence[Frame], first: Frame, name: str) -> None:
    for frame in frames:
        turned = np.abs(frame.orientation - first.orientation).max()
        scaled = np.abs(frame.spacing_mm / first.spacing_mm - 1).max()
        offset = frame.position_mm - first.position_mm
        sideways = np.linalg.norm(offset - (offset @ first.normal) * first.normal)
        if max(turned, scaled) > 1e-3 or sideways > _SAME_VOXEL * first.spacing_mm.min():
            raise GridMismatchError(f"frames of {name!r} lie on several grids")


def _step(depths: NDArray[np.float64], told_mm: float) -> float:
    distances = np.diff(np.sort(depths))
    distances = distances[distances > _SAME_POSITION_MM]
    if not distances.size:
        return told_mm or 1.0
    smallest = float(distances.min())
    return float(np.median(distances[distances < 1.25 * smallest]))
