"""Reads the files of one DICOM series into one volume, or says why they are none."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import SimpleITK as sitk

from pipelines.ingest.dicom_header import DicomHeader, read_header

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

    Slices are ordered by position along their normal. Values are HU for CT, else the stored values with their slope: int16
    when that is exact, else float32.

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
    raise NotImplementedError
