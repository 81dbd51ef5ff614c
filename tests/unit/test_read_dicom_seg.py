"""What protects masks from DICOM-SEG: a real fractional file, and segmentations written by highdicom."""

from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless, generate_uid

from featurestore.errors import CaseError
from pipelines.ingest.dicom_seg import read_dicom_seg
from pipelines.ingest.dicom_series import read_header, read_series
from pipelines.ingest.problems import EmptyMaskError, GridMismatchError, RoiNotFoundError, UnreadableError

SHAPE = (6, 7, 9)  # slices, rows, columns
SPACING = (0.8, 1.5, 2.5)
ORIGIN = (-30.0, 12.0, -100.0)


def source_slices(thickness_mm: float = SPACING[2]) -> list[FileDataset]:
    """The CT series that segmentations are made on, first slice last."""
    return [source_slice(index, thickness_mm) for index in range(SHAPE[0])][::-1]


def source_slice(index: int, thickness_mm: float) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["slice", str(index)])
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(dataset, keyword, generate_uid(entropy_srcs=[keyword]))
    dataset.Modality, dataset.PatientID, dataset.PatientName = "CT", "P1", "A^B"
    for keyword in ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime"):
        setattr(dataset, keyword, "")
    dataset.InstanceNumber, dataset.SliceThickness = index + 1, thickness_mm
    dataset.ImagePositionPatient = [*ORIGIN[:2], ORIGIN[2] + thickness_mm * index]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [SPACING[1], SPACING[0]]
    _, dataset.Rows, dataset.Columns = SHAPE
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = np.full(SHAPE[1:], index, dtype="<u2").tobytes()
    return dataset


def segment(number: int, label: str) -> hd.seg.SegmentDescription:
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.Tissue,
        segmented_property_type=codes.SCT.Kidney,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )


def segmentation(
    path: Path, pixels: np.ndarray[Any, Any], labels: list[str], kind: str = "BINARY", **options: Any
) -> Path:
    """Writes a segmentation; `pixels` stand in the order of the source slices."""
    if kind == "FRACTIONAL":
        options["fractional_type"] = "OCCUPANCY"
    hd.seg.Segmentation(
        source_images=options.pop("source", None) or source_slices(),
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=[segment(number, label) for number, label in enumerate(labels, start=1)],
        series_instance_uid=generate_uid(entropy_srcs=["seg"]),
        series_number=2,
        sop_instance_uid=generate_uid(entropy_srcs=["seg", "1"]),
        instance_number=1,
        manufacturer="ACME",
        manufacturer_model_name="One",
        software_versions="1",
        device_serial_number="1",
        **options,
    ).save_as(path)
    return path


def image() -> sitk.Image:
    volume = sitk.Image(SHAPE[::-1], sitk.sitkInt16)
    volume.SetSpacing(SPACING)
    volume.SetOrigin(ORIGIN)
    return volume


def blob() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A region without symmetry on slices 1, 2 and 4, indexed (z, y, x)."""
    voxels = np.zeros(SHAPE, dtype=np.uint8)
    voxels[1, 2:5, 3:8] = voxels[2, 1:3, 0:4] = voxels[4, 6, 8] = 1
    return voxels


@pytest.mark.data
def test_real_fractional_segmentation_is_read(test_data: Path) -> None:
    """The volume equals the file's own sum, and the box its private tag names (columns 40–147, rows 72–195, 9–50)."""
    folder = test_data / "dicom_seg" / "UCSF-BR-06"
    headers = [read_header(path) for path in sorted((folder / "image").iterdir())]
    picture, _ = read_series([header for header in headers if header is not None])
    masks = read_dicom_seg(folder / "seg.dcm", picture, "(?i)breast")
    mask = masks["Breast"]
    assert (mask.GetSize(), mask.GetOrigin(), mask.GetDirection()) == (
        picture.GetSize(),
        picture.GetOrigin(),
        picture.GetDirection(),
    )
    voxels = sitk.GetArrayFromImage(mask)
    assert int(voxels.sum()) == 82527
    low, high = np.array([(axis.min(), axis.max()) for axis in np.nonzero(voxels)]).T
    assert (low >= [9, 72, 40]).all()
    assert (high <= [50, 195, 147]).all()


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL"])
@pytest.mark.parametrize("omit", [True, False])
def test_frames_are_placed_by_position_and_missing_ones_are_empty(tmp_path: Path, kind: str, omit: bool) -> None:
    path = segmentation(tmp_path / "seg.dcm", blob()[::-1], ["tumor"], kind, omit_empty_frames=omit)
    (mask,) = read_dicom_seg(path, image(), "tumor").values()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), blob())
    assert mask.GetPixelID() == sitk.sitkUInt8


def test_compressed_segmentation_equals_the_plain_one(tmp_path: Path) -> None:
    path = segmentation(tmp_path / "seg.dcm", blob()[::-1], ["tumor"], "FRACTIONAL", transfer_syntax_uid=RLELossless)
    (mask,) = read_dicom_seg(path, image(), "tumor").values()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), blob())


def test_occupancy_from_the_threshold_on_is_inside(tmp_path: Path) -> None:
    occupancy = blob().astype(np.float64) * np.linspace(0.1, 1.0, SHAPE[2])
    path = segmentation(tmp_path / "seg.dcm", occupancy[::-1], ["tumor"], "FRACTIONAL", max_fractional_value=200)
    for threshold in (0.2, 0.5, 0.9):
        (mask,) = read_dicom_seg(path, image(), "tumor", threshold=threshold).values()
        expected = np.rint(occupancy * 200) >= threshold * 200
        np.testing.assert_array_equal(sitk.GetArrayFromImage(mask) > 0, expected)


def test_segments_by_label_by_number_and_overlapping(tmp_path: Path) -> None:
    other = np.roll(blob(), 1, axis=2)
    path = segmentation(tmp_path / "seg.dcm", np.stack([blob(), other], axis=-1)[::-1], ["tumor", "kidney"])
    masks = read_dicom_seg(path, image(), ".*")
    assert list(masks) == ["tumor", "kidney"]
    np.testing.assert_array_equal(sitk.GetArrayFromImage(masks["kidney"]), other)
    (mask,) = read_dicom_seg(path, image(), "unasked", 1).values()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), blob())
    with pytest.raises(RoiNotFoundError, match="segments found: 1 'tumor', 2 'kidney'; expected: a name that matches"):
        read_dicom_seg(path, image(), "bladder")


def test_empty_segment_is_an_empty_mask(tmp_path: Path) -> None:
    path = segmentation(
        tmp_path / "seg.dcm", np.stack([blob(), 0 * blob()], axis=-1), ["tumor", "none"], omit_empty_frames=False
    )
    with pytest.raises(EmptyMaskError, match="no voxel lies inside 'none'"):
        read_dicom_seg(path, image(), "none")


def test_same_voxels_in_another_axis_order_come_onto_the_image_grid(tmp_path: Path) -> None:
    """The image with its slices and rows stored the other way round, as other software may write it."""
    path = segmentation(tmp_path / "seg.dcm", blob()[::-1], ["tumor"])
    turned = sitk.Flip(image(), [False, True, True])
    (mask,) = read_dicom_seg(path, turned, "tumor").values()
    assert (mask.GetOrigin(), mask.GetDirection()) == (turned.GetOrigin(), turned.GetDirection())
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), blob()[::-1, ::-1])


def test_part_of_the_image_outside_the_segmented_volume_stays_empty(tmp_path: Path) -> None:
    path = segmentation(tmp_path / "seg.dcm", blob()[::-1], ["tumor"])
    wide = sitk.ConstantPad(image(), [1, 2, 3], [0, 0, 0])
    (mask,) = read_dicom_seg(path, wide, "tumor").values()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask)[3:, 2:, 1:], blob())
    assert int(sitk.GetArrayFromImage(mask).sum()) == int(blob().sum())


def test_voxels_off_the_image_are_refused(tmp_path: Path) -> None:
    path = segmentation(tmp_path / "seg.dcm", blob()[::-1], ["tumor"])
    with pytest.raises(GridMismatchError, match="1 voxels of 'tumor' lie off the image"):
        read_dicom_seg(path, image()[:, :, :4], "tumor")


def test_another_grid_is_kept_for_the_comparison_of_grids(tmp_path: Path) -> None:
    """The frames of slices 1, 2 and 4 span a grid of four slices of their own, 3.1 mm apart; slice 3 is empty."""
    path = segmentation(tmp_path / "seg.dcm", blob()[::-1], ["tumor"], source=source_slices(3.1))
    (mask,) = read_dicom_seg(path, image(), "tumor").values()
    assert mask.GetSize() == (9, 7, 4)
    np.testing.assert_allclose(mask.GetSpacing(), (0.8, 1.5, 3.1))
    np.testing.assert_allclose(mask.GetOrigin(), (-30, 12, -96.9))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), blob()[1:5])


def test_cut_off_or_other_files_are_refused(tmp_path: Path) -> None:
    path = segmentation(tmp_path / "seg.dcm", blob()[::-1], ["tumor"])
    whole = path.read_bytes()
    for length in range(132, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(CaseError):
            read_dicom_seg(path, image(), "tumor")
    source_slice(0, 2.5).save_as(path, enforce_file_format=True)
    with pytest.raises(UnreadableError):
        read_dicom_seg(path, image(), "tumor")
