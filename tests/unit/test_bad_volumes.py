"""NRRD, NIfTI and RLE that ITK or pydicom read without a word although their bytes say otherwise: each is refused."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from pipelines.images.nrrd_bytes import inspect_nrrd
from pipelines.ingest.dicom_header import read_header
from pipelines.ingest.dicom_series import read_series
from pipelines.ingest.nifti import read_volume
from pipelines.ingest.problems import (
    ContourDamagedError,
    MixedSeriesError,
    NotVolumeError,
    TruncatedFileError,
    UnreadableError,
)
from pipelines.ingest.rtstruct import read_rtstruct
from pipelines.ingest.volume_cases import observer_name
from pipelines.radiomics.fast import problems as engine_problems
from pipelines.radiomics.fast.reading import open_picture
from proofs.fuzz_base import ct_slices, dicom_bytes, nifti_bytes, nrrd_bytes, opened, structure_set, voxels


def random() -> np.random.Generator:
    return np.random.default_rng(5)


def sound(folder: Path, *, packed: bool = False) -> bytes:
    return nrrd_bytes(voxels(random()), folder, packed=packed)


def written(folder: Path, data: bytes) -> Path:
    path = folder / "ct.nrrd"
    path.write_bytes(data)
    return path


def with_line(data: bytes, line: bytes) -> bytes:
    """Returns a file whose header says one thing otherwise or besides."""
    head, _, body = data.partition(b"\n\n")
    key = line.split(b":")[0]
    kept = [one for one in head.split(b"\n") if not one.startswith(key + b":")]
    return b"\n".join([*kept, line]) + b"\n\n" + body


@pytest.mark.parametrize("packed", [False, True])
def test_a_sound_nrrd_is_read_to_the_voxel(tmp_path: Path, packed: bool) -> None:
    image = read_volume(written(tmp_path, sound(tmp_path, packed=packed)))
    assert (sitk.GetArrayFromImage(image) == voxels(random())).all()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"data file: /etc/passwd", "another file"),
        (b"data file: LIST", "another file"),
        (b"byte skip: -1", "skips bytes"),
        (b"line skip: 3", "skips lines"),
        (b"encoding: hex", "neither raw nor compressed"),
        (b"type: block", "no type"),
        (b"sizes: 16 16", "as many as its dimensions"),
        (b"sizes: 16 -16 8", "as many as its dimensions"),
        (b"spacings: 1 1 1", "both spacings and directions"),
        (b'space units: "cm" "cm" "cm"', "not in millimeters"),
        (b"space origin: (1e300,0,0)", "nowhere in space"),
        (b"old min: -1000", "stand for others"),
        (b"content: a\ncontent: b", "twice"),
    ],
)
def test_a_header_that_misleads_is_named(tmp_path: Path, line: bytes, told: str) -> None:
    with pytest.raises(UnreadableError, match=told):
        read_volume(written(tmp_path, with_line(sound(tmp_path), line)))


def test_big_numbers_without_an_order_of_bytes_are_refused(tmp_path: Path) -> None:
    data = b"\n".join(line for line in sound(tmp_path).split(b"\n") if not line.startswith(b"endian"))
    found = inspect_nrrd(written(tmp_path, data))
    assert found is not None
    assert "order of bytes" in found.fault


def test_inserted_bytes_shift_voxels_and_are_noticed_by_both_readers(tmp_path: Path) -> None:
    path = written(tmp_path, sound(tmp_path) + b"\0\0\0\0")
    with pytest.raises(UnreadableError, match="inserted"):
        read_volume(path)
    with pytest.raises(engine_problems.UnreadableError, match="inserted"):
        open_picture(path, "image")


def test_a_raw_file_cut_off_and_a_wrong_checksum_are_named(tmp_path: Path) -> None:
    with pytest.raises(TruncatedFileError, match="ends 100 bytes early"):
        read_volume(written(tmp_path, sound(tmp_path)[:-100]))
    data = sound(tmp_path, packed=True)
    with pytest.raises(TruncatedFileError, match="CRC"):
        read_volume(written(tmp_path, data[:-8] + b"\1\2\3\4" + data[-4:]))


def test_a_compressed_nrrd_that_explodes_is_not_unpacked_to_its_end(tmp_path: Path) -> None:
    head, _, _ = sound(tmp_path, packed=True).partition(b"\n\n")
    found = inspect_nrrd(written(tmp_path, head + b"\n\n" + gzip.compress(bytes(40 << 20), 1)))
    assert found is not None
    assert "inserted" in found.fault


@pytest.mark.parametrize(
    ("form", "offset", "value", "told"),
    [
        ("<B", 123, (255,), "unit of length"),
        ("<2h3f", 252, (1, 0, 1.0, 1.0, 1.0), "quaternion"),
        ("<i", 0, (540,), "no NIfTI-1"),
        ("<4s", 344, (b"n+2\0",), "no NIfTI-1"),
        ("<4s", 344, (b"\0\0\0\0",), "no NIfTI-1"),
    ],
)
def test_a_nifti_whose_grid_is_nonsense_is_named(
    tmp_path: Path, form: str, offset: int, value: tuple[float, ...], told: str
) -> None:
    data = bytearray(nifti_bytes(voxels(random()), packed=False))
    struct.pack_into(form, data, offset, *value)
    path = tmp_path / "ct.nii"
    path.write_bytes(data)
    with pytest.raises(UnreadableError, match=told):
        read_volume(path)
    with pytest.raises(engine_problems.UnreadableError, match=told):
        open_picture(path, "image")


def test_vectors_of_one_number_are_no_volume(tmp_path: Path) -> None:
    data = bytearray(nifti_bytes(voxels(random()), packed=False))
    struct.pack_into("<h", data, 68, 1007)
    path = tmp_path / "ct.nii"
    path.write_bytes(data)
    with pytest.raises(NotVolumeError):
        read_volume(path)


@pytest.mark.parametrize("keyword", ["ContourData", "ContourGeometricType"])
def test_a_contour_without_corners_or_type_is_not_left_out_unseen(tmp_path: Path, keyword: str) -> None:
    series = ct_slices("P", random())
    mask = structure_set("P", series, random())
    del mask.ROIContourSequence[0].ContourSequence[3][keyword]
    path = tmp_path / "RS"
    path.write_bytes(dicom_bytes(mask))
    image = sitk.GetImageFromArray(voxels(random()))
    with pytest.raises(ContourDamagedError, match="no type or no corners"):
        read_rtstruct(path, image, "GTV")


def test_a_series_of_two_kinds_of_objects_is_none(tmp_path: Path) -> None:
    for number, one in enumerate(ct_slices("P", random())):
        if number == 3:
            one.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        (tmp_path / f"IM{number}").write_bytes(dicom_bytes(one))
    headers = [read_header(path) for path in sorted(tmp_path.glob("IM*"))]
    with pytest.raises(MixedSeriesError, match="SOP classes"):
        read_series([header for header in headers if header is not None])


def test_names_too_long_for_a_file_are_shortened_and_stay_different() -> None:
    first, second = observer_name("x" * 200), observer_name("x" * 201)
    assert first != second
    assert len(first) == len(second) == 48
    assert observer_name("Dr. A") == "dr-a"


@pytest.mark.parametrize("inserted", [2, 18])
def test_bytes_inserted_into_a_deflated_slice_are_noticed(tmp_path: Path, inserted: int) -> None:
    """The pixels are shifted, and what is left over stands behind them as no value or as one that ends too soon."""
    for number, one in enumerate(ct_slices("P", random())):
        data = dicom_bytes(one)
        if number == 3:
            one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
            packed = dicom_bytes(one)
            meta = 144 + int(opened(packed).file_meta.FileMetaInformationGroupLength)
            plain = bytearray(zlib.decompress(packed[meta:], -zlib.MAX_WBITS))
            at = plain.find(one.PixelData) + 10
            plain[at:at] = bytes(range(7, 7 + inserted))
            packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            data = packed[:meta] + packer.compress(bytes(plain)) + packer.flush()
        (tmp_path / f"IM{number}").write_bytes(data)
    headers = [read_header(path) for path in sorted(tmp_path.glob("IM*"))]
    with pytest.raises(UnreadableError, match=r"too many|inserted"):
        read_series([header for header in headers if header is not None])


@pytest.mark.parametrize(("fault", "error"), [("rle", TruncatedFileError), ("bits", UnreadableError)])
def test_a_slice_whose_runs_are_too_long_or_that_tells_one_bit_is_refused(
    tmp_path: Path, fault: str, error: type[Exception]
) -> None:
    """pydicom warns of the first and cuts it; programs read the second in different ways."""
    for number, one in enumerate(ct_slices("P", random())):
        if fault == "bits":
            one.BitsStored = 1
        else:
            one.compress(RLELossless, generate_instance_uid=False)
            if number == 3:
                segment = one.PixelData.find(b"\x02\0\0\0") + 64
                one.PixelData = one.PixelData[:segment] + bytes([0x81, 7]) * 20 + one.PixelData[segment + 40 :]
        (tmp_path / f"IM{number}").write_bytes(dicom_bytes(one))
    headers = [read_header(path) for path in sorted(tmp_path.glob("IM*"))]
    with pytest.raises(error):
        read_series([header for header in headers if header is not None])
