"""A stored case, which is a crop, has the features of the image it was cut from, whatever is computed.

`RADMILL_ENGINE_FULL=1` runs every kind of image with every way to prepare it; the quick suite takes some.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from pipelines.images.cropping import crop, crop_box, roi_box
from pipelines.images.files import write_image
from pipelines.images.grid import Grid
from pipelines.images.statistics import Statistics
from pipelines.radiomics import FastEngine
from pipelines.radiomics.agreement import disagreements
from pipelines.radiomics.base import WholeImage
from pipelines.radiomics.settings import ExtractionSettings

IS_FULL = bool(os.environ.get("RADMILL_ENGINE_FULL"))
CLASSES = dict.fromkeys(["firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm", "shape"])
NEAR = {
    **{"Original": {}, "Wavelet": {}, "LoG": {"sigma": [1.0]}, "Gradient": {}, "LBP2D": {"lbp2DRadius": 2.0}},
    **{"Square": {}, "SquareRoot": {}, "Logarithm": {}, "Exponential": {}},
}
FAR = {"LBP3D": {}}
"""Its spline looks so far that little would be left to cut in the other tests."""
NORMALIZED = {"normalize": True, "normalizeScale": 100.0, "binWidth": 5.0}
RESAMPLED = {"resampledPixelSpacing": [2.0, 2.0, 2.0]}
OTHERS = ("sitkLinear", "sitkNearestNeighbor", "sitkGaussian", "sitkHammingWindowedSinc")
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "normalized": NORMALIZED,
    "without outliers": {**NORMALIZED, "removeOutliers": 2.0},
    "resampled": RESAMPLED,
    "normalized, resampled": {**RESAMPLED, **NORMALIZED},
    **{f"resampled, {kind}": {**RESAMPLED, "interpolator": kind} for kind in OTHERS},
    **{f"normalized, resampled, {kind}": {**RESAMPLED, **NORMALIZED, "interpolator": kind} for kind in OTHERS},
    "in slices": {"force2D": True},
    "precropped, normalized": {**NORMALIZED, "preCrop": True, "padDistance": 7},
    "resegmented, normalized": {**NORMALIZED, "resegmentRange": [-2.0, 2.0], "resegmentMode": "sigma"},
}
QUICK = ("plain", "without outliers", "resampled", "normalized, resampled, sitkLinear", "in slices")
SARCOMAS = [f"sts_cohort/STS_002/{modality}" for modality in ("CT", "PET", "MR_T1")]
MADE = {"1 1 1": "int16", "1 1 3": "float32", "0.7 0.7 2.5": "int16", "turned 0.6667 0.6667 0.6667": "float64"}
MEETING = ("resampled", "normalized, resampled, sitkNearestNeighbor")
Pair = tuple[sitk.Image, sitk.Image]


def made(name: str) -> Pair:
    """Returns an image that is flat in places; where spacings meet the resampled grid, rounding decides voxels."""
    rng = np.random.default_rng(len(name))
    shape = (70, 90, 100)
    voxels = rng.normal(0, 200, shape)
    for axis in range(3):
        voxels = (voxels + np.roll(voxels, 1, axis)) / 2
    place = np.indices(shape) - np.array([35, 46, 47]).reshape(3, 1, 1, 1)
    inside = ((place / np.array([4, 6, 5]).reshape(3, 1, 1, 1)) ** 2).sum(axis=0) <= 1
    pair = (
        sitk.GetImageFromArray(np.where(voxels < -40, -1000, voxels).astype(MADE[name])),
        sitk.GetImageFromArray(inside.astype("uint8")),
    )
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    for volume in pair:
        volume.SetSpacing([float(step) for step in name.split()[-3:]])
        volume.SetOrigin((-131.3, 77.77, -403.1))
        volume.SetDirection((turn if "turned" in name else np.eye(3)).ravel().tolist())
    return pair


def case(folder: Path, name: str) -> Pair:
    if name in MADE:
        return made(name)
    ends = ("_image.nrrd", "_label.nrrd") if name.startswith("pyradiomics") else (".nii.gz", "_mask.nii.gz")
    first, second = (sitk.ReadImage(str(folder / f"{name}{end}")) for end in ends)
    return first, second


def stored(pair: Pair, settings: ExtractionSettings) -> tuple[sitk.Image, sitk.Image, WholeImage]:
    """Returns a crop as ingest stores it with the margin that these settings ask for."""
    image, mask = pair
    mm, voxels = settings.required_margin()
    if settings.resampled_spacing_mm() is not None:
        mm, voxels = 0.0, max(settings.reach_voxels(image.GetSpacing()))
    box = crop_box(Grid.of(image), roi_box(mask), mm, voxels)
    numbers = vars(Statistics.of(image))
    whole = WholeImage(**numbers, size=image.GetSize(), lower=box.lower, origin_mm=image.GetOrigin())
    return crop(image, box), crop(mask, box), whole


def check(pair: Pair, image_types: dict[str, Any], setting: dict[str, Any], *, is_cut: bool = False) -> None:
    content = {"imageType": image_types, "featureClass": CLASSES, "setting": setting}
    engine = FastEngine(content)
    image, mask, whole = stored(pair, engine.settings)
    assert not is_cut or image.GetSize() != whole.size
    assert not disagreements(engine.execute(*pair), engine.execute(image, mask, whole))


@pytest.mark.data
@pytest.mark.parametrize("variant", VARIANTS if IS_FULL else QUICK)
@pytest.mark.parametrize("name", ["pyradiomics/lung1", *(SARCOMAS if IS_FULL else ())])
def test_a_stored_case_has_the_features_of_its_image(test_data: Path, name: str, variant: str) -> None:
    """Values come from the crop and, where they must, from numbers of the whole image."""
    pair, setting = case(test_data, name), VARIANTS[variant]
    check(pair, NEAR, setting, is_cut="lung1" in name)
    if IS_FULL:
        check(pair, FAR, setting)


@pytest.mark.parametrize("variant", VARIANTS if IS_FULL else MEETING)
@pytest.mark.parametrize("name", MADE if IS_FULL else ("1 1 3",))
def test_grids_that_meet_and_flat_places_are_no_exception(name: str, variant: str) -> None:
    """There a position or a sum that moves in its last bit would move a voxel by one."""
    check(made(name), NEAR, VARIANTS[variant])


@pytest.mark.parametrize("setting", [{}, {**NORMALIZED, "removeOutliers": 2.0}])
def test_patterns_in_3d_are_those_of_the_image(setting: dict[str, Any]) -> None:
    image, mask = made("1 1 1")
    pair = sitk.MirrorPad(image, [60] * 3, [60] * 3), sitk.ConstantPad(mask, [60] * 3, [60] * 3, 0)
    check(pair, FAR, setting, is_cut=True)


def test_an_image_shorter_than_the_wavelet_is_cut_along_the_other_axes() -> None:
    image, mask = made("1 1 1")
    flat = image[:, :, 33:36], mask[:, :, 33:36]
    check(flat, {"Wavelet": {}}, {}, is_cut=True)


@pytest.mark.parametrize("name", ["1 1 3", "turned 0.6667 0.6667 0.6667"])
def test_a_stored_file_keeps_where_it_was(tmp_path: Path, name: str) -> None:
    """Directions are in single precision in the file, so that turned images may differ in the last digits."""
    pair = made(name)
    engine = FastEngine({"imageType": {"Wavelet": {}}, "setting": {**RESAMPLED, **NORMALIZED}})
    image, mask, whole = stored(pair, engine.settings)
    files = tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz"
    for path, volume in zip(files, (image, mask), strict=True):
        write_image(path, volume)
    expected, found = engine.execute(*pair), engine.execute(*files, whole)
    assert found == expected if "turned" not in name else not disagreements(expected, found)
