"""What a withdrawal leaves in the registry."""

import json
from pathlib import Path
from typing import Any

import pytest

from featurestore.training_sets import TrainingSet
from registry import lifecycle, withdrawing
from registry.lifecycle import Registry


@pytest.fixture
def registry(study: Path, candidates: Any, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Two versions of one training set, one of another; DVC is left out: it takes a second a call."""

    def pretend(root: Path, folder: Path) -> Path:
        pointer = folder.with_name(f"{folder.name}.dvc")
        pointer.write_text(f"outs: {len(list(folder.iterdir()))}\n")
        return pointer

    monkeypatch.setattr(lifecycle, "dvc_add", pretend)
    monkeypatch.setattr(withdrawing, "dvc_add_again", pretend)
    made = Registry(study)
    for name, seed in (("one", 0), ("two", 1)):
        package, training = candidates.write(study, name, seed)
        made.register(name, package, training, candidates.metrics(), "a test")
    return made


def test_a_patient_leaves_every_kept_set_and_marks_its_versions(registry: Registry) -> None:
    folder = registry.models / "training" / registry.versions()[0].training_set
    before = TrainingSet.load(folder)
    center, case_id = str(before.center[3]), str(before.case_id[3])
    done = registry.withdraw(center, case_id, "asked by letter")
    after = TrainingSet.load(folder)
    assert [version.number for version in done.versions] == [1, 2]
    assert case_id not in after.case_id
    assert len(after.y) == len(before.y) - 1
    assert after.digest == before.digest
    assert [version.is_reproducible for version in registry.versions()] == [False, False]
    assert registry.verify() == []


def test_withdrawing_again_writes_no_second_event(registry: Registry) -> None:
    made = TrainingSet.load(registry.models / "training" / registry.versions()[0].training_set)
    for _ in range(2):
        done = registry.withdraw(str(made.center[0]), str(made.case_id[0]), "")
    assert [event.verb for event in registry.events()].count("withdraw") == 1
    assert len(done.versions) == 2
    assert [version.withdrawn for version in registry.versions()] == [1, 1]


def test_a_withdrawal_cut_short_is_completed(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    made = TrainingSet.load(registry.models / "training" / registry.versions()[0].training_set)
    who = str(made.center[0]), str(made.case_id[0])

    def die(*_: object) -> int:
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(withdrawing, "erase", die)
        with pytest.raises(InterruptedError):
            registry.withdraw(*who, "")
    registry.withdraw(*who, "")
    assert who[1] not in TrainingSet.load(registry.models / "training" / registry.versions()[0].training_set).case_id
    assert json.loads(registry.ledger.path.read_text().splitlines()[-1])["verb"] == "withdraw"
    assert len(registry.events()) == 3


def test_a_patient_nobody_trained_on_marks_no_version(registry: Registry) -> None:
    assert registry.withdraw("west", "f" * 16, "").versions == ()
    assert all(version.is_reproducible for version in registry.versions())
