"""The catalogue names what an engine returns, before any image is read."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from pipelines.radiomics import catalog
from pipelines.radiomics.definitions import FEATURE_CLASSES, feature_definitions, feature_names
from pipelines.radiomics.reference import PyRadiomicsEngine
from pipelines.radiomics.settings import ExtractionSettings

ONE = {"firstorder": ["Mean"], "glcm": ["Id"]}


def ball(n_slices: int = 7) -> tuple[sitk.Image, sitk.Image]:
    """Returns a noisy image and a ball in it, cut to some slices."""
    z, y, x = np.indices((13, 14, 15)) - np.array([6, 7, 7])[:, None, None, None]
    inside = (x * x + y * y + 2 * z * z < 30) & (abs(z) <= n_slices // 2)
    voxels = np.random.default_rng(3).normal(100, 40, inside.shape)
    image, mask = sitk.GetImageFromArray(voxels), sitk.GetImageFromArray(inside.astype(np.uint8))
    for volume in (image, mask):
        volume.SetSpacing((0.8, 0.8, 1.5))
    return image, mask


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"imageType": {"Wavelet": {}, "Original": {}}, "featureClass": {"glcm": None, "shape": None}},
        {"imageType": {"Wavelet": {"level": 2, "start_level": 1}}, "featureClass": ONE},
        {"imageType": {"Wavelet": {"level": 3, "wavelet": "haar"}}, "featureClass": ONE},
        {"imageType": {"LoG": {"sigma": [1, 2.5, 3.0]}}, "featureClass": ONE},
        {
            "imageType": dict.fromkeys(("Square", "SquareRoot", "Logarithm", "Exponential", "Gradient")),
            "featureClass": ONE,
        },
        {"imageType": {"Wavelet": {}}, "featureClass": ONE, "setting": {"force2D": True, "force2Ddimension": 1}},
        {
            "featureClass": {
                "shape": ["Compactness1"],
                "glcm": ["Dissimilarity", "MCC"],
                "firstorder": ["StandardDeviation"],
            }
        },
    ],
    ids=str,
)
def test_names_are_those_of_a_real_run_in_the_same_order(sections: dict[str, Any]) -> None:
    engine = PyRadiomicsEngine(sections)
    assert tuple(engine.execute(*ball())) == engine.names()


def test_shape_in_the_plane_needs_a_single_slice() -> None:
    sections = {"featureClass": {"shape2D": None, "firstorder": ["Mean"]}, "setting": {"force2D": True}}
    engine = PyRadiomicsEngine(sections)
    assert tuple(engine.execute(*ball(n_slices=1))) == engine.names()
    assert len(engine.names()) == 10


def test_binary_patterns_have_pyradiomics_names() -> None:
    """Their libraries are not always there, so the names are held to PyRadiomics's documentation."""
    made = ExtractionSettings.from_mapping({"imageType": {"LBP2D": {}, "LBP3D": {"lbp3DLevels": 2}}})
    assert list(catalog.images(made)) == ["lbp-2D", "lbp-3D-m1", "lbp-3D-m2", "lbp-3D-k"]


def test_the_table_of_features_is_pyradiomics_own() -> None:
    from radiomics import getFeatureClasses

    classes = getFeatureClasses()
    assert tuple(classes) == FEATURE_CLASSES
    for family, known in classes.items():
        deprecated = {name for name, is_deprecated in known.getFeatureNames().items() if is_deprecated}
        assert feature_names(family, status=("current", "deprecated", "removed")) == tuple(known.getFeatureNames())
        assert set(feature_names(family, status=("deprecated", "removed"))) == deprecated


def test_columns_say_unit_code_and_what_it_is() -> None:
    made = ExtractionSettings.from_mapping({"imageType": {"Original": {}, "LoG": {"sigma": [2.0]}, "Wavelet": {}}})
    columns = {column.name: column for column in catalog.columns(made)}
    assert tuple(columns) == catalog.names(made)
    volume = columns["original_shape_MeshVolume"]
    assert (volume.unit, volume.code, volume.description) == ("mm3", "RNU0", "mesh volume (shape) of the region")
    log = columns["log-sigma-2-0-mm-3D_firstorder_90Percentile"]
    assert log.description == "90th percentile (first-order statistics) on the Laplacian of Gaussian (2 mm) image"
    assert columns["wavelet-HLL_glcm_Idmn"].code == "1QCO"
    assert columns["original_shape_Maximum2DDiameterRow"].description.startswith("maximum 2D diameter row")
    assert all(column.description for column in columns.values())


def test_every_formula_is_where_the_catalog_says() -> None:
    every = {family: list(feature_names(family)) for family in FEATURE_CLASSES}
    settings = ExtractionSettings.from_mapping({"featureClass": every, "setting": {"force2D": True}})
    for column in catalog.columns(settings):
        place, name = column.source.removeprefix("PyRadiomics ").rsplit(".", 1)
        module, formulas = place.rsplit(".", 1)
        assert callable(getattr(getattr(import_module(module), formulas), name)), column.name


def test_columns_of_several_phases_are_united_in_order() -> None:
    first = ExtractionSettings.from_mapping({"featureClass": {"firstorder": ["Mean"]}})
    second = ExtractionSettings.from_mapping({"featureClass": {"firstorder": ["Mean", "Energy"]}})
    united = [column.name for column in catalog.columns_of_phases([first, second])]
    assert united == ["original_firstorder_Mean", "original_firstorder_Energy"]


def test_removed_features_say_what_they_equal() -> None:
    assert all(known.same_as for known in feature_definitions().values() if known.status == "removed")
