"""The slices of a series: where each lies, be it a file of its own or a frame of an enhanced multi-frame file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from pipelines.ingest.dicom_values import number, numbers, readable
from pipelines.ingest.headers import DicomHeader
from pipelines.ingest.problems import NotVolumeError, UnreadableError

Vector = NDArray[np.float64]

_FARTHEST_MM = 1e5
"""No body lies farther from the scanner's center; a tag that says so, or that is no number, is broken."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One slice before its pixels are read.

    Args:
        header: The file it is in.
        frame: Its index in that file, from 0.
        position_mm: The center of its first pixel (LPS), shape (3,).
        orientation: Direction cosines of its rows and columns, shape (6,).
        spacing_mm: Distance between rows, between columns.
        slope: Multiplies stored values.
        intercept: Is added to them.
    """

    header: DicomHeader
    frame: int
    position_mm: Vector
    orientation: Vector
    spacing_mm: tuple[float, float]
    slope: float | None = None
    intercept: float | None = None

    @property
    def normal(self) -> Vector:
        """The unit vector along which slices follow each other, shape (3,)."""
        return np.cross(self.orientation[:3], self.orientation[3:])

    @property
    def depth_mm(self) -> float:
        """Its position along the normal."""
        return float(self.position_mm @ self.normal)


def slices_of(headers: Sequence[DicomHeader]) -> list[Slice]:
    """Returns all slices in the files, in the files' order.

    Raises:
        UnreadableError: A file does not tell where its slices lie.
        NotVolumeError: A multi-frame file tells no position for each frame.
    """
    return [part for header in headers for part in (_frames(header) if _is_enhanced(header) else [_single(header)])]


def place(position_mm: Vector, normal: Vector) -> str:
    """Returns how to call a slice's position: its coordinate on the axis that the normal is nearest to."""
    axis = int(np.abs(normal).argmax())
    return f"{'xyz'[axis]} = {signed(float(position_mm[axis]))}"


def signed(value: float) -> str:
    """Returns a number with at most two decimals and a true minus sign."""
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".").replace("-", "−")


def _is_enhanced(header: DicomHeader) -> bool:
    return header.position_mm is None or header.n_frames > 1


def _single(header: DicomHeader) -> Slice:
    return _slice(header, 0, header.position_mm, header.orientation, header.spacing_mm)


def _frames(header: DicomHeader) -> list[Slice]:
    with readable("a multi-frame file"):
        dataset = dcmread(header.path, stop_before_pixels=True)
        shared = _first(dataset, "SharedFunctionalGroupsSequence")
        groups = list(dataset.get("PerFrameFunctionalGroupsSequence") or ())
        if header.n_frames > 1 and len(groups) != header.n_frames:
            raise NotVolumeError(f"a file of {header.n_frames} frames tells the position of {len(groups)}")
        return [_frame(header, index, group, shared) for index, group in enumerate(groups or [shared])]


def _frame(header: DicomHeader, index: int, group: Dataset, shared: Dataset) -> Slice:
    def of(sequence: str) -> Dataset:
        return _first(group, sequence) or _first(shared, sequence)

    values = of("PixelValueTransformationSequence")
    return _slice(
        header,
        index,
        numbers(of("PlanePositionSequence"), "ImagePositionPatient"),
        numbers(of("PlaneOrientationSequence"), "ImageOrientationPatient"),
        numbers(of("PixelMeasuresSequence"), "PixelSpacing"),
        slope=number(values, "RescaleSlope"),
        intercept=number(values, "RescaleIntercept"),
    )


def _slice(
    header: DicomHeader,
    frame: int,
    position: tuple[float, ...] | None,
    orientation: tuple[float, ...] | None,
    spacing: tuple[float, ...] | None,
    **rescale: Any,
) -> Slice:
    told = {"ImagePositionPatient": (position, 3), "ImageOrientationPatient": (orientation, 6)}
    for name, (value, length) in {**told, "PixelSpacing": (spacing, 2)}.items():
        if value is None or len(value) != length or not all(abs(part) < _FARTHEST_MM for part in value):
            raise UnreadableError(f"a slice has no usable {name} (seen: {value})")
    assert position is not None
    assert orientation is not None
    assert spacing is not None
    return Slice(
        header=header,
        frame=frame,
        position_mm=np.array(position),
        orientation=np.array(orientation),
        spacing_mm=(spacing[0], spacing[1]),
        **rescale,
    )


def _first(dataset: Dataset, keyword: str) -> Dataset:
    items = dataset.get(keyword) or ()
    return items[0] if items else Dataset()
