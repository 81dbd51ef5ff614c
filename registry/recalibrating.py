"""A package with other probabilities and the same order of patients: its log odds moved and stretched, all else kept.

The new package is a package like any other, with a digest of its own; it names the one that it was made from, the
hospital whose labelled cases decided, and the digest of their list, which itself stays at the hospital's tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from registry.arrays import CALIBRATION
from registry.manifest import RECALIBRATIONS
from registry.package import ModelPackage, save_package
from registry.reference import CONFORMAL, SCORES

Floats = NDArray[np.float64]

EDGE = 1e-12
"""Probabilities are kept so far from 0 and 1 before the logit."""
_RANKS = ("n", "events", "auc", "auc_low", "auc_high", "auc_pooled", "auc_best_trial")
"""Out-of-fold figures that rest on the order of patients alone, and so still hold."""


@dataclass(frozen=True, kw_only=True)
class Recalibrated:
    """What was fitted, where, and on what.

    Args:
        parent: The digest of the package whose log odds are moved.
        center: The hospital.
        n: Its labelled cases.
        events: Of them with the outcome.
        cases: The digest of their list.
        intercept: Is added to the log odds.
        slope: Multiplies them first; above 0.
    """

    parent: str
    center: str
    n: int
    events: int
    cases: str
    intercept: float
    slope: float

    def apply(self, p: Floats) -> Floats:
        """Returns the new probabilities for the parent's, any shape."""
        return np.asarray(expit(self.intercept + self.slope * logit(np.clip(p, EDGE, 1 - EDGE))))


def save_recalibrated(folder: Path, parent: ModelPackage, told: Recalibrated) -> str:
    """Writes the recalibrated package and returns its digest; same parent and fit, same bytes.

    Args:
        folder: Where to.
        parent: The package it is made from.
        told: The fit.

    Raises:
        PackageContentError: The fit is too extreme for a package.
    """
    manifest = {key: value for key, value in parent.manifest.items() if key not in ("format", "files")}
    manifest["thresholds"] = {name: _one(told, value) for name, value in parent.thresholds.items()}
    manifest["metrics_oof"] = {key: value for key, value in parent.manifest["metrics_oof"].items() if key in _RANKS}
    manifest[RECALIBRATIONS] = [*parent.manifest.get(RECALIBRATIONS, ()), vars(told)]
    if parent.is_deep:
        golden = [_one(told, value) for value in manifest["golden"]["probabilities"]]
        manifest["golden"] = {**manifest["golden"], "probabilities": golden}
    return save_package(folder, manifest, _arrays(parent, told), parent.golden, _card(parent, told))


def _one(told: Recalibrated, value: float) -> float:
    return float(told.apply(np.array([value]))[0])


def _arrays(parent: ModelPackage, told: Recalibrated) -> dict[str, NDArray[Any]]:
    arrays = dict(parent.arrays)
    intercept, slope = arrays.get(CALIBRATION, np.array([0.0, 1.0]))
    arrays[CALIBRATION] = np.array([told.intercept + told.slope * intercept, told.slope * slope])
    negative, positive = CONFORMAL[0], CONFORMAL[1]
    for name in (SCORES, negative):
        if name in arrays:
            arrays[name] = np.sort(told.apply(arrays[name]))
    if positive in arrays:
        arrays[positive] = np.sort(1 - told.apply(1 - arrays[positive]))
    return arrays


def _card(parent: ModelPackage, told: Recalibrated) -> str:
    return (
        f"{parent.card.strip()}\n\n## Recalibrated\n\nIntercept {told.intercept:.4f} and slope {told.slope:.4f} on the "
        f"log odds, fitted on {told.n} labelled cases ({told.events} with the outcome) of center {told.center}. "
        f"The package it was made from is {told.parent}; the order of patients is the same. Figures of that center "
        "leave these cases out.\n"
    )


def recalibrations_of(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the recalibrations that a package went through, the first first."""
    return list(manifest.get(RECALIBRATIONS, ()))
