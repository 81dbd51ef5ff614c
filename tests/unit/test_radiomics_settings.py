"""PyRadiomics parameter files work unchanged, and what they may not say is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.params.data import ExtractionSection
from pipelines.radiomics.definitions import FILTERS, SETTINGS
from pipelines.radiomics.settings import ExtractionSettings, SettingsError, settings_by_phase

PUBLISHED = """
imageType:
  Original: {}
  LoG:
    sigma: [2, 3.0]
    binWidth: 5
  Wavelet: {wavelet: db2, level: 2, start_level: 1}
featureClass:
  shape:
  firstorder: []
  glcm: [Autocorrelation, JointAverage, Dissimilarity]
setting:
  normalize: true
  normalizeScale: 100
  interpolator: sitkBSpline
  resampledPixelSpacing: [2, 2, 2]
  padDistance: 10
  binWidth: 25
  voxelArrayShift: 300
  removeOutliers:
  weightingNorm:
  resegmentRange: [-3, 3]
  resegmentMode: sigma
  label: 1
  enableCExtensions: true
"""


def settings(**sections: Any) -> ExtractionSettings:
    return ExtractionSettings.from_mapping(sections)


def complaint(**sections: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        settings(**sections)
    return str(caught.value)


def test_a_published_parameter_file_is_read_and_made_explicit(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(PUBLISHED)
    read = ExtractionSettings.read(path)
    assert list(read.image_types) == ["Original", "LoG", "Wavelet"]
    assert len(read.feature_classes["shape"]) == 14
    assert len(read.feature_classes["firstorder"]) == 18
    assert read.feature_classes["glcm"] == ("Autocorrelation", "JointAverage", "Dissimilarity")
    assert read.effective("LoG")["binWidth"] == 5.0
    assert read.effective("Original")["binWidth"] == 25.0
    assert read.effective("Wavelet")["symmetricalGLCM"] is True
    assert read.notes() == (
        "setting.enableCExtensions: decides no feature; there is one way to compute",
        "featureClass.glcm.Dissimilarity gives no value any more; it equals DifferenceAverage",
    )
    assert ExtractionSettings.from_mapping(read.plain()) == read


def test_nothing_said_means_pyradiomics_defaults() -> None:
    plain = settings()
    assert list(plain.image_types) == ["Original"]
    assert sum(len(features) for features in plain.feature_classes.values()) == 107 + 9
    assert plain.effective()["binWidth"] == 25.0
    assert plain.effective()["resampledPixelSpacing"] is None


def test_every_key_of_the_table_is_accepted_with_its_default() -> None:
    stated = {key: legal.default for key, legal in SETTINGS.items() if legal.default is not None and key != "sigma"}
    everything = {name: {} for name in FILTERS} | {"LoG": {"sigma": [1]}}
    assert settings(imageType=everything, setting=stated).fingerprint() == settings(imageType=everything).fingerprint()


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"settings": {}}, "settings: unknown; did you mean setting?"),
        ({"setting": {"binwith": 5}}, "setting.binwith: unknown; did you mean binWidth?"),
        ({"setting": {"binWidth": 0}}, "setting.binWidth: a number above 0 is expected, seen 0"),
        ({"setting": {"binWidth": -25}}, "seen -25"),
        ({"setting": {"binWidth": None}}, "setting.binWidth: null is not allowed"),
        ({"setting": {"binWidth": float("nan")}}, "seen nan"),
        ({"setting": {"binCount": 32.5}}, "setting.binCount: a whole number above 0, or null is expected"),
        ({"setting": {"label": True}}, "seen True"),
        ({"setting": {"force2D": "yes"}}, "setting.force2D: true or false is expected"),
        ({"setting": {"force2Ddimension": 3}}, "a whole number at least 0 at most 2"),
        ({"setting": {"distances": []}}, "setting.distances: a list of one or more"),
        ({"setting": {"resampledPixelSpacing": [1, 1]}}, "a list of 3"),
        ({"setting": {"resegmentRange": [1, 2, 3]}}, "a list of 1 or 2"),
        ({"setting": {"resegmentMode": "relativ"}}, "one of absolute, relative, sigma"),
        ({"setting": {"interpolator": "sitkCubic"}}, "setting.interpolator: one of sitkNearestNeighbor"),
        ({"setting": {"weightingNorm": "euclid"}}, "euclidean, manhattan, infinity, no_weighting, or null"),
        ({"imageType": {"log": {"sigma": [1]}}}, "imageType.log: unknown; did you mean LoG?"),
        ({"imageType": {"LoG": {}}}, "imageType.LoG.sigma: missing"),
        ({"imageType": {"LoG": {"sigma": [0]}}}, "each a number above 0"),
        ({"imageType": {"LoG": {"sigma": [1], "padDistance": 3}}}, "acts before the filters"),
        ({"imageType": {"Wavelet": {"sigma": [1]}}}, "belongs to another image type"),
        ({"imageType": {"Wavelet": {"wavelet": "coif"}}}, "did you mean coif"),
        ({"imageType": {"Wavelet": {"wavelet": "mexh"}}}, "mexh: unknown"),
        ({"featureClass": {"GLCM": []}}, "featureClass.GLCM: unknown; did you mean glcm?"),
        ({"featureClass": {"glcm": ["contrast"]}}, "did you mean Contrast?"),
        ({"featureClass": {"glcm": "Contrast"}}, "a list of features or null is expected"),
        ({"voxelSetting": {"kernelRadius": 2}}, "feature maps by voxel are not supported"),
        ({"setting": [1]}, "setting: a mapping is expected"),
    ],
)
def test_what_may_not_be_said_is_refused_by_name(sections: dict[str, Any], message: str) -> None:
    assert message in complaint(**sections)


def test_every_complaint_is_made_at_once() -> None:
    text = complaint(setting={"binWidth": 0, "labell": 1}, imageType={"Wave": {}})
    assert all(word in text for word in ("binWidth", "labell", "Wave"))


def test_the_fingerprint_is_of_what_decides_values() -> None:
    plain = settings(setting={"binWidth": 25})
    assert plain.fingerprint() == settings(setting={"binWidth": 25.0, "additionalInfo": False}).fingerprint()
    assert plain.fingerprint() == settings(setting={"enableCExtensions": False, "gldm_a": 0}).fingerprint()
    assert plain.fingerprint() != settings(setting={"binWidth": 24.9}).fingerprint()
    assert plain.fingerprint() != settings(imageType={"Original": {"binWidth": 5}}).fingerprint()
    assert plain.fingerprint() != settings(featureClass={"shape": []}).fingerprint()


def test_the_margin_is_what_filters_reach() -> None:
    assert settings().required_margin() == (0.0, 0)
    assert settings(imageType={"LoG": {"sigma": [1, 3.5]}}).required_margin() == (84.0, 4)
    assert settings(imageType={"Wavelet": {}}).required_margin() == (0.0, 3)
    assert settings(imageType={"Wavelet": {"wavelet": "db4", "level": 2, "start_level": 1}}).required_margin() == (
        0.0,
        12,
    )
    assert settings(imageType={"Gradient": {}, "LBP2D": {"lbp2DRadius": 2.5}}).required_margin() == (0.0, 4)
    cut = settings(imageType={"Wavelet": {}, "LoG": {"sigma": [5]}}, setting={"preCrop": True, "padDistance": 7})
    assert cut.required_margin() == (0.0, 7)


def test_resampling_reaches_its_pad_and_the_spline_beyond() -> None:
    made = settings(setting={"resampledPixelSpacing": [2, 2, 0], "padDistance": 4})
    assert made.reach_voxels((1.0, 0.8, 3.0)) == (12 + 28, 15 + 28, 6 + 28)
    assert settings(setting={"resampledPixelSpacing": [2, 2, 2], "interpolator": None}).required_margin() == (0.0, 0)


def test_what_needs_the_whole_image_is_named() -> None:
    made = settings(imageType={"Original": {}, "Square": {}, "Exponential": {}}, setting={"normalize": True})
    assert made.whole_image_keys() == ("setting.normalize", "imageType.Square", "imageType.Exponential")


def test_phases_lay_their_own_keys_over_the_default(tmp_path: Path) -> None:
    (tmp_path / "ct.yaml").write_text(PUBLISHED)
    section = ExtractionSection(
        default={"file": "ct.yaml", "setting": {"normalize": False}},
        by_phase={"pet": {"setting": {"binWidth": 0.5}, "imageType": {"Original": {}}}},
    )
    made = settings_by_phase(section, ["ct", "pet"], tmp_path)
    assert made["ct"].effective()["binWidth"] == 25.0
    assert made["ct"].effective()["normalize"] is False
    assert made["pet"].effective()["binWidth"] == 0.5
    assert made["pet"].effective()["padDistance"] == 10
    assert list(made["pet"].image_types) == ["Original"]


def test_order_of_keys_in_a_settings_file_orders_no_column(tmp_path: Path) -> None:
    classes, types = {"shape": [], "firstorder": []}, {"Gradient": {}, "Original": {}}
    (tmp_path / "a.yaml").write_text(json.dumps({"featureClass": classes, "imageType": types}))
    turned = {"imageType": dict(reversed(types.items())), "featureClass": dict(reversed(classes.items()))}
    (tmp_path / "b.yaml").write_text(json.dumps(turned))
    plain = [
        json.dumps(settings_by_phase(ExtractionSection(default={"file": name}), ["ct"], tmp_path)["ct"].plain())
        for name in ("a.yaml", "b.yaml")
    ]
    assert plain[0] == plain[1]


def test_the_message_names_phase_and_file(tmp_path: Path) -> None:
    wrong = ExtractionSection(default={}, by_phase={"pet": {"setting": {"binWidth": -1}}})
    with pytest.raises(SettingsError, match="extraction of pet"):
        settings_by_phase(wrong, ["ct", "pet"], tmp_path)
    with pytest.raises(SettingsError, match=r"gone\.yaml: there is no such file"):
        settings_by_phase(ExtractionSection(default={"file": "gone.yaml"}), ["ct"], tmp_path)


def test_the_study_template_is_legal() -> None:
    root = Path(__file__).resolve().parents[2]
    content = yaml.safe_load((root / "params.yaml").read_text())["extraction"]["default"]
    assert ExtractionSettings.from_mapping(content).required_margin()[0] <= 48.0
