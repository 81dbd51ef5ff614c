"""Reads NIfTI and NRRD images and masks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import SimpleITK as sitk

from pipelines.images.nifti_bytes import LARGEST_BYTES, VolumeBytes, inspect_nifti
from pipelines.images.nrrd_bytes import inspect_nrrd
from pipelines.ingest.pixels import is_int16
from pipelines.ingest.problems import (
    EmptyMaskError,
    LabelAbsentError,
    LabelAmbiguousError,
    NonfiniteVoxelsError,
    NonorthonormalDirectionError,
    NotMaskError,
    NotVolumeError,
    TooLargeError,
    TruncatedFileError,
    UnreadableError,
)

_EXACT = 1e-6
"""Axes closer to perpendicular unit vectors are so within single precision, which NIfTI stores."""

_MAXIMUM_LABELS_NAMED = 12

_LOOKED_AT = 0.01
"""Departure of axes that does not keep a mask from being looked at."""


def read_volume(path: Path, *, direction_tolerance: float = 1e-4, notes: list[str] | None = None) -> sitk.Image:
    """Returns a 3D image with the smallest of int16, float32 and float64 that holds every voxel exactly.

    So the same image gives the same features whatever type its sender chose: resampling rounds where the type is one of
    whole numbers.

    Args:
        path: A NIfTI or NRRD file.
        direction_tolerance: Largest departure of the axes from perpendicular unit vectors that is repaired.
        notes: Takes what a person should know, such as a repaired direction.

    Raises:
        NotVolumeError: It has not three dimensions, or several numbers a voxel.
        NonorthonormalDirectionError: Its axes depart by more than the tolerance.
        NonfiniteVoxelsError: It has voxels that are no number.
        TruncatedFileError: It is cut off.
        UnreadableError: It cannot be read.
    """
    image = _read(path, direction_tolerance, [] if notes is None else notes)
    voxels = sitk.GetArrayViewFromImage(image)
    if not np.isfinite(voxels).all():
        raise NonfiniteVoxelsError(f"{int((~np.isfinite(voxels)).sum())} voxels are no number")
    if is_int16(voxels):
        return sitk.Cast(image, sitk.sitkInt16)
    is_single = np.array_equal(voxels.astype(np.float32), voxels)
    return sitk.Cast(image, sitk.sitkFloat32 if is_single else sitk.sitkFloat64)


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
        TruncatedFileError: It is cut off.
        UnreadableError: It cannot be read.
    """
    image = _read(path, direction_tolerance, [] if notes is None else notes)
    found = np.unique(sitk.GetArrayViewFromImage(image))
    if not np.isfinite(found).all() or (found != np.rint(found)).any():
        odd = [value for value in found if not np.isfinite(value) or value != np.rint(value)]
        raise NotMaskError(f"{len(odd)} values are no whole numbers, such as {float(odd[0]):.6g}")
    value = _chosen_label([int(number) for number in found if number != 0], label)
    mask = sitk.GetImageFromArray((sitk.GetArrayViewFromImage(image) == value).astype(np.uint8))
    mask.CopyInformation(image)
    return mask


def labels_in(path: Path) -> list[int]:
    """Returns the labels of a mask, 0 left out; none where its voxels are no whole numbers.

    Raises:
        CaseError: As for `read_volume`.
    """
    image = _read(path, _LOOKED_AT, [])
    found = np.unique(sitk.GetArrayViewFromImage(image))
    whole = [int(value) for value in found if np.isfinite(value) and value == np.rint(value)]
    return [value for value in whole if value != 0] if len(whole) == len(found) else []


def _chosen_label(labels: list[int], label: int | Literal["auto"]) -> int:
    if not labels:
        raise EmptyMaskError("every voxel of the mask is 0")
    listed = ", ".join(str(number) for number in labels[:_MAXIMUM_LABELS_NAMED])
    listed += f" and {len(labels) - _MAXIMUM_LABELS_NAMED} more" if len(labels) > _MAXIMUM_LABELS_NAMED else ""
    if label == "auto":
        if len(labels) > 1:
            raise LabelAmbiguousError(f"labels found: {listed}; `label: auto` needs exactly one")
        return labels[0]
    if label not in labels:
        hint = f"; `label: auto` would take {labels[0]}" if len(labels) == 1 else ""
        raise LabelAbsentError(f"labels found: {listed}; expected: {label}{hint}")
    return label


def _read(path: Path, tolerance: float, notes: list[str]) -> sitk.Image:
    found = inspect_nifti(path) or inspect_nrrd(path) or VolumeBytes()
    if found.contradiction:
        raise UnreadableError(f"the image cannot be read: {found.fault}")
    if found.n_bytes > LARGEST_BYTES:
        raise TooLargeError(f"its voxels have {found.n_bytes / 1e9:.4g} GB; at most {LARGEST_BYTES / 1e9:.2g} are read")
    if found.fault:
        raise TruncatedFileError(f"the image cannot be read: {found.fault}")
    if found.n_nonfinite:
        raise NonfiniteVoxelsError(f"{found.n_nonfinite} voxels are no number")
    if found.shear > tolerance:
        raise _nonorthonormal(found.shear, tolerance)
    try:
        with _permissive(found.shear > _EXACT):
            image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].rsplit("ITK ERROR: ", maxsplit=1)[-1].replace(str(path), "it")
        raise UnreadableError(f"the image cannot be read: {reason}") from error
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
        notes.append("a fourth dimension of length 1 was dropped")
    if image.GetPixelID() in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
        raise NotVolumeError("its voxels are complex numbers")
    is_vector = "vector" in image.GetPixelIDTypeAsString()  # of one number a voxel, too, which nothing here casts
    if is_vector or image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1 or min(image.GetSize()) < 2:
        size = "×".join(str(n) for n in image.GetSize())
        raise NotVolumeError(f"size {size} with {image.GetNumberOfComponentsPerPixel()} numbers a voxel")
    return _repaired(image, max(found.shear, _departure(image)), tolerance, notes)


def _repaired(image: sitk.Image, departure: float, tolerance: float, notes: list[str]) -> sitk.Image:
    if departure > tolerance:
        raise _nonorthonormal(departure, tolerance)
    if departure > _EXACT:
        left, _, right = np.linalg.svd(np.reshape(image.GetDirection(), (3, 3)))
        image.SetDirection([float(value) for value in (left @ right).ravel()])
        notes.append(f"axes departed from perpendicular unit vectors by {departure:.1e} and were repaired")
    for key in image.GetMetaDataKeys():
        image.EraseMetaData(key)
    return image


def _departure(image: sitk.Image) -> float:
    axes = np.reshape(image.GetDirection(), (3, 3))
    return float(np.abs(axes.T @ axes - np.eye(3)).max())


def _nonorthonormal(departure: float, tolerance: float) -> NonorthonormalDirectionError:
    return NonorthonormalDirectionError(
        f"axes depart from perpendicular unit vectors by {departure:.2g}; up to {tolerance:.2g} is repaired"
    )


@contextmanager
def _permissive(wanted: bool) -> Iterator[None]:
    """Lets ITK read a slightly sheared NIfTI, which it refuses otherwise; by its own switch, there is no other."""
    before = os.environ.get("ITK_NIFTI_SFORM_PERMISSIVE")
    if wanted:
        os.environ["ITK_NIFTI_SFORM_PERMISSIVE"] = "YES"
    try:
        yield
    finally:
        os.environ.pop("ITK_NIFTI_SFORM_PERMISSIVE", None)
        if before is not None:
            os.environ["ITK_NIFTI_SFORM_PERMISSIVE"] = before
