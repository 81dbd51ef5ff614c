"""Two clones that promoted apart: git merges their ledgers, and mending makes one chain without losing a word."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry import lifecycle
from registry.errors import BrokenLedgerError
from registry.lifecycle import Registry
from registry.mending import NothingToMendError, mend
from registry.states import ModelVersion

GATES = {"external_auc_minimum": 0.65}
ATTRIBUTES = Path(__file__).resolve().parents[2] / "pipelines" / "template" / "gitattributes"
Register = Callable[..., ModelVersion]


@pytest.fixture
def register(candidates: Any, monkeypatch: pytest.MonkeyPatch) -> Register:
    def pretend(_: Path, folder: Path) -> Path:
        folder.with_name(f"{folder.name}.dvc").write_text("outs: []\n")
        return folder

    monkeypatch.setattr(lifecycle, "dvc_add", pretend)

    def call(registry: Registry, name: str, seed: int, auc: float = 0.8) -> ModelVersion:
        package, training = candidates.write(registry.study, name, seed)
        return registry.register(name, package, training, candidates.metrics(auc), "a test")

    return call


def git(study: Path, *arguments: str, check: bool = True) -> str:
    return subprocess.run(["git", *arguments], cwd=study, check=check, capture_output=True, text=True).stdout


def two_clones(study: Path, register: Register, *, union: bool) -> tuple[Registry, Registry]:
    """Returns two registries with one version in common, which work apart from now on."""
    if union:
        (study / ".gitattributes").write_bytes(ATTRIBUTES.read_bytes())
        git(study, "add", ".gitattributes")
        git(study, "commit", "--quiet", "--message", "Merge by line")
    ours = Registry(study)
    register(ours, "lr", 0)
    theirs = Registry(study.with_name("clone"))
    git(study, "clone", "--quiet", str(study), str(theirs.study))
    dvc_pull(ours, theirs)
    for key, value in (("name", "Bo Other"), ("email", "bo@example.org")):
        git(theirs.study, "config", f"user.{key}", value)
    return ours, theirs


def dvc_pull(source: Registry, target: Registry) -> None:
    for folder in [*source.models.glob("packages/*/"), *source.models.glob("training/*/")]:
        shutil.copytree(folder, target.models / folder.relative_to(source.models), dirs_exist_ok=True)


def merge(ours: Registry, theirs: Registry) -> None:
    dvc_pull(theirs, ours)
    git(ours.study, "pull", "--quiet", "--no-rebase", "--no-edit", str(theirs.study), "main", check=False)


@pytest.mark.parametrize("union", [True, False])
def test_both_branches_become_one_chain_through_the_gates(study: Path, register: Register, union: bool) -> None:
    """What git merged line by line, and what it left in conflict, end the same: nothing is lost, all is named."""
    ours, theirs = two_clones(study, register, union=union)
    register(ours, "rf", 1)
    ours.promote("rf", GATES, "ours")
    register(theirs, "mlp", 2)
    theirs.retire("lr", "theirs")
    theirs.promote("mlp", GATES, "theirs")
    merge(ours, theirs)
    told = [complaint for complaint in ours.verify() if "fork of two clones" in complaint.what]
    assert not union or "radmill registry mend" in told[0].remedy
    found = mend(ours, GATES)
    assert [(one.event.verb, one.refused) for one in found.outcomes] == [
        ("register", ""), ("retire", ""), ("promote", "")
    ]  # fmt: skip
    assert found.is_merging is not union
    if not union:
        git(study, "commit", "--quiet", "--all", "--no-edit")
    assert [e.verb for e in ours.events()] == [
        "register",
        "register",
        "promote",
        *("register", "retire", "promote"),
        "mend",
    ]
    champion = ours.champion()
    assert champion is not None
    assert (champion.model, ours.version("v1").state) == ("mlp", "retired")
    assert champion.history[-1].details["mended"]["who"] == "Bo Other"
    assert not [c for c in ours.verify() if "ledger" in c.where]
    with pytest.raises(NothingToMendError):
        mend(ours, GATES)


def test_what_no_longer_holds_is_named_and_kept(study: Path, register: Register) -> None:
    """The other clone promoted what ours has retired, and what today's gates refuse."""
    ours, theirs = two_clones(study, register, union=True)
    ours.retire("lr", "ours")
    theirs.promote("lr", GATES, "theirs")
    register(theirs, "mlp", 2, 0.7)
    theirs.promote("mlp", GATES, "theirs")
    merge(ours, theirs)
    found = mend(ours, {"external_auc_minimum": 0.75})
    refused = [one.refused for one in found.outcomes]
    assert "cannot promote a retired version" in refused[0]
    assert refused[1] == ""
    assert refused[2] == "gates not met on top of the first branch: external_auc_minimum"
    assert ours.champion() is None
    kept = ours.events()[-1].details
    assert [line["why"] for line in kept["taken"]] == ["theirs", "a test", "theirs"]
    assert len(kept["refused"]) == 2


def test_a_line_that_was_changed_is_not_mended(study: Path, register: Register) -> None:
    ours, theirs = two_clones(study, register, union=True)
    register(ours, "rf", 1)
    register(theirs, "mlp", 2)
    merge(ours, theirs)
    path = ours.ledger.path
    path.write_bytes(path.read_bytes().replace(b'"why":"a test"', b'"why":"a lie!"', 1))
    with pytest.raises(BrokenLedgerError, match="was changed"):
        mend(ours, GATES)
