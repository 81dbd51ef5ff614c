"""Writes docs/reference/ibsi.md: the fast engine on the IBSI 1 phantoms against the published consensus.

python benchmarks/ibsi.py FOLDER_OF_TEST_DATA
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.radiomics import FastEngine
from pipelines.radiomics.definitions import feature_definitions

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "ibsi.md"
CORRECTED = ROOT / "tests" / "golden" / "radiomics_ibsi_names.csv"
CLASSES = ("shape", "firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm")
IN_SPACE = {
    "shape": ("Morphology",),
    "firstorder": ("Statistics", "Intensity histogram"),
    "glcm": ("Co-occurrence matrix (3D, averaged)",),
    "glrlm": ("Run length matrix (3D, averaged)",),
    "glszm": ("Size zone matrix (3D)",),
    "ngtdm": ("Neighbourhood grey tone difference matrix (3D)",),
    "gldm": ("Neighbouring grey level dependence matrix (3D)",),
}
IN_SLICES = {
    **IN_SPACE,
    "glcm": ("Co-occurrence matrix (2.5D, averaged)", "Co-occurrence matrix (2.5D, direction-merged)"),
    "glrlm": ("Run length matrix (2.5D, averaged)", "Run length matrix (2.5D, direction-merged)"),
    "glszm": ("Size zone matrix (2.5D)",),
    "ngtdm": ("Neighbourhood grey tone difference matrix (2.5D)",),
    "gldm": ("Neighbouring grey level dependence matrix (2.5D)",),
}
RESEGMENTED = {"resegmentRange": [-500.0, 400.0], "force2D": True, "force2Ddimension": 0}
AXES = ("MajorAxisLength", "MinorAxisLength", "LeastAxisLength")
ROUNDED = 0.005  # published values have three significant digits
REASONS = {
    "axes": "PyRadiomics divides the covariance by n, the consensus by n − 1",
    "other": "see the note above",
}

INTRODUCTION = """# IBSI 1

This page is written by `benchmarks/ibsi.py`; do not edit it. It compares the fast engine, which gives PyRadiomics's
values, with the consensus of the Image Biomarker Standardisation Initiative for every feature that both define and the
published map of PyRadiomics's names lists. A value counts as inside when it lies within the published tolerance or
rounds to the published three digits.

Known differences of definition: kurtosis is not reduced by 3 (the map leaves it out); axis lengths divide the
covariance by n instead of n − 1; bins are multiples of the width counted from 0 rather than from the lower bound of
the resegmentation, so that gray levels can be shifted by a whole number.
"""


def main(data: Path) -> None:
    folder = data / "ibsi1"
    digital, ct = folder / "digital_phantom", folder / "ct_phantom_NONCOMMERCIAL" / "nifti"
    names = _names(folder)
    parts = [INTRODUCTION]
    found = _features(digital, {"binWidth": 1.0})
    parts += _section("Digital phantom", _rows(folder, "digital_phantom", names, IN_SPACE, found))
    found = _features(ct, {**RESEGMENTED, "binWidth": 25.0})
    note = "CT phantom, no interpolation, resegmented to [−500, 400] HU, bins of 25 HU, texture in slices (2.5D)."
    parts += _section("Configuration A", _rows(folder, "config_A", names, IN_SLICES, found), note)
    setting = {**RESEGMENTED, "binCount": 32, "resampledPixelSpacing": [2.0, 2.0, 0.0], "interpolator": "sitkLinear"}
    note = (
        "CT phantom, slices resampled to 2 mm by linear interpolation, resegmented to [−500, 400] HU, 32 bins. The "
        "consensus aligns the centers of the two grids; PyRadiomics aligns their corners and takes the nearest voxel "
        "for the mask. What lies outside here is the effect of that."
    )
    parts += _section("Configuration B", _rows(folder, "config_B", names, IN_SLICES, _features(ct, setting)), note)
    PAGE.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _features(folder: Path, setting: dict[str, Any]) -> dict[str, float]:
    content = {"featureClass": dict.fromkeys(CLASSES), "setting": setting}
    return FastEngine(content).execute(folder / "phantom.nii.gz", folder / "mask.nii.gz")


def _names(folder: Path) -> dict[str, str]:
    published = pd.read_csv(folder / "pyradiomics_to_ibsi.tsv", sep="\t", encoding="utf-8-sig")
    other = pd.read_csv(CORRECTED)
    names = dict(zip(published["IBSI_code"], published["IBSI_meaning"].str.lower(), strict=True))
    return {**names, **dict(zip(other["code"], other["reference_name"], strict=True))}


def _rows(
    folder: Path, config: str, names: dict[str, str], places: dict[str, tuple[str, ...]], found: dict[str, float]
) -> Iterator[tuple[str, float, float, float, bool]]:
    table = pd.read_csv(folder / "reference" / f"{config}.csv", encoding="utf-8-sig")
    consensus = {
        (family, feature.lower()): (value, tolerance)
        for family, feature, value, tolerance in zip(
            table["family"], table["feature"], table["reference value"], table["tolerance"], strict=True
        )
    }
    for (family, feature), known in feature_definitions().items():
        key = next(
            (
                (place, names[known.ibsi])
                for place in places.get(family, ())
                if known.ibsi and (place, names[known.ibsi]) in consensus
            ),
            None,
        )
        if key is None or known.status != "current":
            continue
        value, tolerance = (float(number) for number in consensus[key])
        got = found[f"original_{family}_{feature}"]
        yield f"{family}_{feature}", got, value, tolerance, abs(got - value) <= max(tolerance, abs(value) * ROUNDED)


def _section(title: str, rows: Iterator[tuple[str, float, float, float, bool]], note: str = "") -> list[str]:
    listed = list(rows)
    outside = [row for row in listed if not row[4]]
    lines = [f"## {title}", "", *([note, ""] if note else [])]
    lines += [f"{len(listed) - len(outside)} of {len(listed)} features inside.", ""]
    lines += ["| feature | engine | consensus | tolerance | |", "|---|---|---|---|---|"]
    for name, got, value, tolerance, is_inside in listed:
        reason = REASONS["axes" if name.endswith(AXES) else "other"]
        lines.append(f"| {name} | {got:.6g} | {value:g} | {tolerance:g} | {'inside' if is_inside else reason} |")
    return [*lines, ""]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
