"""The work of making a registered package again, in a process and a folder of its own, and comparing what both say."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from featurestore.files import write_json
from featurestore.tables import read_frame
from featurestore.training_sets import TrainingSet
from pipelines.params import Params
from pipelines.params.data import Margin
from pipelines.params.deep import DeepModel
from pipelines.params.fusion import Fusion
from pipelines.params.modelling import EvaluationSection, Model, TuningSection
from pipelines.workspace import Workspace
from registry.harmonizing import Harmonizer
from registry.package import ModelPackage, load_package
from registry.parts import Part

TABULAR, DEEP, FUSION = "tabular", "deep", "fusion"
RECIPE, OUTCOME = "recipe.json", "outcome.json"
ORIGINAL = "original"
"""Where the package lies that is made again; only a network's answers are compared with its own."""

Recipe = Mapping[str, Any]


def bases(recipe: Recipe) -> dict[str, Recipe]:
    """Returns the recipes of all models that are trained on a service: of a fusion its members', else its own."""
    return dict(recipe["members"]) if recipe["kind"] == FUSION else {str(recipe["name"]): recipe}


def has_network(recipe: Recipe) -> bool:
    """Returns whether images are needed."""
    return any(one["kind"] == DEEP for one in bases(recipe).values())


def remake(folder: Path) -> None:
    """Trains what the recipe in a folder says, and writes down how far its answers are from the original's."""
    from pipelines.training.fuse import fuse
    from pipelines.training.train_deep import train_deep
    from pipelines.training.tune import tune

    recipe, workspace = json.loads((folder / RECIPE).read_bytes()), Workspace(folder)
    params = _params(recipe)
    for name in params.models:
        tune(workspace, params, name)
    for name in params.deep:
        train_deep(workspace, params, name)
    for name in params.fusion:
        fuse(workspace, params, name)
    again = load_package(workspace.model(str(recipe["name"])) / "package")
    told = difference(load_package(folder / ORIGINAL), again, workspace, params) if has_network(recipe) else None
    write_json(folder / OUTCOME, {"difference": told})


def difference(one: ModelPackage, other: ModelPackage, workspace: Workspace, params: Params) -> float:
    """Returns how far the probabilities of two packages lie apart at most, over all patients of their training sets.

    1 where one answers about a patient and the other does not.
    """
    from pipelines.models.predicting import CaseInputs, StoredCases, predict_cases

    sets = {name: TrainingSet.load(workspace.training(params.service_of_model(name))) for name in _based(params)}
    sets |= {name: TrainingSet.load(workspace.fusion(name) / "training") for name in params.fusion}
    patients = sorted({patient for kept in sets.values() for patient in zip(kept.center, kept.case_id, strict=True)})
    inputs = CaseInputs(
        center=np.array([center for center, _ in patients], np.str_),
        case_id=np.array([case_id for _, case_id in patients], np.str_),
        features=lambda part: _features(part, sets[part.name]),
        cases=StoredCases(
            folder=workspace.cases("development"), rows=read_frame(workspace.view("development", "cases"))
        ),
    )
    p, q = (predict_cases(package, inputs).p for package in (one, other))
    if not np.array_equal(np.isnan(p), np.isnan(q)):
        return 1.0
    return float(np.nanmax(np.abs(p - q), initial=0.0))


def _features(part: Part, kept: TrainingSet) -> pd.DataFrame:
    frame = pd.DataFrame(kept.X, columns=kept.names).assign(center=kept.center, case_id=kept.case_id)
    return frame[~Harmonizer(part).lacking(kept.X)] if part.is_harmonized else frame


def _based(params: Params) -> list[str]:
    return [*params.models, *params.deep]


def _params(recipe: Recipe) -> Params:
    """Returns as much of the settings as training asks for."""
    own, margin = bases(recipe), recipe.get("margin") or {"mm": 0, "voxels": 0}
    is_fused = recipe["kind"] == FUSION
    kinds = {kind: {name: one["model"] for name, one in own.items() if one["kind"] == kind} for kind in (TABULAR, DEEP)}
    return Params.model_construct(
        models={name: Model.model_validate(model) for name, model in kinds[TABULAR].items()},
        deep={name: DeepModel.model_validate(model) for name, model in kinds[DEEP].items()},
        fusion={recipe["name"]: Fusion.model_validate(recipe["model"])} if is_fused else {},
        tuning=TuningSection.model_validate(recipe["tuning"]),
        evaluation=EvaluationSection.model_construct(target_sensitivity=float(recipe["target_sensitivity"])),
        margin=Margin.model_validate(margin),
    )


if __name__ == "__main__":
    remake(Path(sys.argv[1]))
