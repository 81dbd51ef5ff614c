"""Every key of PyRadiomics's own parameter schema either does something in the fast engine or is refused by name."""

from importlib.resources import files
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import yaml

from featurestore.errors import CaseError
from pipelines.radiomics import FastEngine
from pipelines.radiomics.agreement import disagreements
from pipelines.radiomics.settings import SettingsError

SHAPE = (20, 22, 24)
TOLD = {"additionalInfo"}
"""Decides no feature: diagnostics come with the call (`diagnostics=True`), and a note of the settings says so."""

CLASSES = dict.fromkeys(["shape", "firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm"])
LAYERED, MOVED = "layered", "moved"
CHANGES: dict[str, tuple[str, dict[str, Any], dict[str, Any], object]] = {
    # key: which mask, image types, what else is set, and a value that must change what comes out
    "minimumROIDimensions": ("", {}, {"label": 3}, 1),
    "minimumROISize": ("", {}, {}, 10**6),
    "geometryTolerance": (MOVED, {}, {}, 0.5),
    "correctMask": (MOVED, {}, {}, True),
    "label": ("", {}, {}, 2),
    "label_channel": (LAYERED, {}, {}, 1),
    "binWidth": ("", {}, {}, 11.0),
    "binCount": ("", {}, {}, 7),
    "normalize": ("", {}, {}, True),
    "normalizeScale": ("", {}, {"normalize": True}, 100.0),
    "removeOutliers": ("", {}, {"normalize": True}, 1.0),
    "resampledPixelSpacing": ("", {}, {}, [1.3, 1.4, 1.5]),
    "interpolator": ("", {}, {"resampledPixelSpacing": [1.3, 1.4, 1.5]}, "sitkLinear"),
    "padDistance": ("", {"LoG": {"sigma": [2.0]}}, {"preCrop": True}, 1),
    "distances": ("", {}, {}, [2]),
    "force2D": ("", {}, {}, True),
    "force2Ddimension": ("", {}, {"force2D": True}, 1),
    "resegmentRange": ("", {}, {}, [-50.0, 60.0]),
    "resegmentMode": ("", {}, {"resegmentRange": [-1.0, 1.0]}, "sigma"),
    "resegmentShape": ("", {}, {"resegmentRange": [-50.0, 60.0]}, True),
    "preCrop": ("", {"LoG": {"sigma": [2.0]}}, {}, True),
    "sigma": ("", {"LoG": {"sigma": [2.0]}}, {}, [3.0]),
    "start_level": ("", {"Wavelet": {}}, {}, 1),
    "level": ("", {"Wavelet": {}}, {}, 2),
    "wavelet": ("", {"Wavelet": {}}, {}, "haar"),
    "gradientUseSpacing": ("", {"Gradient": {}}, {}, False),
    "lbp2DRadius": ("", {"LBP2D": {}}, {}, 2.0),
    "lbp2DSamples": ("", {"LBP2D": {}}, {}, 5),
    "lbp2DMethod": ("", {"LBP2D": {}}, {}, "default"),
    "lbp3DLevels": ("", {"LBP3D": {}}, {}, 1),
    "lbp3DIcosphereRadius": ("", {"LBP3D": {}}, {}, 2.0),
    "lbp3DIcosphereSubdivision": ("", {"LBP3D": {}}, {}, 2),
    "voxelArrayShift": ("", {}, {}, 300),
    "symmetricalGLCM": ("", {}, {}, False),
    "weightingNorm": ("", {}, {}, "euclidean"),
    "gldm_a": ("", {}, {}, 1),
}


def schema() -> dict[str, Any]:
    pytest.importorskip("radiomics", reason="PyRadiomics is not installed")
    text = files("radiomics").joinpath("schemas", "paramSchema.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)["mapping"]
    return content


def pair(kind: str) -> tuple[sitk.Image, sitk.Image]:
    rng = np.random.default_rng(4)
    image = sitk.GetImageFromArray(rng.normal(0, 60, SHAPE))
    voxels = np.zeros(SHAPE, "uint8")
    place = (np.indices(SHAPE) - np.array([9, 10, 11]).reshape(3, 1, 1, 1)) / np.array([5, 6, 4]).reshape(3, 1, 1, 1)
    voxels[(place**2).sum(axis=0) <= 1] = 1
    voxels[17:19, 17:20, 17:21] = 2
    voxels[1, 1, 1:5] = 3
    mask = sitk.GetImageFromArray(voxels)
    for volume in (image, mask):
        volume.SetSpacing((1.0, 1.2, 2.0))
    if kind == LAYERED:
        mask = sitk.Compose(mask, sitk.Cast(mask == 2, sitk.sitkUInt8))
    if kind == MOVED:
        mask.SetOrigin((0.3, 0.0, 0.0))
    return image, mask


def outcome(kind: str, image_types: dict[str, Any], setting: dict[str, Any]) -> dict[str, float] | str:
    content = {"imageType": image_types or {"Original": {}}, "featureClass": CLASSES, "setting": setting}
    try:
        return FastEngine(content).execute(*pair(kind))
    except CaseError as error:
        return error.code


def test_the_schema_has_no_key_that_is_not_looked_at_here() -> None:
    assert set(schema()["setting"]["mapping"]) == set(CHANGES) | TOLD


@pytest.mark.parametrize("key", CHANGES)
def test_every_key_of_the_schema_changes_what_comes_out(key: str) -> None:
    kind, image_types, setting, value = CHANGES[key]
    before = outcome(kind, image_types, setting)
    if key in {name for keys in image_types.values() for name in keys}:
        after = outcome(kind, {name: {**keys, key: value} for name, keys in image_types.items()}, setting)
    else:
        after = outcome(kind, image_types, {**setting, key: value})
    if isinstance(before, str) or isinstance(after, str):
        assert before != after
    else:
        assert list(before) != list(after) or disagreements(before, after)


@pytest.mark.parametrize("value", [True, False])
def test_a_key_that_decides_no_feature_is_told(value: bool) -> None:
    engine = FastEngine({"setting": {"additionalInfo": value}})
    assert any("additionalInfo" in note for note in engine.settings.notes())


def test_keys_of_feature_maps_are_refused_by_name() -> None:
    for key in schema()["voxelSetting"]["mapping"]:
        with pytest.raises(SettingsError, match=f"voxelSetting.*{key}"):
            FastEngine({"voxelSetting": {key: 1}})
        with pytest.raises(SettingsError, match=f"setting.{key}"):
            FastEngine({"setting": {key: 1}})


def test_the_schema_has_no_other_section() -> None:
    assert set(schema()) == {"setting", "voxelSetting", "featureClass", "imageType"}
