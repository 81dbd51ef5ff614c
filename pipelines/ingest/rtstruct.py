"""Turns the contours of an RTSTRUCT into masks on the image's grid."""

from pathlib import Path

import SimpleITK as sitk


def read_rtstruct(
    path: Path, image: sitk.Image, roi_pattern: str, roi_number: int | None = None, notes: list[str] | None = None
) -> dict[str, sitk.Image]:
    """Returns a mask (uint8, 1 inside) on the image's grid for each ROI that the rules name.

    Args:
        path: The structure set.
        image: The image it was drawn on.
        roi_pattern: A regular expression searched in ROI names; not asked when `roi_number` is given.
        roi_number: The ROINumber.
        notes: Takes what a person should know.

    Raises:
        RoiNotFoundError: No ROI matches; the message lists those there are.
        EmptyMaskError: The ROIs that match have no closed contour, or none holds a voxel center.
        ContourPlaneError: Contours do not lie on the image's slices.
        ContourOffImageError: Contours leave the image.
        UnreadableError: The file is no structure set.
    """
    raise NotImplementedError
