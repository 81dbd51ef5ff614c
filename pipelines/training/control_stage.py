"""The stages of the negative controls: features of shuffled voxels, and searches where there is nothing to be found.

External patients have no part in the searches, and their labels are not read: `evaluate` shuffles and reads them.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featurestore.files import write_bytes, write_json
from featurestore.fingerprints import digest, file_digest
from featurestore.training_sets import TRAINING, TrainingSet
from pipelines.execution.extract import ExtractSummary, shuffle
from pipelines.params import Params
from pipelines.params.modelling import Model, TuningSection
from pipelines.record import installed
from pipelines.runner import Progress, Runner, Silent
from pipelines.shuffled_views import searched_models, sees_voxels, shuffled_phases, shuffled_set
from pipelines.training.candidate import tabular_manifest, write_candidate
from pipelines.training.controls import ShuffledFit, dealt_anew, fit_shuffled
from pipelines.training.out_of_fold import DIGITS
from pipelines.training.tune import fit_best, own_repeats
from pipelines.workspace import Role, Workspace
from registry.stacking import with_prefix

LABELS, VOXELS = "labels", "voxels"
_SHARED = ("kind", "features", "service", "training_set")
_OWN = ("model", "harmonization")


@dataclass(frozen=True, kw_only=True)
class ControlsSummary:
    """What was tried.

    Args:
        models: Which models.
        label_shuffles: How often the labels of each were shuffled.
        mean_auc: The mean nested area over shuffles by model, of which 0.5 is chance, or why there is none.
        shuffled_voxels: The nested area on shuffled voxels by model, or why there is none.
        reused: Parts that nothing had changed for.
    """

    models: tuple[str, ...]
    label_shuffles: int
    mean_auc: dict[str, str]
    shuffled_voxels: dict[str, str]
    reused: int


def shuffle_voxels(
    workspace: Workspace, params: Params, role: Role, runner: Runner, progress: Progress | None = None
) -> ExtractSummary:
    """Writes `data/shuffled/<role>`: features of the regions that a control may need, their voxels shuffled."""
    return shuffle(workspace, params, role, shuffled_phases(params), runner, progress)


def controls(workspace: Workspace, params: Params, progress: Progress | None = None) -> ControlsSummary:
    """Writes `data/controls/<model>/` for the models of `evaluation.controls`; what still holds is taken over.

    Raises:
        InputError: What stops `tune` of these models.
    """
    from threadpoolctl import threadpool_limits

    telling, section = progress or Silent(), params.evaluation.controls
    names = chosen_models(workspace, params)
    telling.start("controls", len(names) * (section.label_shuffles + 1))
    reused, aucs, voxels = 0, dict[str, str](), dict[str, str]()
    with threadpool_limits(1):  # sums in another order would give other bits
        for name in names:
            whole = TrainingSet.load(workspace.training(params.models[name].service))
            reused += _labels(workspace, params, name, whole, telling)
            aucs[name] = _mean_auc(workspace.controls / name / LABELS)
            kept, voxels[name] = _voxels(workspace, params, name, whole)
            reused += kept
            telling.advance(note=name)
    _sweep(workspace.controls, names)
    telling.finish()
    return ControlsSummary(
        models=tuple(names), label_shuffles=section.label_shuffles, mean_auc=aucs, shuffled_voxels=voxels, reused=reused
    )


def chosen_models(workspace: Workspace, params: Params) -> list[str]:
    """Returns the models that are named, or the best by cross-validation of those with a search."""
    if params.evaluation.controls.models:
        return [name for name in params.evaluation.controls.models if _summary(workspace, name)]
    areas = {name: _summary(workspace, name).get("auc") for name in searched_models(params)}
    known = {name: float(area) for name, area in areas.items() if area is not None}
    return sorted(known, key=lambda name: (-known[name], name))[:1]


def _summary(workspace: Workspace, name: str) -> dict[str, Any]:
    path = workspace.model(name) / "summary.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))["out_of_fold"]) if path.is_file() else {}


def _labels(workspace: Workspace, params: Params, name: str, whole: TrainingSet, telling: Progress) -> int:
    settings, section = params.models[name], params.evaluation.controls
    tuning = params.tuning.model_copy(update={"trials": section.trials, "repeats": 1, "nested_repeats": 1})
    folder = workspace.controls / name / LABELS
    repeats = None
    if settings.stability:
        repeats = own_repeats(workspace.training(settings.service), whole.part(TRAINING))

    def make() -> None:
        found, arrays = [], dict[str, Any]()
        for number in range(section.label_shuffles):
            fitted = fit_shuffled(dealt_anew(whole, number), settings, tuning, repeats)
            found.append(_told(name, whole, settings, fitted))
            arrays |= with_prefix(fitted.tuned.model.to_arrays(), number)
            telling.advance(note=name)
        _write_shuffles(folder, name, settings, found, arrays)

    return _kept_or_made(folder, _context(whole, settings, tuning, section.label_shuffles), make)


def _told(name: str, whole: TrainingSet, settings: Model, fitted: ShuffledFit) -> dict[str, Any]:
    area = fitted.training
    manifest = tabular_manifest(name, whole, settings, fitted.tuned, {})
    return {
        "training": {key: _rounded(value) for key, value in area.columns("auc").items()},
        "internal": _rounded(None if np.isnan(fitted.internal) else fitted.internal),
        "best_trial": _rounded(fitted.tuned.flattering.auc()),
        "manifest": {key: manifest[key] for key in (*_SHARED, *_OWN) if key in manifest},
    }


def _write_shuffles(
    folder: Path, name: str, settings: Model, found: list[dict[str, Any]], arrays: dict[str, Any]
) -> None:
    from safetensors.numpy import save

    shared = {key: found[0]["manifest"][key] for key in _SHARED} if found else {}
    own = [{**one, "manifest": {k: one["manifest"][k] for k in _OWN if k in one["manifest"]}} for one in found]
    content = {"model": name, "service": settings.service, "manifest": shared, "shuffles": own}
    write_json(folder / "shuffles.json", content)
    write_bytes(folder / "models.safetensors", save({key: np.ascontiguousarray(a) for key, a in arrays.items()}))


def _voxels(workspace: Workspace, params: Params, name: str, whole: TrainingSet) -> tuple[int, str]:
    """Searches the model anew on shuffled voxels.

    Returns:
        Whether what lay there still holds, and the nested area, or why there is none.
    """
    folder = workspace.controls / name / VOXELS
    if not params.evaluation.controls.voxels or not sees_voxels(params, name):
        shutil.rmtree(folder, ignore_errors=True)
        return 0, "switched off" if sees_voxels(params, name) else "it sees no voxels of ours"
    settings = params.models[name].model_copy(update={"stability": None})  # other outlines show the real voxels
    made = shuffled_set(workspace, params, whole)

    def make() -> None:
        tuned = fit_best(made.part(TRAINING), settings, params.tuning)
        write_candidate(folder, name, made, settings, tuned, params.evaluation.target_sensitivity)

    kept = _kept_or_made(folder, _context(made, settings, params.tuning, params.evaluation.target_sensitivity), make)
    told = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["out_of_fold"]
    return kept, f"{told['auc']:.3f}"


def _kept_or_made(folder: Path, context: str, make: Callable[[], None]) -> int:
    """Makes a folder unless it was made from the same and nobody changed a byte; returns 1 when it was kept."""
    seal = folder / "made_from.json"
    if seal.is_file() and json.loads(seal.read_text(encoding="utf-8")) == _seal(folder, context):
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    make()
    write_json(seal, _seal(folder, context))
    return 0


def _seal(folder: Path, context: str) -> dict[str, Any]:
    own = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "made_from.json")
    return {"context": context, "files": {path.relative_to(folder).as_posix(): file_digest(path) for path in own}}


def _context(whole: TrainingSet, settings: Model, tuning: TuningSection, further: float) -> str:
    told = {"model": settings.model_dump(mode="json"), "tuning": tuning.model_dump(mode="json"), "further": further}
    versions = installed("radmill", "numpy", "scikit-learn", "optuna")
    return digest({"training_set": whole.digest, "versions": versions, **told})


def _mean_auc(folder: Path) -> str:
    content = json.loads((folder / "shuffles.json").read_text(encoding="utf-8"))
    if not content["shuffles"]:
        return "switched off"
    known = [one["training"]["auc"] for one in content["shuffles"] if one["training"]["auc"] is not None]
    return f"{np.mean(known):.3f}" if known else "not defined"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def _sweep(root: Path, names: list[str]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for folder in sorted(root.iterdir()):
        if folder.name not in names:
            shutil.rmtree(folder)
