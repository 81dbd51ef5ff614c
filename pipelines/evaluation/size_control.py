"""Is it more than size? Every model against the region's volume alone, on the same patients.

The control is the logarithm of the region's volume; only its direction is learned, from training patients.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import expit

from featurestore.training_sets import INTERNAL, TRAINING, TrainingSet
from pipelines.evaluation.discrimination import auc, auc_estimate, delong_test, fold_auc_estimate
from pipelines.evaluation.estimates import Estimate, Floats, Labels
from pipelines.evaluation.metrics import CohortPredictions, OutOfFold

NAME = "size_only"
VOLUME = re.compile(r"original_shape_(MeshVolume|VoxelVolume)$")
CONTROLS = (
    "name", "model", "cohort", "n", "events", "auc", "control", "control_low", "control_high", "difference", "low",
    "high", "p_value", "passed", "reason",
)  # fmt: skip
Rows = list[dict[str, object]]
Sizes = Mapping[tuple[str, str], float]
"""By center and pseudonym, the logarithm of the region's volume."""


def volume_columns(names: Sequence[str]) -> list[str]:
    """Returns the columns that hold the region's volume, one a phase; the mesh's volume where there is one."""
    found: dict[str, str] = {}
    for name in names:
        if match := VOLUME.search(name):
            phase = name[: match.start()]
            if phase not in found or match.group(1) == "MeshVolume":
                found[phase] = name
    return sorted(found.values())


def log_volume(X: Floats) -> Floats:
    """Returns the mean logarithm of volumes of shape (n, k), NaN where none is known and positive, shape (n,)."""
    known = np.isfinite(X) & (X > 0)
    logs = np.log(np.where(known, X, 1.0))
    return np.where(known.any(axis=1), (logs * known).sum(axis=1) / np.maximum(known.sum(axis=1), 1), np.nan)


def control_predictions(training: TrainingSet, sizes: Sizes, judged: Sequence[CohortPredictions]) -> dict[str, Floats]:
    """Returns the control's scores on the patients of each cohort of one model, by cohort.

    Args:
        training: The set whose training side the direction is learned from.
        sizes: The patients' sizes.
        judged: A model's cohorts; training's folds are taken from it.
    """
    own = training.part(TRAINING)
    learned = _of(sizes, list(zip(own.center.tolist(), own.case_id.tolist(), strict=True)))
    middle, spread = float(np.nanmedian(learned)), float(np.nanstd(learned)) or 1.0
    direction = _direction(own.y, np.nan_to_num(learned, nan=middle))
    found = {}
    for item in judged:
        size = (np.nan_to_num(_of(sizes, item.patients()), nan=middle) - middle) / spread
        found[item.cohort] = expit(direction * size) if item.out_of_fold is None else _cross_validated(item, size)
    return found


def control_rows(judged: Sequence[CohortPredictions], scores: Mapping[str, Floats], confidence: float) -> Rows:
    """Compares one model with the control on training, internal and external patients.

    The control is passed where the model's area is larger beyond chance: the difference's interval lies above 0.
    Cross-validated areas compare patients within folds, for which there is no paired test.
    """
    rows: Rows = []
    for item in judged:
        if item.cohort not in (TRAINING, INTERNAL, "external") or not len(item.y):
            continue
        score = scores[item.cohort]
        test = delong_test(item.y, item.p, score, confidence)
        own, control = _areas(item, score, confidence)
        difference = None if own.value is None or control.value is None else own.value - control.value
        is_tested = item.out_of_fold is None
        low, high = (test.difference.low, test.difference.high) if is_tested else (None, None)
        rows.append(
            {
                "name": NAME,
                "model": item.model,
                "cohort": item.cohort,
                "n": len(item.y),
                "events": int(item.y.sum()),
                "auc": own.value,
                **control.columns("control"),
                **{"difference": difference, "low": low, "high": high},
                "p_value": test.p_value if is_tested else None,
                "passed": None if low is None else low > 0,
                "reason": test.reason if is_tested else "no paired test within folds",
            }
        )
    return rows


def _areas(item: CohortPredictions, score: Floats, confidence: float) -> tuple[Estimate, Estimate]:
    if item.out_of_fold is None:
        return auc_estimate(item.y, item.p, confidence), auc_estimate(item.y, score, confidence)
    folds = item.out_of_fold
    repeated = np.repeat(score[:, None], folds.p.shape[1], axis=1)
    own = fold_auc_estimate(item.y, folds.p, folds.fold, confidence)
    return own, fold_auc_estimate(item.y, repeated, folds.fold, confidence)


def _cross_validated(item: CohortPredictions, size: Floats) -> Floats:
    """Returns scores whose direction each fold of the first repeat takes from the others."""
    folds: OutOfFold | None = item.out_of_fold
    score = np.zeros(len(size))
    number = np.zeros(len(size)) if folds is None else folds.fold[:, 0]
    for fold in np.unique(number):
        held = number == fold
        score[held] = expit(_direction(item.y[~held], size[~held]) * size[held])
    return score


def _direction(y: Labels, size: Floats) -> float:
    return -1.0 if auc(y, size) < 0.5 else 1.0


def _of(sizes: Sizes, patients: Sequence[tuple[str, str]]) -> Floats:
    return np.array([sizes.get(patient, np.nan) for patient in patients], dtype=np.float64)
