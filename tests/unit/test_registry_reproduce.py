"""A package made again from its record: the same bytes, or a line in the ledger that says they are not."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featurestore.tables import write_center
from featurestore.training_sets import TrainingSet
from pipelines.ingest.views import CASES
from pipelines.params import Params, parse_params
from pipelines.remaking import NotTriedError, recipe_of, reproduce
from pipelines.retraining import difference
from pipelines.training.assemble import assemble
from pipelines.training.fuse import fuse
from pipelines.training.tune import tune
from pipelines.workspace import Workspace
from registry import lifecycle
from registry.gates import GateRefusedError
from registry.lifecycle import Registry
from registry.package import load_package
from registry.predict import predict

Study = tuple[Workspace, Params]


@pytest.fixture
def made(study: Path, fake_study: Callable[..., Study], monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study with one tuned model."""
    monkeypatch.setattr(lifecycle, "dvc_add", lambda _, folder: folder.with_name(f"{folder.name}.dvc").touch())
    workspace, params = fake_study(study, estimators=(), n_per_center=16, effect=1.5)
    content = params.model_dump(mode="json")
    content["tuning"] = {"trials": 2, "folds": 2, "repeats": 1, "nested_repeats": 1, "batch": 1, "seed": 7}
    content["models"] = {"lr": {"service": "excretory", "estimator": "lr"}}
    params = parse_params(content)
    assemble(workspace, params)
    tune(workspace, params, "lr")
    return workspace, params


def registered(made: Study, candidates: Any, **changed: Any) -> Registry:
    workspace, params = made
    registry, recipe = Registry(workspace.root), recipe_of(params, "lr") | changed
    training, package = workspace.training("excretory"), workspace.model("lr") / "package"
    registry.register("lr", package, training, candidates.metrics(), "a test", further={"recipe": recipe})
    return registry


def test_a_new_process_makes_the_same_package_and_the_gate_knows(made: Study, candidates: Any) -> None:
    registry = registered(made, candidates)
    with pytest.raises(GateRefusedError, match="reproducible: not measured"):
        registry.promote("lr", {"reproducible": True})
    found = reproduce(registry, "lr", "a test")
    assert found.same
    assert found.digest == registry.version("lr").digest
    reproduce(registry, "lr", "again")
    assert [event.verb for event in registry.events()] == ["register", "refuse", "reproduce"]
    registry.promote("lr", {"reproducible": True})
    assert registry.champion() is not None


def test_another_outcome_is_written_down_and_passes_no_gate(made: Study, candidates: Any) -> None:
    registry = registered(made, candidates, target_sensitivity=0.6)
    found = reproduce(registry, "lr", "a test")
    assert (found.same, found.note) == (False, "differs in thresholds")
    with pytest.raises(GateRefusedError, match="reproducible: 0"):
        registry.promote("lr", {"reproducible": True})


def test_a_fusion_makes_its_members_again_first(made: Study, candidates: Any) -> None:
    """Its members' training sets are the study's own, as long as they are those it was made from."""
    workspace, params = made
    content = params.model_dump(mode="json")
    content["models"]["other"] = {"service": "excretory", "estimator": "lr", "reduction": {"maximum": 3}}
    content["fusion"] = {"both": {"members": ["lr", "other"]}}
    params = parse_params(content)
    tune(workspace, params, "other")
    fuse(workspace, params)
    registry, further = Registry(workspace.root), {"recipe": recipe_of(params, "both")}
    package, training = workspace.model("both") / "package", workspace.training_of("both", "both")
    registry.register("both", package, training, candidates.metrics(), "a test", further=further)
    shutil.rmtree(workspace.root / "data" / "models")
    shutil.rmtree(workspace.root / "data" / "fusion")
    assert reproduce(registry, "both", "a test").same
    shutil.rmtree(workspace.training("excretory"))
    with pytest.raises(NotTriedError, match=r"training set .* is not here"):
        reproduce(registry, "both", "a test")


def test_a_network_needs_the_study_s_images(made: Study, candidates: Any) -> None:
    registry = registered(made, candidates, kind="deep", margin={"mm": 1, "voxels": 1})
    with pytest.raises(NotTriedError, match="data/cases"):
        reproduce(registry, "lr", "a test")
    workspace, _ = made
    workspace.cases("development").mkdir(parents=True)
    write_center(workspace.view("development", "cases"), "north", [], CASES)
    with pytest.raises(NotTriedError, match=r"images of .* of its patients"):
        reproduce(registry, "lr", "a test")
    assert registry.version("lr").is_reproduced is None


def test_a_recipe_of_a_release_that_kept_less_is_not_tried(made: Study, candidates: Any) -> None:
    registry = registered(made, candidates, kind="fusion")
    with pytest.raises(NotTriedError, match="kept less"):
        reproduce(registry, "lr", "a test")


def test_how_far_two_packages_lie_apart_is_the_largest_difference_over_patients(made: Study) -> None:
    """What networks are compared by: every patient of the training sets, and none answered by one alone."""
    workspace, params = made
    package = load_package(workspace.model("lr") / "package")
    moved = {name: array.copy() for name, array in package.arrays.items()}
    moved["lr.intercept"] += 0.5
    other = replace(package, arrays=moved)
    kept = TrainingSet.load(workspace.training("excretory"))
    expected = np.abs(predict(package, kept.X) - predict(other, kept.X)).max()
    write_center(workspace.view("development", "cases"), "north", [], CASES)
    assert difference(package, package, workspace, params) == 0
    assert difference(package, other, workspace, params) == pytest.approx(expected, abs=1e-15)
