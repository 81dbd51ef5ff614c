"""Reads the segments of a DICOM-SEG into masks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset

from pipelines.images.grid import Grid
from pipelines.ingest.dicom_values import number, numbers, quiet, read_whole, readable
from pipelines.ingest.lattice import Frame, on_image, on_own_grid
from pipelines.ingest.pixels import decoded_pixels
from pipelines.ingest.problems import EmptyMaskError, UnreadableError
from pipelines.ingest.regions import chosen

_FARTHEST_MM = 1e5
"""No body lies farther from the scanner's center."""

_COSINE_TOLERANCE = 1e-3
"""Direction cosines are told with few decimals."""


@dataclass(frozen=True, kw_only=True)
class _Segmentation:
    """What a file holds: its segments, and for each frame its place, its segment and its pixels."""

    segments: list[tuple[int, str]]
    frames: list[tuple[int, Frame]]
    kind: str
    maximum: float


def read_dicom_seg(
    path: Path,
    image: sitk.Image,
    roi_pattern: str,
    roi_number: int | None = None,
    threshold: float = 0.5,
    notes: list[str] | None = None,
) -> dict[str, sitk.Image]:
    """Returns a mask (uint8, 1 inside) for each segment that the rules name, by its label.

    Frames are placed by position, those left out are empty. Where the voxels coincide with the image's, whatever their
    axis order, the mask is on the image's grid; else on its own, for the comparison of grids to judge.

    Args:
        path: The segmentation.
        image: The image it was made on.
        roi_pattern: A regular expression searched in labels; not asked when `roi_number` is given.
        roi_number: The SegmentNumber.
        threshold: From this occupancy on a voxel of a fractional segmentation is inside.
        notes: Takes what a person should know.

    Raises:
        RoiNotFoundError: No segment matches; the message lists those there are.
        EmptyMaskError: The segments that match have no voxel inside.
        GridMismatchError, UnevenSlicesError: Voxels inside lie off the image, or frames on no common grid.
        TruncatedFileError, CompressionError, UnreadableError: The file cannot be read.
    """
    notes = [] if notes is None else notes
    with readable("the segmentation"):
        segmentation = _read(path)
    wanted = chosen(segmentation.segments, roi_pattern, roi_number, "segment")
    masks = {}
    for segment, name in wanted.items():
        frames = _inside(segmentation, segment, threshold)
        if any(frame.pixels.any() for frame in frames):
            masks[name] = _mask(frames, image, name)
        else:
            notes.append(f"segment {name!r} is empty")
    if not masks:
        raise EmptyMaskError(f"no voxel lies inside {', '.join(repr(name) for name in wanted.values())}")
    return masks


def _mask(frames: list[Frame], image: sitk.Image, name: str) -> sitk.Image:
    placed = on_image(frames, Grid.of(image), name)
    if placed is None:
        return on_own_grid(frames, name)
    mask = sitk.GetImageFromArray(placed)
    mask.CopyInformation(image)
    return mask


def _inside(segmentation: _Segmentation, number: int, threshold: float) -> list[Frame]:
    frames = []
    for segment, frame in segmentation.frames:
        if segmentation.kind == "LABELMAP":
            frames.append(frame.with_pixels(frame.pixels == number))
        elif segment == number and segmentation.kind == "FRACTIONAL":
            frames.append(frame.with_pixels(frame.pixels >= threshold * segmentation.maximum))
        elif segment == number:
            frames.append(frame.with_pixels(frame.pixels > 0))
    return frames


def _read(path: Path) -> _Segmentation:
    dataset = read_whole(path, "segmentation")
    with quiet():
        try:
            segments = [
                (int(i.SegmentNumber), str(i.get("SegmentLabel") or "").strip()) for i in dataset.SegmentSequence
            ]
            places = _places(dataset)
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise UnreadableError(
                f"the segmentation does not tell its segments and places ({type(error).__name__})"
            ) from error
        pixels = decoded_pixels(dataset, "the segmentation")
        kind = str(dataset.get("SegmentationType") or "BINARY").strip()
        maximum = float(dataset.get("MaximumFractionalValue") or 255)
    stored = pixels.reshape(-1, *pixels.shape[-2:])
    if int(number(dataset, "NumberOfFrames") or 1) != len(places):
        raise UnreadableError(f"the segmentation tells another number of frames than the {len(places)} that it places")
    if len(stored) != len(places):
        raise UnreadableError(f"{len(stored)} frames have pixels and {len(places)} have a position")
    frames = [(segment, Frame(pixels=stored[n], **place)) for n, (segment, place) in enumerate(places)]
    return _Segmentation(segments=segments, frames=frames, kind=kind, maximum=maximum)


def _places(dataset: FileDataset) -> list[tuple[int, dict[str, Any]]]:
    shared = dataset.SharedFunctionalGroupsSequence[0]
    return [_frame_place(group, shared) for group in dataset.PerFrameFunctionalGroupsSequence]


def _frame_place(group: Dataset, shared: Dataset) -> tuple[int, dict[str, Any]]:
    def of(sequence: str) -> Dataset:
        items: Sequence[Dataset] = group.get(sequence) or shared.get(sequence) or [Dataset()]
        return items[0]

    measures = of("PixelMeasuresSequence")
    told_mm = number(measures, "SpacingBetweenSlices") or number(measures, "SliceThickness") or 0.0
    place: dict[str, Any] = {
        "position_mm": _vector(of("PlanePositionSequence"), "ImagePositionPatient", 3),
        "orientation": _vector(of("PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        "spacing_mm": _vector(measures, "PixelSpacing", 2),
        "slice_mm": abs(told_mm) if math.isfinite(told_mm) else 0.0,
    }
    axes = np.reshape(place["orientation"], (2, 3))
    if min(place["spacing_mm"]) <= 0 or np.abs(axes @ axes.T - np.eye(2)).max() > _COSINE_TOLERANCE:
        raise UnreadableError("a frame of the segmentation has no pixel spacing or no direction")
    segment = of("SegmentIdentificationSequence").get("ReferencedSegmentNumber")
    return int(segment or 0), place


def _vector(item: Dataset, keyword: str, length: int) -> NDArray[np.float64]:
    values = numbers(item, keyword)
    if values is None or len(values) != length or not all(abs(value) < _FARTHEST_MM for value in values):
        raise ValueError(keyword)
    return np.array(values)
