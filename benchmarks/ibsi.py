"""Writes docs/reference/ibsi.md: the fast engine on the IBSI 1 phantoms against the published consensus.

python benchmarks/ibsi.py FOLDER_OF_TEST_DATA
"""

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import SimpleITK as sitk

from pipelines.radiomics import FastEngine
from pipelines.radiomics.ibsi import UNMAPPED, Comparison, Reference, compare, recomputed, references

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "ibsi.md"
IN_SLICES = {
    "shape": ("Morphology",),
    "firstorder": ("Statistics", "Intensity histogram"),
    "glcm": ("Co-occurrence matrix (2.5D, averaged)", "Co-occurrence matrix (2.5D, direction-merged)"),
    "glrlm": ("Run length matrix (2.5D, averaged)", "Run length matrix (2.5D, direction-merged)"),
    "glszm": ("Size zone matrix (2.5D)",),
    "ngtdm": ("Neighbourhood grey tone difference matrix (2.5D)",),
    "gldm": ("Neighbouring grey level dependence matrix (2.5D)",),
}
RESEGMENTED = {"resegmentRange": [-500.0, 400.0], "force2D": True, "force2Ddimension": 0}

INTRODUCTION = """# IBSI 1

This page is written by `benchmarks/ibsi.py`; do not edit it. It compares the fast engine, which gives PyRadiomics's
values, with the consensus of the Image Biomarker Standardisation Initiative for every feature that both define and the
published map of PyRadiomics's names lists. A value counts as inside when it lies within the published tolerance or
rounds to the published three digits.

`radmill doctor --ibsi` computes the first table on your machine: the phantom and its consensus come with the package
(the phantom: https://github.com/theibsi/data_sets, CC BY 4.0; the values: https://doi.org/10.1148/radiol.2020191145).
It ends with exit code 2 when a value is outside without a stated reason.

Known differences of definition: kurtosis is not reduced by 3 (the map leaves it out, so it is listed and not counted);
axis lengths divide the covariance by n instead of n − 1. A value is given such a reason only when it is inside once the
difference is undone. Bins are multiples of the width counted from 0 rather than from the lower bound of the
resegmentation, so that gray levels can be shifted by a whole number.
"""


def main(data: Path) -> None:
    folder = data / "ibsi1"
    ct = folder / "ct_phantom_NONCOMMERCIAL" / "nifti"
    parts = [INTRODUCTION]
    parts += _section("Digital phantom", recomputed())
    note = "CT phantom, no interpolation, resegmented to [−500, 400] HU, bins of 25 HU, texture in slices (2.5D)."
    x_mm, y_mm, z_mm = sitk.ReadImage(ct / "phantom.nii.gz").GetSpacing()
    found = _features(ct, {**RESEGMENTED, "binWidth": 25.0})
    parts += _section("Configuration A", compare(found, _consensus(folder, "config_A"), x_mm * y_mm * z_mm), note)
    setting = {**RESEGMENTED, "binCount": 32, "resampledPixelSpacing": [2.0, 2.0, 0.0], "interpolator": "sitkLinear"}
    note = (
        "CT phantom, slices resampled to 2 mm by linear interpolation, resegmented to [−500, 400] HU, 32 bins. The "
        "consensus aligns the centers of the two grids; PyRadiomics aligns their corners and takes the nearest voxel "
        "for the mask. What lies outside here is the effect of that."
    )
    found = _features(ct, setting)
    parts += _section("Configuration B", compare(found, _consensus(folder, "config_B"), 2.0 * 2.0 * z_mm), note)
    PAGE.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _features(folder: Path, setting: dict[str, Any]) -> dict[str, float]:
    content = {"featureClass": dict.fromkeys(IN_SLICES), "setting": setting}
    return FastEngine(content).execute(folder / "phantom.nii.gz", folder / "mask.nii.gz")


def _consensus(folder: Path, config: str) -> dict[str, Reference]:
    """Returns a configuration's consensus for the features of the digital phantom's, texture in slices."""
    table = pd.read_csv(folder / "reference" / f"{config}.csv", encoding="utf-8-sig")
    places = zip(table["family"], table["feature"].str.lower(), strict=True)
    published = dict(zip(places, zip(table["reference value"], table["tolerance"], strict=True), strict=True))
    found: dict[str, Reference] = {}
    for feature, known in references().items():
        keys = [(place, known.ibsi_name) for place in IN_SLICES[feature.split("_")[0]]]
        key = next((key for key in keys if key in published), None)
        if key:
            value, tolerance = (float(number) for number in published[key])
            found[feature] = Reference(ibsi_name=known.ibsi_name, value=value, tolerance=tolerance)
    return found


def _section(title: str, rows: list[Comparison], note: str = "") -> list[str]:
    counted = [row for row in rows if row.feature not in UNMAPPED]
    n_inside = sum(row.verdict == "inside" for row in counted)
    lines = [f"## {title}", "", *([note, ""] if note else [])]
    lines += [f"{n_inside} of {len(counted)} features inside.", ""]
    lines += ["| feature | engine | consensus | tolerance | |", "|---|---|---|---|---|"]
    for row in rows:
        known = row.reference
        words = {"inside": "inside", "explained": row.reason, "outside": "see the note above"}[row.verdict]
        lines.append(f"| {row.feature} | {row.value:.6g} | {known.value:g} | {known.tolerance:g} | {words} |")
    return [*lines, ""]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
