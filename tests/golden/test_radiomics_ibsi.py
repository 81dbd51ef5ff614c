"""Both engines on the IBSI 1 digital phantom, against the published consensus."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from pipelines.radiomics import ibsi
from pipelines.radiomics.definitions import feature_definitions
from pipelines.radiomics.engines import ENGINES, engine
from pipelines.radiomics.settings import ExtractionSettings

FAMILIES = {
    "shape": ("Morphology",),
    "firstorder": ("Statistics", "Intensity histogram"),
    "glcm": ("Co-occurrence matrix (3D, averaged)",),
    "glrlm": ("Run length matrix (3D, averaged)",),
    "glszm": ("Size zone matrix (3D)",),
    "ngtdm": ("Neighbourhood grey tone difference matrix (3D)",),
    "gldm": ("Neighbouring grey level dependence matrix (3D)",),
}
ROUNDED = 0.005
"""The published values have three significant digits."""

AXES = ("shape_MajorAxisLength", "shape_MinorAxisLength", "shape_LeastAxisLength")
"""PyRadiomics divides the covariance by n and the consensus by n - 1: its lengths are shorter by √((n - 1) / n)."""

N_VOXELS = 74


def consensus(folder: Path) -> dict[str, tuple[float, float]]:
    """Returns the consensus value and its tolerance for each feature that PyRadiomics and the IBSI both define."""
    table = pd.read_csv(folder / "reference" / "digital_phantom.csv", encoding="utf-8-sig")
    values = {
        (row.family, row.feature.lower()): (row.value, row.tolerance)
        for row in table.rename(columns={"reference value": "value"}).itertuples()
    }
    names = ibsi_names(folder)
    return {
        f"{family}_{feature}": values[place, names[known.ibsi]]
        for (family, feature), known in feature_definitions().items()
        for place in FAMILIES.get(family, ())
        if known.ibsi and known.status == "current" and (place, names[known.ibsi]) in values
    }


def ibsi_names(folder: Path) -> dict[str, str]:
    published = pd.read_csv(folder / "pyradiomics_to_ibsi.tsv", sep="\t", encoding="utf-8-sig")
    other = pd.read_csv(Path(__file__).with_name("radiomics_ibsi_names.csv"))
    names = dict(zip(published["IBSI_code"], published["IBSI_meaning"].str.lower(), strict=True))
    return {**names, **dict(zip(other["code"], other["reference_name"], strict=True))}


@pytest.mark.data
@pytest.mark.parametrize("name", ENGINES)
def test_every_feature_of_the_map_is_within_the_consensus_tolerance(test_data: Path, name: str) -> None:
    folder = test_data / "ibsi1"
    phantom = folder / "digital_phantom"
    extractor = engine(name, ExtractionSettings.from_mapping({"setting": {"binWidth": 1}}))
    got = extractor.execute(phantom / "phantom.nii.gz", phantom / "mask.nii.gz")
    expected = consensus(folder)
    current = [name for name, known in feature_definitions().items() if known.ibsi and known.status == "current"]
    assert len(expected) == len(current)
    outside = {}
    for feature, (value, tolerance) in expected.items():
        divisor = (N_VOXELS / (N_VOXELS - 1)) ** 0.5 if feature in AXES else 1.0
        if abs(got[f"original_{feature}"] * divisor - value) > max(tolerance, abs(value) * ROUNDED):
            outside[feature] = (got[f"original_{feature}"], value)
    assert outside == {}


@pytest.mark.data
def test_the_codes_are_those_of_the_published_map(test_data: Path) -> None:
    """Protects from slips of ours; the map's own (size zones under glcm, other spellings) are corrected by name."""
    table = pd.read_csv(test_data / "ibsi1" / "pyradiomics_to_ibsi.tsv", sep="\t", encoding="utf-8-sig")
    mapped = table.dropna(subset=["pyradiomics_feature_class"])
    published = dict(zip(mapped["IBSI_code"], mapped["pyradiomics_feature_name"], strict=True))
    ours = {known.ibsi: known.feature for known in feature_definitions().values() if known.ibsi}
    assert ours.keys() == published.keys()
    respelled = {"ZoneSizeVariance": "ZoneVariance", "ZoneSizeEntropy": "ZoneEntropy"}
    expected = {code: respelled.get(name, name).replace("Grey", "Gray") for code, name in published.items()}
    assert ours == expected


@pytest.mark.data
def test_the_phantom_written_down_is_the_published_one(test_data: Path) -> None:
    for name, ours in zip(("phantom", "mask"), ibsi.phantom(), strict=True):
        published = sitk.ReadImage(test_data / "ibsi1" / "digital_phantom" / f"{name}.nii.gz")
        np.testing.assert_array_equal(sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(published))
        assert ours.GetSpacing() == published.GetSpacing()
        assert ours.GetDirection() == published.GetDirection()


@pytest.mark.data
def test_the_consensus_written_down_is_the_published_one(test_data: Path) -> None:
    """Protects `radmill doctor --ibsi`: values and tolerances, and that no feature of the map is left out."""
    ours = {name: (known.value, known.tolerance) for name, known in ibsi.references().items()}
    assert ours.pop("firstorder_Kurtosis") == (-0.355, 0)
    assert ours == consensus(test_data / "ibsi1")


@pytest.mark.data
def test_the_ct_phantom_is_inside_once_it_is_resampled_by_the_rules_of_the_consensus(test_data: Path) -> None:
    """Configuration A needs no resampling; in B PyRadiomics's grid moves values, the engine's features do not."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "ibsi.py"
    spec = importlib.util.spec_from_file_location("ibsi_page", path)
    assert spec is not None
    assert spec.loader is not None
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    folder = test_data / "ibsi1"
    ct = folder / "ct_phantom_NONCOMMERCIAL" / "nifti"
    x_mm, y_mm, z_mm = sitk.ReadImage(ct / "phantom.nii.gz").GetSpacing()
    found = page._features(ct, {**page.RESEGMENTED, "binWidth": 25.0})
    sections = [
        ibsi.compare(found, page._consensus(folder, "config_A"), x_mm * y_mm * z_mm),
        ibsi.compare(page._aligned_features(ct), page._consensus(folder, "config_B"), 2.0 * 2.0 * z_mm),
    ]
    for rows in sections:
        assert len(rows) > 90
        assert not [row.feature for row in rows if row.verdict == "outside"]
