"""Writes a clinical model, or ready probabilities, as a candidate."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from featurestore.files import sweep, write_json
from featurestore.training_sets import TRAINING, TrainingSet
from pipelines.models.clinical import ClinicalModel, Table
from pipelines.params.modelling import Model
from pipelines.training.card import direct_card
from pipelines.training.direct import Fitted
from pipelines.training.manifests import common_manifest, golden_inputs
from pipelines.training.out_of_fold import DIGITS, told_recalibration, write_out_of_fold
from pipelines.training.references import tabular_reference
from pipelines.training.results import TuneSummary
from registry.package import save_package
from registry.parts import Part

FILES = ("oof.parquet", "oof_folds.parquet", "search.json", "summary.json")


def write_direct_candidate(
    folder: Path, name: str, whole: TrainingSet, settings: Model, fitted: Fitted, target_sensitivity: float
) -> TuneSummary:
    """Writes everything under `data/models/<name>/` and removes what else lies there.

    Args:
        folder: The candidate's folder.
        name: The model's name.
        whole: The training set.
        settings: The model's section of `params.yaml`.
        fitted: The model and what cross-validation says.
        target_sensitivity: The second operating point, next to Youden's.
    """
    part = whole.part(TRAINING)
    common = common_manifest(whole, fitted, target_sensitivity)
    manifest = {**common, "kind": "tabular", "model": _model(name, settings, fitted)}
    arrays = fitted.model.to_arrays()
    told = tabular_reference(Part(manifest=manifest, arrays=arrays), whole, fitted)
    manifest |= told.manifest
    golden = golden_inputs(part.X)
    digest = save_package(folder / "package", manifest, arrays | told.arrays, golden, direct_card(manifest))
    write_out_of_fold(folder, part, fitted)
    write_json(folder / "search.json", told_search(fitted))
    odds = _odds(fitted, settings, len(part.y), int(part.y.sum())) if settings.estimator == "clinical" else None
    if odds is not None:
        write_json(folder / "odds.json", odds)
    write_json(folder / "summary.json", _summary(name, settings, digest, manifest, fitted))
    own = {folder / file for file in (*FILES, *(["odds.json"] if odds is not None else []))}
    sweep(folder, own | set((folder / "package").iterdir()))
    metrics = manifest["metrics_oof"]
    return TuneSummary(
        model=name,
        patients=len(part.y),
        events=int(part.y.sum()),
        trial=0,
        components=0,
        auc=f"{metrics['auc']:.3f} ({metrics['auc_low']:.3f}–{metrics['auc_high']:.3f})",
        auc_best_trial=metrics["auc_best_trial"],
        recalibration=fitted.recalibration.reason or f"slope {fitted.recalibration.slope:.3g}",
        package=digest[:12],
    )


def told_search(fitted: Fitted) -> dict[str, Any]:
    """Returns the one setting that was tried, in the form of a search."""
    areas = [round(area, DIGITS) for area in fitted.trial.folds]
    return {
        "best": 0,
        "nested": [0] * len(fitted.honest.recalibrations),
        "nested_recalibrations": [told_recalibration(found) for found in fitted.honest.recalibrations],
        "trials": [{"number": 0, "params": {}, "value": round(fitted.trial.value, DIGITS), "folds": areas}],
    }


def _model(name: str, settings: Model, fitted: Fitted) -> dict[str, Any]:
    model = {
        "name": name,
        "estimator": settings.estimator,
        "activation": "",
        "hyperparameters": _hyperparameters(settings),
        "recalibration": told_recalibration(fitted.recalibration),
    }
    if isinstance(fitted.model, ClinicalModel):
        found = fitted.model.findings
        model |= {"predictors": list(found.retained), "unseen": list(fitted.model.unseen)}
    return model


def _hyperparameters(settings: Model) -> dict[str, Any]:
    if settings.estimator == "clinical":
        return settings.screening.model_dump(mode="json")
    return {"given": settings.given}


def _summary(name: str, settings: Model, digest: str, manifest: dict[str, Any], fitted: Fitted) -> dict[str, Any]:
    n_parameters = len(fitted.model.findings.univariable) if isinstance(fitted.model, ClinicalModel) else 1
    return {
        "kind": "tabular",
        "model": name,
        "service": settings.service,
        "estimator": settings.estimator,
        "phases": manifest["service"]["phases"],
        "package": digest,
        "training_set": manifest["training_set"],
        "n_features": len(manifest["features"]),
        "n_parameters": n_parameters,
        "n_trials": 1,
        "best_trial": 0,
        "best_trial_value": round(fitted.trial.value, DIGITS),
        "hyperparameters": manifest["model"]["hyperparameters"],
        "predictors": manifest["model"].get("predictors", []),
        "recalibration": manifest["model"]["recalibration"],
        "thresholds": manifest["thresholds"],
        "out_of_fold": manifest["metrics_oof"],
        "note": "auc comes from cross-validation with everything learned in each fold, screening too; nothing was "
        "searched, so auc_best_trial is the same area",
    }


def _odds(fitted: Fitted, settings: Model, n: int, events: int) -> dict[str, Any]:
    """Returns the tables of odds ratios, and in how many folds each predictor was retained."""
    model = fitted.model
    assert isinstance(model, ClinicalModel)
    found = model.findings
    kept = Counter(name for one in fitted.by_fold if isinstance(one, ClinicalModel) for name in one.findings.retained)
    both = _rows(found.multivariable)
    methods = {table.method for table in (*found.univariable, found.multivariable) if table is not None}
    return {
        "n": n,
        "events": events,
        "screening": settings.screening.model_dump(mode="json"),
        "univariable": [row for table in found.univariable for row in _rows(table)],
        "multivariable": both,
        "model": _rows(found.final),
        "entered": list(found.entered),
        "independent": list(found.independent),
        "retained": list(found.retained),
        "left_out": dict(found.left_out),
        "unseen_values": list(model.unseen),
        "separation": "classes are separated: Firth's penalized likelihood" if "firth" in methods else "",
        "folds": {"of": len(fitted.by_fold), "retained": dict(sorted(kept.items()))},
    }


def _rows(table: Table | None) -> list[dict[str, Any]]:
    if table is None:
        return []
    return [
        {**_rounded(asdict(row)), "p_predictor": _short(table.p_values[row.predictor]), "method": table.method}
        for row in table.rows
    ]


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {key: _short(value) if isinstance(value, float) else value for key, value in row.items()}


def _short(value: float) -> float:
    return float(f"{value:.6g}")
