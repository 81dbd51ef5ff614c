"""The registry as people use it: what an event leaves in ledger, git and DVC."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from featurestore.errors import RadmillError
from pipelines.cards import write_cards
from pipelines.params import parse_params
from pipelines.workspace import Workspace
from registry import keeping, lifecycle
from registry.card import version_card
from registry.errors import (
    CommandFailedError,
    MoveRefusedError,
    NoFormerChampionError,
    NoRepositoryError,
    PackageAbsentError,
    StaleCandidateError,
    UnknownVersionError,
)
from registry.gates import GateRefusedError
from registry.lifecycle import Registry
from registry.predict import predict
from registry.states import ModelVersion

GATES = {"external_auc_minimum": 0.65, "external_n_minimum": 20, "calibration_slope_range": None}
ROOT = Path(__file__).resolve().parents[2]
Register = Callable[..., ModelVersion]


@pytest.fixture
def registry(study: Path) -> Registry:
    return Registry(study)


@pytest.fixture
def register(registry: Registry, candidates: Any) -> Register:
    def call(name: str = "lr", seed: int = 0, auc: float = 0.8) -> ModelVersion:
        package, training = candidates.write(registry.study, name, seed)
        return registry.register(name, package, training, candidates.metrics(auc), "a test")

    return call


@pytest.fixture
def no_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves DVC out where it is not what is tested: it takes a second a call."""

    def pretend(root: Path, folder: Path) -> Path:
        pointer = folder.with_name(f"{folder.name}.dvc")
        pointer.write_text("outs: []\n")
        return pointer

    monkeypatch.setattr(lifecycle, "dvc_add", pretend)


def git(study: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=study, check=True, capture_output=True, text=True).stdout


def test_registering_keeps_bytes_in_dvc_and_the_record_in_git(registry: Registry, register: Register) -> None:
    version = register()
    committed = set(git(registry.study, "show", "--name-only", "--format=", "HEAD").split())
    assert committed == {
        "models/ledger.jsonl",
        f"models/evidence/{version.evidence}.json",
        f"models/packages/{version.digest}.dvc",
        f"models/training/{version.training_set}.dvc",
    }
    assert (version.number, version.state, version.model) == (1, "registered", "lr")
    assert registry.package(version).digest == version.digest
    assert registry.verify() == []
    assert git(registry.study, "status", "--porcelain") == ""


def test_registering_again_changes_nothing(registry: Registry, register: Register, no_dvc: None) -> None:
    register()
    before = git(registry.study, "rev-parse", "HEAD")
    assert register().number == 1
    assert git(registry.study, "rev-parse", "HEAD") == before


def test_an_event_commits_its_own_files_only(registry: Registry, register: Register, no_dvc: None) -> None:
    (registry.study / "staged.txt").write_text("mine")
    (registry.study / "loose.txt").write_text("mine too")
    git(registry.study, "add", "staged.txt")
    register()
    assert git(registry.study, "status", "--porcelain") == "A  staged.txt\n?? loose.txt\n"


def test_the_ledger_names_a_person_and_no_address(registry: Registry, register: Register, no_dvc: None) -> None:
    git(registry.study, "config", "user.name", "ada@example.org")
    register()
    event = json.loads(registry.ledger.path.read_text())
    assert event["who"] == "ada"
    assert event["when"].endswith("Z")


@pytest.mark.parametrize("step", ["place", "dvc_add", "write_evidence", "append", "commit"])
def test_a_registration_cut_short_anywhere_is_completed(
    registry: Registry, register: Register, no_dvc: None, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whatever step the process dies in, the same call ends with one event, sound files and nothing uncommitted."""
    with monkeypatch.context() as patch:
        cut(patch, step)
        with pytest.raises(InterruptedError):
            register()
    register()
    assert [event.verb for event in registry.events()] == ["register"]
    assert registry.verify() == []
    assert git(registry.study, "status", "--porcelain") == ""


def cut(patch: pytest.MonkeyPatch, step: str) -> None:
    def die(*_: object, **__: object) -> None:
        raise InterruptedError(step)

    if step == "append":
        patch.setattr("registry.ledger.Ledger.append", die)
    elif step == "commit":
        run = keeping._run
        patch.setattr(keeping, "_run", lambda command, root: die() if "commit" in command else run(command, root))
    else:
        patch.setattr(lifecycle, step, die)


def test_an_event_left_uncommitted_is_committed_by_the_next(
    registry: Registry, register: Register, no_dvc: None
) -> None:
    first = register()
    hook = registry.study / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no ticket in the message >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(CommandFailedError, match="no ticket"):
        registry.promote("v1", GATES)
    assert registry.champion() == registry.version(first.digest)
    hook.unlink()
    register("rf", seed=1)
    assert git(registry.study, "log", "--format=%s").splitlines()[:2] == [
        "Register rf as version 2",
        "Complete an event that was cut short",
    ]


def test_a_gate_refuses_with_its_table_and_an_override_is_shown_for_ever(
    registry: Registry, register: Register, no_dvc: None
) -> None:
    register(auc=0.6)
    with pytest.raises(GateRefusedError, match=r"external_auc_minimum: 0\.600, limit at least 0\.65") as refusal:
        registry.promote("lr", GATES)
    assert [result.passed for result in refusal.value.results] == [False, True]
    assert registry.champion() is None
    registry.promote("lr", GATES, override="only model for a pilot")
    champion = registry.champion()
    assert champion is not None
    assert champion.overrides == ("only model for a pilot",)
    registry.retire("champion", "pilot ended")
    assert registry.version("v1").overrides == ("only model for a pilot",)


def test_a_refusal_is_remembered_once_and_counts_as_a_read(
    registry: Registry, study: Path, candidates: Any, no_dvc: None
) -> None:
    """Labels that decided are no longer fresh, whether the version was let in or not."""
    package, training = candidates.write(study, "lr")
    seen = [{"center": "west", "case_id": f"{n:016x}", "y": n % 2, "p": 0.5} for n in range(100, 104)]
    registry.register("lr", package, training, candidates.metrics(0.6), "a test", seen)
    for _ in range(2):
        with pytest.raises(GateRefusedError):
            registry.promote("lr", GATES)
    assert [event.verb for event in registry.events()] == ["register", "refuse"]
    assert registry.version("lr").state == "registered"
    registry.promote("lr", GATES, override="only model for a pilot")
    assert registry.state().reads == {"west": 2}
    assert registry.verify() == []
    assert git(registry.study, "status", "--porcelain") == ""


def test_the_card_tells_intervals_history_and_overrides(registry: Registry, register: Register, no_dvc: None) -> None:
    register(auc=0.6)
    registry.promote("lr", GATES, why="pilot", override="only | model")
    version = registry.version("champion")
    text = version_card(version, registry.package(version), registry.evidence(version), "Research only.")
    assert "**Promoted in spite of its gates:** only | model" in text
    assert "| external | 40 | 20 | 0.600 (0.500 to 0.700) |" in text
    assert "| Ada Tester | pilot (overruled: external_auc_minimum) |" in text
    assert "Research only." in text
    assert version.digest in text


def test_cards_are_files_and_follow_the_ledger(registry: Registry, study: Path, candidates: Any, no_dvc: None) -> None:
    """Gates, overrides and spent labels stand on the card; a card that tells the truth is left alone."""
    params = parse_params(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))
    package, training = candidates.write(study, "lr")
    seen = [{"center": "west", "case_id": f"{n:016x}", "y": n % 2, "p": 0.5} for n in range(100, 104)]
    registry.register("lr", package, training, candidates.metrics(0.6), "a test", seen)
    (path,) = write_cards(Workspace(study), params)
    assert path == study / "reports" / "cards" / "version-1.md"
    assert "No gate has judged" in path.read_text()
    assert "| west | sealed |" in path.read_text()
    assert write_cards(Workspace(study), params) == []
    registry.promote("lr", GATES, override="only model for a pilot")
    assert write_cards(Workspace(study), params) == [path]
    text = path.read_text()
    assert "**Promoted in spite of its gates:** only model for a pilot" in text
    assert "| external_auc_minimum | 0.600 | at least 0.65 | **not met** |" in text
    assert "| west | spent: read 1 times |" in text
    assert f"--digest {registry.version('lr').digest}" in text


def test_a_rollback_brings_back_the_same_predictions(registry: Registry, register: Register, no_dvc: None) -> None:
    X = np.random.default_rng(2).normal(size=(20, 3))
    first, second = register("lr"), register("rf", seed=1)
    registry.promote("v1", GATES)
    before = predict(registry.package(first), X)
    registry.promote("v2", GATES)
    assert registry.previous() == registry.version("v1")
    returned = registry.rollback("worse in use")
    assert (returned.digest, returned.state) == (first.digest, "champion")
    assert np.array_equal(predict(registry.package(returned), X), before)
    assert registry.version(second.digest).state == "registered"
    with pytest.raises(NoFormerChampionError):
        registry.rollback("again")


def test_promoting_the_champion_again_adds_no_event(registry: Registry, register: Register, no_dvc: None) -> None:
    register()
    registry.promote("v1", GATES)
    assert all(result.passed for result in registry.promote("champion", GATES))
    assert len(registry.events()) == 2


def test_moves_that_the_table_does_not_have_are_named(registry: Registry, register: Register, no_dvc: None) -> None:
    register()
    registry.retire("v1", "obsolete")
    with pytest.raises(MoveRefusedError, match=r"cannot promote a retired version \(allowed: none\)"):
        registry.promote("v1", GATES)
    with pytest.raises(UnknownVersionError, match="registered: v1 lr"):
        registry.promote("lr", GATES)


def test_one_challenger_at_a_time(registry: Registry, register: Register, no_dvc: None) -> None:
    register("lr"), register("rf", seed=1)
    registry.challenge("v1", "watch it")
    assert registry.challenge("v2", "watch this").aliases == ("challenger",)
    assert registry.version("v1").state == "registered"
    challenger = registry.challenger()
    assert challenger is not None
    assert challenger.model == "rf"


def test_a_clone_without_bytes_says_dvc_pull(registry: Registry, register: Register, tmp_path: Path) -> None:
    version = register()
    clone = Registry(tmp_path / "clone")
    subprocess.run(["git", "clone", "--quiet", str(registry.study), str(clone.study)], check=True)
    with pytest.raises(PackageAbsentError, match="dvc pull"):
        clone.package(version)
    assert {complaint.remedy for complaint in clone.verify()} == {"fetch it with `dvc pull`"}


def test_a_candidate_of_another_training_set_is_refused(registry: Registry, candidates: Any, no_dvc: None) -> None:
    package, training = candidates.write(registry.study, "lr")
    candidates.training_set(training, seed=9)
    with pytest.raises(StaleCandidateError, match="radmill run"):
        registry.register("lr", package, training, candidates.metrics(), "a test")
    assert not registry.models.exists()


def test_a_study_outside_git_is_refused_before_anything_is_written(tmp_path: Path, candidates: Any) -> None:
    package, training = candidates.write(tmp_path, "lr")
    with pytest.raises(NoRepositoryError):
        Registry(tmp_path).register("lr", package, training, candidates.metrics(), "a test")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ("change", "was changed after it was written"),
        ("drop", "does not continue the line before it"),
        ("swap", "lines are missing or in another order"),
        ("fork", "a fork of two clones"),
        ("tail", "lines that git has were changed or taken away"),
        ("cut", "is no event in canonical form"),
    ],
)
def test_verify_finds_every_kind_of_damage_to_the_ledger(
    registry: Registry, register: Register, no_dvc: None, damage: str, complaint: str
) -> None:
    register("lr"), register("rf", seed=1), register("mlp", seed=2)
    path = registry.ledger.path
    lines = path.read_bytes().splitlines(keepends=True)
    fork = json.loads(lines[2]) | {"prev": json.loads(lines[0])["hash"]}
    damaged = {
        "change": [lines[0], lines[1].replace(b"a test", b"a lie!"), lines[2]],
        "drop": [lines[0], lines[2]],
        "swap": [lines[1], lines[0], lines[2]],
        "fork": [*lines, (json.dumps(fork, separators=(",", ":"), sort_keys=True) + "\n").encode()],
        "tail": lines[:2],
        "cut": [*lines[:2], lines[2][:40]],
    }[damage]
    path.write_bytes(b"".join(damaged))
    assert any(complaint in found.what for found in registry.verify())


def test_a_ledger_rewritten_and_committed_is_found(registry: Registry, register: Register, no_dvc: None) -> None:
    register("lr"), register("rf", seed=1)
    path = registry.ledger.path
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    git(registry.study, "commit", "--quiet", "--all", "--message", "nothing to see")
    assert any("took lines away" in found.what for found in registry.verify())


def test_verify_finds_changed_packages_evidence_and_training_sets(
    registry: Registry, register: Register, no_dvc: None
) -> None:
    version = register()
    for path in (
        registry.package_folder(version) / "arrays.safetensors",
        registry.models / "evidence" / f"{version.evidence}.json",
        registry.models / "training" / version.training_set / "record.json",
    ):
        path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    found = [complaint.where.split()[0] for complaint in registry.verify()]
    assert found == ["evidence", "package", "training"]


def test_a_broken_ledger_stops_every_event(registry: Registry, register: Register, no_dvc: None) -> None:
    register()
    registry.ledger.path.write_bytes(registry.ledger.path.read_bytes().replace(b"a test", b"a lie!"))
    with pytest.raises(RadmillError, match=r"ledger\.jsonl line 1"):
        registry.promote("v1", GATES)
