"""Outlines as nobody should send them: contours open, crossing, off the image or of another one; frames missing."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset

from proofs.fuzz_base import (
    AXIAL,
    TILTED,
    Bytes,
    Generator,
    Place,
    contour,
    ct_slices,
    dicom_bytes,
    opened,
    segmentation,
    structure_set,
)
from proofs.fuzz_dicom import mutated


def rtstruct(place: Place) -> str:
    """Spoils one thing of a structure set."""
    series = ct_slices(place.name, place.rng, place.pick((AXIAL, TILTED)))
    one = structure_set(place.name, series, place.rng)
    way = place.pick(list(_STRUCTURES))
    _STRUCTURES[way](place, one, series)
    files = {f"IM{n}": dicom_bytes(plane) for n, plane in enumerate(series)}
    place.write({**files, "RS": dicom_bytes(one)})
    return str(way)


def seg(place: Place) -> str:
    """Spoils one thing of a segmentation."""
    files = dict(_sound_seg(place.pick((AXIAL, TILTED))))
    way = place.pick(list(_SEGMENTATIONS))
    for name in files:
        one = opened(files[name])
        one.PatientID = place.name
        if name == "SEG":
            _SEGMENTATIONS[way](place, one)
        files[name] = dicom_bytes(one)
    if place.rng.random() < 0.2:
        files["SEG"] = mutated(place, files["SEG"])
        way += ", mutated"
    place.write(files)
    return str(way)


@cache
def _sound_seg(orientation: tuple[float, ...]) -> Bytes:
    series = ct_slices("nobody", np.random.default_rng(3), orientation)
    files = {f"IM{n}": dicom_bytes(one) for n, one in enumerate(series)}
    return {**files, "SEG": dicom_bytes(segmentation(series))}


def _contours(one: Dataset) -> list[Dataset]:
    return list(one.ROIContourSequence[0].ContourSequence)


def _drawn(corners: Callable[[Place], list[tuple[float, float]]], kind: str = "CLOSED_PLANAR") -> Callable[..., None]:
    """Returns a fault: every contour gets other corners."""

    def change(place: Place, one: Dataset, series: list[FileDataset]) -> None:
        for item, plane in zip(_contours(one), series[2:6], strict=True):
            drawn = contour(plane, corners(place))
            item.ContourData, item.NumberOfContourPoints = drawn.ContourData, drawn.NumberOfContourPoints
            item.ContourGeometricType = kind

    return change


def _data(values: Callable[[list[float]], Any]) -> Callable[..., None]:
    """Returns a fault: one contour's numbers become others."""

    def change(place: Place, one: Dataset, _: list[FileDataset]) -> None:
        item = place.pick(_contours(one))
        _raw(item, "ContourData", values([float(v) for v in item.ContourData]))

    return change


def _raw(item: Dataset, keyword: str, value: Any) -> None:
    from pydicom import config

    with config.disable_value_validation():
        try:
            item.add_new(keyword, "DS" if isinstance(value, list) else "LO", value)
        except ValueError:
            item.add_new(keyword, "ST", "\\".join(value))


def _tag(keyword: str, value: Any, where: Callable[[Dataset], Dataset] = lambda one: one) -> Callable[..., None]:
    def change(_: Place, one: Dataset, __: list[FileDataset]) -> None:
        item = where(one)
        if value is None:
            if keyword in item:
                delattr(item, keyword)
        else:
            setattr(item, keyword, value)

    return change


def _second(place: Place, one: Dataset, series: list[FileDataset]) -> None:
    """A second contour on every slice: a hole, one beside, one that overlaps, the same again."""
    boxes = {"hole": (6, 9, 5, 8), "beside": (12, 14, 5, 8), "overlap": (8, 14, 6, 12), "same": (4.5, 11.5, 3.5, 10.5)}
    left, right, top, bottom = boxes[place.pick(list(boxes))]
    corners: list[tuple[float, float]] = [(left, top), (right, top), (right, bottom), (left, bottom)]
    sequence = one.ROIContourSequence[0].ContourSequence
    sequence.extend([contour(plane, corners) for plane in series[2:6]])


def _shifted(mm: float) -> Callable[[list[float]], Any]:
    return lambda values: [f"{v + mm * (i % 3 == 2):.4f}" for i, v in enumerate(values)]


def _first_roi(one: Dataset) -> Dataset:
    roi: Dataset = one.StructureSetROISequence[0]
    return roi


def _random_polygon(place: Place) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in place.rng.uniform(1, 14, (3 + int(place.rng.integers(12)), 2))]


def _wrong_series(one: Dataset) -> Dataset:
    frame = one.ReferencedFrameOfReferenceSequence[0]
    series: Dataset = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    return series


def _many(place: Place, one: Dataset, series: list[FileDataset]) -> None:
    angle = np.linspace(0, 2 * np.pi, 20_000)
    corners = [(8 + 4 * np.cos(a), 8 + 4 * np.sin(a)) for a in angle]
    item = place.pick(_contours(one))
    drawn = contour(series[2], corners)
    item.ContourData, item.NumberOfContourPoints = drawn.ContourData, len(corners)


_STRUCTURES: dict[str, Callable[[Place, Dataset, list[FileDataset]], None]] = {
    "open contours": _drawn(lambda _: [(4, 4), (11, 4), (11, 11)], "OPEN_PLANAR"),
    "points": _drawn(lambda _: [(8, 8)], "POINT"),
    "no such type": _drawn(lambda _: [(4, 4), (11, 4), (11, 11)], "SPIRAL"),
    "crossing itself": _drawn(lambda _: [(4.3, 4.3), (11.4, 11.2), (11.4, 4.3), (4.3, 11.2)]),
    "random polygon": _drawn(_random_polygon),
    "closed twice": _drawn(lambda _: [(4, 4), (11, 4), (11, 11), (4, 11), (4, 4)]),
    "two corners": _drawn(lambda _: [(4, 4), (11, 11)]),
    "no area": _drawn(lambda _: [(4, 4), (11, 4), (7, 4), (5, 4)]),
    "thinner than a voxel": _drawn(lambda _: [(4.4, 4), (4.6, 4), (4.6, 11), (4.4, 11)]),
    "through voxel centers": _drawn(lambda _: [(4, 4), (11, 4), (11, 11), (4, 11)]),
    "off the image": _drawn(lambda p: [(x + p.pick((-9, 9, 1e6)), y) for x, y in [(4, 4), (11, 4), (11, 11)]]),
    "beyond one edge": _drawn(lambda _: [(-0.5, -0.5), (15.5, -0.5), (15.5, 15.5), (-0.5, 15.5)]),
    "far above": _data(_shifted(500.0)),
    "between slices": _data(_shifted(1.25)),
    "a little beside": _data(_shifted(0.4)),
    "tilted contour": _data(lambda v: [f"{x + 0.3 * (i // 3) * (i % 3 == 2):.4f}" for i, x in enumerate(v)]),
    "NaN": _data(lambda v: ["nan" if i == 4 else f"{x:.4f}" for i, x in enumerate(v)]),
    "infinite": _data(lambda v: ["inf" if i == 3 else f"{x:.4f}" for i, x in enumerate(v)]),
    "huge": _data(lambda v: ["1e300" if i == 3 else f"{x:.4f}" for i, x in enumerate(v)]),
    "no numbers": _data(lambda _: ["a", "b", "c"] * 4),
    "text": _data(lambda _: "x" * 3000),
    "one number short": _data(lambda v: [f"{x:.4f}" for x in v[:-1]]),
    "no data": _data(lambda _: []),
    "second contour": _second,
    "20,000 corners": _many,
    "number of points wrong": lambda place, one, _: setattr(place.pick(_contours(one)), "NumberOfContourPoints", 999),
    "wrong series referenced": _tag("SeriesInstanceUID", "1.2.3.4", _wrong_series),
    "no series referenced": _tag("SeriesInstanceUID", None, _wrong_series),
    "no reference": _tag("ReferencedFrameOfReferenceSequence", None),
    "another frame of reference": _tag(
        "FrameOfReferenceUID", "1.2.3", lambda one: one.ReferencedFrameOfReferenceSequence[0]
    ),
    "ROI number without contours": _tag("ReferencedROINumber", 7, lambda one: one.ROIContourSequence[0]),
    "no ROI number": _tag("ROINumber", None, _first_roi),
    "no ROI name": _tag("ROIName", None, _first_roi),
    "another ROI name": _tag("ROIName", "Bladder", _first_roi),
    "long bidi ROI name": _tag("ROIName", "GTV\u202e" + "x" * 300, _first_roi),
    "ROI of regular expression": _tag("ROIName", "GTV)(*+[", _first_roi),
    "no ROIs": _tag("StructureSetROISequence", []),
    "no contour sequence": _tag("ROIContourSequence", None),
    "no contours": _tag("ContourSequence", None, lambda one: one.ROIContourSequence[0]),
    "ROIs doubled": lambda _, one, __: one.StructureSetROISequence.append(one.StructureSetROISequence[0]),
    "contours doubled": lambda _, one, __: one.ROIContourSequence.append(one.ROIContourSequence[0]),
    "another patient": _tag("PatientID", "somebody else"),
    "no patient": _tag("PatientID", None),
    "on every second slice": lambda _, one, __: [
        one.ROIContourSequence[0].ContourSequence.pop(i) for i in (3, 1)
    ].clear(),
}


def _group(one: Dataset, place: Place) -> Dataset:
    frame: Dataset = place.pick(list(one.PerFrameFunctionalGroupsSequence))
    return frame


def _drop_frame(place: Place, one: Dataset) -> None:
    """Takes one frame out, with its pixels or without."""
    at = int(place.rng.integers(len(one.PerFrameFunctionalGroupsSequence)))
    groups = list(one.PerFrameFunctionalGroupsSequence)
    del groups[at]
    one.PerFrameFunctionalGroupsSequence = groups
    if place.rng.random() < 0.6:
        n_bytes = 16 * 16 // 8
        one.PixelData = one.PixelData[: at * n_bytes] + one.PixelData[(at + 1) * n_bytes :]
        one.NumberOfFrames = len(groups)


def _position(value: Any) -> Callable[[Place, Dataset], None]:
    def change(place: Place, one: Dataset) -> None:
        _raw(_group(one, place).PlanePositionSequence[0], "ImagePositionPatient", value)

    return change


def _moved_frame(by_mm: float) -> Callable[[Place, Dataset], None]:
    def change(place: Place, one: Dataset) -> None:
        for group in one.PerFrameFunctionalGroupsSequence:
            item = group.PlanePositionSequence[0]
            at = np.asarray(item.ImagePositionPatient, float) + np.array((0.0, 0.0, by_mm))
            item.ImagePositionPatient = [f"{v:.4f}" for v in at]

    return change


def _shared(one: Dataset) -> Dataset:
    shared: Dataset = one.SharedFunctionalGroupsSequence[0]
    return shared


def _seg_tag(keyword: str, value: Any, of: Callable[[Dataset], Dataset] = lambda one: one) -> Callable[..., None]:
    change = _tag(keyword, value, of)
    return lambda place, one: change(place, one, [])


_SEGMENTATIONS: dict[str, Callable[[Place, Dataset], None]] = {
    "nothing": lambda *_: None,
    "frame missing": _drop_frame,
    "frames told wrongly": _seg_tag("NumberOfFrames", 99),
    "no frames told": _seg_tag("NumberOfFrames", None),
    "negative frames": _seg_tag("NumberOfFrames", -4),
    "no pixels": _seg_tag("PixelData", None),
    "pixels cut": lambda _, one: setattr(one, "PixelData", one.PixelData[:34]),
    "no places": _seg_tag("PerFrameFunctionalGroupsSequence", None),
    "no shared groups": _seg_tag("SharedFunctionalGroupsSequence", None),
    "no segments": _seg_tag("SegmentSequence", None),
    "no segment number": _seg_tag("SegmentNumber", None, lambda one: one.SegmentSequence[0]),
    "another segment number": _seg_tag("SegmentNumber", 5, lambda one: one.SegmentSequence[0]),
    "another label": _seg_tag("SegmentLabel", "Bladder", lambda one: one.SegmentSequence[0]),
    "another type": _seg_tag("SegmentationType", "FRACTIONAL"),
    "an unknown type": _seg_tag("SegmentationType", "CLOUD"),
    "label map": _seg_tag("SegmentationType", "LABELMAP"),
    "eight bits told": _seg_tag("BitsAllocated", 8),
    "rows told wrongly": _seg_tag("Rows", 15),
    "columns told huge": _seg_tag("Columns", 65535),
    "position NaN": _position(["nan", "0", "0"]),
    "position infinite": _position(["0", "0", "inf"]),
    "position short": _position(["0", "0"]),
    "position far": _position(["0", "0", "1e9"]),
    "off the image": _moved_frame(500),
    "between slices": _moved_frame(1.25),
    "spacing zero": _seg_tag("PixelSpacing", [0, 0], lambda one: _shared(one).PixelMeasuresSequence[0]),
    "spacing another": _seg_tag("PixelSpacing", [1.5, 1.5], lambda one: _shared(one).PixelMeasuresSequence[0]),
    "spacing missing": _seg_tag("PixelSpacing", None, lambda one: _shared(one).PixelMeasuresSequence[0]),
    "orientation zero": _seg_tag(
        "ImageOrientationPatient", [0] * 6, lambda one: _shared(one).PlaneOrientationSequence[0]
    ),
    "orientation turned": _seg_tag(
        "ImageOrientationPatient", [0, 1, 0, -1, 0, 0], lambda one: _shared(one).PlaneOrientationSequence[0]
    ),
    "wrong series referenced": _seg_tag("SeriesInstanceUID", "1.2.3", lambda one: one.ReferencedSeriesSequence[0]),
    "no series referenced": _seg_tag("ReferencedSeriesSequence", None),
    "another patient": _seg_tag("PatientID", "somebody else"),
}

KINDS: dict[str, Generator] = {"RTSTRUCT": rtstruct, "DICOM-SEG": seg}
