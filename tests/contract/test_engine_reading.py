"""The fast reader gives ITK's voxels and grid, of any part, from every kind of file it opens itself."""

import gzip
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from pipelines.radiomics.fast import reading
from pipelines.radiomics.fast.layouts import layout_of
from pipelines.radiomics.fast.problems import UnreadableError
from pipelines.radiomics.fast.reading import open_picture

KINDS = ("int16", "uint8", "int8", "uint16", "int32", "uint32", "float32", "float64")
FILES = (("a.nii", False), ("a.nii.gz", True), ("a.nrrd", False), ("a.nrrd", True))


def volume(kind: str = "int16", *, sparse: bool = False) -> sitk.Image:
    rng = np.random.default_rng(7)
    voxels = rng.normal(60, 30, (9, 40, 50)).clip(0, 120)
    if sparse:
        voxels[:, :, :] = 0
        voxels[4:6, 10:20, 12:30] = 1
    image = sitk.GetImageFromArray(voxels.astype(kind))
    turn = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])
    image.SetDirection(turn.ravel().tolist())
    image.SetSpacing((0.7, 0.9, 2.3))
    image.SetOrigin((-11.25, 300.125, 7.0))
    return image


@pytest.mark.parametrize(
    ("kind", "file", "sparse"), [*product(KINDS, FILES, [False]), *product(["uint8"], FILES, [True])]
)
def test_any_part_equals_what_itk_reads(kind: str, file: tuple[str, bool], sparse: bool, tmp_path: Path) -> None:
    path = tmp_path / file[0]
    sitk.WriteImage(volume(kind, sparse=sparse), str(path), useCompression=file[1])
    assert layout_of(path) is not None
    whole = sitk.ReadImage(str(path))
    voxels = sitk.GetArrayFromImage(whole)
    picture = open_picture(path, "image")
    assert picture.grid == reading.picture_of(whole).grid
    np.testing.assert_array_equal(picture.voxels(), voxels)
    np.testing.assert_array_equal(picture.load((2, 5, 1), (7, 33, 50)), voxels[2:7, 5:33, 1:50])
    np.testing.assert_array_equal([plane.copy() for plane in picture.walk()], voxels)


@pytest.mark.parametrize("installed", ["isal", "zlib-ng", "neither"])
def test_every_decoder_gives_the_same(installed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(volume(), str(path))
    for name in {"isal": ["zlib_ng"], "zlib-ng": ["isal"], "neither": ["isal", "zlib_ng"]}[installed]:
        monkeypatch.setitem(__import__("sys").modules, name, None)
    np.testing.assert_array_equal(open_picture(path, "image").voxels(), sitk.GetArrayFromImage(volume()))


@pytest.mark.parametrize("sparse", [False, True])
def test_a_file_that_ends_early_or_is_garbled_is_refused(sparse: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(volume("uint8", sparse=sparse), str(path))
    content = path.read_bytes()
    short = tmp_path / "short.nii.gz"
    short.write_bytes(content[: len(content) // 2])
    garbled = tmp_path / "garbled.nii.gz"
    middle = len(content) * 2 // 3
    garbled.write_bytes(
        content[:middle] + bytes(255 - byte for byte in content[middle : middle + 8]) + content[middle + 8 :]
    )
    for damaged in (short, garbled):
        with pytest.raises(UnreadableError):
            open_picture(damaged, "image").voxels()


def test_a_plain_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    sitk.WriteImage(volume(), str(path))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UnreadableError):
        open_picture(path, "image").voxels()


def test_what_the_fast_reader_does_not_know_is_left_to_itk(tmp_path: Path) -> None:
    scaled, detached = tmp_path / "scaled.nii", tmp_path / "a.nhdr"
    sitk.WriteImage(volume(), str(scaled))
    content = bytearray(scaled.read_bytes())
    content[112:116] = np.float32(2.0).tobytes()  # scl_slope
    scaled.write_bytes(content)
    packed = tmp_path / "scaled.nii.gz"
    packed.write_bytes(gzip.compress(bytes(content)))
    sitk.WriteImage(volume(), str(detached))
    for path in (scaled, packed, detached):
        assert layout_of(path) is None
        expected = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
        picture = open_picture(path, "image")
        np.testing.assert_array_equal(picture.voxels(), expected)


def test_no_more_is_decoded_than_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(volume(), str(path))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    part = open_picture(path, "image").load((0, 0, 0), (4, 40, 50))
    np.testing.assert_array_equal(part, sitk.GetArrayFromImage(volume())[:4])
