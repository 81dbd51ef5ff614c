"""Writes docs/reference/agreement.md: how far the fast engine is from PyRadiomics, measured.

python benchmarks/agreement.py FOLDER_OF_TEST_DATA [PATIENTS]
"""

import importlib.util
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import SimpleITK as sitk

from featurestore.errors import CaseError
from pipelines.radiomics import FastEngine
from pipelines.radiomics.agreement import ABSOLUTE, RELATIVE, relative_differences
from pipelines.radiomics.reference import PyRadiomicsEngine

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "agreement.md"
CONTRACT = ROOT / "tests" / "contract"
GOLDEN = ROOT / "tests" / "golden"
N_GENERATED = 300
CLASSES = ("shape", "firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm")
IMAGE_TYPES = {
    "Original": {},
    "Wavelet": {},
    "LoG": {"sigma": [1.0, 3.0, 5.0]},
    "Square": {},
    "SquareRoot": {},
    "Logarithm": {},
    "Exponential": {},
    "Gradient": {},
}
SHOWN_CLASSES = ("shape", "shape2D", *CLASSES[1:])
SHOWN_TYPES = (*IMAGE_TYPES, "LBP2D", "LBP3D")
VARIANTS = {
    "as is": {},
    "normalized": {"normalize": True, "normalizeScale": 100.0, "removeOutliers": 3.0, "binWidth": 5.0},
    "resampled to 2 mm": {"resampledPixelSpacing": [2.0, 2.0, 2.0]},
    "resampled to 1 mm, normalized, linear": {
        "resampledPixelSpacing": [1.0, 1.0, 1.0],
        "normalize": True,
        "normalizeScale": 100.0,
        "interpolator": "sitkLinear",
    },
    "resegmented": {"resegmentRange": [-3.0, 3.0], "resegmentMode": "sigma"},
}
PREFIXES = {"wavelet": "Wavelet", "log": "LoG", "squareroot": "SquareRoot"}
Worst = dict[tuple[str, str], float]

INTRODUCTION = f"""# Agreement with PyRadiomics

This page is written by `benchmarks/agreement.py`; do not edit it. It gives the largest relative difference between the
fast engine and PyRadiomics 3.1.0 (`pyradiomics-bhklab` 3.1.4), feature by feature, over the cases named. Differences of
at most {ABSOLUTE:g} count as none; the tests refuse more than {RELATIVE:g}. `0` means that nothing larger was seen.
Where one engine has a number and the other none, or a feature is missing, the comparison fails.
"""

EXCEPTIONS = """## Exceptions and conventions

- **Kept as PyRadiomics has them**: kurtosis is not reduced by 3; axis lengths divide the covariance by n; the mesh
  volume depends on the origin by its own table; MCC has the epsilon in its denominator, which moves it by up to 4e-8
  for rare gray levels.
- **Rounding that is a value**: where ClusterShade cancels, Imc1 divides by almost no entropy, Imc2's gain or MCC's
  eigenvalue is below 1e-5, PyRadiomics's value is the rounding of its own sums. The engine then follows its order of
  operations. With more than 2²⁷ cells of pair matrices absent levels are left out first, and such noise may differ.
- **Spline resampling of an image with two voxels along an axis**: ITK reads beyond its memory and gives other values
  every time. The engine refuses such a case.
- **Integer images near the end of their type** (such as unsigned 8 bits above 205 with bins of 25): PyRadiomics's bin
  edges overflow; the engine's do not.
- **LBP2D, LBP3D** are compared with golden tables that PyRadiomics wrote where its libraries are old enough
  (`benchmarks/lbp_reference.py`): with a newer scipy it silently leaves LBP3D out.
- **A voxel of the region that is NaN**: PyRadiomics leaves it out of the bins and gives numbers; the engine refuses.
  Outside the region such voxels count as 0, as ITK reads them from NIfTI.
- **Pictures of two dimensions**: PyRadiomics measures them without shape; the engine takes volumes only.
- **A stored file of a turned image** keeps its direction cosines in single precision, as NIfTI does, so that values
  after resampling may differ in the last digits (3e-14 seen).
"""


def main(data: Path, n_patients: int) -> None:
    by_place: Worst = defaultdict(float)
    by_case: dict[str, tuple[int, float]] = {}
    for name, image, mask, content in _cases(data, n_patients):
        gaps = _compared(image, mask, content)
        by_case[name] = len(gaps), max(gaps.values())
        _collect(by_place, gaps)
    rows = [_generated(by_place, "test_engine_generated.py", "generated regions")]
    rows.append(_generated(by_place, "test_engine_shape2d.py", "generated flat regions"))
    by_case |= _golden(data, by_place)
    stored = _stored(data)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(_page(by_place, by_case, rows, stored), encoding="utf-8")


def _cases(data: Path, n_patients: int) -> Iterator[tuple[str, sitk.Image, sitk.Image, dict[str, Any]]]:
    for case in ("breast1", "brain1", "lung1"):
        pair = [sitk.ReadImage(str(data / "pyradiomics" / f"{case}_{kind}.nrrd")) for kind in ("image", "label")]
        for variant, setting in VARIANTS.items():
            yield f"{case}, {variant}", *pair, _content(setting)
    phantom = data / "ibsi1" / "digital_phantom"
    pair = [sitk.ReadImage(str(phantom / f"{name}.nii.gz")) for name in ("phantom", "mask")]
    yield "IBSI digital phantom", *pair, _content({"binWidth": 1.0})
    for patient in sorted(folder for folder in (data / "sts_cohort").iterdir() if folder.is_dir())[:n_patients]:
        for modality in ("CT", "PET", "MR_T1"):
            pair = [sitk.ReadImage(str(patient / f"{modality}{end}.nii.gz")) for end in ("", "_mask")]
            yield f"{patient.name} {modality}", *pair, _content({"binCount": 32})


def _content(setting: dict[str, Any]) -> dict[str, Any]:
    return {"imageType": IMAGE_TYPES, "featureClass": dict.fromkeys(CLASSES), "setting": setting}


def _compared(image: sitk.Image, mask: sitk.Image, content: dict[str, Any]) -> dict[str, float]:
    return relative_differences(
        PyRadiomicsEngine(content).execute(image, mask), FastEngine(content).execute(image, mask)
    )


def _collect(worst: Worst, gaps: dict[str, float]) -> None:
    for name, gap in gaps.items():
        image, family, _ = name.split("_", 2)
        image_type = PREFIXES.get(image.split("-")[0].rstrip("0123456789"), image.capitalize())
        image_type = image[:6].replace("-", "").upper() if image.startswith("lbp") else image_type
        worst[image_type, family] = max(worst[image_type, family], gap)


def _module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name.removesuffix(".py"), CONTRACT / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _generated(worst: Worst, tests: str, what: str) -> tuple[str, float]:
    module = _module(tests)
    refused, largest = 0, 0.0
    for seed in range(N_GENERATED):
        image, mask, content = module._case(seed)
        try:
            gaps = _compared(image, mask, content)
        except CaseError:
            refused += 1
            continue
        largest = max(largest, *gaps.values())
        _collect(worst, gaps)
    return f"{N_GENERATED} {what} ({refused} refused by both alike)", largest


def _golden(data: Path, worst: Worst) -> dict[str, tuple[int, float]]:
    """Returns how local binary patterns compare with the tables that PyRadiomics wrote."""
    stated = json.loads((GOLDEN / "lbp_cases.json").read_text(encoding="utf-8"))
    table = pd.read_csv(GOLDEN / "lbp_reference.csv")
    found: dict[str, tuple[int, float]] = {}
    for (case, name), rows in table.groupby(["case", "settings"], sort=False):
        content = stated["settings"][name]
        setting = {**content.get("setting", {}), "minimumROIDimensions": 1}
        engine = FastEngine({**content, "featureClass": dict.fromkeys(CLASSES[1:]), "setting": setting})
        expected = dict(zip(rows["feature"], rows["value"], strict=True))
        gaps = relative_differences(expected, engine.execute(*(data / file for file in stated["cases"][case])))
        found[f"{case}, local binary patterns, {name}"] = len(gaps), max(gaps.values())
        _collect(worst, gaps)
    return found


def _stored(data: Path) -> list[str]:
    """Returns lines about stored crops: image by image the largest difference over all ways to prepare it."""
    module = _module("test_engine_stored.py")
    lines = []
    for name in ("pyradiomics/lung1", *module.SARCOMAS, *module.MADE):
        pair = module.case(data, name)
        n_features, largest = 0, 0.0
        for setting in module.VARIANTS.values():
            for image_types in (module.NEAR, module.FAR):
                content = {"imageType": image_types, "featureClass": module.CLASSES, "setting": setting}
                engine = FastEngine(content)
                crop = module.stored(pair, engine.settings)
                gaps = relative_differences(engine.execute(*pair), engine.execute(*crop))
                n_features, largest = n_features + len(gaps), max(largest, *gaps.values())
        shown = f"generated, spacing {name}" if name in module.MADE else name
        lines.append(f"| {shown} | {n_features} | {_number(largest)} |")
    *ways, last = module.VARIANTS
    about = [
        "The features of the crop that ingest stores, with the numbers of its image beside it, against those of the",
        "whole image, both by the fast engine; for every image type and these ways to prepare an image:",
        *(f"{way};" for way in ways),
        f"{last}.",
    ]
    head = ["| image | features | largest relative difference |", "|---|---|---|"]
    return ["## Stored cases", "", *about, "", *head, *lines]


def _page(
    worst: Worst, by_case: dict[str, tuple[int, float]], generated: list[tuple[str, float]], stored: list[str]
) -> str:
    types = [name for name in SHOWN_TYPES if any(name == image for image, _ in worst)]
    lines = [INTRODUCTION, "## By feature class and image type, all cases", ""]
    lines += [f"| class | {' | '.join(types)} |", f"|---|{'---|' * len(types)}"]
    for family in SHOWN_CLASSES:
        cells = [_number(worst[name, family]) if (name, family) in worst else "–" for name in types]
        lines.append(f"| {family} | {' | '.join(cells)} |")
    lines += ["", "## By case", "", "| case | features | largest relative difference |", "|---|---|---|"]
    lines += [f"| {name} | {n} | {_number(gap)} |" for name, (n, gap) in by_case.items()]
    lines += [f"| {what} | varying | {_number(gap)} |" for what, gap in generated]
    return "\n".join([*lines, "", *stored, "", EXCEPTIONS])


def _number(gap: float) -> str:
    return f"{gap:.1e}" if gap else "0"


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20)
