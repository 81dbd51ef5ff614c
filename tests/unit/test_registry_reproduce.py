"""A package made again from its record: the same bytes, or a line in the ledger that says they are not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.params import Params, parse_params
from pipelines.remaking import NotTriedError, recipe_of, reproduce
from pipelines.training.assemble import assemble
from pipelines.training.tune import tune
from pipelines.workspace import Workspace
from registry import lifecycle
from registry.gates import GateRefusedError
from registry.lifecycle import Registry

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


@pytest.mark.parametrize(("kind", "told"), [("fusion", "its members' predictions"), ("deep", "images")])
def test_what_needs_more_than_is_kept_is_not_tried(made: Study, candidates: Any, kind: str, told: str) -> None:
    registry = registered(made, candidates, kind=kind)
    with pytest.raises(NotTriedError, match=told):
        reproduce(registry, "lr", "a test")
    assert registry.version("lr").is_reproduced is None
