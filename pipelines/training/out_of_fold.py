"""Out-of-fold predictions of a candidate of any kind: what they say, and how they are written."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from featurestore.flat_tables import write_flat
from featurestore.schemas import Column
from featurestore.training_sets import TrainingSet
from pipelines.evaluation.calibration import intercept, slope
from pipelines.evaluation.discrimination import fold_auc_estimate
from pipelines.evaluation.estimates import Estimate
from pipelines.evaluation.operating import sensitivity_name, sensitivity_threshold, youden_threshold
from pipelines.training.crossval import OutOfFold
from pipelines.training.recalibration import Recalibration

CONFIDENCE = 0.95
DIGITS = 6
"""Of numbers that people look at."""


class Judged(Protocol):
    """What cross-validation has left of a model of any kind."""

    @property
    def nested(self) -> OutOfFold:
        """Honest probabilities: nothing of them was chosen with the fold in sight."""
        ...

    @property
    def flattering(self) -> OutOfFold:
        """Probabilities on the scale of the fitted model."""
        ...


def out_of_fold_metrics(judged: Judged) -> dict[str, Any]:
    """Returns what cross-validation says: the nested area, the best trial's, and calibration."""
    oof = judged.nested
    area = fold_auc_estimate(oof.y, oof.p, oof.fold, CONFIDENCE)
    found: dict[str, Estimate] = {
        "auc": area,
        "calibration_slope": slope(oof.y, oof.mean, CONFIDENCE),
        "calibration_intercept": intercept(oof.y, oof.mean, CONFIDENCE),
    }
    numbers = {key: value for name, estimate in found.items() for key, value in estimate.columns(name).items()}
    plain = {"auc_pooled": oof.pooled_auc(), "auc_best_trial": judged.flattering.auc()}
    rounded = {key: None if value is None else round(value, DIGITS) for key, value in (numbers | plain).items()}
    return {"n": len(oof.y), "events": int(oof.y.sum()), **rounded}


def told_recalibration(found: Recalibration) -> dict[str, object]:
    """Returns a recalibration as JSON types."""
    return {
        "intercept": round(found.intercept, DIGITS),
        "slope": round(found.slope, DIGITS),
        "identity_because": found.reason,
    }


def thresholds(oof: OutOfFold, target: float) -> dict[str, float]:
    """Returns operating points from recalibrated out-of-fold probabilities on the fitted model's scale."""
    found = {
        "youden": youden_threshold(oof.y, oof.mean),
        sensitivity_name(target): sensitivity_threshold(oof.y, oof.mean, target),
    }
    return {name: value for name, value in found.items() if value is not None}


def write_out_of_fold(folder: Path, part: TrainingSet, judged: Judged) -> None:
    """Writes `oof.parquet` (one row a patient) and `oof_folds.parquet` (one row a patient and repeat).

    `p` is the mean over repeats of the honest probabilities, `p_<r>` and `fold_<r>` are those of repeat r and the fold
    in which the patient was held out; `p_best` is the best trial's, which flatters. All are recalibrated: `p_best` with
    the package's coefficients, `p_<r>` with those of its fold, which are in `search.json`.
    """
    oof = judged.nested
    frame = pd.DataFrame({"center": part.center, "case_id": part.case_id, "y": part.y.astype(np.int64), "p": oof.mean})
    parts = []
    for repeat in range(oof.p.shape[1]):
        frame[f"p_{repeat}"], frame[f"fold_{repeat}"] = oof.p[:, repeat], oof.fold[:, repeat]
        own = frame[["center", "case_id", "y"]].assign(repeat=repeat, fold=oof.fold[:, repeat], p=oof.p[:, repeat])
        parts.append(own)
    frame["p_best"] = judged.flattering.mean
    write_flat(folder / "oof.parquet", frame, _columns(frame))
    long = pd.concat(parts, ignore_index=True)
    write_flat(folder / "oof_folds.parquet", long, _columns(long))


def _columns(frame: pd.DataFrame) -> tuple[Column, ...]:
    kinds = {"O": "string", "U": "string", "i": "integer", "f": "float", "T": "string"}
    return tuple(
        Column(name=str(name), kind="string" if name in ("center", "case_id") else kinds[frame[name].dtype.kind])  # type: ignore[arg-type]
        for name in frame.columns
    )
