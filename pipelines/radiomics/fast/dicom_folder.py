"""A folder with one DICOM series as a picture: only the slices around the region are read."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pipelines.radiomics.fast.picture import Index, Picture, header_of
from pipelines.radiomics.fast.problems import NotAVolumeError, UnreadableError

_POSITION = "0020|0032"
_UNEVEN = 0.01
"""Largest departure of a slice from even spacing, in parts of the spacing; beyond it, one is missing or twice there."""


def open_series(folder: Path, what: str) -> Picture:
    """Returns the series in a folder, on the grid and with the voxels that SimpleITK's series reader gives.

    Args:
        folder: A folder with the files of one DICOM series.
        what: How messages call it: image or mask.

    Raises:
        UnreadableError: The folder has no series or several, or slices are missing.
        NotAVolumeError: It has a single slice.
    """
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if len(series) != 1:
        raise UnreadableError(f"the folder has {len(series)} DICOM series; one is expected", where=folder.name)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0])
    if len(names) < 2:
        raise NotAVolumeError(f"the {what} has a single slice")
    header, first = _grid(names), _read_header(names[0])
    _check_even(names, folder)
    x, y = first.GetSize()[:2]

    def slices(start: int, stop: int) -> NDArray[np.generic]:
        return sitk.GetArrayFromImage(_read(names[start:stop], first.GetPixelID()))

    def load(low: Index, high: Index) -> NDArray[np.generic]:
        return np.ascontiguousarray(slices(low[0], high[0])[:, low[1] : high[1], low[2] : high[2]])

    def walk() -> Iterator[NDArray[np.generic]]:
        return (slices(at, at + 1)[0] for at in range(len(names)))

    return Picture(header=header, size=(x, y, len(names)), load=load, walk=walk)


def _grid(names: tuple[str, ...]) -> sitk.Image:
    """Returns the header of the series: the outer slices alone tell where it lies."""
    ends = header_of(_read((names[0], names[-1])))
    *in_plane, length = ends.GetSpacing()
    ends.SetSpacing([*in_plane, length / (len(names) - 1)])
    return ends


def _check_even(names: tuple[str, ...], folder: Path) -> None:
    positions = np.array(
        [[float(part) for part in _read_header(name).GetMetaData(_POSITION).split("\\")] for name in names]
    )
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    if np.abs(steps - steps.mean()).max() > _UNEVEN * steps.mean():
        raise UnreadableError(
            f"its slices lie {steps.min():g} to {steps.max():g} mm apart: some are missing or there twice",
            where=folder.name,
        )


def _read_header(name: str) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(name)
    reader.ReadImageInformation()
    return reader


def _read(names: tuple[str, ...], pixel_id: int | None = None) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(names)
    if pixel_id is not None:
        # A series is read in the type of its first slice.
        reader.SetOutputPixelType(pixel_id)
    return reader.Execute()
