"""Reads NIfTI and NRRD images and masks."""

from pathlib import Path
from typing import Literal

import SimpleITK as sitk


def read_volume(path: Path, *, direction_tolerance: float = 1e-4, notes: list[str] | None = None) -> sitk.Image:
    """Returns a 3D image: int16 when every voxel is a whole number in its range, else float32.

    Args:
        path: A NIfTI or NRRD file.
        direction_tolerance: Largest departure of the axes from perpendicular unit vectors that is repaired.
        notes: Takes what a person should know, such as a repaired direction.

    Raises:
        NotVolumeError: It has not three dimensions, or several numbers a voxel.
        NonorthonormalDirectionError: Its axes depart by more than the tolerance.
        NonfiniteVoxelsError: It has voxels that are no number.
        UnreadableError: It cannot be read.
    """
    raise NotImplementedError


def read_mask(
    path: Path,
    *,
    label: int | Literal["auto"] = "auto",
    direction_tolerance: float = 1e-4,
    notes: list[str] | None = None,
) -> sitk.Image:
    """Returns the mask (uint8, 1 inside) of one label, on its own grid.

    Args:
        path: A NIfTI or NRRD file of whole numbers.
        label: The label, or `auto` for the only one there is.
        direction_tolerance: As for `read_volume`.
        notes: As for `read_volume`.

    Raises:
        EmptyMaskError: Every voxel is 0.
        LabelAbsentError: The label is not there; the message lists the labels that are.
        LabelAmbiguousError: `auto` met several labels.
        NotMaskError: Voxels are no whole numbers.
        NotVolumeError: As for `read_volume`.
        NonorthonormalDirectionError: As for `read_volume`.
        UnreadableError: It cannot be read.
    """
    raise NotImplementedError
