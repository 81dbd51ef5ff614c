"""What protects masks drawn as contours: real structure sets against NIfTI masks, and drawn shapes of known area."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Polygon
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from pipelines.ingest.contours import filled
from pipelines.ingest.dicom_series import read_header, read_series
from pipelines.ingest.problems import (
    ContourOffImageError,
    ContourPlaneError,
    EmptyMaskError,
    RoiNotFoundError,
    TruncatedFileError,
    UnreadableError,
)
from pipelines.ingest.rtstruct import read_rtstruct

Corners = list[tuple[float, float]]
ROTATION = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])


def image_of(size: tuple[int, int, int] = (20, 16, 6), rotation: np.ndarray[Any, Any] | None = None) -> sitk.Image:
    image = sitk.Image(size, sitk.sitkInt16)
    image.SetSpacing((0.8, 1.5, 2.5))
    image.SetOrigin((-30.0, 12.0, -100.0))
    if rotation is not None:
        image.SetDirection(rotation.ravel().tolist())
    return image


def square(column: float, row: float, side: float) -> Corners:
    return [(column, row), (column + side, row), (column + side, row + side), (column, row + side)]


def contour(image: sitk.Image, slice_index: float, corners: Corners, kind: str = "CLOSED_PLANAR") -> Dataset:
    points = [image.TransformContinuousIndexToPhysicalPoint((x, y, slice_index)) for x, y in corners]
    item = Dataset()
    item.ContourGeometricType = kind
    item.NumberOfContourPoints = len(points)
    item.ContourData = [f"{value:.6f}" for point in points for value in point]
    return item


def structure_set(path: Path, rois: dict[tuple[int, str], list[Dataset]]) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = RTStructureSetStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["rtstruct"])
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTStructureSetStorage, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID, dataset.Modality = generate_uid(entropy_srcs=["rs"]), "RTSTRUCT"
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for (number, name), contours in rois.items():
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = number, name
        drawn.ReferencedROINumber, drawn.ContourSequence = number, contours
        dataset.StructureSetROISequence.append(roi)
        dataset.ROIContourSequence.append(drawn)
    dataset.save_as(path, enforce_file_format=True)
    return path


def voxels(mask: sitk.Image) -> set[tuple[int, int, int]]:
    """The voxels inside, as (column, row, slice)."""
    z, y, x = np.nonzero(sitk.GetArrayFromImage(mask))
    return set(zip(x.tolist(), y.tolist(), z.tolist(), strict=True))


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "structures", "name"),
    [
        ("sts_original/STS_002/CT", "RS.dcm", "GTV_Mass_CT"),
        ("sts_original/STS_002/PET", "RS.dcm", "GTV_Mass_PET"),
        ("sts_original/STS_002/MR_T1", "RS.dcm", "GTV_Mass_MR_T1"),
        ("ibsi1/ct_phantom_NONCOMMERCIAL", "DCM_RS_00060.dcm", "GTV-1"),
    ],
)
def test_every_voxel_of_a_real_structure_set_equals_its_nifti_mask(
    test_data: Path, folder: str, structures: str, name: str
) -> None:
    root = test_data / folder
    headers = [read_header(path) for path in sorted((root / "dicom" / "image").iterdir())]
    image, _ = read_series([header for header in headers if header is not None])
    masks = read_rtstruct(root / "dicom" / "mask" / structures, image, "GTV")
    nifti = sitk.GetArrayFromImage(sitk.ReadImage(str(root / "nifti" / "mask.nii.gz"))) > 0
    assert list(masks) == [name]
    assert int((sitk.GetArrayFromImage(masks[name]).astype(bool) != nifti).sum()) == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-2, 14), st.floats(-2, 12)), min_size=3, max_size=12))
def test_a_voxel_is_inside_when_its_center_is(corners: Corners) -> None:
    """Against matplotlib's point-in-polygon by even-odd, for voxels that do not lie on the line itself."""
    inside = filled([np.array(corners)], (10, 12))
    centers = np.stack(np.meshgrid(np.arange(12), np.arange(10)), axis=-1).reshape(-1, 2).astype(float)
    odd = even_odd(centers, corners)
    near = distance_to_line(centers, corners) < 1e-6
    assert (inside.ravel() == odd)[~near].all()


def even_odd(centers: np.ndarray[Any, Any], corners: Corners) -> np.ndarray[Any, Any]:
    """Counts, for each center, the triangles of a fan that contain it: an odd number is inside."""
    count = np.zeros(len(centers), dtype=int)
    for second, third in pairwise(corners[1:]):
        count += Polygon([corners[0], second, third]).contains_points(centers)
    return count % 2 == 1


def distance_to_line(centers: np.ndarray[Any, Any], corners: Corners) -> np.ndarray[Any, Any]:
    """The distance of each center to the nearest line of the fan."""
    ends = [(corners[0], corner) for corner in corners[1:]]
    ends += list(zip(corners, [*corners[1:], corners[0]], strict=True))
    distances = []
    for start, end in ends:
        line = np.subtract(end, start)
        length = float(line @ line) or 1.0
        share = np.clip((centers - start) @ line / length, 0, 1)
        distances.append(np.linalg.norm(centers - start - share[:, None] * line, axis=1))
    return np.min(distances, axis=0)


@pytest.mark.parametrize("rotation", [None, ROTATION])
def test_hole_island_and_second_part_in_one_slice(tmp_path: Path, rotation: np.ndarray[Any, Any] | None) -> None:
    image = image_of(rotation=rotation)
    shapes = [square(1.5, 1.5, 9), square(3.5, 3.5, 5), square(5.5, 5.5, 1), square(14.5, 10.5, 2)]
    path = structure_set(tmp_path / "rs.dcm", {(1, "tumor"): [contour(image, 2, shape) for shape in shapes]})
    (mask,) = read_rtstruct(path, image, "tumor").values()
    assert len(voxels(mask)) == 81 - 25 + 1 + 4
    assert (6, 6, 2) in voxels(mask)
    assert (5, 5, 2) not in voxels(mask)
    assert {z for _, _, z in voxels(mask)} == {2}
    assert mask.GetDirection() == image.GetDirection()


def test_keyhole_outline_makes_a_hole(tmp_path: Path) -> None:
    image = image_of()
    outer, inner = square(1.5, 1.5, 9), square(3.5, 3.5, 5)
    keyhole = [*outer, outer[0], *inner, inner[0]]
    path = structure_set(tmp_path / "rs.dcm", {(1, "tumor"): [contour(image, 1, keyhole)]})
    (mask,) = read_rtstruct(path, image, "tumor").values()
    assert len(voxels(mask)) == 81 - 25


def test_regions_that_share_a_border_share_no_voxel(tmp_path: Path) -> None:
    image = image_of()
    rois = {(1, "left"): [contour(image, 1, square(2, 2, 4))], (2, "right"): [contour(image, 1, square(6, 2, 4))]}
    masks = read_rtstruct(structure_set(tmp_path / "rs.dcm", rois), image, ".*")
    assert not voxels(masks["left"]) & voxels(masks["right"])
    assert len(voxels(masks["left"])) == len(voxels(masks["right"])) == 16


def test_roi_by_name_by_number_and_by_doubled_name(tmp_path: Path) -> None:
    image = image_of()
    rois = {
        (4, "GTV"): [contour(image, 1, square(2.5, 2.5, 2))],
        (7, "GTV"): [contour(image, 2, square(2.5, 2.5, 3))],
        (9, "Body"): [contour(image, 2, square(0.5, 0.5, 9))],
    }
    path = structure_set(tmp_path / "rs.dcm", rois)
    assert list(read_rtstruct(path, image, "(?i)gtv")) == ["GTV (4)", "GTV (7)"]
    assert {n: len(voxels(m)) for n, m in read_rtstruct(path, image, "unasked", 7).items()} == {"GTV (7)": 9}
    with pytest.raises(RoiNotFoundError, match="ROIs found: 4 'GTV', 7 'GTV', 9 'Body'; expected: number 5"):
        read_rtstruct(path, image, "GTV", 5)
    with pytest.raises(RoiNotFoundError, match="expected: a name that matches 'tumor'"):
        read_rtstruct(path, image, "tumor")


def test_contour_beside_its_slice_is_taken_to_the_nearest_and_noted(tmp_path: Path) -> None:
    image, notes = image_of(), list[str]()
    path = structure_set(tmp_path / "rs.dcm", {(1, "tumor"): [contour(image, 3.4, square(2.5, 2.5, 3))]})
    (mask,) = read_rtstruct(path, image, "tumor", notes=notes).values()
    assert {z for _, _, z in voxels(mask)} == {3}
    assert notes == ["ROI 'tumor': contours lie up to 0.4 slice distances beside their slices"]


@pytest.mark.parametrize("depth", [-0.6, 5.6, 12])
def test_contour_beyond_half_a_slice_of_the_stack_is_refused(tmp_path: Path, depth: float) -> None:
    image = image_of()
    path = structure_set(tmp_path / "rs.dcm", {(1, "tumor"): [contour(image, depth, square(2.5, 2.5, 3))]})
    with pytest.raises(ContourOffImageError, match=r"'tumor' lies .* mm beyond the last slice"):
        read_rtstruct(path, image, "tumor")


def test_contour_beyond_the_image_in_its_plane_is_refused(tmp_path: Path) -> None:
    image = image_of()
    path = structure_set(tmp_path / "rs.dcm", {(1, "tumor"): [contour(image, 1, square(15.5, 2.5, 8))]})
    with pytest.raises(ContourOffImageError, match=r"reaches 3\.6 mm beyond the image"):
        read_rtstruct(path, image, "tumor")


def test_contours_of_thinner_slices_are_refused(tmp_path: Path) -> None:
    """Joined by exclusive or they would erase each other."""
    image = image_of()
    drawn = [contour(image, depth / 2.5, square(2.5, 2.5, 4)) for depth in range(6)]
    with pytest.raises(ContourPlaneError, match="drawn on thinner slices"):
        read_rtstruct(structure_set(tmp_path / "rs.dcm", {(1, "tumor"): drawn}), image, "tumor")


def test_contours_on_every_second_slice_are_refused_and_a_single_gap_is_noted(tmp_path: Path) -> None:
    image, notes = image_of(), list[str]()
    sparse = [contour(image, depth, square(2.5, 2.5, 4)) for depth in (0, 2, 4)]
    with pytest.raises(ContourPlaneError, match="every second slice only"):
        read_rtstruct(structure_set(tmp_path / "a.dcm", {(1, "tumor"): sparse}), image, "tumor")
    gap = [contour(image, depth, square(2.5, 2.5, 4)) for depth in (0, 1, 3, 4)]
    (mask,) = read_rtstruct(
        structure_set(tmp_path / "b.dcm", {(1, "tumor"): gap}), image, "tumor", notes=notes
    ).values()
    assert {z for _, _, z in voxels(mask)} == {0, 1, 3, 4}
    assert notes == ["ROI 'tumor': 1 slices between contours have none and stay empty"]


def test_contour_across_slices_is_refused(tmp_path: Path) -> None:
    image = image_of()
    item = contour(image, 1, square(2.5, 2.5, 4))
    item.ContourData[2] = item.ContourData[2] + 5
    with pytest.raises(ContourPlaneError, match="crosses 2 slices"):
        read_rtstruct(structure_set(tmp_path / "rs.dcm", {(1, "tumor"): [item]}), image, "tumor")


def test_points_and_outlines_between_centers_are_an_empty_mask(tmp_path: Path) -> None:
    image, notes = image_of(), list[str]()
    drawn = [contour(image, 1, [(2, 2)], "POINT"), contour(image, 1, square(2.2, 2.2, 0.5))]
    path = structure_set(tmp_path / "rs.dcm", {(1, "tumor"): drawn})
    with pytest.raises(EmptyMaskError, match="no voxel center lies inside 'tumor'"):
        read_rtstruct(path, image, "tumor", notes=notes)
    assert notes[0] == "ROI 'tumor': 1 points or open lines left out"


def test_structure_set_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    """A structure set without its last contours would be a smaller tumor."""
    image = image_of()
    drawn = [contour(image, depth, square(2.5, 2.5, 4)) for depth in range(5)]
    path = structure_set(tmp_path / "rs.dcm", {(1, "tumor"): drawn})
    whole = path.read_bytes()
    for length in range(132, len(whole), 23):
        path.write_bytes(whole[:length])
        with pytest.raises((TruncatedFileError, UnreadableError)):
            read_rtstruct(path, image, "tumor")
