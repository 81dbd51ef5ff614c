"""Writes a candidate: the package, its out-of-fold predictions, and the records that pages are made from."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from featurestore.files import sweep, write_json
from featurestore.flat_tables import write_flat
from featurestore.schemas import Column
from featurestore.statistics import probabilities, quantiles
from featurestore.training_sets import TRAINING, TrainingSet
from pipelines.evaluation.calibration import intercept, slope
from pipelines.evaluation.discrimination import fold_auc_estimate
from pipelines.evaluation.estimates import Estimate
from pipelines.evaluation.operating import sensitivity_name, sensitivity_threshold, youden_threshold
from pipelines.models.base import Floats
from pipelines.models.components import CURVE_COMPONENTS, area_percent, knee
from pipelines.models.estimators import activation
from pipelines.models.preparation import Preparation
from pipelines.params.modelling import Model
from pipelines.record import installed
from pipelines.training.card import card
from pipelines.training.crossval import OutOfFold
from pipelines.training.recalibration import Recalibration
from pipelines.training.tune import Tuned, TuneSummary
from registry.package import save_package

CONFIDENCE = 0.95
DIGITS = 6
"""Of numbers that people look at."""


def write_candidate(
    folder: Path, name: str, whole: TrainingSet, settings: Model, tuned: Tuned, target_sensitivity: float
) -> TuneSummary:
    """Writes everything under `data/models/<name>/` and removes what else lies there.

    Args:
        folder: The candidate's folder.
        name: The model's name.
        whole: The training set.
        settings: The model's section of `params.yaml`.
        tuned: What the search found.
        target_sensitivity: The second operating point, next to Youden's.
    """
    part = whole.part(TRAINING)
    metrics = out_of_fold_metrics(tuned)
    manifest = _manifest(name, whole, part, settings, tuned, metrics) | {
        "thresholds": _thresholds(tuned.flattering, target_sensitivity)
    }
    digest = save_package(folder / "package", manifest, tuned.model.to_arrays(), _golden_inputs(part.X), card(manifest))
    _write_out_of_fold(folder, part, tuned)
    write_json(folder / "search.json", _search(tuned))
    write_json(folder / "components.json", _components(part, tuned))
    write_json(folder / "summary.json", _summary(name, settings, digest, manifest, tuned))
    own = {folder / file for file in ("oof.parquet", "oof_folds.parquet", "search.json", "components.json")}
    sweep(folder, own | {folder / "summary.json"} | set((folder / "package").iterdir()))
    return TuneSummary(
        model=name,
        patients=len(part.y),
        events=int(part.y.sum()),
        trial=tuned.best.number,
        components=tuned.model.n_components,
        auc=f"{metrics['auc']:.3f} ({metrics['auc_low']:.3f}–{metrics['auc_high']:.3f})",
        auc_best_trial=metrics["auc_best_trial"],
        recalibration=tuned.recalibration.reason or f"slope {tuned.recalibration.slope:.3g}",
        package=digest[:12],
    )


def out_of_fold_metrics(tuned: Tuned) -> dict[str, Any]:
    """Returns what cross-validation says: the nested area, the best trial's, and calibration."""
    oof = tuned.nested
    area = fold_auc_estimate(oof.y, oof.p, oof.fold, CONFIDENCE)
    found: dict[str, Estimate] = {
        "auc": area,
        "calibration_slope": slope(oof.y, oof.mean, CONFIDENCE),
        "calibration_intercept": intercept(oof.y, oof.mean, CONFIDENCE),
    }
    numbers = {key: value for name, estimate in found.items() for key, value in estimate.columns(name).items()}
    plain = {"auc_pooled": oof.pooled_auc(), "auc_best_trial": tuned.flattering.auc()}
    rounded = {key: None if value is None else round(value, DIGITS) for key, value in (numbers | plain).items()}
    return {"n": len(oof.y), "events": int(oof.y.sum()), **rounded}


def _manifest(
    name: str, whole: TrainingSet, part: TrainingSet, settings: Model, tuned: Tuned, metrics: dict[str, Any]
) -> dict[str, Any]:
    record, values = whole.record, tuned.best.values
    phases = record["service"]["phases"]
    rules = record["rules"]
    model = {
        "name": name,
        "estimator": settings.estimator,
        "hyperparameters": _hyperparameters(tuned),
        "recalibration": _recalibration(tuned.recalibration),
    }
    return {
        "kind": "tabular",
        "model": {**model, "activation": activation(settings.estimator, values)},
        "features": [{"name": column.name, "unit": column.unit} for column in whole.columns],
        "service": record["service"],
        # a hospital need only send the phases that the model sees
        "rules": {**rules, "phases": {phase: rules["phases"][phase] for phase in phases}},
        "extraction": record["extraction"],
        "feature_set": record["feature_set"],
        "training_set": whole.digest,
        "label": record["label"],
        "drift": _drift(part, tuned),
        "metrics_oof": metrics,
        "release": installed("radmill")["radmill"],
    }


def _hyperparameters(tuned: Tuned) -> dict[str, object]:
    return {**tuned.best.values, "components": tuned.model.n_components, "seed": tuned.model.seed}


def _recalibration(found: Recalibration) -> dict[str, object]:
    return {
        "intercept": round(found.intercept, DIGITS),
        "slope": round(found.slope, DIGITS),
        "identity_because": found.reason,
    }


def _thresholds(oof: OutOfFold, target: float) -> dict[str, float]:
    """Returns operating points from recalibrated out-of-fold probabilities on the fitted model's scale."""
    found = {
        "youden": youden_threshold(oof.y, oof.mean),
        sensitivity_name(target): sensitivity_threshold(oof.y, oof.mean, target),
    }
    return {name: value for name, value in found.items() if value is not None}


def _drift(part: TrainingSet, tuned: Tuned) -> dict[str, Any]:
    features = quantiles(part.X)
    return {
        "probabilities": probabilities().tolist(),
        "features": {name: row.tolist() for name, row in zip(part.names, features, strict=True)},
        "missing": {
            name: round(float(share), DIGITS)
            for name, share in zip(part.names, np.isnan(part.X).mean(axis=0), strict=True)
            if share > 0
        },
        "score": quantiles(tuned.flattering.mean).tolist(),
        "n": len(part.y),
    }


def _golden_inputs(X: Floats) -> Floats:
    """Returns synthetic rows that no patient is: quartiles, alternating ends, and nothing known at all."""
    table = quantiles(X, n=5)
    alternating = np.where(np.arange(X.shape[1]) % 2 == 0, table[:, 1], table[:, 3])
    return np.vstack([table[:, 1], table[:, 2], table[:, 3], alternating, np.full(X.shape[1], np.nan)])


def _write_out_of_fold(folder: Path, part: TrainingSet, tuned: Tuned) -> None:
    """Writes `oof.parquet` (one row a patient) and `oof_folds.parquet` (one row a patient and repeat).

    `p` is the mean over repeats of the honest probabilities, `p_<r>` and `fold_<r>` are those of repeat r and the fold
    in which the patient was held out; `p_best` is the best trial's, which flatters. All are recalibrated: `p_best` with
    the package's coefficients, `p_<r>` with those of its fold, which are in `search.json`.
    """
    oof = tuned.nested
    frame = pd.DataFrame({"center": part.center, "case_id": part.case_id, "y": part.y.astype(np.int64), "p": oof.mean})
    parts = []
    for repeat in range(oof.p.shape[1]):
        frame[f"p_{repeat}"], frame[f"fold_{repeat}"] = oof.p[:, repeat], oof.fold[:, repeat]
        own = frame[["center", "case_id", "y"]].assign(repeat=repeat, fold=oof.fold[:, repeat], p=oof.p[:, repeat])
        parts.append(own)
    frame["p_best"] = tuned.flattering.mean
    write_flat(folder / "oof.parquet", frame, _columns(frame))
    long = pd.concat(parts, ignore_index=True)
    write_flat(folder / "oof_folds.parquet", long, _columns(long))


def _columns(frame: pd.DataFrame) -> tuple[Column, ...]:
    kinds = {"O": "string", "U": "string", "i": "integer", "f": "float", "T": "string"}
    return tuple(
        Column(name=str(name), kind="string" if name in ("center", "case_id") else kinds[frame[name].dtype.kind])  # type: ignore[arg-type]
        for name in frame.columns
    )


def _search(tuned: Tuned) -> dict[str, Any]:
    return {
        "best": tuned.best.number,
        "nested": [trial.number for trial in tuned.chosen],
        "nested_recalibrations": [_recalibration(found) for found in tuned.honest.recalibrations],
        "trials": [
            {"number": t.number, "params": t.values, "value": t.value, "folds": list(t.folds)} for t in tuned.trials
        ],
    }


def _components(part: TrainingSet, tuned: Tuned) -> dict[str, Any]:
    """Returns the curve of cumulative explained variance, and the patients on the first two components by label."""
    preparation = Preparation.fit(part.X, CURVE_COMPONENTS)
    cumulative = np.cumsum(preparation.explained)
    scores = preparation.transform(part.X, min(2, preparation.n_components)) * np.sqrt(preparation.variance[0])
    scores = np.column_stack([scores, np.zeros(len(scores))])[:, :2]
    points = sorted(zip(scores.round(DIGITS).tolist(), part.y.tolist(), strict=True))
    return {
        "cumulative": cumulative.round(12).tolist(),
        "knee": knee(cumulative),
        "area_percent": round(area_percent(cumulative), DIGITS),
        "chosen": tuned.model.n_components,
        # sorted by place, so that the order of rows names nobody
        "scatter": [{"pc1": pc1, "pc2": pc2, "y": y} for (pc1, pc2), y in points],
    }


def _summary(name: str, settings: Model, digest: str, manifest: dict[str, Any], tuned: Tuned) -> dict[str, Any]:
    return {
        "model": name,
        "service": settings.service,
        "estimator": settings.estimator,
        "phases": manifest["service"]["phases"],
        "package": digest,
        "training_set": manifest["training_set"],
        "n_features": len(manifest["features"]),
        "n_trials": len(tuned.trials),
        "best_trial": tuned.best.number,
        "best_trial_value": round(tuned.best.value, DIGITS),
        "hyperparameters": manifest["model"]["hyperparameters"],
        "components": tuned.model.n_components,
        "recalibration": manifest["model"]["recalibration"],
        "thresholds": manifest["thresholds"],
        "out_of_fold": manifest["metrics_oof"],
        "note": "auc comes from nested cross-validation; auc_best_trial is the largest of all trials, so it flatters",
    }
