"""Cutting a case out of its image so that no feature value changes.

The reach of every filter is part of the stored margin. Where the region lies within that reach of an image edge the
whole axis is kept, because the wavelet transform wraps around and sees the far edge there.
"""

from dataclasses import dataclass
from math import ceil

import SimpleITK as sitk

from pipelines.images.grid import Grid

Index = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box of voxels.

    Args:
        lower: Its first voxel, x, y, z.
        upper: The voxel after its last one, x, y, z.
    """

    lower: Index
    upper: Index

    @property
    def size(self) -> Index:
        """Voxels along x, y, z."""
        x, y, z = (high - low for low, high in zip(self.lower, self.upper, strict=True))
        return (x, y, z)


def roi_box(mask: sitk.Image) -> Box:
    """Returns the smallest box around the voxels that are not 0.

    Args:
        mask: A 3D mask of integers.

    Raises:
        ValueError: Nothing is inside; readers refuse empty masks before.
    """
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(sitk.Cast(mask != 0, sitk.sitkUInt8))
    if not statistics.HasLabel(1):
        raise ValueError("the mask is empty")
    x, y, z, *size = statistics.GetBoundingBox(1)
    return Box(lower=(x, y, z), upper=(x + size[0], y + size[1], z + size[2]))


def crop_box(grid: Grid, roi: Box, margin_mm: float, margin_voxels: int) -> Box:
    """Returns the box to store for a region.

    Along each axis it is the region's box and a margin, of even length where there is room, and the whole axis where
    the region comes closer to an edge of the image than `margin_voxels`.

    Args:
        grid: The image's grid.
        roi: The region's box.
        margin_mm: What filters with a physical size reach.
        margin_voxels: What filters that count voxels reach.
    """
    spans = [
        _span(grid.size[axis], roi.lower[axis], roi.upper[axis], margin_voxels, margin_mm / grid.spacing_mm[axis])
        for axis in range(3)
    ]
    (x0, x1), (y0, y1), (z0, z1) = spans
    return Box(lower=(x0, y0, z0), upper=(x1, y1, z1))


def crop(image: sitk.Image, box: Box) -> sitk.Image:
    """Returns the voxels of `box`; each keeps its value and its place in the patient."""
    return sitk.RegionOfInterest(image, box.size, box.lower)


def _span(length: int, lower: int, upper: int, margin_voxels: int, margin: float) -> tuple[int, int]:
    if min(lower, length - upper) < margin_voxels:
        return 0, length
    reach = max(ceil(margin - 1e-9), margin_voxels)
    low, high = max(lower - reach, 0), min(upper + reach, length)
    if (high - low) % 2:
        low, high = (low, high + 1) if high < length else (max(low - 1, 0), high)
    return low, high
