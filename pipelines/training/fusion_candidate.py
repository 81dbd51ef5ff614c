"""Writes a fusion as a candidate: its training set, its package, and what it weighs."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.files import sweep, write_json
from featurestore.training_sets import TRAINING, TrainingSet
from pipelines.models.base import Floats
from pipelines.models.direct import Stack
from pipelines.params.modelling import Model, Reduction
from pipelines.training.candidate import save_tabular, tabular_manifest, told_components
from pipelines.training.candidate import told_search as told_trials
from pipelines.training.card import fusion_card
from pipelines.training.crossval import OutOfFold
from pipelines.training.direct_candidate import told_search
from pipelines.training.manifests import common_manifest
from pipelines.training.members import Member, said_set
from pipelines.training.out_of_fold import (
    DIGITS,
    out_of_fold_metrics,
    thresholds,
    told_recalibration,
    write_out_of_fold,
)
from pipelines.training.references import stack_reference
from pipelines.training.results import EARLY, Fused
from registry.package import save_package
from registry.parts import Part
from registry.stacking import ESTIMATOR, with_prefix

Manifest = dict[str, Any]
GOLDEN = 4
"""So many of a member's golden inputs are used: the last knows nothing at all, and a fusion then says nothing."""

SAID = (0.3, 0.5, 0.7, 0.4)
"""What networks say in golden inputs."""

_OF_MEMBER = ("kind", "model", "features", "service", "training_set", "golden", "harmonization", "reference")


def write_fusion_candidate(folder: Path, name: str, fused: Fused, target: float) -> dict[str, object]:
    """Writes everything under `data/fusion/<name>/`, removes what else lies there, and returns what came out.

    Args:
        folder: The candidate's folder.
        name: The fusion's name.
        fused: The fusion.
        target: The second operating point, next to Youden's.
    """
    own = {folder / file for file in ("oof.parquet", "oof_folds.parquet", "search.json", "summary.json", "fusion.json")}
    if fused.chosen == EARLY and fused.early is not None:
        whole, manifest, digest = _write_early(folder, name, fused, target)
        write_json(folder / "search.json", told_trials(fused.early[0]))
        write_json(folder / "components.json", told_components(whole.part(TRAINING), fused.early[0]))
        own.add(folder / "components.json")
    else:
        whole, manifest, digest = _write_late(folder, name, fused, target)
        write_json(folder / "search.json", told_search(fused.late))
    write_out_of_fold(folder, _known(whole.part(TRAINING), fused), fused)
    write_json(folder / "fusion.json", _told(fused))
    write_json(folder / "summary.json", _summary(name, fused, digest, manifest))
    sweep(folder, own | set((folder / "package").iterdir()) | set((folder / "training").iterdir()))
    metrics = manifest["metrics_oof"]
    return {
        "kind": fused.chosen,
        "members": len(fused.members),
        "patients": metrics["n"],
        "events": metrics["events"],
        "auc": f"{metrics['auc']:.3f} ({metrics['auc_low']:.3f}–{metrics['auc_high']:.3f})",
        "package": digest[:12],
    }


def _known(part: TrainingSet, fused: Fused) -> TrainingSet:
    """Returns the patients whom all members know."""
    known = set(fused.known.patients.to_list())
    at = np.array([key in known for key in zip(part.center.tolist(), part.case_id.tolist(), strict=True)], dtype=bool)
    return part.rows(at)


def _write_early(folder: Path, name: str, fused: Fused, target: float) -> tuple[TrainingSet, Manifest, str]:
    assert fused.early is not None
    tuned, whole = fused.early
    whole.save(folder / "training")
    settings = Model(
        service=name, estimator=fused.settings.estimator, reduction=Reduction(maximum=fused.settings.components)
    )
    manifest = tabular_manifest(name, whole, settings, tuned, out_of_fold_metrics(fused)) | {
        "thresholds": thresholds(tuned.flattering, target)
    }
    digest, manifest = save_tabular(folder / "package", manifest, whole, tuned)
    return whole, manifest, digest


def _write_late(folder: Path, name: str, fused: Fused, target: float) -> tuple[TrainingSet, Manifest, str]:
    whole = said_set(name, fused.members, fused.known)
    whole.save(folder / "training")
    stack = _stack(fused)
    told = [member.package.manifest for member in fused.members]
    features = {item["name"]: item for one in told for item in one["features"]}
    manifest = {
        **common_manifest(whole, fused, target),
        "kind": "fusion",
        "features": list(features.values()),
        "members": [{key: one[key] for key in _OF_MEMBER if key in one} for one in told],
        "model": {
            "name": name,
            "estimator": ESTIMATOR,
            "absent_member": fused.settings.absent_member,
            "hyperparameters": fused.settings.model_dump(mode="json", include={"nonnegative", "penalty"}),
            "recalibration": told_recalibration(fused.late.recalibration),
            "weights": _weights(fused),
        },
    }
    arrays: dict[str, NDArray[Any]] = dict(stack.to_arrays())
    for number, member in enumerate(fused.members):
        arrays |= with_prefix(member.package.arrays, number)
    reference = stack_reference(Part(manifest=manifest, arrays=arrays), whole, fused)
    manifest, arrays = {**manifest, **reference.manifest}, arrays | reference.arrays
    golden = _golden(fused.members, list(features))
    text = fusion_card(manifest, [member.name for member in fused.members])
    return whole, manifest, save_package(folder / "package", manifest, arrays, golden, text)


def _golden(members: list[Member], features: list[str]) -> Floats:
    """Returns members' golden inputs side by side, and what its networks say in them."""
    found: dict[str, Floats] = {}
    for member in members:
        package = member.package
        found = {name: package.golden[:GOLDEN, i] for i, name in enumerate(package.features)} | found
    said = [np.array(SAID) for member in members if member.package.is_deep]
    return np.column_stack([*(found[name] for name in features), *said])


def _stack(fused: Fused) -> Stack:
    model = fused.late.model
    assert isinstance(model, Stack)
    return model


def _weights(fused: Fused) -> dict[str, float]:
    names = [member.name for member in fused.members]
    return {name: round(float(w), DIGITS) for name, w in zip(names, _stack(fused).weights, strict=True)}


def _told(fused: Fused) -> dict[str, Any]:
    """Returns what the fusion weighs, and how it compares with its members on the patients they share."""
    known = fused.known
    fold = fused.late.nested.fold
    by_member = {}
    for number, member in enumerate(fused.members):
        names = [f"p_{repeat}" for repeat in range(known.repeats)]
        p = member.out_of_fold.loc[known.patients, names].to_numpy(np.float64)
        by_member[member.name] = {
            "weight": _weights(fused)[member.name],
            "auc": round(OutOfFold(y=known.y, p=p, fold=fold).auc(), DIGITS),
            "training_patients": len(member.out_of_fold),
            "kind": str(member.package.manifest["kind"]),
            "place": number,
        }
    areas = {"late": fused.late.nested.auc(), "early": fused.early[0].nested.auc() if fused.early else None}
    return {
        "kind": fused.settings.kind,
        "chosen": fused.chosen,
        "members": by_member,
        "intercept": round(_stack(fused).intercept, DIGITS),
        "absent_member": fused.settings.absent_member,
        "patients": len(known.y),
        "auc": {
            **{kind: None if area is None else round(area, DIGITS) for kind, area in areas.items()},
            "fusion": round(fused.nested.auc(), DIGITS),
        },
        "no_early_because": fused.reason,
    }


def _summary(name: str, fused: Fused, digest: str, manifest: Manifest) -> dict[str, Any]:
    early = fused.early[0] if fused.chosen == EARLY and fused.early else None
    return {
        "kind": manifest["kind"],
        "model": name,
        "service": name,
        "estimator": manifest["model"]["estimator"],
        "phases": manifest["service"]["phases"],
        "package": digest,
        "training_set": manifest["training_set"],
        "n_features": len(manifest["features"]),
        "n_parameters": len(fused.members) if early is None else early.model.n_components,
        "n_trials": 1 if early is None else len(early.trials),
        "best_trial": 0 if early is None else early.best.number,
        "best_trial_value": round((fused.late.trial if early is None else early.best).value, DIGITS),
        "hyperparameters": manifest["model"]["hyperparameters"],
        "members": [member.name for member in fused.members],
        "fusion": fused.chosen,
        "recalibration": manifest["model"]["recalibration"],
        "thresholds": manifest["thresholds"],
        "out_of_fold": manifest["metrics_oof"],
        "note": "auc comes from cross-validation: weights, and the choice between late and early, without the fold",
    }
