"""Writes a candidate: the package, its out-of-fold predictions, and the records that pages are made from."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from featurestore.files import sweep, write_json
from featurestore.training_sets import TRAINING, TrainingSet
from pipelines.models.components import CURVE_COMPONENTS, area_percent, knee
from pipelines.models.estimators import activation
from pipelines.models.preparation import Preparation
from pipelines.models.steps import RowFacts
from pipelines.params.modelling import Model
from pipelines.record import installed
from pipelines.training.card import card
from pipelines.training.manifests import golden_inputs, phases_of
from pipelines.training.out_of_fold import (
    DIGITS,
    out_of_fold_metrics,
    thresholds,
    told_recalibration,
    write_out_of_fold,
)
from pipelines.training.references import tabular_reference
from pipelines.training.results import Tuned, TuneSummary
from registry.package import save_package
from registry.parts import Part


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
    manifest = tabular_manifest(name, whole, settings, tuned, metrics) | {
        "thresholds": thresholds(tuned.flattering, target_sensitivity)
    }
    digest, manifest = save_tabular(folder / "package", manifest, whole, tuned)
    write_out_of_fold(folder, part, tuned)
    write_json(folder / "search.json", told_search(tuned))
    write_json(folder / "components.json", told_components(part, tuned))
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


def save_tabular(
    folder: Path, manifest: dict[str, Any], whole: TrainingSet, tuned: Tuned
) -> tuple[str, dict[str, Any]]:
    """Writes the package of a model on components, and returns its digest and its whole manifest."""
    arrays = tuned.model.to_arrays()
    told = tabular_reference(Part(manifest=manifest, arrays=arrays), whole, tuned)
    full = {**manifest, **told.manifest}
    golden = golden_inputs(whole.part(TRAINING).X)
    return save_package(folder, full, {**arrays, **told.arrays}, golden, card(full)), full


def tabular_manifest(
    name: str, whole: TrainingSet, settings: Model, tuned: Tuned, metrics: dict[str, Any]
) -> dict[str, Any]:
    """Returns the manifest of a model on components, its thresholds and its reference left out."""
    record, values = whole.record, tuned.best.values
    phases = phases_of(record["service"])
    rules = record["rules"]
    model = {
        "name": name,
        "estimator": settings.estimator,
        "hyperparameters": _hyperparameters(tuned),
        "recalibration": told_recalibration(tuned.recalibration),
    }
    return {
        "kind": "tabular",
        "model": {**model, "activation": activation(settings.estimator, values)},
        "features": [{"name": column.name, "unit": column.unit} for column in whole.columns],
        "service": record["service"],
        # a hospital need only send the phases that the model sees
        "rules": {**rules, "phases": {phase: rules["phases"][phase] for phase in phases if phase in rules["phases"]}},
        "extraction": record["extraction"],
        "feature_set": record["feature_set"],
        "training_set": whole.digest,
        "label": record["label"],
        "metrics_oof": metrics,
        "release": installed("radmill")["radmill"],
        **_harmonization(tuned),
    }


def _harmonization(tuned: Tuned) -> dict[str, object]:
    """Returns what the package says of centers; nothing for a model that does not harmonize them."""
    combat = tuned.model.preparation.combat
    if combat is None:
        return {}
    rules = {**asdict(combat.rules), "covariates": list(combat.rules.covariates)}
    return {"harmonization": {"centers": list(combat.centers), "rules": rules, "fit": combat.digest}}


def _hyperparameters(tuned: Tuned) -> dict[str, object]:
    return {**tuned.best.values, "components": tuned.model.n_components, "seed": tuned.model.seed}


def told_search(tuned: Tuned) -> dict[str, Any]:
    """Returns all trials, and which were chosen."""
    return {
        "best": tuned.best.number,
        "nested": [trial.number for trial in tuned.chosen],
        "nested_recalibrations": [told_recalibration(found) for found in tuned.honest.recalibrations],
        "trials": [
            {"number": t.number, "params": t.values, "value": t.value, "folds": list(t.folds)} for t in tuned.trials
        ],
    }


def told_components(part: TrainingSet, tuned: Tuned) -> dict[str, Any]:
    """Returns the curve of cumulative explained variance, and the patients on the first two components by label."""
    facts = RowFacts(center=part.center)
    # the picture is of what enters the components; which patients were outlined twice does not matter to it
    steps = replace(tuned.model.steps, stability=None)
    preparation = Preparation.fit(part.X, CURVE_COMPONENTS, steps, facts)
    cumulative = np.cumsum(preparation.explained)
    scores = preparation.transform(part.X, min(2, preparation.n_components), facts=facts) * np.sqrt(
        preparation.variance[0]
    )
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
