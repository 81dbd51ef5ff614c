"""Stored cases as compressed NIfTI: same content, same bytes, and never half written.

NIfTI keeps spacing and origin in single precision, which would move shape features by up to 1e-7. Both stand once more
in double precision in the header's free description, where other programs ignore them, so that a stored case has the
grid of its image to the last bit.
"""

import base64
import struct
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from featurestore.errors import FaultError
from featurestore.files import atomic_path
from pipelines.images.nifti_bytes import inspect_nifti
from pipelines.images.volume import Mask, Volume

GRID_NOTE = "grid64:"
"""Marks the description: base64 of six little-endian doubles, spacing and origin (71 of NIfTI's 79 characters)."""

_SINGLE_PRECISION = 1e-5
"""Largest relative difference of the doubles to what the header says; beyond it another program moved the image."""


class DamagedImageError(FaultError):
    """A stored image cannot be read."""

    default_remedy = "run `radmill ingest` again; it makes damaged cases anew"


def read_image(path: Path) -> sitk.Image:
    """Reads a stored image with the grid it was written with.

    Raises:
        DamagedImageError: The file is missing or damaged.
    """
    try:
        found = inspect_nifti(path)
        if found is None or found.fault:
            raise DamagedImageError(found.fault if found else "it is no NIfTI", where=path.name)
        image = sitk.ReadImage(str(path))
    except FileNotFoundError as error:
        raise DamagedImageError("there is no such file", where=path.name) from error
    except RuntimeError as error:
        raise DamagedImageError(_last_line(error), where=path.name) from error
    note = image.GetMetaData("ITK_FileNotes") if image.HasMetaDataKey("ITK_FileNotes") else ""
    if note.startswith(GRID_NOTE):
        restore_grid(image, note.removeprefix(GRID_NOTE))
    for key in image.GetMetaDataKeys():
        image.EraseMetaData(key)
    return image


def write_image(path: Path, image: sitk.Image) -> None:
    """Writes a 3D image as `path`, a name that ends in `.nii.gz`."""
    plain = sitk.Image(image)
    for key in plain.GetMetaDataKeys():
        plain.EraseMetaData(key)
    doubles = struct.pack("<6d", *plain.GetSpacing(), *plain.GetOrigin())
    plain.SetMetaData("ITK_FileNotes", GRID_NOTE + base64.b64encode(doubles).decode())
    with atomic_path(path) as temporary:
        sitk.WriteImage(plain, str(temporary), useCompression=True)


def read_case(image_path: Path, mask_path: Path) -> tuple[Volume, Mask]:
    """Reads a stored case.

    Raises:
        DamagedImageError: A file is missing or damaged.
    """
    return Volume(read_image(image_path)), Mask(sitk.Cast(read_image(mask_path), sitk.sitkUInt8))


def restore_grid(image: sitk.Image, note: str) -> None:
    """Gives an image the grid in double precision that stands in its header's description."""
    numbers = struct.unpack("<6d", base64.b64decode(note))
    header = (*image.GetSpacing(), *image.GetOrigin())
    if np.allclose(numbers, header, rtol=_SINGLE_PRECISION, atol=_SINGLE_PRECISION):
        image.SetSpacing(numbers[:3])
        image.SetOrigin(numbers[3:])


def _last_line(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1].rsplit("ITK ERROR: ", maxsplit=1)[-1]
