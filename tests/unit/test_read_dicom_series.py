"""What protects volumes read from DICOM: real series against their NIfTI and SimpleITK, and generated faults."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    PositronEmissionTomographyImageStorage,
    RLELossless,
    generate_uid,
)

from featurestore.errors import CaseError
from pipelines.ingest.dicom_series import Acquisition, DicomHeader, read_header, read_series
from pipelines.ingest.problems import (
    CompressionError,
    DuplicateSlicesError,
    GantryTiltError,
    MixedSeriesError,
    NotVolumeError,
    SlicesMissingError,
    TruncatedFileError,
    UnevenSlicesError,
    UnreadableError,
)

SERIES_UID = generate_uid(entropy_srcs=["series"])
SHAPE = (6, 5)
Change = Callable[[int, FileDataset], None]


def stored(index: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    return np.random.default_rng(index).integers(0, 3000, SHAPE, dtype=np.uint16)


def ct_slice(index: int, spacing_mm: float = 2.5) -> FileDataset:
    """A CT slice of 6 rows and 5 columns; HU = stored − 1024."""
    dataset = blank(CTImageStorage, f"slice {index}")
    dataset.SeriesDescription = "venous"
    dataset.PatientID = " P1 "
    dataset.Manufacturer, dataset.ManufacturerModelName = "ACME", "One"
    dataset.ConvolutionKernel, dataset.KVP = ["B30f", "2"], "120"
    dataset.SliceThickness, dataset.InstanceNumber = "2.5", index + 1
    dataset.ContrastBolusStartTime, dataset.AcquisitionTime = "235950", "000100.5"
    dataset.ImagePositionPatient = [-10, 20, -325 + spacing_mm * index]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [0.7, 0.8]
    dataset.RescaleSlope, dataset.RescaleIntercept = "1", "-1024"
    set_pixels(dataset, stored(index))
    return dataset


def blank(sop_class: str, name: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = sop_class, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[name])
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID = SERIES_UID
    dataset.StudyInstanceUID = dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=["study"])
    dataset.Modality = "CT"
    return dataset


def set_pixels(dataset: FileDataset, pixels: np.ndarray[Any, Any]) -> None:
    *_, dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = pixels.astype("<u2").tobytes()


def written(folder: Path, indices: list[int], change: Change = lambda _, __: None) -> list[DicomHeader]:
    """Writes slices and returns their headers, in the order of random file names."""
    folder.mkdir(exist_ok=True)
    for index in indices:
        dataset = ct_slice(index)
        change(index, dataset)
        dataset.save_as(folder / f"{hash((index * 7919) % 101)}-{index}.dcm", enforce_file_format=True)
    return headers_of(folder)


def headers_of(folder: Path) -> list[DicomHeader]:
    headers = [read_header(path) for path in sorted(folder.iterdir())]
    return [header for header in headers if header is not None]


def itk_series(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def largest_difference(first: sitk.Image, second: sitk.Image) -> float:
    arrays = [sitk.GetArrayFromImage(image).astype(np.float64) for image in (first, second)]
    return float(np.abs(arrays[0] - arrays[1]).max())


def assert_same_grid(first: sitk.Image, second: sitk.Image, tolerance: float) -> None:
    assert first.GetSize() == second.GetSize()
    for name in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(first, name)(), getattr(second, name)(), atol=tolerance, rtol=0)


@pytest.mark.data
@pytest.mark.parametrize(("modality", "tolerance"), [("CT", 0.0), ("MR_T1", 0.0), ("PET", 2e-6)])
def test_real_series_equals_its_nifti_and_simpleitk(test_data: Path, modality: str, tolerance: float) -> None:
    folder = test_data / "sts_original" / "STS_002" / modality
    image, acquisition = read_series(headers_of(folder / "dicom" / "image")[::-1])
    nifti = sitk.ReadImage(str(folder / "nifti" / "image.nii.gz"))
    assert largest_difference(image, nifti) <= tolerance
    assert_same_grid(image, nifti, 5e-5)  # NIfTI keeps single precision
    itk = itk_series(folder / "dicom" / "image")
    assert largest_difference(image, itk) <= tolerance
    assert_same_grid(image, itk, 1e-12)
    assert acquisition.manufacturer.startswith(("GE", "Philips"))
    assert acquisition.units == {"CT": "HU", "MR_T1": "", "PET": "GML"}[modality]


@pytest.mark.data
def test_ibsi_phantom_equals_its_nifti(test_data: Path) -> None:
    folder = test_data / "ibsi1" / "ct_phantom_NONCOMMERCIAL"
    image, _ = read_series(headers_of(folder / "dicom" / "image"))
    nifti = sitk.ReadImage(str(folder / "nifti" / "phantom.nii.gz"))
    assert largest_difference(image, nifti) == 0
    assert_same_grid(image, nifti, 1e-9)


@pytest.mark.data
def test_sagittal_mr_equals_simpleitk(test_data: Path) -> None:
    folder = test_data / "dicom_seg" / "UCSF-BR-06" / "image"
    image, _ = read_series(headers_of(folder))
    assert largest_difference(image, itk_series(folder)) == 0
    assert_same_grid(image, itk_series(folder), 1e-12)


def test_written_series_equals_simpleitk_and_the_numbers_written(tmp_path: Path) -> None:
    image, acquisition = read_series(written(tmp_path, [4, 0, 3, 1, 2]))
    expected = np.stack([stored(index) for index in range(5)]).astype(np.int64) - 1024
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), expected)
    assert image.GetPixelID() == sitk.sitkInt16
    assert largest_difference(image, itk_series(tmp_path)) == 0
    assert_same_grid(image, itk_series(tmp_path), 1e-12)
    assert acquisition == Acquisition(
        modality="CT",
        manufacturer="ACME",
        model="One",
        kernel="B30f\\2",
        kvp=120,
        slice_thickness_mm=2.5,
        spacing_mm=(0.8, 0.7, 2.5),
        contrast_delay_s=70.5,
        units="HU",
    )


def test_oblique_series_with_falling_instance_numbers_equals_simpleitk(tmp_path: Path) -> None:
    rotation = np.linalg.qr(np.array([[0.9, 0.1, 0.3], [0.2, 1.0, -0.2], [-0.3, 0.1, 1.1]]))[0]
    rotation *= np.sign(np.linalg.det(rotation))

    def turn(index: int, dataset: FileDataset) -> None:
        dataset.InstanceNumber = 100 - index
        dataset.ImageOrientationPatient = [f"{v:.12f}" for v in (*rotation[:, 0], *rotation[:, 1])]
        dataset.ImagePositionPatient = [f"{v:.10f}" for v in rotation[:, 2] * 3.1 * index]

    image, _ = read_series(written(tmp_path, list(range(6)), turn))
    assert largest_difference(image, itk_series(tmp_path)) == 0
    assert_same_grid(image, itk_series(tmp_path), 1e-9)


def test_header_survives_json_and_is_none_for_other_files(tmp_path: Path) -> None:
    header = written(tmp_path, [0])[0]
    assert DicomHeader.from_plain(json.loads(json.dumps(header.plain()))) == header
    assert (header.patient_id, header.kind, header.contrast_delay_s) == ("P1", "image", 70.5)
    (tmp_path / "notes.txt").write_text("no DICOM at all")
    (tmp_path / "empty").write_bytes(b"")
    assert read_header(tmp_path / "notes.txt") is None
    assert read_header(tmp_path / "empty") is None


def test_rescale_of_each_slice_is_its_own_and_fractions_become_float32(tmp_path: Path) -> None:
    def rescale(index: int, dataset: FileDataset) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = str(index + 0.5), "-7"

    image, _ = read_series(written(tmp_path, [0, 1, 2], rescale))
    expected = [(stored(i) * (i + 0.5) - 7).astype(np.float32) for i in range(3)]
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), np.stack(expected))
    assert image.GetPixelID() == sitk.sitkFloat32


def test_pet_keeps_its_stored_unit(tmp_path: Path) -> None:
    def to_pet(_: int, dataset: FileDataset) -> None:
        dataset.SOPClassUID, dataset.Modality, dataset.Units = PositronEmissionTomographyImageStorage, "PT", "BQML"

    _, acquisition = read_series(written(tmp_path, [0, 1, 2], to_pet))
    assert (acquisition.modality, acquisition.units) == ("PT", "BQML")


def test_missing_slices_are_named_with_their_positions(tmp_path: Path) -> None:
    headers = written(tmp_path, [i for i in range(20) if i not in (11, 12, 13)])
    with pytest.raises(SlicesMissingError) as caught:
        read_series(headers)
    assert caught.value.what == "slices 12–14 missing between z = −300 and −290 mm"


def test_one_missing_slice_and_a_second_gap_are_both_named(tmp_path: Path) -> None:
    headers = written(tmp_path, [0, 1, 3, 4, 5, 8, 9])
    with pytest.raises(
        SlicesMissingError, match=r"slice 3 missing between z = −322.5 and −317.5 mm; slices 7–8 missing"
    ):
        read_series(headers)


def test_every_second_slice_missing_is_seen_by_the_told_spacing(tmp_path: Path) -> None:
    def tell(_: int, dataset: FileDataset) -> None:
        dataset.SpacingBetweenSlices = "2.5"

    headers = written(tmp_path, [0, 2, 4, 6], tell)
    with pytest.raises(SlicesMissingError, match=r"slices lie 5 mm apart and their tags tell 2.5 mm"):
        read_series(headers)


def test_uneven_distances_are_refused_and_within_tolerance_read(tmp_path: Path) -> None:
    def shift(index: int, dataset: FileDataset) -> None:
        dataset.ImagePositionPatient = [-10, 20, -325 + 2.5 * index + (0.4 if index == 2 else 0)]

    headers = written(tmp_path, list(range(5)), shift)
    with pytest.raises(UnevenSlicesError, match=r"range from 2.1 to 2.9 mm"):
        read_series(headers)
    image, _ = read_series(headers, gap_tolerance=0.45)
    assert image.GetSpacing()[2] == pytest.approx(2.5)


def test_second_series_mixed_in_is_refused(tmp_path: Path) -> None:
    def other(index: int, dataset: FileDataset) -> None:
        if index > 5:
            dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["other"])

    with pytest.raises(MixedSeriesError, match="2 series are mixed: 6 slices, 2 slices"):
        read_series(written(tmp_path, list(range(8)), other))


@pytest.mark.parametrize(
    ("tag", "value", "message"),
    [
        ("ImageOrientationPatient", [0, 1, 0, 0, 0, -1], "orientations are mixed: 5 slices"),
        ("PixelSpacing", [0.7, 0.9], "pixel spacings are mixed: 5 slices"),
    ],
)
def test_mixed_planes_and_spacings_are_refused(tmp_path: Path, tag: str, value: list[float], message: str) -> None:
    def other(index: int, dataset: FileDataset) -> None:
        if index == 0:
            setattr(dataset, tag, value)

    with pytest.raises(MixedSeriesError, match=message):
        read_series(written(tmp_path, list(range(6)), other))


def test_mixed_sizes_are_refused(tmp_path: Path) -> None:
    def other(index: int, dataset: FileDataset) -> None:
        if index == 3:
            set_pixels(dataset, np.zeros((4, 5), dtype=np.uint16))

    with pytest.raises(MixedSeriesError, match="2 sizes are mixed: 4 slices of 5×6 pixels, 1 slices of 5×4 pixels"):
        read_series(written(tmp_path, list(range(5)), other))


def test_two_acquisitions_under_one_series_are_mixed(tmp_path: Path) -> None:
    def second(index: int, dataset: FileDataset) -> None:
        dataset.AcquisitionNumber = 1 + index // 5
        dataset.ImagePositionPatient = [-10, 20, -325 + 2.5 * (index % 5)]

    with pytest.raises(MixedSeriesError, match="5 of 5 positions hold 2 different slices, acquisitions 1, 2"):
        read_series(written(tmp_path, list(range(10)), second))


def test_different_slices_at_one_position_are_duplicates(tmp_path: Path) -> None:
    def repeat(index: int, dataset: FileDataset) -> None:
        dataset.ImagePositionPatient = [-10, 20, -325 + 2.5 * min(index, 4)]

    with pytest.raises(DuplicateSlicesError, match="2 different slices lie at z = −315 mm"):
        read_series(written(tmp_path, list(range(6)), repeat))


def test_the_same_slice_sent_twice_is_taken_once_and_noted(tmp_path: Path) -> None:
    headers = written(tmp_path, list(range(4)))
    once, _ = read_series(headers)
    twice, acquisition = read_series([*headers, headers[1]])
    assert largest_difference(once, twice) == 0
    assert acquisition.notes == ("1 slices were sent more than once with the same pixels; one of each was taken",)


def test_localizer_is_left_out_and_noted(tmp_path: Path) -> None:
    def scout(index: int, dataset: FileDataset) -> None:
        if index == 4:
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    image, acquisition = read_series(written(tmp_path, list(range(5)), scout))
    assert image.GetSize()[2] == 4
    assert len(acquisition.notes) == 1


def test_sheared_stack_is_a_named_tilt(tmp_path: Path) -> None:
    angle = np.radians(15)

    def tilt(_: int, dataset: FileDataset) -> None:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, f"{np.cos(angle):.10f}", f"{-np.sin(angle):.10f}"]
        dataset.GantryDetectorTilt = "15"

    with pytest.raises(GantryTiltError, match=r"a tilt of 15\.0°"):
        read_series(written(tmp_path, list(range(6)), tilt))


def test_tilt_told_by_the_tag_alone_is_refused(tmp_path: Path) -> None:
    def tilt(_: int, dataset: FileDataset) -> None:
        dataset.GantryDetectorTilt = "-12.5"

    with pytest.raises(GantryTiltError, match=r"gantry tilt of −12\.5°"):
        read_series(written(tmp_path, list(range(6)), tilt))


def test_file_cut_off_in_its_pixels_is_named_by_position(tmp_path: Path) -> None:
    written(tmp_path, list(range(5)))
    path = next(tmp_path.glob("*-2.dcm"))
    path.write_bytes(path.read_bytes()[:-20])
    headers = headers_of(tmp_path)
    assert [header.is_truncated for header in headers].count(True) == 1
    with pytest.raises(TruncatedFileError, match="1 of 5 files end before their pixels do, the first at z = −320 mm"):
        read_series(headers)


def test_file_cut_off_anywhere_is_never_read_as_a_slice(tmp_path: Path) -> None:
    written(tmp_path, list(range(3)))
    path = next(tmp_path.glob("*-1.dcm"))
    whole = path.read_bytes()
    for length in range(140, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(CaseError):
            read_series(headers_of(tmp_path))


def test_single_slice_is_no_volume(tmp_path: Path) -> None:
    with pytest.raises(NotVolumeError, match="has 1 slice"):
        read_series(written(tmp_path, [0]))
    with pytest.raises(NotVolumeError, match="no file"):
        read_series([])


def test_slice_without_position_is_unreadable(tmp_path: Path) -> None:
    def forget(_: int, dataset: FileDataset) -> None:
        del dataset.ImagePositionPatient

    with pytest.raises(UnreadableError, match="ImagePositionPatient"):
        read_series(written(tmp_path, [0, 1], forget))


def test_rle_compressed_series_equals_the_plain_one(tmp_path: Path) -> None:
    plain, _ = read_series(written(tmp_path / "plain", list(range(4))))
    compressed, _ = read_series(written(tmp_path / "rle", list(range(4)), lambda _, d: d.compress(RLELossless)))
    assert largest_difference(plain, compressed) == 0


def test_cut_off_compressed_pixels_are_refused(tmp_path: Path) -> None:
    written(tmp_path, list(range(3)), lambda _, d: d.compress(RLELossless))
    path = next(tmp_path.glob("*-1.dcm"))
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(TruncatedFileError):
        read_series(headers_of(tmp_path))


def test_compression_without_plugin_names_the_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydicom.pixels.decoders.base.Decoder.is_available", property(lambda _: False))

    def relabel(_: int, dataset: FileDataset) -> None:
        dataset.PixelData = pydicom.encaps.encapsulate([bytes(dataset.PixelData)])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless

    with pytest.raises(CompressionError, match=r"JPEG 2000.*pylibjpeg"):
        read_series(written(tmp_path, [0, 1, 2], relabel))


def test_messages_tell_neither_file_nor_patient_nor_uid(tmp_path: Path) -> None:
    headers = written(tmp_path, [0, 1, 4])
    with pytest.raises(SlicesMissingError) as caught:
        read_series(headers)
    text = str(caught.value)
    assert all(secret not in text for secret in (str(tmp_path), "P1", SERIES_UID, ".dcm"))


def enhanced_ct(n_frames: int, *, shared_rescale: bool) -> FileDataset:
    """An Enhanced CT file whose frames stand in reverse order."""
    dataset = blank(EnhancedCTImageStorage, "enhanced")
    set_pixels(dataset, np.stack([stored(index) for index in range(n_frames)][::-1]))
    dataset.NumberOfFrames = n_frames
    shared, rescale = Dataset(), Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept = "1", "-1024"
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = [0.7, 0.8]
    shared.PixelMeasuresSequence[0].SliceThickness = "2.5"
    shared.PlaneOrientationSequence = [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.CTReconstructionSequence = [Dataset()]
    shared.CTReconstructionSequence[0].ConvolutionKernel = "B30f"
    if shared_rescale:
        shared.PixelValueTransformationSequence = [rescale]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = []
    for index in range(n_frames)[::-1]:
        group = Dataset()
        group.PlanePositionSequence = [Dataset()]
        group.PlanePositionSequence[0].ImagePositionPatient = [-10, 20, -325 + 2.5 * index]
        if not shared_rescale:
            group.PixelValueTransformationSequence = [rescale]
        dataset.PerFrameFunctionalGroupsSequence.append(group)
    return dataset


@pytest.mark.parametrize("shared_rescale", [True, False])
def test_enhanced_multiframe_ct_equals_the_classic_series(tmp_path: Path, shared_rescale: bool) -> None:
    classic, _ = read_series(written(tmp_path / "classic", list(range(5))))
    path = tmp_path / "enhanced.dcm"
    enhanced_ct(5, shared_rescale=shared_rescale).save_as(path, enforce_file_format=True)
    header = read_header(path)
    assert header is not None
    assert (header.n_frames, header.spacing_mm, header.kernel) == (5, (0.7, 0.8), "B30f")
    image, acquisition = read_series([header])
    assert largest_difference(image, classic) == 0
    assert_same_grid(image, classic, 1e-12)
    assert (acquisition.kernel, acquisition.slice_thickness_mm) == ("B30f", 2.5)


def test_missing_frame_of_enhanced_ct_is_named(tmp_path: Path) -> None:
    dataset = enhanced_ct(6, shared_rescale=True)
    for group in dataset.PerFrameFunctionalGroupsSequence[:3]:
        position = group.PlanePositionSequence[0].ImagePositionPatient
        group.PlanePositionSequence[0].ImagePositionPatient = [*position[:2], position[2] + 2.5]
    dataset.save_as(tmp_path / "enhanced.dcm", enforce_file_format=True)
    with pytest.raises(SlicesMissingError, match="slice 4 missing between z = −320 and −315 mm"):
        read_series(headers_of(tmp_path))
