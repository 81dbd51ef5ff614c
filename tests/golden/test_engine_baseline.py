"""On PyRadiomics's baselines, the fast engine equals the reference engine and is never farther from the baseline."""

import ast
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import SimpleITK as sitk

from pipelines.radiomics import FastEngine
from pipelines.radiomics.agreement import disagreements
from pipelines.radiomics.definitions import SETTINGS

FAMILIES = ("firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm", "shape", "shape2D")
CASES = [(case, family) for family in FAMILIES for case in ("brain1", "breast1")]
LARGE = FAMILIES if os.environ.get("RADMILL_ENGINE_FULL") else ("glcm", "shape", "shape2D")
CASES += [("lung1", family) for family in LARGE]  # slow in PyRadiomics
FARTHER = 1e-9
"""What rounding may add to the distance from the baseline, relative to the value."""


def _settings(column: "pd.Series[str]", family: str) -> dict[str, Any]:
    stated = ast.literal_eval(column["diagnostics_Configuration_Settings"])
    known = {key: value for key, value in stated.items() if key in SETTINGS and value is not None}
    names = [name.split("_")[2] for name in column.index if name.startswith("original_")]
    image_types = ast.literal_eval(column["diagnostics_Configuration_EnabledImageTypes"])
    return {"imageType": image_types, "featureClass": {family: names}, "setting": known}


def _outline(mask: sitk.Image, column: "pd.Series[str]") -> sitk.Image:
    named = [f"diagnostics_Mask-{kind}_BoundingBox" for kind in ("corrected", "original")]
    _, _, first, _, _, n_slices = ast.literal_eval(next(column[name] for name in named if name in column))
    voxels = sitk.GetArrayFromImage(mask)
    voxels[:first], voxels[first + n_slices :] = 0, 0
    cut = sitk.GetImageFromArray(voxels)
    cut.CopyInformation(mask)
    return cut


@pytest.mark.data
@pytest.mark.parametrize(("case", "family"), CASES)
def test_every_variant_equals_the_reference_and_is_no_farther_from_the_baseline(
    test_data: Path, case: str, family: str
) -> None:
    reference = pytest.importorskip("pipelines.radiomics.reference", reason="PyRadiomics is not installed")
    folder = test_data / "pyradiomics"
    table = pd.read_csv(folder / "baseline" / f"baseline_{family}.csv", index_col=0, dtype=str)
    image, mask = (sitk.ReadImage(str(folder / f"{case}_{kind}.nrrd")) for kind in ("image", "label"))
    variants = [name for name in table.columns if name.split("_")[0] == case]
    assert variants
    for variant in variants:
        column = table[variant].dropna()
        content = _settings(column, family)
        pair = image, _outline(mask, column)
        expected, found = (make(content).execute(*pair) for make in (reference.PyRadiomicsEngine, FastEngine))
        assert not disagreements(expected, found), variant
        for name, value in expected.items():
            baseline = float(column[name])
            slack = FARTHER * abs(baseline) + 1e-12
            assert abs(found[name] - baseline) <= abs(value - baseline) + slack, (variant, name)
