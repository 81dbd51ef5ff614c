"""Resampling of image and mask around the region, on the grid that PyRadiomics would lay."""

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pipelines.radiomics.fast.masks import BoxedRegion, check_within
from pipelines.radiomics.fast.picture import Picture, as_index
from pipelines.radiomics.fast.problems import TooLargeError, TooThinError

# The cubic spline's prefilter forgets a voxel within 24 others; windowed sinc and Gaussian reach less.
SPLINE_REACH = 26
# ITK's spline reads beyond its memory where an axis has two voxels, and gives other values every time.
SPLINE_TOO_THIN = 2
MASK_MARGIN = 2  # voxels behind the region that belong to others, for the nearest of them to be found
# The resampled image and mask and their first copies; what would take more is refused before it is allocated.
BYTES_A_VOXEL = 16
LIMIT_BYTES = 8 * 2**30


@dataclass(frozen=True, kw_only=True)
class Target:
    """A grid to resample to, (x, y, z)."""

    spacing_mm: NDArray[np.float64]
    origin_mm: tuple[float, ...]
    size: list[int]


def new_spacing(mask: Picture, region: BoxedRegion, wanted: list[float]) -> NDArray[np.float64]:
    """Returns the spacing to resample to: an axis keeps its own where 0 is asked or the region is one slice thin."""
    own = np.array(mask.header.GetSpacing())
    spacing = np.where(np.array(wanted) == 0, own, np.array(wanted))
    thick = np.array(region.inside.shape[::-1]) != 1
    return np.where(thick, spacing, own)


def target_grid(mask: Picture, region: BoxedRegion, spacing_mm: NDArray[np.float64], pad: int) -> Target:
    """Returns PyRadiomics's grid: aligned with the corner of the whole mask, the region's box and some padding.

    Args:
        mask: The mask.
        region: The region in it.
        spacing_mm: Spacing to resample to (x, y, z).
        pad: Padding in new voxels (`padDistance`).

    Source: PyRadiomics, imageoperations.resampleImage.
    """
    own = np.array(mask.header.GetSpacing())
    ratio = own / spacing_mm
    lower = np.array(region.lower[::-1])
    size = np.array(region.inside.shape[::-1])
    first = np.maximum(np.floor((lower - 0.5) * ratio - pad), 0)
    last = np.minimum(np.ceil((lower + size - 0.5) * ratio + pad), np.ceil(np.array(mask.size) * ratio) - 1)
    place = 0.5 * (spacing_mm - own) / own + first / ratio
    return Target(
        spacing_mm=spacing_mm,
        origin_mm=mask.header.TransformContinuousIndexToPhysicalPoint(place.tolist()),
        size=[int(n) for n in last - first + 1],
    )


def resample(
    image: Picture, mask: Picture, region: BoxedRegion, target: Target, interpolator: str | int
) -> tuple[sitk.Image, sitk.Image]:
    """Returns image and mask on the target grid.

    Raises:
        TooLargeError: They would take too much memory.
        OutsideImageError: The region stands beyond the image.
    """
    check_within(image, mask, region)
    _check_memory(target)
    resampler = sitk.ResampleImageFilter()
    resampler.SetOutputSpacing([float(step) for step in target.spacing_mm])
    resampler.SetOutputDirection(mask.header.GetDirection())
    resampler.SetSize(target.size)
    resampler.SetOutputOrigin(target.origin_mm)
    kind = getattr(sitk, interpolator) if isinstance(interpolator, str) else interpolator
    if kind == sitk.sitkBSpline and SPLINE_TOO_THIN in image.size:
        raise TooThinError(f"an image of {image.size} voxels cannot be resampled by splines")
    part = _needed(image, mask, target, in_place=kind not in (sitk.sitkBSpline, sitk.sitkNearestNeighbor))
    resampler.SetOutputPixelType(part.GetPixelID())
    resampler.SetInterpolator(kind)
    resampled = resampler.Execute(part)
    outline = _begun(mask, region) if mask.source is None else mask.source
    resampler.SetOutputPixelType(outline.GetPixelID())
    resampler.SetInterpolator(sitk.sitkNearestNeighbor)
    return resampled, resampler.Execute(outline)


def _begun(mask: Picture, region: BoxedRegion) -> sitk.Image:
    """Returns the mask from its first voxel to behind the region.

    Its origin stays, and with it every position to the last bit; beyond its end the resampler takes 0, no label.
    """
    last = np.minimum(np.array(region.upper) + MASK_MARGIN, mask.shape)
    return mask.part(np.ascontiguousarray(mask.load((0, 0, 0), as_index(last))), (0, 0, 0))


def _check_memory(target: Target) -> None:
    n_bytes = BYTES_A_VOXEL * math.prod(target.size)
    if n_bytes > LIMIT_BYTES:
        steps = "×".join(f"{step:g}" for step in target.spacing_mm)
        sizes = "×".join(str(size) for size in target.size)
        raise TooLargeError(
            f"{sizes} voxels of {steps} mm would take {n_bytes / 2**30:.0f} GiB; "
            f"the limit is {LIMIT_BYTES / 2**30:.0f} GiB"
        )


def _needed(image: Picture, mask: Picture, target: Target, *, in_place: bool) -> sitk.Image:
    """Returns the part of the image that decides the target's voxels.

    Args:
        image: The image.
        mask: The mask, whose directions the target has.
        target: The grid to resample to.
        in_place: Keep voxels in double precision at their index in an otherwise empty image: a cut moves positions in
            the last bit, and between equal neighbors linear weights give exact zeros in high bands, on a bin edge.
    """
    grid = sitk.Image([1, 1, 1], sitk.sitkUInt8)
    grid.SetSpacing([float(step) for step in target.spacing_mm])
    grid.SetOrigin(target.origin_mm)
    grid.SetDirection(mask.header.GetDirection())
    x, y, z = (n - 1 for n in target.size)
    corners = [(a, b, c) for a in (0, x) for b in (0, y) for c in (0, z)]
    points = [grid.TransformIndexToPhysicalPoint(corner) for corner in corners]
    places = np.array([image.header.TransformPhysicalPointToContinuousIndex(point) for point in points])
    first = np.clip(np.floor(places.min(axis=0)) - SPLINE_REACH, 0, np.array(image.size) - 1).astype(int)
    last = np.clip(np.ceil(places.max(axis=0)) + SPLINE_REACH + 1, first + 1, image.size).astype(int)
    part = image.load(as_index(first[::-1]), as_index(last[::-1]))
    if not in_place or part.dtype != np.float64:
        return image.part(np.ascontiguousarray(part), tuple(first[::-1]))
    padded = sitk.ConstantPad(sitk.GetImageFromArray(part), [int(n) for n in first], [0, 0, 0], 0)
    padded.SetOrigin(image.header.GetOrigin())
    padded.SetSpacing(image.header.GetSpacing())
    padded.SetDirection(image.header.GetDirection())
    return padded
