"""PyRadiomics as an engine: a crop gives the values of its image, and what cannot be measured is said clearly."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from pipelines.images.cropping import crop, crop_box, roi_box
from pipelines.images.grid import Grid
from pipelines.radiomics.base import EngineError, ExtractionError, WholeImage
from pipelines.radiomics.compute import compute
from pipelines.radiomics.engines import ENGINES, check_crops, engine
from pipelines.radiomics.reference import PyRadiomicsEngine
from pipelines.radiomics.settings import ExtractionSettings, SettingsError

FEW = {"firstorder": None, "glcm": ["Idm", "JointEntropy"], "glszm": ["ZonePercentage"], "shape": ["MeshVolume"]}


def scene(shape: tuple[int, int, int] = (40, 64, 70), center: tuple[int, int, int] = (19, 30, 33)) -> Any:
    """Returns a noisy image with edges and a ball in it; `shape` and `center` along z, y, x."""
    z, y, x = np.indices(shape) - np.array(center)[:, None, None, None]
    inside = x * x + y * y + 3 * z * z < 60
    voxels = np.random.default_rng(5).normal(40, 60, shape) + 400 * (x > 12) - 700 * (y < -15)
    image, mask = sitk.GetImageFromArray(voxels.astype(np.int16)), sitk.GetImageFromArray(inside.astype(np.uint8))
    for volume in (image, mask):
        volume.SetSpacing((0.9, 0.7, 1.6))
        volume.SetOrigin((-31.3, 12.9, 100.7))
        volume.SetDirection((0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0))
    return image, mask


def stored(
    image: sitk.Image, mask: sitk.Image, settings: ExtractionSettings
) -> tuple[sitk.Image, sitk.Image, WholeImage]:
    """Returns the crop that ingest would store with the margin these settings ask for."""
    mm, voxels = settings.required_margin()
    if settings.resampled_spacing_mm() is not None:
        mm, voxels = 0.0, max(settings.reach_voxels(image.GetSpacing()))
    box = crop_box(Grid.of(image), roi_box(mask), mm, voxels)
    numbers = {"mean": 0.0, "sd": 1.0, "minimum": -1.0, "maximum": 1.0}
    whole = WholeImage(**numbers, size=image.GetSize(), lower=box.lower, origin_mm=image.GetOrigin())
    return crop(image, box), crop(mask, box), whole


@pytest.mark.parametrize(
    "sections",
    [
        {"imageType": {"Original": {}, "Wavelet": {}, "Gradient": {}}},
        {"imageType": {"Wavelet": {"level": 2, "wavelet": "db3"}}},
        {"imageType": {"LoG": {"sigma": [0.4, 0.5]}}},
        {"imageType": {"Original": {}, "Wavelet": {}}, "setting": {"preCrop": True, "padDistance": 3}},
        {"imageType": {"Original": {}, "Wavelet": {}}, "setting": {"resampledPixelSpacing": [1.3, 1.3, 1.3]}},
        {"imageType": {"LoG": {"sigma": [2.0]}}, "setting": {"resampledPixelSpacing": [0.77, 1.09, 0]}},
    ],
    ids=str,
)
@pytest.mark.parametrize("is_at_border", [False, True], ids=["inside", "at the border"])
def test_a_stored_case_gives_the_values_of_its_image(sections: dict[str, Any], is_at_border: bool) -> None:
    """Protects the rule that cropping changes no value: to 1e-9, with every filter's own margin."""
    settings = ExtractionSettings.from_mapping({"featureClass": FEW, **sections})
    shape = (96, 110, 120) if settings.resampled_spacing_mm() else (40, 64, 70)
    z, y, x = shape[0] // 2, shape[1] // 2, shape[2] // 2
    image, mask = scene(shape, (4, y, shape[2] - 6) if is_at_border else (z, y, x))
    made = PyRadiomicsEngine(settings)
    cropped, outline, whole = stored(image, mask, settings)
    assert np.prod(cropped.GetSize()) < np.prod(image.GetSize())
    expected = made.execute(image, mask)
    assert made.execute(cropped, outline, whole) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_what_needs_the_whole_image_is_computed_on_it_and_refused_on_a_crop() -> None:
    settings = ExtractionSettings.from_mapping({"featureClass": FEW, "imageType": {"Square": {}}})
    image, mask = scene((20, 30, 30), (9, 14, 14))
    made = PyRadiomicsEngine(settings)
    assert made.execute(image, mask)["square_firstorder_Mean"] > 0
    with pytest.raises(EngineError, match=r"imageType\.Square on a crop"):
        made.execute(*stored(image, mask, settings))
    with pytest.raises(EngineError, match=r"set extraction\.engine to fast"):
        check_crops("pyradiomics", settings)


def changed(volume: sitk.Image, **how: Any) -> sitk.Image:
    voxels = sitk.GetArrayFromImage(volume)
    if "fill" in how:
        voxels = np.full_like(voxels, how["fill"])
    if "keep" in how:
        voxels[np.cumsum(voxels.ravel()).reshape(voxels.shape) > how["keep"]] = 0
    if "nan" in how:
        voxels = voxels.astype(float)
        voxels[9, 14, 14] = np.nan
    image = sitk.GetImageFromArray(voxels)
    image.CopyInformation(volume)
    if "shift" in how:
        image.SetOrigin([value + how["shift"] for value in image.GetOrigin()])
    return image


@pytest.mark.parametrize(
    ("image_change", "mask_change", "code", "message"),
    [
        ({}, {"fill": 0}, "empty_mask", "no voxel of the mask is outlined"),
        ({}, {"fill": 3}, "label_absent", "label 1 is not in the mask; it has 3"),
        ({}, {"keep": 1}, "region_refused", "1 segmented voxel"),
        ({}, {"keep": 3}, "region_refused", "too few dimensions"),
        ({}, {"shift": 2.0}, "grid_mismatch", "origin 3.46"),
        ({"nan": True}, {}, "nonfinite_voxels", "1 of"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_region_that_cannot_be_measured_says_why(
    image_change: dict[str, Any], mask_change: dict[str, Any], code: str, message: str
) -> None:
    image, mask = scene((20, 30, 30), (9, 14, 14))
    with pytest.raises(ExtractionError, match=message) as caught:
        PyRadiomicsEngine({}).execute(changed(image, **image_change), changed(mask, **mask_change))
    assert caught.value.code == code


def test_an_image_of_other_dimensions_or_no_image_says_so(tmp_path: Path) -> None:
    image, mask = scene((20, 30, 30), (9, 14, 14))
    with pytest.raises(ExtractionError, match="the image has 4 dimensions"):
        PyRadiomicsEngine({}).execute(sitk.JoinSeries(image, image), mask)
    with pytest.raises(ExtractionError, match=r"gone\.nrrd: there is no such file"):
        PyRadiomicsEngine({}).execute(tmp_path / "gone.nrrd", mask)
    (tmp_path / "text.nrrd").write_text("no image")
    with pytest.raises(ExtractionError) as caught:
        PyRadiomicsEngine({}).execute(tmp_path / "text.nrrd", mask)
    assert str(tmp_path) not in str(caught.value)


def test_a_flat_region_has_pyradiomics_values() -> None:
    image, mask = scene((20, 30, 30), (9, 14, 14))
    values = PyRadiomicsEngine({}).execute(changed(image, fill=7), mask)
    assert values["original_firstorder_Entropy"] == pytest.approx(0, abs=1e-9)
    assert values["original_glcm_Correlation"] == 1


def test_it_is_silent_and_leaves_no_trace_in_the_process(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Protects from 31 equal warnings, and from one phase's tolerance deciding another's."""
    process = sitk.ProcessObject
    before = process.GetGlobalDefaultCoordinateTolerance(), process.GetGlobalDefaultNumberOfThreads()
    image, mask = scene((20, 30, 30), (9, 14, 14))
    loose = PyRadiomicsEngine(
        {"setting": {"geometryTolerance": 5.0, "binCount": 16}, "imageType": {"LoG": {"sigma": [90]}}}
    )
    with caplog.at_level(logging.DEBUG):
        loose.execute(image, changed(mask, shift=0.5))
    with pytest.raises(ExtractionError, match="differs"):
        PyRadiomicsEngine({}).execute(image, changed(mask, shift=0.5))
    assert (process.GetGlobalDefaultCoordinateTolerance(), process.GetGlobalDefaultNumberOfThreads()) == before
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_filters_whose_library_is_missing_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyRadiomics would skip them without a word."""
    monkeypatch.setattr("pipelines.radiomics.reference.importlib.util.find_spec", lambda name: None)
    with pytest.raises(EngineError, match="LBP2D of PyRadiomics needs scikit-image"):
        PyRadiomicsEngine({"imageType": {"LBP2D": {}}})
    monkeypatch.setattr("pipelines.radiomics.reference._has_lbp3d", lambda: False)
    with pytest.raises(EngineError, match=r"LBP3D of PyRadiomics needs trimesh and a scipy below 1\.17"):
        PyRadiomicsEngine({"imageType": {"LBP3D": {}}})


def test_compute_tells_values_and_how_they_were_made(tmp_path: Path) -> None:
    image, mask = scene((20, 30, 30), (9, 14, 14))
    for name, volume in (("image.nrrd", image), ("mask.nrrd", mask * 2)):
        sitk.WriteImage(volume, str(tmp_path / name))
    told = compute(tmp_path / "image.nrrd", tmp_path / "mask.nrrd", {"featureClass": FEW}, "pyradiomics", label=2)
    assert told["features"] == PyRadiomicsEngine({"featureClass": FEW}).execute(image, mask)
    assert told["record"]["versions"]["pyradiomics-bhklab"] == "3.1.4"
    assert told["record"]["parameters"]["settings"]["setting"] == {"label": 2}
    assert str(tmp_path) not in str(told)
    with pytest.raises(SettingsError, match=r"setting\.label"):
        compute(image, mask, {}, label=0)


def test_engines_are_found_by_name() -> None:
    settings = ExtractionSettings.from_mapping({})
    assert isinstance(engine("pyradiomics", settings), PyRadiomicsEngine)
    with pytest.raises(EngineError, match=f"use one of {', '.join(sorted(ENGINES))}"):
        engine("slow", settings)
