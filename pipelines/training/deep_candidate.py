"""Writes a network as a candidate: the package, its out-of-fold predictions, how it learned, and where it looks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.files import sweep, write_bytes, write_json
from featurestore.training_sets import INTERNAL, TRAINING, TrainingSet
from pipelines.models.gradcam import attention
from pipelines.models.resnet import Patches
from pipelines.params.deep import DeepModel
from pipelines.record import installed
from pipelines.training.card import deep_card
from pipelines.training.deep_results import DeepSummary, Learned
from pipelines.training.out_of_fold import (
    DIGITS,
    out_of_fold_metrics,
    thresholds,
    told_recalibration,
    write_out_of_fold,
)
from pipelines.training.references import acquisition_of_phases, score_reference
from registry.package import save_package

SHOWN = 4
"""Patients of each label in the pictures of where the network looks: those it is surest of."""

GRADCAM = "gradcam.safetensors"


def write_deep_candidate(
    folder: Path,
    name: str,
    whole: TrainingSet,
    settings: DeepModel,
    learned: Learned,
    patches: Patches,
    internal: Patches,
    target_sensitivity: float,
) -> DeepSummary:
    """Writes everything under `data/models/<name>/` and removes what else lies there.

    Args:
        folder: The candidate's folder.
        name: The model's name.
        whole: The training set.
        settings: The model's section of `params.yaml`.
        learned: What training gave.
        patches: Of the training patients, shape (n, c, …).
        internal: Of the internal patients, shape (m, c, …).
        target_sensitivity: The second operating point, next to Youden's.
    """
    part = whole.part(TRAINING)
    metrics = out_of_fold_metrics(learned)
    manifest = _manifest(name, whole, settings, learned, metrics) | {
        "thresholds": thresholds(learned.flattering, target_sensitivity)
    }
    p = learned.network.predict(internal).astype(np.float64) if len(internal) else np.empty(0)
    reference = score_reference(whole.part(INTERNAL).y, p, learned)
    manifest |= {**reference.manifest, "acquisition": acquisition_of_phases(whole, learned.recipe.phases)}
    arrays = learned.network.to_arrays() | reference.arrays
    digest = save_package(folder / "package", manifest, arrays, np.empty((0, 0)), deep_card(manifest))
    write_out_of_fold(folder, part, learned)
    write_json(folder / "search.json", _search(settings, learned))
    write_json(folder / "history.json", _history(learned))
    write_json(folder / "summary.json", _summary(name, settings, digest, manifest, learned))
    write_bytes(folder / GRADCAM, _gradcam_bytes(learned, patches, part.y))
    files = ("oof.parquet", "oof_folds.parquet", "search.json", "history.json", "summary.json", GRADCAM)
    sweep(folder, {folder / file for file in files} | set((folder / "package").iterdir()))
    return DeepSummary(
        model=name,
        patients=len(part.y),
        events=int(part.y.sum()),
        networks=len(learned.outcomes),
        epochs=learned.n_epochs,
        auc=f"{metrics['auc']:.3f} ({metrics['auc_low']:.3f}–{metrics['auc_high']:.3f})",
        recalibration=learned.recalibration.reason or f"slope {learned.recalibration.slope:.3g}",
        package=digest[:12],
    )


def _manifest(
    name: str, whole: TrainingSet, settings: DeepModel, learned: Learned, metrics: dict[str, Any]
) -> dict[str, Any]:
    record, phases = whole.record, list(learned.recipe.phases)
    rules = record["rules"]
    model = {
        "name": name,
        "estimator": settings.architecture,
        "hyperparameters": _hyperparameters(settings, learned),
        "recalibration": told_recalibration(learned.recalibration),
        "network": {
            "spec": learned.network.spec.plain(),
            "recipe": learned.recipe.plain(),
            "shape": list(learned.network.shape),
        },
    }
    return {
        "kind": "deep",
        "model": model,
        "features": [],
        "golden": learned.network.golden(),
        "service": record["service"] | {"phases": phases},
        "rules": {**rules, "phases": {phase: rules["phases"][phase] for phase in phases if phase in rules["phases"]}},
        "extraction": record["extraction"],
        "feature_set": record["feature_set"],
        "training_set": whole.digest,
        "label": record["label"],
        "metrics_oof": metrics,
        "release": installed("radmill")["radmill"],
    }


def _hyperparameters(settings: DeepModel, learned: Learned) -> dict[str, object]:
    told = settings.model_dump(
        mode="json", include={"batch", "learning_rate", "weight_decay", "schedule", "class_weights", "inner_fraction"}
    )
    weights = {} if settings.weights is None else {"weights": settings.weights.sha256}
    return {**told, **weights, "epochs": learned.n_epochs}


def _search(settings: DeepModel, learned: Learned) -> dict[str, Any]:
    """Returns the one setting that was tried, in the form of a search."""
    areas = [round(area, DIGITS) for area in learned.fold_aucs]
    trial = {
        "number": 0,
        "params": _hyperparameters(settings, learned),
        "value": round(float(np.mean(areas)), DIGITS),
        "folds": areas,
    }
    return {
        "best": 0,
        "nested": [0] * len(areas),
        "nested_recalibrations": [told_recalibration(found) for found in learned.recalibrations],
        "trials": [trial],
    }


def _history(learned: Learned) -> dict[str, Any]:
    return {
        "folds": [
            {
                "repeat": outcome.fold.repeat,
                "fold": outcome.fold.number,
                "best": outcome.best,
                "auc": round(area, DIGITS),
                "epochs": list(outcome.history),
            }
            for outcome, area in zip(learned.outcomes, learned.fold_aucs, strict=True)
        ],
        "final": {"n_epochs": learned.n_epochs, "epochs": list(learned.final)},
    }


def _gradcam_bytes(learned: Learned, patches: Patches, y: NDArray[np.int8]) -> bytes:
    """Returns pictures of the patients the network is surest of, by label, and where it looks; no names.

    Tensors: `images` (n, phases, rows, columns), `maps` (n, rows, columns), both 0 to 255; `y` (n,), `p` (n,). The
    note `about` has phases and layer as JSON.
    """
    from safetensors.numpy import save

    p = learned.network.predict(patches)
    surest = np.argsort(-p, kind="stable")
    positive, negative = surest[y[surest] == 1][:SHOWN], surest[::-1][y[surest[::-1]] == 0][:SHOWN]
    shown = np.concatenate([positive, negative])
    found = attention(learned.network, patches[shown], learned.recipe)
    about = json.dumps({"layer": found.layer, "phases": list(learned.recipe.phases)}, sort_keys=True)
    tensors = {
        "images": found.images,
        "maps": found.maps,
        "y": y[shown].astype(np.uint8),
        "p": p[shown].astype(np.float32),
    }
    # safetensors keeps bytes as they lie in memory, and a view's lie in another order than its shape says
    return save({key: np.ascontiguousarray(tensor) for key, tensor in tensors.items()}, {"about": about})


def _summary(name: str, settings: DeepModel, digest: str, manifest: dict[str, Any], learned: Learned) -> dict[str, Any]:
    return {
        "kind": "deep",
        "model": name,
        "service": settings.service,
        "estimator": settings.architecture,
        "dims": settings.dims,
        "phases": manifest["service"]["phases"],
        "package": digest,
        "training_set": manifest["training_set"],
        "n_features": 0,
        "n_parameters": int(sum(array.size for array in learned.network.state.values())),
        "n_trials": 1,
        "best_trial": 0,
        "best_trial_value": round(float(np.mean(learned.fold_aucs)), DIGITS),
        "hyperparameters": manifest["model"]["hyperparameters"],
        "network": manifest["model"]["network"],
        "recalibration": manifest["model"]["recalibration"],
        "thresholds": manifest["thresholds"],
        "out_of_fold": manifest["metrics_oof"],
        "note": "auc comes from cross-validation; nothing was searched, so auc_best_trial is the same area",
    }
