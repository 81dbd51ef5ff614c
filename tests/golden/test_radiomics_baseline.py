"""The reference engine gives PyRadiomics's own published baselines, under the settings that stand in them."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import SimpleITK as sitk

from pipelines.images.cropping import crop, crop_box, roi_box
from pipelines.images.grid import Grid
from pipelines.radiomics.base import WholeImage
from pipelines.radiomics.definitions import SETTINGS
from pipelines.radiomics.reference import PyRadiomicsEngine

FAMILIES = ("firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm", "shape", "shape2D")
CASES = [
    *((family, case) for family in FAMILIES for case in ("brain1", "breast1")),
    *((family, "lung1") for family in ("firstorder", "glcm", "shape", "shape2D")),  # large, hence slow in stock
]
TOLERANCE = 0.03
"""Upstream's own: the baselines were computed with versions from 1.3 to 2.2 on Python 2."""


@cache
def baseline(folder: Path, family: str) -> pd.DataFrame:
    return pd.read_csv(folder / "baseline" / f"baseline_{family}.csv", index_col=0, dtype=str)


def settings_of(column: "pd.Series[str]", family: str) -> dict[str, Any]:
    stated = ast.literal_eval(column["diagnostics_Configuration_Settings"])
    image_types = ast.literal_eval(column["diagnostics_Configuration_EnabledImageTypes"])
    known = {key: value for key, value in stated.items() if key in SETTINGS and value is not None}
    names = [name.split("_")[2] for name in column.index if name.startswith("original_")]
    return {"imageType": image_types, "featureClass": {family: names}, "setting": known}


def region(mask: sitk.Image, column: "pd.Series[str]") -> sitk.Image:
    """Returns the mask cut to the slices that the baseline names: shape2D was computed on one of them."""
    named = [f"diagnostics_Mask-{kind}_BoundingBox" for kind in ("corrected", "original")]
    box = next(column[name] for name in named if name in column)
    _, _, first, _, _, n_slices = ast.literal_eval(box)
    voxels = sitk.GetArrayFromImage(mask)
    voxels[:first], voxels[first + n_slices :] = 0, 0
    cut = sitk.GetImageFromArray(voxels)
    cut.CopyInformation(mask)
    return cut


def stored(image: sitk.Image, mask: sitk.Image) -> tuple[sitk.Image, sitk.Image, WholeImage]:
    """Returns a crop as ingest stores it."""
    box = crop_box(Grid.of(image), roi_box(mask), 0.0, 40)
    numbers = {"mean": 0.0, "sd": 1.0, "minimum": -1.0, "maximum": 1.0}
    whole = WholeImage(**numbers, size=image.GetSize(), lower=box.lower, origin_mm=image.GetOrigin())
    return crop(image, box), crop(mask, box), whole


@pytest.mark.data
@pytest.mark.parametrize(("family", "case"), CASES)
def test_every_variant_of_a_case_is_within_upstreams_tolerance(test_data: Path, family: str, case: str) -> None:
    """Variants that need no number of the whole image go through a crop."""
    folder = test_data / "pyradiomics"
    table = baseline(folder, family)
    variants = [name for name in table.columns if name.split("_")[0] == case]
    assert variants
    image, mask = (sitk.ReadImage(str(folder / f"{case}_{kind}.nrrd")) for kind in ("image", "label"))
    for variant in variants:
        column = table[variant].dropna()
        engine = PyRadiomicsEngine(settings_of(column, family))
        outline = region(mask, column)
        is_whole = bool(engine.settings.whole_image_keys())
        values = engine.execute(*((image, outline) if is_whole else stored(image, outline)))
        expected = {name: float(value) for name, value in column.items() if str(name).startswith("original_")}
        got = {name: values[name] for name in expected}
        assert got == pytest.approx(expected, rel=TOLERANCE, abs=1e-6), variant
