"""The IBSI 1 digital phantom and its consensus values, written down so that any machine can check the engine.

Source: Zwanenburg et al., The Image Biomarker Standardization Initiative, Radiology 295 (2020),
https://doi.org/10.1148/radiol.2020191145. The phantom is the Initiative's (https://github.com/theibsi/data_sets,
CC BY 4.0), here as a table of voxels; values and tolerances are its published consensus.
"""

import csv
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import SimpleITK as sitk

SPACING_MM = 2.0
SETTINGS: Mapping[str, object] = {"imageType": {"Original": {}}, "setting": {"binWidth": 1.0}}
"""The phantom's gray levels are whole numbers from 1: bins of 1 leave them as they are."""

ROUNDED = 0.005
"""Published values have three significant digits."""

Verdict = Literal["inside", "explained", "outside"]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What the consensus says of a feature that PyRadiomics computes as well.

    Args:
        ibsi_name: Its name in the Initiative's tables of values, in lower case.
        value: The consensus value.
        tolerance: How far from it a correct value may lie.
    """

    ibsi_name: str
    value: float
    tolerance: float

    def holds(self, value: float) -> bool:
        """Says whether a value lies within the tolerance or rounds to the published digits."""
        return abs(value - self.value) <= max(self.tolerance, abs(self.value) * ROUNDED)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A feature that PyRadiomics defines otherwise than the consensus.

    Args:
        reason: What differs.
        undone: Gives the consensus's value from PyRadiomics's and the number of voxels.
    """

    reason: str
    undone: Callable[[float, int], float]


_DIVISOR = Difference(
    reason="PyRadiomics divides the covariance by n, the consensus by n − 1",
    undone=lambda value, n_voxels: value * math.sqrt(n_voxels / (n_voxels - 1)),
)
DIFFERENCES: Mapping[str, Difference] = {
    **{f"shape_{axis}AxisLength": _DIVISOR for axis in ("Major", "Minor", "Least")},
    "firstorder_Kurtosis": Difference(
        reason="PyRadiomics does not subtract 3; the published map leaves it out",
        undone=lambda value, n_voxels: value - 3,
    ),
}
UNMAPPED = ("firstorder_Kurtosis",)
"""Listed, but not counted: two definitions, of which the published map makes no pair."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One feature beside its consensus value.

    Args:
        feature: Its class and name.
        value: What the engine gave; NaN when it gave nothing.
        reference: What the consensus says.
        verdict: `explained`: outside, and inside once a stated difference of definition is undone.
        reason: That difference; empty with any other verdict.
    """

    feature: str
    value: float
    reference: Reference
    verdict: Verdict
    reason: str = ""

    def plain(self) -> dict[str, object]:
        """Returns the comparison as a table row."""
        return {
            "feature": self.feature,
            "value": None if math.isnan(self.value) else self.value,
            "reference": self.reference.value,
            "tolerance": self.reference.tolerance,
            "verdict": self.verdict,
            "reason": self.reason,
        }


@cache
def phantom() -> tuple[sitk.Image, sitk.Image]:
    """Returns the digital phantom and its mask, 5 × 4 × 4 voxels of 2 mm."""
    rows = [{name: int(text) for name, text in row.items()} for row in _table("ibsi_phantom.csv")]
    size = [max(row[axis] for row in rows) + 1 for axis in "xyz"]
    image, mask = (sitk.Image(size, kind) for kind in (sitk.sitkInt16, sitk.sitkUInt8))
    for row in rows:
        place = (row["x"], row["y"], row["z"])
        image[place], mask[place] = row["intensity"], row["inside"]
    for volume in (image, mask):
        volume.SetSpacing([SPACING_MM] * 3)
    return image, mask


@cache
def references() -> dict[str, Reference]:
    """Returns the phantom's consensus for each feature that PyRadiomics and the Initiative both define."""
    return {
        row["feature"]: Reference(
            ibsi_name=row["ibsi_name"], value=float(row["value"]), tolerance=float(row["tolerance"])
        )
        for row in _table("ibsi_reference.csv")
    }


def compare(found: Mapping[str, float], consensus: Mapping[str, Reference], voxel_mm3: float) -> list[Comparison]:
    """Compares an engine's values with the consensus.

    Args:
        found: The values under PyRadiomics's names, with `shape_VoxelVolume` among them.
        consensus: What to compare with, by class and name.
        voxel_mm3: The volume of a voxel, which gives their number.
    """
    n_voxels = round(found["original_shape_VoxelVolume"] / voxel_mm3)
    return [
        _compared(feature, found.get(f"original_{feature}", math.nan), reference, n_voxels)
        for feature, reference in consensus.items()
    ]


def recomputed() -> list[Comparison]:
    """Computes the digital phantom with the fast engine on this machine, beside the consensus."""
    from pipelines.radiomics.fast.engine import FastEngine

    return compare(FastEngine(SETTINGS).execute(*phantom()), references(), SPACING_MM**3)


def summary(comparisons: Iterable[Comparison]) -> str:
    """Says in a line how many features lie inside, and which do not."""
    rows = list(comparisons)
    counted = [row for row in rows if row.feature not in UNMAPPED]
    n_inside = sum(row.verdict == "inside" for row in counted)
    named = {verdict: [row.feature for row in rows if row.verdict == verdict] for verdict in ("explained", "outside")}
    parts = [f"{n_inside} of {len(counted)} inside the consensus tolerance"]
    parts += [f"{verdict}: {', '.join(features)}" for verdict, features in named.items() if features]
    return "; ".join(parts)


def _compared(feature: str, value: float, reference: Reference, n_voxels: int) -> Comparison:
    verdict: Verdict = "inside" if reference.holds(value) else "outside"
    reason, difference = "", DIFFERENCES.get(feature)
    if verdict == "outside" and difference and reference.holds(difference.undone(value, n_voxels)):
        verdict, reason = "explained", difference.reason
    return Comparison(feature=feature, value=value, reference=reference, verdict=verdict, reason=reason)


def _table(name: str) -> list[dict[str, str]]:
    text = files("pipelines.radiomics").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
