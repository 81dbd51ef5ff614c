"""What other readers make of an outline: nibabel, pynrrd, highdicom, and dicomsdl with matplotlib's polygons.

dicomsdl parses DICOM in C++ and shares no line with pydicom; matplotlib decides by its own rule whether a point lies in
a polygon. Only voxels whose center lies within `ON_EDGE` voxels of an edge may differ: on which side of its own line a
point lies is everybody's own convention.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs.fuzz_readers import NoOtherReaderError, Seen, seen_volume

ON_EDGE = 2e-6
"""In voxels. Corners are rounded to a millionth."""

SAME_PLACE = 0.06
"""In voxels: how far a frame's pixel may lie from the voxel that it stands for."""

THRESHOLD = 0.5
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class OtherOutline:
    """A region on the image's grid as one reader sees it, (z, y, x), and the voxels that it leaves open."""

    inside: Flags
    undecided: Flags
    reader: str


def outline_seen(path: Path, image: Seen, pattern: str = "(?i)gtv", label: int = 1) -> OtherOutline:
    """Returns the outline in a file as an independent reader sees it.

    Raises:
        NoOtherReaderError: None takes it.
    """
    if path.name.endswith((".nii", ".nii.gz", ".nrrd")):
        seen = seen_volume(path)
        inside = np.asarray(seen.voxels == label)
        return OtherOutline(inside=inside, undecided=np.zeros_like(inside), reader=seen.reader)
    try:
        return _dicom(path, image, pattern)
    except NoOtherReaderError:
        raise
    except Exception as error:
        raise NoOtherReaderError(f"{type(error).__name__}: {error}") from error


def outline_differences(other: OtherOutline, mask: Flags) -> list[str]:
    """Returns in what another reader's outline differs from a mask on the same grid."""
    if other.inside.shape != mask.shape:
        return [f"mask of shape {mask.shape}, others see {other.inside.shape}"]
    off = int(((other.inside ^ mask) & ~other.undecided).sum())
    return [f"{off} voxels of the mask differ from what {other.reader} sees"] if off else []


def _dicom(path: Path, image: Seen, pattern: str) -> OtherOutline:
    import dicomsdl

    try:
        one = dicomsdl.open_file(str(path))
    except Exception:
        return _by_highdicom_alone(path, image, pattern)
    if one.StructureSetROISequence is not None:
        return _polygons(one, image, pattern)
    plain = _frames(one, image, pattern)
    modern = _highdicom(path, image, pattern)
    if modern is not None and (modern ^ plain).any():
        raise NoOtherReaderError("highdicom and dicomsdl see different segments")
    reader = "dicomsdl" if modern is None else "highdicom and dicomsdl"
    return OtherOutline(inside=plain, undecided=np.zeros_like(plain), reader=reader)


def _by_highdicom_alone(path: Path, image: Seen, pattern: str) -> OtherOutline:
    inside = _highdicom(path, image, pattern)
    if inside is None:
        raise NoOtherReaderError("neither dicomsdl nor highdicom takes it")
    return OtherOutline(inside=inside, undecided=np.zeros_like(inside), reader="highdicom")


def _polygons(one: Any, image: Seen, pattern: str) -> OtherOutline:
    numbers = [roi.ROINumber for roi in _items(one, "StructureSetROISequence") if re.search(pattern, roi.ROIName or "")]
    inside = np.zeros(image.voxels.shape, np.bool_)
    undecided = np.zeros_like(inside)
    for roi in _items(one, "ROIContourSequence"):
        if roi.ReferencedROINumber not in numbers:
            continue
        own = np.zeros_like(inside)
        for contour in _items(roi, "ContourSequence"):
            if str(contour.ContourGeometricType).strip() in _CLOSED:
                _fill(_corners(contour), image, own, undecided)
        inside |= own
    return OtherOutline(inside=inside, undecided=undecided, reader="dicomsdl and matplotlib")


def _corners(contour: Any) -> NDArray[np.float64]:
    """Returns corners, (n, 3); more than 64 KiB of them stand there as of unknown type."""
    data = contour.ContourData or ()
    numbers = data.decode("ascii").strip("\0 ").split("\\") if isinstance(data, bytes) else data
    return np.asarray(numbers, float).reshape(-1, 3)


def _fill(points: NDArray[np.float64], image: Seen, inside: Flags, undecided: Flags) -> None:
    """Turns over what a contour encloses: contours of one slice are joined by exclusive or."""
    from matplotlib.path import Path as Polygon

    if len(points) < 3:
        return
    corners = _indices(points, image)
    plane = min(max(round(float(np.median(corners[:, 2]))), 0), len(inside) - 1)
    rows, columns = inside.shape[1:]
    y, x = np.mgrid[:rows, :columns]
    centers = np.column_stack([x.ravel(), y.ravel()]).astype(float)
    closed = np.vstack([corners[:, :2], corners[:1, :2]])
    inside[plane] ^= Polygon(closed).contains_points(centers).reshape(rows, columns)
    undecided[plane] |= _near(centers, closed).reshape(rows, columns)


def _near(centers: NDArray[np.float64], closed: NDArray[np.float64]) -> Flags:
    """Returns which points lie on a closed line."""
    found = np.zeros(len(centers), np.bool_)
    for start, end in pairwise(closed):
        along = end - start
        length = float(along @ along)
        share = np.clip((centers - start) @ along / length, 0, 1) if length else np.zeros(len(centers))
        found |= np.hypot(*(centers - start - share[:, None] * along).T) <= ON_EDGE
    return found


def _frames(one: Any, image: Seen, pattern: str) -> Flags:
    """Places every frame by the position of its pixels."""
    segments = {s.SegmentNumber for s in _items(one, "SegmentSequence") if re.search(pattern, s.SegmentLabel or "")}
    groups = list(_items(one, "PerFrameFunctionalGroupsSequence"))
    shared = next(iter(_items(one, "SharedFunctionalGroupsSequence")), None)
    stored = _stored(one, len(groups))
    inside = np.zeros(image.voxels.shape, np.bool_)
    for group, pixels in zip(groups, stored, strict=True):
        chosen = _chosen(one, _of("SegmentIdentificationSequence", group, shared), pixels, segments)
        rows, columns = np.nonzero(chosen)
        if not len(rows):
            continue
        axes = np.reshape(_of("PlaneOrientationSequence", group, shared).ImageOrientationPatient, (2, 3))
        spacing = _of("PixelMeasuresSequence", group, shared).PixelSpacing
        first = np.asarray(_of("PlanePositionSequence", group, shared).ImagePositionPatient)
        _set(inside, first + columns[:, None] * axes[0] * spacing[1] + rows[:, None] * axes[1] * spacing[0], image)
    return inside


def _chosen(one: Any, of: Any, pixels: NDArray[Any], segments: set[int]) -> Flags:
    kind = str(one.SegmentationType or "BINARY").strip()
    if kind == "LABELMAP":
        return np.isin(pixels, list(segments))
    if of is None or of.ReferencedSegmentNumber not in segments:
        return np.zeros(pixels.shape, np.bool_)
    most = float(one.MaximumFractionalValue or 255)
    return np.asarray(pixels >= THRESHOLD * most if kind == "FRACTIONAL" else pixels > 0)


def _stored(one: Any, n_frames: int) -> NDArray[Any]:
    """Returns the frames' pixels, (frame, row, column); those of one bit follow each other without a gap."""
    shape = (n_frames, one.Rows, one.Columns)
    if one.BitsAllocated != 1:
        return np.stack([one.pixelData(frame, storedvalue=True) for frame in range(n_frames)])
    data = np.frombuffer(one.getDataElement("PixelData").toBytes(), np.uint8)
    return np.unpackbits(data, bitorder="little")[: int(np.prod(shape))].reshape(shape)


def _highdicom(path: Path, image: Seen, pattern: str) -> Flags | None:
    """Returns the segments as highdicom places them; none where it takes the file for none of its own."""
    import highdicom as hd

    try:
        one = hd.seg.segread(str(path))
        wanted = [n for n in one.segment_numbers if re.search(pattern, one.get_segment_description(n).segment_label)]
        volume = one.get_volume(segment_numbers=wanted, allow_missing_positions=True, rescale_fractional=True)
    except Exception:
        return None
    limit = THRESHOLD if str(one.SegmentationType) == "FRACTIONAL" else 0.5
    found = np.argwhere((np.asarray(volume.array) >= limit).any(axis=-1))
    inside = np.zeros(image.voxels.shape, np.bool_)
    _set(inside, found @ volume.affine[:3, :3].T + volume.affine[:3, 3], image)
    return inside


def _set(inside: Flags, points: NDArray[np.float64], image: Seen) -> None:
    """Sets the voxels at points in space."""
    exact = _indices(points, image)
    at = np.rint(exact).astype(int)
    if len(at) and np.abs(exact - at).max() > SAME_PLACE:
        raise NoOtherReaderError("pixels of the segmentation lie between the voxels")
    inside[at[:, 2], at[:, 1], at[:, 0]] = True


def _indices(points: NDArray[np.float64], image: Seen) -> NDArray[np.float64]:
    if image.origin_mm is None or image.axes is None:
        raise NoOtherReaderError("the image lies nowhere")
    return np.asarray((points - image.origin_mm) @ np.linalg.inv(image.axes).T / image.spacing_mm)


def _of(name: str, group: Any, shared: Any) -> Any:
    for place in (group, shared):
        found = next(iter(_items(place, name)), None) if place is not None else None
        if found is not None:
            return found
    return None


def _items(one: Any, name: str) -> Iterator[Any]:
    found = getattr(one, name)
    return iter([found[n] for n in range(len(found))] if found is not None else [])
