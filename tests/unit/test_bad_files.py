"""Faults that fuzzing found in the readers, each mended: a file that lies is named and never read as something else."""

import gzip
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from featurestore.errors import CaseError
from pipelines.images import nifti_bytes as bytes_of_nifti
from pipelines.imports import reading as tables
from pipelines.imports.problems import TableUnreadableError
from pipelines.ingest import dicom_inflation
from pipelines.ingest.clinical import ClinicalTableError, read_clinical
from pipelines.ingest.dicom_header import read_header
from pipelines.ingest.dicom_seg import read_dicom_seg
from pipelines.ingest.dicom_series import read_series
from pipelines.ingest.eligibility import RejectedTableError, read_rejected
from pipelines.ingest.file_index import SourceFile
from pipelines.ingest.listed_cases import CasesTableError, read_cases
from pipelines.ingest.nifti import read_volume
from pipelines.ingest.problems import (
    ContourDamagedError,
    NonorthonormalDirectionError,
    NotGrayError,
    NotVolumeError,
    TooLargeError,
    TruncatedFileError,
    UnevenSlicesError,
    UnreadableError,
)
from pipelines.ingest.pseudonyms import without_identity
from pipelines.ingest.rtstruct import read_rtstruct
from pipelines.params.data import LabelSection
from pipelines.params.plain_yaml import PlainYamlError, read_plain_yaml
from pipelines.radiomics.fast import problems as engine_problems
from pipelines.radiomics.fast.reading import open_picture
from proofs import fuzz_settings
from proofs.fuzz_base import contour, ct_slices, dicom_bytes, nifti_bytes, region, segmentation, structure_set, voxels

NAN = float("nan")
Change = Callable[[Dataset], object]


@pytest.fixture(autouse=True)
def nonsense() -> Iterator[None]:
    """Lets pydicom write what it would refuse."""
    with disable_value_validation():
        yield


def random() -> np.random.Generator:
    return np.random.default_rng(5)


def series(folder: Path, change: Change = lambda one: None, only: int | None = None) -> sitk.Image:
    """Writes a series of which all slices or one are changed, and reads it."""
    for number, one in enumerate(ct_slices("P", random())):
        if only in (None, number):
            change(one)
        (folder / f"IM{number}").write_bytes(dicom_bytes(one))
    headers = [read_header(path) for path in sorted(folder.glob("IM*"))]
    return read_series([header for header in headers if header is not None])[0]


def with_tag(name: str, value: Any) -> Change:
    return lambda one: setattr(one, name, value)


@pytest.mark.parametrize(
    ("tag", "value", "error"),
    [
        ("ImagePositionPatient", ["nan", "0", "0"], UnreadableError),
        ("ImagePositionPatient", ["0", "0", "1e300"], UnreadableError),
        ("ImageOrientationPatient", ["nan"] * 6, UnreadableError),
        ("PixelSpacing", ["inf", "1"], UnreadableError),
        ("RescaleSlope", "0", UnreadableError),
        ("PhotometricInterpretation", "MONOCHROME1", NotGrayError),
        ("PhotometricInterpretation", "PALETTE COLOR", NotGrayError),
    ],
)
def test_tag_that_places_or_scales_pixels_and_cannot_be(tmp_path: Path, tag, value, error) -> None:
    with pytest.raises(error):
        series(tmp_path, with_tag(tag, value), only=3)


def test_bytes_inserted_into_pixels_shift_them_all(tmp_path: Path) -> None:
    series(tmp_path)
    data = (tmp_path / "IM3").read_bytes()
    (tmp_path / "IM3").write_bytes(data[:-100] + b"12345" + data[-100:])
    headers = [read_header(path) for path in sorted(tmp_path.glob("IM*"))]
    with pytest.raises(UnreadableError, match="5 bytes"):
        read_series([header for header in headers if header is not None])


def test_localizer_of_a_single_image_type_is_one(tmp_path: Path) -> None:
    one = ct_slices("P", random())[0]
    one.ImageType = "LOCALIZER"
    (tmp_path / "IM").write_bytes(dicom_bytes(one))
    header = read_header(tmp_path / "IM")
    assert header is not None
    assert header.is_localizer


def test_deflate_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_inflation, "LARGEST_BYTES", 1 << 21)
    one = ct_slices("P", random())[0]
    one.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    one.add_new(0x00091010, "LO", "bomb")
    one.add_new(0x00091011, "OB", bytes(1 << 23))
    (tmp_path / "IM").write_bytes(dicom_bytes(one))
    with pytest.raises(TooLargeError):
        read_header(tmp_path / "IM")


def outlined(folder: Path, change: Change) -> dict[str, sitk.Image]:
    """Reads a structure set that is changed."""
    image, slices = series(folder), ct_slices("P", random())
    one = structure_set("P", slices, random())
    change(one)
    (folder / "RS").write_bytes(dicom_bytes(one))
    return read_rtstruct(folder / "RS", image, "GTV")


def first(one: Dataset) -> Dataset:
    item: Dataset = one.ROIContourSequence[0].ContourSequence[0]
    return item


def spoil(index: int, value: str) -> Change:
    def change(one: Dataset) -> None:
        data = [str(number) for number in first(one).ContourData]
        data[index] = value
        first(one).ContourData = data

    return change


def shorten(one: Dataset) -> None:
    first(one).ContourData = list(first(one).ContourData)[:-1]


@pytest.mark.parametrize(
    "change",
    [
        spoil(4, "nan"),
        spoil(3, "inf"),
        shorten,
        lambda one: setattr(first(one), "NumberOfContourPoints", 99),
        lambda one: one.ROIContourSequence.append(one.ROIContourSequence[0]),
        lambda one: one.StructureSetROISequence.append(one.StructureSetROISequence[0]),
    ],
    ids=["nan", "infinite", "a number short", "another count", "contours doubled", "ROI doubled"],
)
def test_contour_that_is_damaged_is_not_left_out_unseen(tmp_path: Path, change: Change) -> None:
    with pytest.raises(ContourDamagedError):
        outlined(tmp_path, change)


def test_contour_of_more_than_64_kib_is_read(tmp_path: Path) -> None:
    angle = np.linspace(0, 2 * np.pi, 5000, endpoint=False)
    corners = [(8 + 4.3 * float(np.cos(a)), 8 + 4.3 * float(np.sin(a))) for a in angle]
    drawn = contour(ct_slices("P", random())[2], corners)

    def change(one: Dataset) -> None:
        one.ROIContourSequence[0].ContourSequence = [drawn]

    with pytest.warns(UserWarning, match="64 kByte"):
        mask = outlined(tmp_path, change)["GTV"]
    x, y = np.meshgrid(np.arange(16), np.arange(16))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask)[2], (x - 8) ** 2 + (y - 8) ** 2 < 4.3**2)


@pytest.mark.parametrize(
    ("sequence", "tag", "value", "error"),
    [
        ("PixelMeasuresSequence", "PixelSpacing", [0, 0], UnreadableError),
        ("PlaneOrientationSequence", "ImageOrientationPatient", [0] * 6, UnreadableError),
        ("PlanePositionSequence", "ImagePositionPatient", [-20.0, 13.5, 90000.3], UnevenSlicesError),
        ("PlanePositionSequence", "ImagePositionPatient", ["nan", 0, 0], UnreadableError),
    ],
)
def test_segmentation_on_no_grid(tmp_path: Path, sequence, tag, value, error) -> None:
    image, slices = series(tmp_path), ct_slices("P", random())
    one = segmentation(slices)
    groups = [*one.PerFrameFunctionalGroupsSequence[:1], one.SharedFunctionalGroupsSequence[0]]
    setattr(next(group for group in groups if sequence in group)[sequence].value[0], tag, value)
    (tmp_path / "SEG").write_bytes(dicom_bytes(one))
    with pytest.raises(error):
        read_dicom_seg(tmp_path / "SEG", image, "GTV")


def nifti(folder: Path, form: str, offset: int, *values: Any) -> Path:
    """Writes a NIfTI file with some bytes of its header replaced."""
    data = bytearray(nifti_bytes(voxels(random()), packed=False))
    struct.pack_into(form, data, offset, *values)
    path = folder / "ct.nii"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("form", "offset", "values", "error"),
    [
        ("<h", 42, (-16,), UnreadableError),
        ("<h", 40, (0,), UnreadableError),
        ("<h", 72, (0,), UnreadableError),
        ("<f", 88, (0.0,), UnreadableError),
        ("<f", 80, (-1.25,), UnreadableError),
        ("<f", 80, (1e30,), UnreadableError),
        ("<4f", 280, (-2.0, 0.0, 0.0, 20.0), UnreadableError),
        ("<4f", 280, (NAN, 0.0, 0.0, 20.0), NonorthonormalDirectionError),
        ("<4f", 280, (-1.25, 0.0, 0.0, NAN), UnreadableError),
        ("<2h3f", 252, (1, 0, NAN, 0.0, 0.0), UnreadableError),
        ("<f", 108, (NAN,), UnreadableError),
        ("<f", 108, (1e9,), UnreadableError),
        ("<2f", 112, (NAN, 5.0), UnreadableError),
        ("<8h", 40, (3, 32767, 32767, 32767, 1, 1, 1, 1), TooLargeError),
    ],
)
def test_nifti_header_that_contradicts_itself(tmp_path: Path, form, offset, values, error) -> None:
    with pytest.raises(error):
        read_volume(nifti(tmp_path, form, offset, *values))


def test_complex_voxels_are_no_image(tmp_path: Path) -> None:
    (tmp_path / "ct.nii.gz").write_bytes(nifti_bytes(voxels(random()).astype("c8")))
    with pytest.raises(NotVolumeError):
        read_volume(tmp_path / "ct.nii.gz")


def test_gzip_bomb_behind_the_voxels_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytes_of_nifti, "_MOST_BEHIND", 1 << 20)
    data = nifti_bytes(voxels(random()), packed=False)
    (tmp_path / "ct.nii.gz").write_bytes(gzip.compress(data + bytes(1 << 23)))
    with pytest.raises(UnreadableError, match="more follows"):
        read_volume(tmp_path / "ct.nii.gz")


def test_engine_refuses_a_size_that_no_memory_holds(tmp_path: Path) -> None:
    with pytest.raises((engine_problems.TooLargeError, engine_problems.UnreadableError)):
        open_picture(nifti(tmp_path, "<8h", 40, 3, 32767, 32767, 32767, 1, 1, 1, 1), "image")


@pytest.mark.parametrize("slope", [1e-30, NAN])
def test_engine_refuses_a_slope_that_itk_passes_over(tmp_path: Path, slope: float) -> None:
    with pytest.raises(engine_problems.UnreadableError, match="scaled"):
        open_picture(nifti(tmp_path, "<f", 112, slope), "image")


LONG_CELL = "x" * 200_000


def test_cell_longer_than_the_csv_module_takes_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"center,patient_id,reason,phase,image,mask\na,{LONG_CELL},c,ct,e,f\n")
    file = SourceFile(relative="cases.csv", path=path, n_bytes=1, sha256="")
    label = LabelSection.model_validate({"name": "l", "column": "reason", "positive": ["1"], "negative": ["0"]})
    with pytest.raises(CasesTableError):
        read_cases(file, "a", ["ct"], "tumor", 1)
    with pytest.raises(ClinicalTableError):
        read_clinical(path, "a", {}, label)
    with pytest.raises(RejectedTableError):
        read_rejected(path)


@pytest.mark.parametrize("label", ["²", "٣", "9" * 5000])
def test_label_of_strange_digits_is_named(tmp_path: Path, label: str) -> None:
    path = tmp_path / "cases.csv"
    path.write_text(f"patient_id,phase,image,mask,label\nP,ct,a,b,{label}\n", encoding="utf-8")
    with pytest.raises(CasesTableError, match="label"):
        read_cases(SourceFile(relative="cases.csv", path=path, n_bytes=1, sha256=""), "a", ["ct"], "tumor", 1)


@pytest.mark.parametrize("name", ["table.csv.gz", "table.xlsx", "table.parquet", "table.csv"])
def test_damaged_table_is_named(tmp_path: Path, name: str) -> None:
    content = {
        "table.csv.gz": gzip.compress(b"a,b\n1,2\n")[:-3] + b"xyz",
        "table.csv": f"a,{LONG_CELL}\n1,2\n".encode(),
    }
    path = tmp_path / name
    path.write_bytes(content.get(name, b"PK\x03\x04 no such thing"))
    with pytest.raises(TableUnreadableError):
        tables.read_file(path, ("a",))


def test_gzipped_table_that_explodes_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LARGEST_BYTES", 1 << 20)
    (tmp_path / "table.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * (1 << 20)))
    with pytest.raises(TableUnreadableError, match="unpacks"):
        tables.read_file(tmp_path / "table.csv.gz", ("a",))


@pytest.mark.parametrize(
    ("name", "text"), [*fuzz_settings._bombs("a: 1\n"), *fuzz_settings._riddles("a: 1\n")], ids=lambda value: value[:20]
)
def test_yaml_is_content_or_named_and_soon(tmp_path: Path, name: str, text: "str | bytes") -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    start = time.process_time()
    with suppress(PlainYamlError):
        read_plain_yaml(path)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "a: {b: 1, b: 2}\n", "a: 1\n<<: {b: 1}\n"])
def test_yaml_key_that_stands_twice_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(PlainYamlError):
        read_plain_yaml(tmp_path / "params.yaml")


def test_message_of_a_megabyte_is_cleaned_at_once() -> None:
    start = time.process_time()
    assert len(without_identity("could not convert " + "1.5\\" * 300_000, ["P-1"])) < 5000
    assert time.process_time() - start < 1


def test_truncated_is_still_told_from_damaged(tmp_path: Path) -> None:
    path = tmp_path / "ct.nii"
    path.write_bytes(nifti_bytes(voxels(random()), packed=False)[:-100])
    with pytest.raises(TruncatedFileError):
        read_volume(path)


def test_mask_and_image_of_the_fuzzer_are_sound(tmp_path: Path) -> None:
    mask = outlined(tmp_path, lambda one: None)["GTV"]
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), region())
    assert not issubclass(TableUnreadableError, CaseError)
