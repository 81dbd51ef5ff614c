"""The fast engine says what is wrong with files, settings and stored crops."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from featurestore.errors import InputError
from pipelines.radiomics import FastEngine
from pipelines.radiomics.base import EngineError, ExtractionError, WholeImage

SHAPE = (8, 10, 12)


def voxels(kind: str = "int16") -> np.ndarray:
    return np.random.default_rng(3).normal(0, 80, SHAPE).astype(kind)


def block(label: float = 1, kind: str = "uint8") -> np.ndarray:
    mask = np.zeros(SHAPE, kind)
    mask[2:6, 3:8, 3:9] = label
    return mask


def engine(image_types: dict[str, Any] | None = None, **setting: Any) -> FastEngine:
    return FastEngine({"imageType": image_types or {"Original": {}}, "setting": setting})


def run(image: np.ndarray, mask: np.ndarray, **setting: Any) -> dict[str, float]:
    pair = (sitk.GetImageFromArray(array, isVector=False) for array in (image, mask))
    return engine(**setting).execute(*pair)


def test_an_absent_label_lists_those_present() -> None:
    with pytest.raises(ExtractionError, match=r"label 2 is not in the mask; it has \[7\]"):
        run(voxels(), block(7), label=2)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "image.nii.gz").write_bytes(b"nothing")
    for name in ("image.nii.gz", "absent.nii.gz"):
        with pytest.raises(ExtractionError, match=name):
            engine().execute(tmp_path / name, tmp_path / name)


def test_a_compressed_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    image, mask = tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(voxels()), str(image))
    sitk.WriteImage(sitk.GetImageFromArray(block()), str(mask))
    image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
    with pytest.raises(ExtractionError, match="damaged"):
        engine().execute(image, mask)


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("axis", range(3))
def test_a_region_that_stands_beyond_the_image_is_refused(axis: int, side: int) -> None:
    """PyRadiomics forgives a thousandth of a voxel beyond the outer edge of the first and the last voxel."""
    image, mask = sitk.GetImageFromArray(voxels()), sitk.GetImageFromArray(np.ones(SHAPE, np.uint8))
    for beyond, is_refused in ((0.0009, False), (0.0012, True), (0.7, True)):
        mask.SetOrigin([side * beyond if at == axis else 0.0 for at in range(3)])
        if is_refused:
            with pytest.raises(ExtractionError, match="in an image of"):
                engine(correctMask=True).execute(image, mask)
        else:
            assert engine(correctMask=True).execute(image, mask)


@pytest.mark.parametrize("setting", [{"binWidth": -1.0}, {"binwidth": 25.0}, {"kernelRadius": 1}])
def test_settings_that_are_not_legal_are_refused_by_name(setting: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(setting))):
        engine(**setting)


def test_a_crop_around_which_too_little_was_stored_is_refused() -> None:
    numbers = {"mean": 0.0, "sd": 80.0, "minimum": -300.0, "maximum": 300.0}
    whole = WholeImage(**numbers, size=(60, 60, 60), lower=(20, 20, 20), origin_mm=(0.0, 0.0, 0.0))
    crop = sitk.GetImageFromArray(voxels()), sitk.GetImageFromArray(block())
    assert engine().execute(*crop, whole)
    with pytest.raises(EngineError, match="its crop begins at"):
        engine({"LoG": {"sigma": [1.0]}}).execute(*crop, whole)
    moved = replace(whole, beyond="repeat")
    assert engine({"LoG": {"sigma": [1.0]}}).execute(*crop, moved)


def test_gaps_outside_the_region_count_as_zero_as_itk_reads_them(tmp_path: Path) -> None:
    image = voxels("float32")
    image[0, 0, :3] = np.nan
    filters = {"LoG": {"sigma": [1.0]}}
    pair = sitk.GetImageFromArray(np.nan_to_num(image)), sitk.GetImageFromArray(block())
    expected = engine(filters).execute(*pair)
    sitk.WriteImage(pair[1], str(tmp_path / "mask.nii.gz"))
    sitk.WriteImage(sitk.GetImageFromArray(image), str(tmp_path / "image.nii.gz"))
    assert engine(filters).execute(tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz") == expected
