"""What protects NIfTI and NRRD images and masks: pixel types, labels, dimensions and axes."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from pipelines.ingest.nifti import read_mask, read_volume
from pipelines.ingest.problems import (
    EmptyMaskError,
    LabelAbsentError,
    LabelAmbiguousError,
    NonfiniteVoxelsError,
    NonorthonormalDirectionError,
    NotMaskError,
    NotVolumeError,
    TruncatedFileError,
    UnreadableError,
)

SHAPE = (4, 5, 6)


def saved(path: Path, voxels: np.ndarray[tuple[int, ...], np.dtype[np.generic]], *, is_vector: bool = False) -> Path:
    image = sitk.GetImageFromArray(voxels, isVector=is_vector)
    if image.GetDimension() == 3:
        image.SetSpacing((0.7, 0.8, 2.5))
        image.SetOrigin((-10.0, 20.0, -30.0))
    sitk.WriteImage(image, str(path))
    return path


def sheared(path: Path, shear: float, *, qform: bool) -> Path:
    """A NIfTI whose affine leans its y axis by `shear`; the quaternion, if there is one, hides it."""
    saved(path, np.arange(120, dtype=np.int16).reshape(SHAPE))
    header = bytearray(path.read_bytes())
    affine = np.diag([0.7, 0.8, 2.5])
    affine[0, 1] = 0.8 * shear
    for row in range(3):
        struct.pack_into("<3f", header, 280 + 16 * row, *affine[row])
    struct.pack_into("<2h", header, 252, int(qform), 1)
    path.write_bytes(bytes(header))
    return path


@pytest.mark.data
def test_real_images_keep_their_values(test_data: Path) -> None:
    for path in (test_data / "sts_cohort").rglob("STS_00[12]/*.nii.gz"):
        stored = sitk.ReadImage(str(path))
        image = read_mask(path) if path.name.endswith("_mask.nii.gz") else read_volume(path)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(stored))
        assert image.GetOrigin() == stored.GetOrigin()


@pytest.mark.data
def test_real_nrrd_is_read(test_data: Path) -> None:
    folder = test_data / "pyradiomics"
    stored = sitk.ReadImage(str(folder / "brain1_image.nrrd"))
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(read_volume(folder / "brain1_image.nrrd")), sitk.GetArrayFromImage(stored)
    )
    assert sitk.GetArrayFromImage(read_mask(folder / "brain1_label.nrrd", label=1)).sum() > 0


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_whole_numbers_become_int16_whatever_their_type(tmp_path: Path, dtype: str) -> None:
    voxels = np.arange(120).reshape(SHAPE).astype(dtype)
    image = read_volume(saved(tmp_path / "a.nii.gz", voxels))
    assert image.GetPixelID() == sitk.sitkInt16
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), voxels)


def test_fractions_and_large_numbers_become_float32(tmp_path: Path) -> None:
    for voxels in (np.arange(120).reshape(SHAPE) / 8, 40000.0 + np.arange(120).reshape(SHAPE)):
        image = read_volume(saved(tmp_path / "a.nrrd", voxels))
        assert image.GetPixelID() == sitk.sitkFloat32
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), voxels)


def test_double_precision_is_kept_where_it_is_used(tmp_path: Path) -> None:
    voxels = np.arange(120).reshape(SHAPE) / 7
    image = read_volume(saved(tmp_path / "a.nii.gz", voxels))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), voxels)


def test_label_absent_lists_what_is_there_and_what_auto_would_take(tmp_path: Path) -> None:
    voxels = np.zeros(SHAPE, dtype=np.uint8)
    voxels[1, 2, 3] = 2
    path = saved(tmp_path / "m.nii.gz", voxels)
    with pytest.raises(LabelAbsentError) as caught:
        read_mask(path, label=1)
    assert caught.value.what == "labels found: 2; expected: 1; `label: auto` would take 2"
    assert sitk.GetArrayFromImage(read_mask(path)).tolist() == (voxels == 2).astype(int).tolist()
    assert read_mask(path, label=2).GetPixelID() == sitk.sitkUInt8


def test_auto_refuses_several_labels(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.nii.gz", np.arange(120, dtype=np.uint8).reshape(SHAPE) % 4)
    with pytest.raises(LabelAmbiguousError, match="labels found: 1, 2, 3; `label: auto` needs exactly one"):
        read_mask(path)
    assert sitk.GetArrayFromImage(read_mask(path, label=3)).sum() == 30


def test_empty_mask_and_probability_map_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EmptyMaskError):
        read_mask(saved(tmp_path / "a.nii.gz", np.zeros(SHAPE, dtype=np.uint8)), label=1)
    with pytest.raises(NotMaskError, match=r"such as 0\.25"):
        read_mask(saved(tmp_path / "b.nii.gz", np.full(SHAPE, 0.25, dtype=np.float32)))


def test_4d_2d_and_vector_images_are_refused_and_a_fourth_axis_of_one_dropped(tmp_path: Path) -> None:
    notes: list[str] = []
    with pytest.raises(NotVolumeError, match="size 6×5×4×2"):
        read_volume(saved(tmp_path / "a.nii.gz", np.zeros((2, *SHAPE), dtype=np.int16)))
    with pytest.raises(NotVolumeError, match="size 6×5"):
        read_volume(saved(tmp_path / "b.nii.gz", np.zeros((5, 6), dtype=np.int16)))
    with pytest.raises(NotVolumeError, match="with 3 numbers a voxel"):
        read_volume(saved(tmp_path / "c.nrrd", np.zeros((*SHAPE, 3), dtype=np.int16), is_vector=True))
    single = saved(tmp_path / "d.nrrd", np.ones((1, *SHAPE), dtype=np.int16))
    assert read_volume(single, notes=notes).GetSize() == (6, 5, 4)
    assert notes == ["a fourth dimension of length 1 was dropped"]


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.nrrd"])
def test_voxels_that_are_no_number_are_refused(tmp_path: Path, name: str) -> None:
    """ITK turns them into 0 when it reads NIfTI."""
    voxels = np.ones(SHAPE, dtype=np.float32)
    voxels[0, 0, 0] = np.nan
    with pytest.raises(NonfiniteVoxelsError, match="1 voxels are no number"):
        read_volume(saved(tmp_path / name, voxels))


@pytest.mark.parametrize("qform", [True, False])
def test_tiny_shear_is_repaired_and_noted(tmp_path: Path, qform: bool) -> None:
    notes: list[str] = []
    image = read_volume(sheared(tmp_path / "a.nii", 5e-4, qform=qform), direction_tolerance=1e-3, notes=notes)
    axes = np.reshape(image.GetDirection(), (3, 3))
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    assert notes == ["axes departed from perpendicular unit vectors by 5.0e-04 and were repaired"]
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).ravel(), np.arange(120))


@pytest.mark.parametrize("qform", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_larger_shear_is_refused_even_when_the_quaternion_hides_it(tmp_path: Path, qform: bool, zipped: bool) -> None:
    path = sheared(tmp_path / "a.nii", 0.1, qform=qform)
    if zipped:
        path = path.rename(tmp_path / "a.nii.gz")
        path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(NonorthonormalDirectionError, match=r"by 0\.1; up to 0\.0001 is repaired"):
        read_volume(path)


def test_sheared_nrrd_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nrrd", np.ones(SHAPE, dtype=np.int16))
    text = path.read_bytes().split(b"\n\n", 1)
    lines = [
        b"space directions: (0.7,0,0) (0.08,0.8,0) (0,0,2.5)" if b"directions" in line else line
        for line in text[0].split(b"\n")
    ]
    path.write_bytes(b"\n".join(lines) + b"\n\n" + text[1])
    with pytest.raises(NonorthonormalDirectionError):
        read_volume(path)


@pytest.mark.parametrize("name", ["miller_anna.nii", "miller_anna.nii.gz", "miller_anna.nrrd"])
def test_cut_off_file_is_refused_and_its_name_kept_out_of_the_message(tmp_path: Path, name: str) -> None:
    """ITK itself reads a cut NIfTI and fills the rest with rubbish."""
    path = saved(tmp_path / name, np.random.default_rng(0).integers(0, 9, (8, 9, 10)).astype(np.int16))
    whole = path.read_bytes()
    for length in range(0, len(whole), 41):
        path.write_bytes(whole[:length])
        for reader in (read_volume, read_mask):
            with pytest.raises((TruncatedFileError, UnreadableError)) as caught:
                reader(path)
            assert "miller" not in str(caught.value)


def test_flipped_byte_in_compressed_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii.gz", np.random.default_rng(0).integers(0, 9, (8, 9, 10)).astype(np.int16))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 255
    path.write_bytes(bytes(whole))
    with pytest.raises(TruncatedFileError, match="compressed bytes are damaged"):
        read_volume(path)


def test_file_of_another_kind_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "b.nii").write_text("no image")
    with pytest.raises(UnreadableError):
        read_volume(tmp_path / "b.nii")
