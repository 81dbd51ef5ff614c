"""Reads the files of one DICOM series into one volume, or says why they are none."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from pipelines.ingest.dicom_header import read_header
from pipelines.ingest.headers import DicomHeader
from pipelines.ingest.pixels import slice_values, values_of
from pipelines.ingest.problems import DuplicateSlicesError, MixedSeriesError, NotVolumeError, TruncatedFileError
from pipelines.ingest.slices import Slice, place, slices_of
from pipelines.ingest.stack import by_position, check_one_grid, stacked

__all__ = ["Acquisition", "DicomHeader", "read_header", "read_series"]


@dataclass(frozen=True, kw_only=True)
class Acquisition:
    """How an image was made, where its tags tell.

    Args:
        modality: CT, MR, PT …
        manufacturer: Manufacturer.
        model: Scanner model.
        kernel: Convolution kernel.
        kvp: Tube voltage in kV.
        slice_thickness_mm: Nominal slice thickness.
        spacing_mm: Voxel spacing along x, y, z.
        contrast_delay_s: Seconds from the start of contrast, where both times are told.
        units: Unit of the values: HU for CT, else as the tags say, such as `BQML` or `GML` for PET.
        notes: What a person should know, such as a file left out.
    """

    modality: str = ""
    manufacturer: str = ""
    model: str = ""
    kernel: str = ""
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast_delay_s: float | None = None
    units: str = ""
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Returns it as JSON types."""
        return asdict(self)


def read_series(headers: Sequence[DicomHeader], *, gap_tolerance: float = 0.02) -> tuple[sitk.Image, Acquisition]:
    """Reads one series into a volume.

    Slices are ordered by position along their normal. Values are HU for CT, else the stored values with their slope:
    int16 when that is exact, else float32. PET is not converted: its unit is in `Acquisition.units`.

    Args:
        headers: The series' files, in any order.
        gap_tolerance: Largest deviation of a slice distance from the usual one, as a share of it.

    Raises:
        SlicesMissingError: Slices are missing inside the series.
        UnevenSlicesError: Slice distances differ.
        DuplicateSlicesError: Two different slices lie at one position.
        MixedSeriesError: Series, orientations, grids or acquisitions are mixed.
        GantryTiltError: The slices are sheared.
        TruncatedFileError: A file is cut off.
        CompressionError: No plugin decodes the pixels.
        NotVolumeError: There is one slice only.
        UnreadableError: Tags that place the slices are missing.
    """
    if not headers:
        raise NotVolumeError("the series has no file")
    notes: list[str] = []
    slices = slices_of(_images(headers, notes))
    check_one_grid(slices)
    stack = stacked(_one_at_each_position(by_position(slices), notes), gap_tolerance)
    image = sitk.GetImageFromArray(values_of(stack.slices))
    first = stack.slices[0]
    row_mm, column_mm = first.spacing_mm
    image.SetSpacing((column_mm, row_mm, stack.spacing_mm))
    image.SetOrigin(tuple(float(value) for value in first.position_mm))
    image.SetDirection(stack.direction)
    return image, _acquisition([part.header for part in stack.slices], image.GetSpacing(), notes)


def _images(headers: Sequence[DicomHeader], notes: list[str]) -> list[DicomHeader]:
    images = [header for header in headers if header.kind == "image" and not header.is_localizer]
    cut = [header for header in images if header.is_truncated]
    if cut:
        raise TruncatedFileError(f"{len(cut)} of {len(images)} files end before their pixels do, {_places(cut)}")
    if not images:
        raise NotVolumeError(f"none of the series' {len(headers)} files is an image other than a localizer")
    if len(images) < len(headers):
        notes.append(f"{len(headers) - len(images)} files left out: localizers or no grayscale images")
    return images


def _places(cut: Sequence[DicomHeader]) -> str:
    for header in cut:
        if len(header.position_mm or ()) == 3 and len(header.orientation or ()) == 6:
            row, column = np.reshape(header.orientation or (), (2, 3))
            return f"the first at {place(np.asarray(header.position_mm), np.cross(row, column))} mm"
    return "their positions unknown"


def _one_at_each_position(places: list[list[Slice]], notes: list[str]) -> list[Slice]:
    crowded = [group for group in places if len(group) > 1]
    for group in crowded:
        first = slice_values(group[0])
        if any(not np.array_equal(first, slice_values(other)) for other in group[1:]):
            _refuse_crowded(crowded, group, len(places))
    if crowded:
        notes.append(f"{len(crowded)} slices were sent more than once with the same pixels; one of each was taken")
    return [group[0] for group in places]


def _refuse_crowded(crowded: list[list[Slice]], group: list[Slice], n_places: int) -> None:
    where = f"{place(group[0].position_mm, group[0].normal)} mm"
    if 2 * len(crowded) > n_places:
        numbers = sorted({part.header.acquisition for part in group if part.header.acquisition is not None})
        named = f", acquisitions {', '.join(map(str, numbers))}" if len(numbers) > 1 else ""
        raise MixedSeriesError(f"{len(crowded)} of {n_places} positions hold {len(group)} different slices{named}")
    raise DuplicateSlicesError(
        f"{len(group)} different slices lie at {where}; so do {len(crowded) - 1} other positions"
    )


def _acquisition(headers: Sequence[DicomHeader], spacing: tuple[float, float, float], notes: list[str]) -> Acquisition:
    first = headers[0]
    kernels = sorted({header.kernel for header in headers})
    if len(kernels) > 1:
        notes.append(f"{len(kernels)} convolution kernels: {', '.join(kernels)}")
    delays = [header.contrast_delay_s for header in headers if header.contrast_delay_s is not None]
    return Acquisition(
        modality=first.modality,
        manufacturer=first.manufacturer,
        model=first.model,
        kernel=first.kernel,
        kvp=first.kvp,
        slice_thickness_mm=first.thickness_mm,
        spacing_mm=spacing,
        contrast_delay_s=min(delays, default=None),
        units="HU" if first.modality == "CT" else first.units,
        notes=tuple(notes),
    )
