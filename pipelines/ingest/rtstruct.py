"""Turns the contours of an RTSTRUCT into masks on the image's grid."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from pipelines.images.grid import Grid
from pipelines.ingest.contours import filled
from pipelines.ingest.dicom_values import quiet, read_whole, readable
from pipelines.ingest.problems import (
    ContourDamagedError,
    ContourOffImageError,
    ContourPlaneError,
    EmptyMaskError,
    UnreadableError,
)
from pipelines.ingest.regions import Region, chosen

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")

_FLAT_SLICES = 0.25
"""Points of one contour may differ by this share of a slice distance: rounding of oblique planes, no other plane."""

_ONE_PLANE_SLICES = 0.1
"""Contours matched to one slice may differ by this share of a slice distance; beyond it they were drawn on two."""

_SHIFT_NOTED_SLICES = 0.1
"""From here on a person is told that contours lie beside their slices."""

_DECIMALS = 6
"""Corners are rounded to a millionth of a voxel, so that a line drawn through voxel centers stays on them."""

_OUTSIDE_VOXELS = 1.0
"""A contour may pass the outermost voxel centers by this much: tools draw on the outer edges of the image."""


@dataclass(frozen=True, kw_only=True)
class _Contour:
    """One closed contour: its slice, its distance from it in slices, its corners (n, 2) as column and row."""

    slice: int
    offset: float
    corners: NDArray[np.float64]


def read_rtstruct(
    path: Path, image: sitk.Image, roi_pattern: str, roi_number: int | None = None, notes: list[str] | None = None
) -> dict[str, sitk.Image]:
    """Returns a mask (uint8, 1 inside) on the image's grid for each ROI that the rules name.

    A contour belongs to the slice nearest to it along the normal; `contours.filled` says which voxels are inside.

    Args:
        path: The structure set.
        image: The image it was drawn on.
        roi_pattern: A regular expression searched in ROI names; not asked when `roi_number` is given.
        roi_number: The ROINumber.
        notes: Takes what a person should know.

    Raises:
        RoiNotFoundError: No ROI matches; the message lists those there are.
        EmptyMaskError: The ROIs that match have no closed contour, or none holds a voxel center.
        ContourDamagedError: A contour has no usable corners, or one number stands for several ROIs.
        ContourPlaneError: Contours do not lie on the image's slices.
        ContourOffImageError: Contours leave the image.
        TruncatedFileError: The file is cut off.
        UnreadableError: The file is no structure set.
    """
    notes = [] if notes is None else notes
    with readable("the structure set"):
        rois, contours = _contents(path)
    wanted = chosen(rois, roi_pattern, roi_number, "ROI")
    masks, grid = {}, Grid.of(image)
    for number, name in wanted.items():
        mask = _mask(name, contours.get(number, []), grid, notes)
        if mask is not None:
            mask.CopyInformation(image)
            masks[name] = mask
    if not masks:
        raise EmptyMaskError(f"no voxel center lies inside {_listed(list(wanted.values()))}")
    return masks


def _contents(path: Path) -> tuple[list[Region], dict[int, list[Dataset]]]:
    dataset = read_whole(path, "structure set")
    for keyword in ("StructureSetROISequence", "ROIContourSequence"):
        if keyword not in dataset:
            raise UnreadableError(f"the structure set has no {keyword}: it is cut off, or holds no ROI")
    _check_single([item.get("ROINumber") for item in dataset.StructureSetROISequence])
    _check_single([item.get("ReferencedROINumber") for item in dataset.ROIContourSequence])
    with quiet():
        try:
            rois = [(int(i.ROINumber), str(i.get("ROIName") or "").strip()) for i in dataset.StructureSetROISequence]
            contours = {
                int(item.ReferencedROINumber): list(item.get("ContourSequence") or ())
                for item in dataset.ROIContourSequence
            }
        except (AttributeError, TypeError, ValueError) as error:
            raise UnreadableError(
                f"an ROI of the structure set has no usable number ({type(error).__name__})"
            ) from error
    return rois, contours


def _check_single(numbers: list[object]) -> None:
    twice = sorted({str(number) for number in numbers if numbers.count(number) > 1})
    if twice:
        raise ContourDamagedError(f"ROI number {', '.join(twice)} stands for several ROIs")


def _mask(name: str, items: list[Dataset], grid: Grid, notes: list[str]) -> sitk.Image | None:
    if any(item.get("ContourGeometricType") is None or not item.get("ContourData") for item in items):
        raise ContourDamagedError(f"a contour of ROI {name!r} has no type or no corners")
    closed = [item for item in items if str(item.get("ContourGeometricType")).strip() in _CLOSED]
    if len(closed) < len(items):
        notes.append(f"ROI {name!r}: {len(items) - len(closed)} points or open lines left out")
    contours = [found for item in closed if (found := _contour(name, item, grid)) is not None]
    _check_planes(name, contours, notes)
    columns, rows, n_slices = grid.size
    voxels = np.zeros((n_slices, rows, columns), dtype=np.uint8)
    for index in sorted({contour.slice for contour in contours}):
        voxels[index] = filled([c.corners for c in contours if c.slice == index], (rows, columns))
    if not voxels.any():
        notes.append(f"ROI {name!r} holds no voxel center")
        return None
    return sitk.GetImageFromArray(voxels)


def _contour(name: str, item: Dataset, grid: Grid) -> _Contour | None:
    with readable(f"a contour of ROI {name!r}"):
        data = item.get("ContourData") or ()
        if isinstance(data, bytes):  # of more than 64 KiB, which explicit VR holds as of unknown type
            data = data.decode("ascii").split("\\")
        points = np.asarray(data, dtype=np.float64)
        told = int(item.get("NumberOfContourPoints") or points.size // 3)
    if points.size % 3 or not np.isfinite(points).all():
        raise ContourDamagedError(f"a contour of ROI {name!r} has {points.size} coordinates that are no points")
    if told != points.size // 3:
        raise ContourDamagedError(f"a contour of ROI {name!r} tells {told} points and has {points.size // 3}")
    if points.size < 9:
        return None
    offsets = points.reshape(-1, 3) - np.asarray(grid.origin_mm)
    indices = offsets @ np.linalg.inv(grid.matrix()).T / np.asarray(grid.spacing_mm)
    depth = float(np.median(indices[:, 2]))
    spread = float(np.ptp(indices[:, 2]))
    if spread > _FLAT_SLICES:
        raise ContourPlaneError(f"a contour of ROI {name!r} crosses {spread:.2g} slices: it was drawn on another plane")
    _check_inside(name, indices, depth, grid)
    nearest = min(max(round(depth), 0), grid.size[2] - 1)
    return _Contour(slice=nearest, offset=depth - nearest, corners=np.round(indices[:, :2], _DECIMALS))


def _check_inside(name: str, indices: NDArray[np.float64], depth: float, grid: Grid) -> None:
    columns, rows, n_slices = grid.size
    beyond = max(-depth, depth - (n_slices - 1))
    if beyond > 0.5 + 1e-6:
        raise ContourOffImageError(
            f"a contour of ROI {name!r} lies {beyond * grid.spacing_mm[2]:.4g} mm beyond the last slice"
        )
    outside = np.maximum(-indices[:, :2], indices[:, :2] - (columns - 1, rows - 1)).max(axis=0)
    if outside.max() > _OUTSIDE_VOXELS:
        axis = int(outside.argmax())
        raise ContourOffImageError(
            f"a contour of ROI {name!r} reaches {outside[axis] * grid.spacing_mm[axis]:.4g} mm beyond the image"
        )


def _check_planes(name: str, contours: list[_Contour], notes: list[str]) -> None:
    slices = sorted({contour.slice for contour in contours})
    for index in slices:
        offsets = [contour.offset for contour in contours if contour.slice == index]
        if max(offsets) - min(offsets) > _ONE_PLANE_SLICES:
            raise ContourPlaneError(
                f"contours of ROI {name!r} on {len(offsets)} planes fall on slice {index + 1}: "
                "they were drawn on thinner slices than the image has"
            )
    steps = np.diff(slices)
    if len(steps) > 1 and steps.min() > 1 and (steps == steps[0]).all():
        raise ContourPlaneError(f"contours of ROI {name!r} lie on every {_ordinal(int(steps[0]))} slice only")
    if steps.size and steps.max() > 1:
        notes.append(f"ROI {name!r}: {int((steps - 1).sum())} slices between contours have none and stay empty")
    shift = max((abs(contour.offset) for contour in contours), default=0.0)
    if shift > _SHIFT_NOTED_SLICES:
        notes.append(f"ROI {name!r}: contours lie up to {shift:.2g} slice distances beside their slices")


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)
