"""Fast reading of images: no more of a file than is needed, slice by slice where it is compressed."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pipelines.images.files import GRID_NOTE, restore_grid
from pipelines.radiomics.fast.dicom_folder import open_series
from pipelines.radiomics.fast.layouts import Layout, layout_of
from pipelines.radiomics.fast.picture import Index, Picture, header_of, picture_of
from pipelines.radiomics.fast.problems import NotAVolumeError, TooLargeError, UnreadableError
from pipelines.radiomics.fast.streams import decoded_slices, lent

LARGEST_BYTES = 1 << 33
"""Voxels beyond it are not read."""

_MEMORY = "/dev/shm"
"""Where Linux keeps files in memory: a folder made and removed elsewhere may wait for the disk."""


def open_picture(source: sitk.Image | Path | str, what: str) -> Picture:
    """Returns the image in a file, or the image itself, as a picture.

    Args:
        source: A SimpleITK image, a file that SimpleITK can read, or a folder with one DICOM series.
        what: How messages call it: image or mask.

    Raises:
        UnreadableError: The file is missing or no image.
        NotAVolumeError: It is not a scalar 3D image.
    """
    if isinstance(source, sitk.Image):
        check_volume(source, what)
        return picture_of(source)
    path = Path(source)
    if path.is_dir():
        return open_series(path, what)
    if not path.is_file():
        raise UnreadableError(f"there is no such {what}", where=path.name)
    layout = layout_of(path)
    if layout is None:
        return _read_whole(path, what)
    reader = _information(path, layout, what)
    check_volume(reader, what)
    header = header_of(reader)
    if layout.note.startswith(GRID_NOTE):
        restore_grid(header, layout.note.removeprefix(GRID_NOTE))
    x, y, z = reader.GetSize()
    if x * y * z * layout.dtype.itemsize > LARGEST_BYTES:
        raise TooLargeError(f"the {what} has {x}×{y}×{z} voxels", where=path.name)
    open_voxels = _decoded if layout.is_compressed else _mapped
    return open_voxels(path, layout, header, (z, y, x))


def _decoded(path: Path, layout: Layout, header: sitk.Image, shape: Index) -> Picture:
    """Returns a picture of a compressed file, which is decoded from its beginning each time."""

    def walk(first: int = 0, last: int = shape[0]) -> Iterator[NDArray[np.generic]]:
        return decoded_slices(path, shape, layout.dtype, (layout.offset, layout.start), (first, last))

    def load(first: Index, last: Index) -> NDArray[np.generic]:
        box = lent([b - a for a, b in zip(first, last, strict=True)], layout.dtype)
        for at, whole in enumerate(walk(first[0], last[0])):
            box[at] = whole[first[1] : last[1], first[2] : last[2]]
        return box

    z, y, x = shape
    return Picture(header=header, size=(x, y, z), load=load, walk=walk)


def _mapped(path: Path, layout: Layout, header: sitk.Image, shape: Index) -> Picture:
    """Returns a picture of a plain file, of which the system reads the pages that are looked at."""
    try:
        voxels = np.memmap(path, dtype=layout.dtype, mode="r", offset=layout.offset + layout.start, shape=shape)
    except (OSError, ValueError) as error:
        raise UnreadableError("damaged: it ends early", where=path.name) from error

    def load(first: Index, last: Index) -> NDArray[np.generic]:
        return np.array(voxels[tuple(slice(a, b) for a, b in zip(first, last, strict=True))])

    z, y, x = shape
    return Picture(header=header, size=(x, y, z), load=load, walk=lambda: iter(np.asarray(voxels)))


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
    if image.GetPixelIDValue() in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
        raise NotAVolumeError(f"the voxels of the {what} are complex numbers")


def _information(path: Path, layout: Layout, what: str) -> sitk.ImageFileReader:
    """Returns what ITK makes of a file's header."""
    if not (layout.header and layout.is_compressed):
        return _informed(path, path, what)
    # ITK decodes a hundred thousand voxels before it looks at the header; of a plain file it reads the header only.
    with tempfile.TemporaryDirectory(dir=_MEMORY if os.path.isdir(_MEMORY) else None) as folder:
        plain = Path(folder, "header.nii")
        plain.write_bytes(layout.header + bytes(4))
        return _informed(plain, path, what)


def _informed(path: Path, named: Path, what: str) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise UnreadableError(f"the {what} cannot be read: {_last_line(error)}", where=named.name) from error
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
