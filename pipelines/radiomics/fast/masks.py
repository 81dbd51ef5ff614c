"""The region in a mask: its label found, its box cut out, its grid compared with the image's."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numba import njit
from numpy.typing import NDArray

from pipelines.images.geometry import compare_grids
from pipelines.radiomics.fast.picture import Picture, as_index, picture_of
from pipelines.radiomics.fast.problems import (
    EmptyMaskError,
    GridMismatchError,
    LabelAbsentError,
    NotAVolumeError,
    OutsideImageError,
    RegionTooSmallError,
)
from pipelines.radiomics.fast.reading import open_picture, read_itk

ITK_TOLERANCE = 1e-6  # ITK's default for positions (in voxels of the first axis) and direction cosines
# PyRadiomics lets a region stand this far beyond the outer edge of the image, in voxels.
EDGE_TOLERANCE = 1e-3
SHOWN_LABELS = 10


@dataclass(frozen=True)
class BoxedRegion:
    """A region cut out of its mask.

    Args:
        inside: Its bounding box, True inside, shape (z, y, x).
        lower: Index of the box in the mask, (z, y, x).
    """

    inside: NDArray[np.bool_]
    lower: tuple[int, int, int]

    @property
    def upper(self) -> tuple[int, int, int]:
        """Index behind the box, (z, y, x)."""
        z, y, x = (low + size for low, size in zip(self.lower, self.inside.shape, strict=True))
        return z, y, x

    def kept(self, keep: NDArray[np.bool_]) -> "BoxedRegion":
        """Returns the region of the voxels that are kept, in a box of its own."""
        inside = self.inside & keep
        spans = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
        cut = tuple(slice(span[0], span[-1] + 1) for span in spans)
        z, y, x = (low + int(span[0]) for low, span in zip(self.lower, spans, strict=True))
        return BoxedRegion(np.ascontiguousarray(inside[cut]), (z, y, x))


def open_mask(source: sitk.Image | Path | str, channel: int) -> Picture:
    """Returns a mask as a picture; of a mask with several numbers a voxel, one channel.

    Raises:
        NotAVolumeError: It is not 3D or has no such channel.
    """
    if isinstance(source, sitk.Image) and "vector" in source.GetPixelIDTypeAsString().lower():
        return _channel(source, channel)
    try:
        return open_picture(source, "mask")
    except NotAVolumeError:
        if isinstance(source, sitk.Image):
            raise
        return _channel(read_itk(Path(source), "mask"), channel)


def _channel(mask: sitk.Image, channel: int) -> Picture:
    n_channels = mask.GetNumberOfComponentsPerPixel()
    if mask.GetDimension() != 3 or channel >= n_channels:
        raise NotAVolumeError(
            f"the mask has {mask.GetDimension()} dimensions and {n_channels} numbers a voxel; asked for is {channel}"
        )
    return picture_of(sitk.VectorIndexSelectionCast(mask, channel))


def find_region(mask: Picture, label: int) -> BoxedRegion:
    """Returns the region with a label; fractions of a float mask count as the whole number below.

    Raises:
        EmptyMaskError: Nothing is segmented.
        LabelAbsentError: The label is not in the mask; the message lists those that are.
    """
    parts = {}
    for z, plane in enumerate(mask.walk()):
        whole = np.trunc(plane) if plane.dtype.kind == "f" else plane
        y0, y1, x0, x1 = _bounds(whole, _words(whole) if label else None, label)
        if y0 < y1:
            parts[z] = (y0, x0, whole[y0:y1, x0:x1] == label)
    if not parts:
        raise _nothing_found(mask, label)
    z0, z1 = min(parts), max(parts) + 1
    y0, x0 = (min(part[axis] for part in parts.values()) for axis in (0, 1))
    y1, x1 = (max(part[axis] + part[2].shape[axis] for part in parts.values()) for axis in (0, 1))
    inside = np.zeros((z1 - z0, y1 - y0, x1 - x0), dtype=np.bool_)
    for z, (y, x, part) in parts.items():
        inside[z - z0, y - y0 : y - y0 + part.shape[0], x - x0 : x - x0 + part.shape[1]] = part
    return BoxedRegion(inside, as_index(np.array([z0, y0, x0]) + mask.start))


def _nothing_found(mask: Picture, label: int) -> EmptyMaskError | LabelAbsentError:
    present = sorted({int(value) for plane in mask.walk() for value in np.unique(plane) if int(value)})
    if not present:
        return EmptyMaskError("no voxel of the mask is segmented")
    return LabelAbsentError(f"label {label} is not in the mask; it has {present[:SHOWN_LABELS]}")


def _words(plane: NDArray[np.generic]) -> NDArray[np.uint64] | None:
    """Returns the bytes of a plane eight at a time, where its rows can be looked at that way."""
    is_whole = plane.flags.c_contiguous and not plane[0].nbytes % np.dtype(np.uint64).itemsize
    return plane.reshape(-1).view(np.uint64) if is_whole else None


@njit(cache=True, nogil=True)
def _bounds(plane, words, label):  # type: ignore[no-untyped-def]
    n_y, n_x = plane.shape
    y0, y1, x0, x1 = n_y, 0, n_x, 0
    if words is not None and not _is_any(words):
        return y0, y1, x0, x1
    for y in range(n_y):
        if words is not None and not _is_any(words[y * len(words) // n_y : (y + 1) * len(words) // n_y]):
            continue
        row = plane[y]
        found = 0
        for x in range(n_x):
            found |= 1 if row[x] == label else 0
        if not found:
            continue
        y0, y1 = min(y0, y), y + 1
        for x in range(n_x):
            if row[x] == label:
                x0 = min(x0, x)
                x1 = max(x1, x + 1)
    return y0, y1, x0, x1


@njit(cache=True, nogil=True)
def _is_any(words):  # type: ignore[no-untyped-def]
    found = np.uint64(0)
    for i in range(len(words)):  # the compiler vectorizes this, and not the words by themselves
        found |= words[i]
    return found != 0


def match_grid(image: Picture, mask: Picture, label: int, tolerance: float | None, *, correct: bool) -> Picture:
    """Returns the mask on the image's grid: itself, or resampled where that is allowed.

    Raises:
        GridMismatchError: The grids differ and `correctMask` is off.
        OutsideImageError: The region stands beyond the image.
    """
    if _same_grid(image, mask, ITK_TOLERANCE if tolerance is None else tolerance):
        return mask
    if not correct:
        differences = compare_grids(image.grid, mask.grid, 0.0)
        raise GridMismatchError(f"the mask's grid differs: {'; '.join(differences)}")
    check_within(image, mask, find_region(mask, label))
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(image.size)
    resampler.SetOutputSpacing(image.header.GetSpacing())
    resampler.SetOutputOrigin(image.header.GetOrigin())
    resampler.SetOutputDirection(image.header.GetDirection())
    resampler.SetInterpolator(sitk.sitkNearestNeighbor)
    return picture_of(resampler.Execute(mask.image()))


def _same_grid(image: Picture, mask: Picture, tolerance: float) -> bool:
    first, second = image.header, mask.header
    positions = tolerance * abs(first.GetSpacing()[0])
    return (
        image.size == mask.size
        and bool(np.abs(np.subtract(first.GetOrigin(), second.GetOrigin())).max() <= positions)
        and bool(np.abs(np.subtract(first.GetSpacing(), second.GetSpacing())).max() <= positions)
        and bool(np.abs(np.subtract(first.GetDirection(), second.GetDirection())).max() <= tolerance)
    )


def check_within(image: Picture, mask: Picture, region: BoxedRegion) -> None:
    """Checks that the box of the region lies inside the image.

    Raises:
        OutsideImageError: It does not.
    """
    corners = [[index - 0.5 for index in box[::-1]] for box in (region.lower, region.upper)]
    points = [mask.header.TransformContinuousIndexToPhysicalPoint(corner) for corner in corners]
    places = np.array([image.header.TransformPhysicalPointToContinuousIndex(point) for point in points])
    if (places.min(axis=0) < -0.5 - EDGE_TOLERANCE).any() or (
        places.max(axis=0) > np.array(image.size) - 0.5 + EDGE_TOLERANCE
    ).any():
        raise OutsideImageError(
            f"the region reaches from {places[0]} to {places[1]} in an image of {image.size} voxels"
        )


def check_size(region: BoxedRegion, min_dimensions: int, min_voxels: int | None) -> None:
    """Checks that a region has enough dimensions and voxels.

    Raises:
        RegionTooSmallError: It has not.
    """
    n_dimensions = sum(size > 1 for size in region.inside.shape)
    if n_dimensions == 0:
        raise RegionTooSmallError("the region is a single voxel")
    if n_dimensions < min_dimensions:
        raise RegionTooSmallError(f"the region has {n_dimensions} dimensions; minimumROIDimensions is {min_dimensions}")
    n_voxels = int(region.inside.sum())
    if min_voxels is not None and n_voxels <= min_voxels:
        raise RegionTooSmallError(f"the region has {n_voxels} voxels; more than minimumROISize {min_voxels} are needed")
