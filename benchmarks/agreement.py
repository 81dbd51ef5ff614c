"""Writes docs/reference/agreement.md: how far the fast engine is from PyRadiomics, measured.

python benchmarks/agreement.py FOLDER_OF_TEST_DATA [PATIENTS]
"""

import importlib.util
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from featurestore.errors import CaseError
from pipelines.radiomics import FastEngine
from pipelines.radiomics.agreement import ABSOLUTE, RELATIVE, relative_differences
from pipelines.radiomics.reference import PyRadiomicsEngine

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "agreement.md"
GENERATED = ROOT / "tests" / "contract" / "test_engine_generated.py"
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
PREFIXES = {"wavelet": "Wavelet", "log": "LoG", "squareroot": "SquareRoot", "lbp": "LBP"}
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
- **A stored crop that is normalized and resampled by linear interpolation**: positions move in the last bit, and high
  wavelet bands of equal neighbors are exactly 0, a bin edge. Against the whole image such bands can differ; spline
  interpolation, the default, has no such values.
- **LBP3D** is compared with golden tables, because PyRadiomics's needs an older scipy.
- **LBP2D, LBP3D**: equal to the golden tables to 1e-14 (`tests/golden/test_engine_lbp.py`).
"""


def main(data: Path, n_patients: int) -> None:
    by_place: Worst = defaultdict(float)
    by_case: dict[str, tuple[int, float]] = {}
    for name, image, mask, content in _cases(data, n_patients):
        gaps = _compared(image, mask, content)
        by_case[name] = len(gaps), max(gaps.values())
        _collect(by_place, gaps)
    refused, generated = _generated(by_place)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(_page(by_place, by_case, refused, generated), encoding="utf-8")


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
        worst[image_type, family] = max(worst[image_type, family], gap)


def _generated(worst: Worst) -> tuple[int, float]:
    spec = importlib.util.spec_from_file_location("generated", GENERATED)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
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
    return refused, largest


def _page(worst: Worst, by_case: dict[str, tuple[int, float]], refused: int, generated: float) -> str:
    types = [name for name in IMAGE_TYPES if any(name == image for image, _ in worst)]
    lines = [INTRODUCTION, "## By feature class and image type, all cases", ""]
    lines += [f"| class | {' | '.join(types)} |", f"|---|{'---|' * len(types)}"]
    for family in CLASSES:
        cells = [_number(worst[name, family]) if (name, family) in worst else "–" for name in types]
        lines.append(f"| {family} | {' | '.join(cells)} |")
    lines += ["", "## By case", "", "| case | features | largest relative difference |", "|---|---|---|"]
    lines += [f"| {name} | {n} | {_number(gap)} |" for name, (n, gap) in by_case.items()]
    what = f"{N_GENERATED} generated regions ({refused} refused by both alike)"
    lines.append(f"| {what} | varying | {_number(generated)} |")
    return "\n".join([*lines, "", EXCEPTIONS])


def _number(gap: float) -> str:
    return f"{gap:.1e}" if gap else "0"


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20)
