"""Fast reading of images: compressed NIfTI is decoded slice by slice and only as far as it is needed."""

import gzip
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pipelines.images.files import GRID_NOTE, restore_grid
from pipelines.radiomics.fast.picture import Index, Picture, header_of, picture_of
from pipelines.radiomics.fast.problems import NotAVolumeError, UnreadableError

_HEADER_BYTES = 348
_DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
_SKIP_BYTES = 1 << 18  # discarded slices pass through a buffer that stays in the cache


@dataclass(frozen=True)
class _Layout:
    """Where the voxels of a NIfTI file are and what type they have."""

    dtype: np.dtype[np.generic]
    start: int
    note: str


def open_picture(source: sitk.Image | Path | str, what: str) -> Picture:
    """Returns the image in a file, or the image itself, as a picture.

    Args:
        source: A SimpleITK image or a file that SimpleITK can read.
        what: How messages call it: image or mask.

    Raises:
        UnreadableError: The file is missing or no image.
        NotAVolumeError: It is not a scalar 3D image.
    """
    if isinstance(source, sitk.Image):
        check_volume(source, what)
        return picture_of(source)
    path = Path(source)
    if not path.is_file():
        raise UnreadableError(f"there is no such {what}", where=path.name)
    layout = _nifti_layout(path)
    if layout is None:
        return _read_whole(path, what)
    reader = _information(path, what)
    check_volume(reader, what)
    header = header_of(reader)
    if layout.note.startswith(GRID_NOTE):
        restore_grid(header, layout.note.removeprefix(GRID_NOTE))
    x, y, z = reader.GetSize()

    shape = (z, y, x)

    def load(first: Index, last: Index) -> NDArray[np.generic]:
        box = np.empty([b - a for a, b in zip(first, last, strict=True)], dtype=layout.dtype)
        for at, whole in enumerate(_walk(path, layout, shape, first[0], last[0])):
            box[at] = whole[first[1] : last[1], first[2] : last[2]]
        return box

    return Picture(header=header, size=(x, y, z), load=load, walk=lambda: _walk(path, layout, shape, 0, z))


def check_volume(image: sitk.Image | sitk.ImageFileReader, what: str) -> None:
    """Checks that an image is 3D with one number a voxel.

    Raises:
        NotAVolumeError: It is not.
    """
    if image.GetDimension() != 3:
        raise NotAVolumeError(f"the {what} has {image.GetDimension()} dimensions")
    n_components = image.GetNumberOfComponents() if isinstance(image, sitk.ImageFileReader) else 0
    n_components = n_components or cast(sitk.Image, image).GetNumberOfComponentsPerPixel()
    if n_components != 1:
        raise NotAVolumeError(f"the {what} has {n_components} numbers a voxel")


def _information(path: Path, what: str) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise UnreadableError(f"the {what} cannot be read: {_last_line(error)}", where=path.name) from error
    return reader


def read_itk(path: Path, what: str) -> sitk.Image:
    """Reads a file with SimpleITK.

    Raises:
        UnreadableError: It is no image.
    """
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise UnreadableError(f"the {what} cannot be read: {_last_line(error)}", where=path.name) from error


def _read_whole(path: Path, what: str) -> Picture:
    image = read_itk(path, what)
    check_volume(image, what)
    return picture_of(image)


def _last_line(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1].rsplit("ITK ERROR: ", maxsplit=1)[-1]


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as plain:
        is_zipped = plain.read(2) == b"\x1f\x8b"
    if not is_zipped:
        return path.open("rb", buffering=0)
    try:
        from isal import igzip
    except ImportError:
        return cast(BinaryIO, gzip.open(path))
    return cast(BinaryIO, igzip.open(path))


def _nifti_layout(path: Path) -> _Layout | None:
    """Returns the layout of a NIfTI-1 file in one piece whose voxels need no rescaling; None for others."""
    if not path.name.endswith((".nii", ".nii.gz")):
        return None
    try:
        with _opened(path) as handle:
            header = handle.read(_HEADER_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableError(f"damaged: {error}", where=path.name) from error
    if len(header) < _HEADER_BYTES or struct.unpack_from("<i", header)[0] != _HEADER_BYTES:
        return None
    n_dimensions = struct.unpack_from("<h", header, 40)[0]
    code = struct.unpack_from("<h", header, 70)[0]
    start, slope, intercept = struct.unpack_from("<3f", header, 108)
    is_plain = slope in (0.0, 1.0) and intercept == 0.0
    if n_dimensions != 3 or code not in _DTYPES or not is_plain or header[344:347] != b"n+1":
        return None
    note = header[148:228].split(b"\0")[0].decode("ascii", "replace")
    return _Layout(np.dtype(f"<{_DTYPES[code]}"), int(start), note)


def _walk(path: Path, layout: _Layout, shape: Index, first: int, last: int) -> Iterator[NDArray[np.generic]]:
    """Yields slices one after the other, each in the same memory, and reads no further than the last one."""
    buffer = np.empty(shape[1:], dtype=layout.dtype)
    target = memoryview(buffer.data).cast("B")
    try:
        with _opened(path) as handle:
            _skip(handle, layout.start + first * len(target))
            for _ in range(first, last):
                _fill(handle, target)
                yield buffer
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableError(f"damaged: {error}", where=path.name) from error


def _skip(handle: BinaryIO, n_bytes: int) -> None:
    buffer = memoryview(bytearray(min(_SKIP_BYTES, max(n_bytes, 1))))
    while n_bytes > 0:
        n_read = handle.readinto(buffer[: min(n_bytes, len(buffer))])  # type: ignore[attr-defined]
        if not n_read:
            raise EOFError("it ends early")
        n_bytes -= n_read


def _fill(handle: BinaryIO, target: memoryview) -> None:
    at = 0
    while at < len(target):
        n_read = handle.readinto(target[at : at + _SKIP_BYTES])  # type: ignore[attr-defined]
        if not n_read:
            raise EOFError("it ends early")
        at += n_read
