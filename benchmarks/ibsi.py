"""Writes docs/reference/ibsi.md: the fast engine on the IBSI 1 phantoms against the published consensus.

python benchmarks/ibsi.py FOLDER_OF_TEST_DATA
"""

import math
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import SimpleITK as sitk

from pipelines.radiomics import FastEngine
from pipelines.radiomics.ibsi import UNMAPPED, Comparison, Reference, compare, recomputed, references

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "ibsi.md"
ALIGNED = "As above, but the image was resampled by the rules of the consensus before the engine saw it."
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
    consensus = _consensus(folder, "config_B")
    own = compare(_features(ct, setting), consensus, 2.0 * 2.0 * z_mm)
    aligned = compare(_aligned_features(ct), consensus, 2.0 * 2.0 * z_mm)
    parts += _section("Configuration B", own, _effect(own, aligned))
    parts += _section("Configuration B, centers aligned", aligned, ALIGNED)
    PAGE.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _effect(own: list[Comparison], aligned: list[Comparison]) -> str:
    """Returns what configuration B is, and how many features the alignment of grids and the mask decide."""
    before, after = ({row.feature for row in rows if row.verdict == "outside"} for rows in (own, aligned))
    return (
        "CT phantom, slices resampled to 2 mm by linear interpolation, resegmented to [−500, 400] HU, 32 bins. The "
        "consensus aligns the centers of the two grids, rounds gray values to whole HU, and takes as inside what a "
        "linearly interpolated mask gives at least one half; PyRadiomics aligns corners, cuts off fractions, and takes "
        f"the nearest voxel for the mask. Measured: {len(before)} features lie outside here; with the image resampled "
        f"by the consensus's rules and the same engine {len(after)} do (the next table), so that resampling accounts "
        f"for {len(before - after)} of {len(before)}."
    )


def _aligned_features(folder: Path) -> dict[str, float]:
    """Returns the features of the phantom resampled by the rules of the consensus.

    Source: Zwanenburg et al., arXiv:1612.07003v11, section 2.4: grids aligned by their centers, gray values rounded,
    a voxel of the mask inside from one half.
    """
    image, mask = (sitk.ReadImage(folder / f"{name}.nii.gz", sitk.sitkFloat64) for name in ("phantom", "mask"))
    resampler = sitk.ResampleImageFilter()
    spacing = (2.0, 2.0, image.GetSpacing()[2])
    size = [math.ceil(n * old / new) for n, old, new in zip(image.GetSize(), image.GetSpacing(), spacing, strict=True)]
    first = [
        ((n - 1) - (m - 1) * new / old) / 2
        for n, m, old, new in zip(image.GetSize(), size, image.GetSpacing(), spacing, strict=True)
    ]
    resampler.SetSize(size)
    resampler.SetOutputSpacing(spacing)
    resampler.SetOutputDirection(image.GetDirection())
    resampler.SetOutputOrigin(image.TransformContinuousIndexToPhysicalPoint(first))
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetUseNearestNeighborExtrapolator(True)
    content = {"featureClass": dict.fromkeys(IN_SLICES), "setting": {**RESEGMENTED, "binCount": 32}}
    values = sitk.Round(resampler.Execute(image))
    return FastEngine(content).execute(values, sitk.Cast(resampler.Execute(mask) >= 0.5, sitk.sitkUInt8))


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
