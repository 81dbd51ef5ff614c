"""`diagnostics_*` on request, key by key what PyRadiomics's own extractor returns."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from pipelines.radiomics import FastEngine

pytestmark = pytest.mark.usefixtures("own_tolerance")

ADDED = {"diagnostics_Versions_Radmill"}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {"label": 3},
    "normalized": {"label": 3, "normalize": True, "removeOutliers": 2.0, "binWidth": 0.5},
    "resampled": {"label": 3, "resampledPixelSpacing": [2.0, 2.0, 0.0], "interpolator": "sitkLinear"},
    "same spacing": {"label": 3, "resampledPixelSpacing": [1.5, 1.0, 2.5], "padDistance": 2},
    "resegmented": {"label": 3, "resegmentRange": [-50.0, 80.0]},
    "resampled, resegmented": {"label": 3, "resampledPixelSpacing": [2.0, 2.0, 2.0], "resegmentRange": [-20.0, 80.0]},
    "precropped": {"label": 3, "preCrop": True, "padDistance": 1, "resegmentRange": [-50.0, 80.0]},
    "corrected": {"label": 3, "correctMask": True, "normalize": True, "binWidth": 0.5},
    "corrected, resegmented": {"label": 3, "correctMask": True, "resegmentRange": [-50.0, 80.0]},
}


def case(*, is_shifted: bool) -> tuple[sitk.Image, sitk.Image]:
    rng = np.random.default_rng(8)
    image = sitk.GetImageFromArray(rng.normal(0, 60, (14, 18, 20)).astype("int16"))
    voxels = np.zeros((14, 18, 20), "uint8")
    voxels[3:7, 4:9, 5:12], voxels[9:12, 10:14, 3:8], voxels[0, 0, 0] = 3, 3, 1
    mask = sitk.GetImageFromArray(voxels)
    for volume in (image, mask):
        volume.SetSpacing((1.5, 1.0, 2.5))
        volume.SetOrigin((-20.0, 7.5, 100.25))
        volume.SetDirection((0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0))
    if is_shifted:
        mask.SetOrigin((-20.4, 7.5, 100.25))
    return image, mask


def stock(setting: dict[str, Any]) -> Any:
    return import_module("radiomics.featureextractor").RadiomicsFeatureExtractor(content(setting))


def content(setting: dict[str, Any]) -> dict[str, Any]:
    return {"imageType": {"Original": {}}, "featureClass": {"firstorder": ["Mean"]}, "setting": setting}


@pytest.mark.parametrize("variant", VARIANTS)
def test_diagnostics_are_those_of_pyradiomics(variant: str) -> None:
    pair, setting = case(is_shifted=variant.startswith("corrected")), VARIANTS[variant]
    expected = dict(stock(setting).execute(*pair))
    found = FastEngine(content(setting)).execute(*pair, diagnostics=True)
    assert [name for name in found if name not in ADDED] == list(expected)
    for name, value in expected.items():
        if isinstance(value, str | dict):
            assert found[name] == value, name
        else:
            np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=1e-12, err_msg=name)


def test_without_a_request_there_are_none_and_both_give_the_same_features() -> None:
    pair, engine = case(is_shifted=False), FastEngine(content({"label": 3}))
    plain = engine.execute(*pair)
    assert tuple(plain) == engine.names()
    told = engine.execute(*pair, diagnostics=True)
    assert {name: value for name, value in told.items() if not name.startswith("diagnostics_")} == plain
