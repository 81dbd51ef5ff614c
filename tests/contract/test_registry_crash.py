"""A registry that is killed at any moment loses no event and doubles none: the next command completes what was begun.

The whole process group dies, git and DVC with it, as when a machine is switched off. `RADMILL_KILLS` sets how many
moments are tried; the default keeps the suite quick.
"""

import os
import random
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from registry.gates import GateRefusedError
from registry.keeping import commit, forget_dead_dvc
from registry.lifecycle import Registry
from tests.killed import killed, ready

KILLS = int(os.environ.get("RADMILL_KILLS", "4"))
STEPS = ("register", "refuse", "promote", "promote", "rollback")
METRICS = {"external": {"auc": 0.8, "n": 40}}


def step(study: Path, number: int) -> None:
    """Does the step of STEPS with this number; each is repeatable until its event is written."""
    registry = Registry(study)
    package, training = study / "data" / "models" / "third" / "package", study / "data" / "training" / "biphasic"
    match number:
        case 0:
            registry.register("third", package, training, METRICS, "a test")
        case 1:
            try:
                registry.promote("third", {"external_auc_minimum": 0.9})
            except GateRefusedError:
                return
        case 2:
            registry.promote("third", {"external_auc_minimum": 0.5})
        case 3:
            registry.promote("second", {})
        case 4:
            registry.rollback("back")


def go_on(study: Path) -> None:
    """Does the steps that the ledger does not have yet."""
    for number in range(len(Registry(study).events()) - 3, len(STEPS)):
        step(study, number)


def begin(study: Path, candidates: Any) -> Path:
    """Registers two versions, promotes the first, and writes a third candidate."""
    registry = Registry(study)
    for seed, name in enumerate(("first", "second")):
        registry.register(name, *candidates.write(study, name, seed), candidates.metrics(), "a test")
    registry.promote("first", {})
    candidates.write(study, "third", 2)
    return study


@pytest.fixture(scope="module")
def begun(empty_study: Path, tmp_path_factory: pytest.TempPathFactory, candidates: Any) -> Path:
    """A study with two registered versions, the first of them champion, and a third candidate."""
    return begin(Path(shutil.copytree(empty_study, tmp_path_factory.mktemp("registry") / "study")), candidates)


def test_a_killed_event_is_completed_and_none_is_lost_or_doubled(begun: Path, tmp_path: Path) -> None:
    context = ready("registry.lifecycle", "tests.contract.test_registry_crash")
    whole = Path(shutil.copytree(begun, tmp_path / "whole"))
    started = time.time()
    go_on(whole)
    took, draw, cut_short = time.time() - started, random.Random(5), 0
    wanted = [(event.verb, event.package, event.evidence) for event in Registry(whole).events()]
    assert [verb for verb, *_ in wanted] == ["register", "register", "promote", *STEPS]
    for number in range(KILLS):
        study = Path(shutil.copytree(begun, tmp_path / "killed"))
        cut_short += killed(context, go_on, (study,), draw.uniform(0, 1.1 * took))
        go_on(study)
        registry = Registry(study)
        registry.promote("champion", {})  # changes nothing; when the kill came after the last event, it is the next one
        assert [(e.verb, e.package, e.evidence) for e in registry.events()] == wanted, f"kill {number}"
        assert registry.verify() == [], f"kill {number}"
        assert status(study) == "", f"kill {number}: something is uncommitted"
        shutil.rmtree(study)
    assert cut_short >= KILLS / 2, "most processes must have been killed at work, else nothing is proved"


def test_the_lock_of_a_git_that_died_is_removed_and_that_of_a_living_one_is_not(begun: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(begun, tmp_path / "study"))
    lock = study / ".git" / "index.lock"
    lock.touch()
    with (study / "models" / "ledger.jsonl").open("a") as ledger:
        ledger.write("\n")
    living = subprocess.Popen(
        ["git", "hash-object", "--stdin"], cwd=study, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        with pytest.raises(Exception, match=r"index\.lock"):
            commit(study, [study / "models" / "ledger.jsonl"], "while another git works")
    finally:
        living.communicate()
    assert lock.exists()
    assert commit(study, [study / "models" / "ledger.jsonl"], "after a git that died")


@pytest.mark.parametrize(
    ("text", "is_kept"),
    [
        ('{"write": {"a": {"pid": 999999999, "cmd": "dvc add"}}, "read": {}}', False),
        ('{"write": {"a": {"pid": OWN, "cmd": "dvc add"}}, "read": {}}', False),
        ('{"write": {"a": {"pid', False),
        ("[]", False),
        ('{"write": {}, "read": {}}', True),
    ],
)
def test_a_note_of_a_dvc_that_died_blocks_nobody(tmp_path: Path, text: str, is_kept: bool) -> None:
    """A number that another program has got since is no DVC; this test's own process stands for it."""
    note = tmp_path / ".dvc" / "tmp" / "rwlock"
    note.parent.mkdir(parents=True)
    note.write_text(text.replace("OWN", str(os.getpid())))
    forget_dead_dvc(tmp_path)
    assert note.exists() is is_kept


def status(study: Path) -> str:
    asked = ["git", "status", "--porcelain", "--", "models"]
    return subprocess.run(asked, cwd=study, capture_output=True, text=True, check=True).stdout
