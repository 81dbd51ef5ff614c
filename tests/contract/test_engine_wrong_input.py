"""Wrong input ends as it does in PyRadiomics: with the same values, or with none and then a cause of our own.

PyRadiomics itself runs here, not the engine that wraps it. Where it gives nonsense instead, that is listed.
"""

import math
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from featurestore.errors import CaseError
from pipelines.radiomics import FastEngine

pytestmark = pytest.mark.usefixtures("own_tolerance")

SHAPE = (8, 10, 12)
CLASSES = ("shape", "firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm")
NONSENSE = {
    "a NaN inside": "its bins leave the NaN out and its first-order features do not see it",
    "two dimensions": "it measures a picture as one slice, without shape; radmill takes volumes only",
}
"""Where PyRadiomics gives values and the engine refuses, and why."""
MORE = {"a gap outside, normalized": "it has no mean of an image with a NaN; the engine counts it as 0, as ITK does"}
"""Where the engine gives values and PyRadiomics fails, and why."""

Case = tuple[sitk.Image, sitk.Image, dict[str, Any], str]


def _image(kind: str = "int16") -> np.ndarray:
    return np.random.default_rng(3).normal(0, 80, SHAPE).astype(kind)


def _spoiled(value: float, place: tuple[int, int, int]) -> sitk.Image:
    voxels = _image("float32")
    voxels[place] = value
    return sitk.GetImageFromArray(voxels)


def _mask(label: float = 1, kind: str = "uint8", *, shape: tuple[int, ...] = SHAPE, box: Any = None) -> sitk.Image:
    voxels = np.zeros(shape, kind)
    voxels[box or np.s_[2:6, 3:8, 3:9]] = label
    return sitk.GetImageFromArray(voxels, isVector=False)


def _moved(by_mm: float) -> sitk.Image:
    mask = _mask()
    mask.SetOrigin((by_mm, 0.0, 0.0))
    return mask


def _cases() -> dict[str, Case]:
    """Returns image, mask, settings and how it must end: a code, or `values`."""
    image, mask = sitk.GetImageFromArray(_image()), _mask()
    flat = sitk.GetImageFromArray(np.full(SHAPE, 25, "int16"))
    layers = sitk.Compose(_mask(0), _mask())
    largest = float(_image()[sitk.GetArrayViewFromImage(mask) == 1].max())
    larger = _mask(shape=(10, 12, 14))
    return {
        "nothing segmented": (image, _mask(0), {}, "empty_mask"),
        "fractions of 1/255": (image, _mask(0.00392, "float32"), {}, "empty_mask"),
        "fractions above 1": (image, _mask(1.7, "float32"), {}, "values"),
        "float mask of 255": (image, _mask(255, "float32"), {"label": 255}, "values"),
        "another label": (image, _mask(7), {}, "label_absent"),
        "a label beyond its type": (image, mask, {"label": 300}, "label_absent"),
        "a huge label": (image, mask, {"label": 2**40}, "label_absent"),
        "minus outside": (image, sitk.Cast(mask, sitk.sitkInt16) * 2 - 1, {}, "values"),
        "one voxel": (image, _mask(box=np.s_[3, 4, 5]), {"minimumROIDimensions": 1}, "roi_too_small"),
        "a line": (image, _mask(box=np.s_[3, 4, 2:9]), {}, "roi_too_small"),
        "a line, allowed": (image, _mask(box=np.s_[3, 4, 2:9]), {"minimumROIDimensions": 1}, "values"),
        "one slice": (image, _mask(box=np.s_[4, 2:7, 3:9]), {}, "values"),
        "too few voxels": (image, mask, {"minimumROISize": 1000}, "roi_too_small"),
        "a flat region": (flat, mask, {}, "values"),
        "a flat region, counted": (flat, mask, {"binCount": 16}, "values"),
        "a flat image, normalized": (flat, mask, {"normalize": True}, "flat_image"),
        "a NaN inside": (_spoiled(np.nan, (3, 4, 5)), mask, {}, "not_finite"),
        "infinity inside": (_spoiled(np.inf, (3, 4, 5)), mask, {}, "not_finite"),
        "a gap outside": (_spoiled(np.nan, (0, 0, 0)), mask, {}, "values"),
        "a gap outside, normalized": (_spoiled(np.nan, (0, 0, 0)), mask, {"normalize": True}, "values"),
        "two dimensions": (image[:, :, 3], mask[:, :, 3], {}, "not_3d"),
        "four dimensions": (sitk.JoinSeries([image, image]), mask, {}, "not_3d"),
        "four dimensions in both": (sitk.JoinSeries([image] * 2), sitk.JoinSeries([mask] * 2), {}, "not_3d"),
        "colors": (sitk.Compose([sitk.Cast(image, sitk.sitkUInt8)] * 3), mask, {}, "not_3d"),
        "complex numbers": (sitk.Cast(image, sitk.sitkComplexFloat32), mask, {}, "not_3d"),
        "layers": (image, layers, {}, "empty_mask"),
        "layers, the second": (image, layers, {"label_channel": 1}, "values"),
        "layers, the sixth": (image, layers, {"label_channel": 5}, "not_3d"),
        "a larger mask": (image, larger, {}, "grid_mismatch"),
        "a larger mask, corrected": (image, larger, {"correctMask": True}, "values"),
        "a larger mask, resampled": (image, larger, {"resampledPixelSpacing": [2.0, 2.0, 2.0]}, "values"),
        "beyond the image": (
            image,
            _mask(shape=(20, 10, 12), box=np.s_[2:19, 2:6, 2:6]),
            {"correctMask": True},
            "roi_outside_image",
        ),
        "moved by rounding": (image, _moved(1e-8), {}, "values"),
        "moved": (image, _moved(0.3), {}, "grid_mismatch"),
        "moved, tolerated": (image, _moved(0.3), {"geometryTolerance": 0.5}, "values"),
        "moved, corrected": (image, _moved(0.3), {"correctMask": True}, "values"),
        "nothing in range": (image, mask, {"resegmentRange": [5000.0, 6000.0]}, "roi_too_small"),
        "one voxel in range": (image, mask, {"resegmentRange": [largest, 6000.0]}, "roi_too_small"),
        "too far apart": (image, mask, {"distances": [30]}, "no_neighbor"),
        "300 bins": (sitk.GetImageFromArray(_image("float32")), mask, {"binCount": 300}, "values"),
    }


CASES = _cases()


def _stock(image: sitk.Image, mask: sitk.Image, content: dict[str, Any]) -> dict[str, float] | None:
    module = import_module("radiomics.featureextractor")
    content = {**content, "featureClass": {family: [] for family in content["featureClass"]}}
    try:
        values = module.RadiomicsFeatureExtractor(content, additionalInfo=False).execute(image, mask)
    except (ValueError, RuntimeError, AssertionError, IndexError):
        return None
    return {name: float(value) for name, value in values.items()}


def _ours(image: sitk.Image, mask: sitk.Image, content: dict[str, Any]) -> dict[str, float] | str:
    try:
        return FastEngine(content).execute(image, mask)
    except CaseError as error:
        return error.code if error.remedy else "no remedy"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_wrong_input_has_pyradiomicss_values_or_a_cause(name: str) -> None:
    image, mask, setting, outcome = CASES[name]
    content = {"featureClass": dict.fromkeys(CLASSES), "setting": setting}
    found = _ours(image, mask, content)
    assert (found if isinstance(found, str) else "values") == outcome
    expected = _stock(image, mask, content)
    if isinstance(found, str):
        assert expected is None or name in NONSENSE
    elif expected is None:
        assert name in MORE
        assert all(math.isfinite(value) for value in found.values())
    else:
        assert list(found) == list(expected)
        np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-9, atol=1e-12)


def test_ten_thousand_bins_have_values_where_few_of_them_are_filled() -> None:
    """PyRadiomics takes 10 GB for GLCM here; its other classes are compared."""
    image, mask = sitk.GetImageFromArray(_image("float64")), _mask()
    others = [family for family in CLASSES if family != "glcm"]
    content = {"featureClass": dict.fromkeys(others), "setting": {"binCount": 10_000}}
    expected, found = _stock(image, mask, content), _ours(image, mask, content)
    assert expected is not None
    assert not isinstance(found, str)
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-9, atol=1e-12)
    pairs = _ours(image, mask, {"featureClass": {"glcm": None}, "setting": {"binCount": 10_000}})
    assert not isinstance(pairs, str)
    assert all(math.isfinite(value) for value in pairs.values())


@pytest.mark.parametrize(
    ("setting", "code", "words"),
    [
        ({"binWidth": 1e-5}, "too_many_bins", r"more than 2,000,000 bins"),
        ({"resampledPixelSpacing": [0.005] * 3}, "too_large", r"voxels of 0.005×0.005×0.005 mm would take \d+ GiB"),
    ],
)
def test_what_would_take_too_much_memory_is_refused_with_numbers(
    setting: dict[str, Any], code: str, words: str
) -> None:
    with pytest.raises(CaseError, match=words) as caught:
        FastEngine({"setting": setting}).execute(sitk.GetImageFromArray(_image("float32")), _mask())
    assert caught.value.code == code


def test_levels_that_would_take_too_much_memory_are_refused_before_they_are_paired() -> None:
    image = np.arange(27_000, dtype="int32").reshape(30, 30, 30)
    with pytest.raises(CaseError, match=r"gray levels in 13 directions would take .* GiB for GLCM; the limit is 4 GiB"):
        FastEngine({"setting": {"binWidth": 1.0}}).execute(
            sitk.GetImageFromArray(image), sitk.GetImageFromArray(np.ones(image.shape, "uint8"))
        )
