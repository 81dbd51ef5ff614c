"""The fast engine says what is wrong with a case, and gives PyRadiomics's value wherever there is one."""

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


def one_voxel() -> np.ndarray:
    mask = np.zeros(SHAPE, "uint8")
    mask[3, 4, 5] = 1
    return mask


def spoiled(value: float) -> np.ndarray:
    image = voxels("float32")
    image[3, 4, 5] = value
    return image


@pytest.mark.parametrize(
    ("code", "image", "mask", "setting"),
    [
        ("empty_mask", voxels(), np.zeros(SHAPE, "uint8"), {}),
        ("empty_mask", voxels(), block(0.00392, "float32"), {}),
        ("label_absent", voxels(), block(7), {}),
        ("roi_too_small", voxels(), one_voxel(), {}),
        ("roi_too_small", voxels(), block(), {"minimumROISize": 1000}),
        ("roi_too_small", voxels(), block(), {"resegmentRange": [5000.0, 6000.0]}),
        ("not_finite", spoiled(np.nan), block(), {}),
        ("not_finite", spoiled(np.inf), block(), {}),
        ("too_many_bins", voxels("float32"), block(), {"binWidth": 1e-5}),
        ("grid_mismatch", voxels(), np.ones((9, 10, 12), "uint8"), {}),
        ("flat_image", np.full(SHAPE, 7, "int16"), block(), {"normalize": True}),
        ("no_neighbor", voxels(), block(), {"distances": [30]}),
        ("not_flat", voxels(), block(), {"force2D": True}),
    ],
)
def test_a_case_that_cannot_be_measured_names_its_cause(
    code: str, image: np.ndarray, mask: np.ndarray, setting: dict[str, Any]
) -> None:
    with pytest.raises(ExtractionError) as caught:
        run(image, mask, **setting)
    assert caught.value.code == code
    assert caught.value.remedy


def test_an_absent_label_lists_those_present() -> None:
    with pytest.raises(ExtractionError, match=r"label 2 is not in the mask; it has \[7\]"):
        run(voxels(), block(7), label=2)


def test_bins_over_the_memory_limit_are_refused_with_numbers_before_they_are_made() -> None:
    image = np.arange(27_000, dtype="int32").reshape(30, 30, 30)
    with pytest.raises(ExtractionError, match=r"gray levels in 13 directions would take .* GiB"):
        run(image, np.ones(image.shape, "uint8"), binWidth=1.0)


@pytest.mark.parametrize("image", [np.zeros((2, 8, 10, 12)), np.zeros((10, 12))])
def test_other_than_three_dimensions_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ExtractionError, match="dimensions"):
        run(image, np.ones(image.shape, "uint8"))


def test_a_region_beyond_the_image_is_refused_even_where_masks_are_corrected() -> None:
    mask = sitk.GetImageFromArray(np.ones((20, 10, 12), "uint8"))
    with pytest.raises(ExtractionError, match="the region reaches"):
        engine(correctMask=True).execute(sitk.GetImageFromArray(voxels()), mask)


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


def test_one_slice_and_a_flat_region_have_values_as_in_pyradiomics() -> None:
    reference = pytest.importorskip("pipelines.radiomics.reference", reason="PyRadiomics is not installed")
    slice_only = np.zeros(SHAPE, "uint8")
    slice_only[4, 2:7, 3:9] = 1
    cases = [(voxels(), slice_only), (np.full(SHAPE, 25, "int16"), block())]
    for image, mask in cases:
        pair = sitk.GetImageFromArray(image), sitk.GetImageFromArray(mask)
        expected = reference.PyRadiomicsEngine({}).execute(*pair)
        found = engine().execute(*pair)
        assert list(found) == list(expected)
        np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-9, atol=1e-12)
