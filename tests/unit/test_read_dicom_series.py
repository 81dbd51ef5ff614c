"""What protects volumes read from DICOM: real series against their NIfTI and SimpleITK, and generated faults."""

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import (
    EnhancedCTImageStorage,
    JPEG2000Lossless,
    PositronEmissionTomographyImageStorage,
    RLELossless,
)

from pipelines.ingest.dicom_series import Acquisition, DicomHeader, read_header, read_series
from pipelines.ingest.problems import (
    CompressionError,
    SlicesMissingError,
    TruncatedFileError,
)
from tests.unit.dicom_writing import (
    SERIES_UID,
    assert_same_grid,
    blank,
    headers_of,
    itk_series,
    largest_difference,
    set_pixels,
    stored,
    written,
)


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
