"""Reads the segments of a DICOM-SEG into masks."""

from pathlib import Path

import SimpleITK as sitk


def read_dicom_seg(
    path: Path,
    image: sitk.Image,
    roi_pattern: str,
    roi_number: int | None = None,
    threshold: float = 0.5,
    notes: list[str] | None = None,
) -> dict[str, sitk.Image]:
    """Returns a mask (uint8, 1 inside) for each segment that the rules name, by its label.

    Frames are placed by their position, frames left out are empty. Where the segmentation's voxels coincide with the
    image's, whatever their axis order, the mask is on the image's grid; else it is on its own grid, for the comparison
    of grids to judge.

    Args:
        path: The segmentation.
        image: The image it was made on.
        roi_pattern: A regular expression searched in segment labels; not asked when `roi_number` is given.
        roi_number: The SegmentNumber.
        threshold: From this occupancy on a voxel of a fractional segmentation is inside.
        notes: Takes what a person should know.

    Raises:
        RoiNotFoundError: No segment matches; the message lists those there are.
        EmptyMaskError: The segments that match have no voxel inside.
        GridMismatchError: Voxels inside lie off the image.
        TruncatedFileError: The file is cut off.
        CompressionError: No plugin decodes the pixels.
        UnreadableError: The file is no segmentation.
    """
    raise NotImplementedError
