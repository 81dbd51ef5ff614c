"""Scoring runs that are killed while cases arrive bit by bit, and what must come out of them."""

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.params.operation import ScoringSection
from pipelines.runner import SerialRunner
from pipelines.scoring.score import score
from pipelines.workspace import Workspace
from tests.hospital_study import SmallStudy, small_study
from tests.killed import killed, ready, whole

STEPS = (("H-1", "H-2"), ("H-3",), ("H-1 again",), ("H-4", "H-5"))
"""What arrives before each run; a scan that is sent again differs."""
CENTER = "harbor"
MODULES = ("pipelines.scoring.score", "pipelines.radiomics.engines", "tests.killed_scoring")


def run(root: Path) -> None:
    """Scores as the command does, under its lock."""
    workspace = Workspace(root)
    with workspace.lock("radmill score", name="deployment"):
        assert not [c.problem for c in score(workspace, ScoringSection(), SerialRunner()).centers if c.problem]


def begun(root: Path) -> SmallStudy:
    """Makes a study with a champion, and a challenger and a standby that read and measure otherwise."""
    study = small_study(root)
    study.deployment.section(CENTER)  # makes the hospital's key, so that every copy knows patients by the same names
    study.promoted("standby", seed=1, bin_width=25.0)
    study.promoted("champion", seed=2)
    study.registry.challenge(study.register("challenger", seed=3, margin_mm=6.0).digest, "in shadow")
    return study


def arrive(study: SmallStudy, step: int) -> None:
    """Lets a step's scans come in."""
    for name in STEPS[step]:
        study.arrive(CENTER, name.split()[0], seed=" again" if "again" in name else "")


@dataclass(frozen=True)
class Undisturbed:
    """What no kill may change.

    Args:
        history: All scores.
        table: The hospital's table.
        took: How many seconds each run takes.
    """

    history: pd.DataFrame
    table: bytes
    took: tuple[float, ...]


def undisturbed(study: SmallStudy, context: Any, n_steps: int) -> Undisturbed:
    """Runs the first steps without a kill."""
    took = []
    for step in range(n_steps):
        arrive(study, step)
        took.append(whole(context, run, (study.root,)))
    return Undisturbed(history=study.history(), table=study.table(CENTER), took=tuple(took))


def killed_round(study: SmallStudy, wanted: Undisturbed, context: Any, seed: int) -> Iterator[tuple[int, float, bool]]:
    """Kills the run of every step once and runs it again; yields step, moment, and whether it was still at work.

    Raises:
        AssertionError: A case has no score or two under a package, or what came out is not the undisturbed run's.
    """
    draw = random.Random(seed)
    for step, took in enumerate(wanted.took):
        arrive(study, step)
        moment = draw.uniform(0, took)
        yield step, moment, killed(context, run, (study.root,), moment)
        run(study.root)
        check_once(study, f"round {seed}, step {step}")
    pd.testing.assert_frame_equal(study.history(), wanted.history, check_exact=True)
    assert study.table(CENTER) == wanted.table
    before = files(study)
    run(study.root)
    assert files(study) == before, "a further run writes nothing"


def check_once(study: SmallStudy, where: str) -> None:
    """Checks that no case was scored twice from the same inputs, and each under all three packages."""
    history = study.history()
    assert not history.duplicated(["center", "case_id", "package", "inputs"]).any(), where
    assert set(history.groupby("package").size()) == {len(history) // 3}, where


def files(study: SmallStudy) -> dict[str, bytes]:
    """Returns what lies in the deployment's folder."""
    return {str(path): path.read_bytes() for path in study.workspace.deployment.rglob("*") if path.is_file()}


def prepared(folder: Path, n_steps: int = len(STEPS)) -> tuple[SmallStudy, Undisturbed, Any]:
    """Returns a study to copy, what an undisturbed run gives, and the context to kill in."""
    context = ready(*MODULES)
    start = begun(folder / "begun")
    return start, undisturbed(start.copy(folder / "undisturbed"), context, n_steps), context


def discard(study: SmallStudy) -> None:
    """Removes a round's study."""
    shutil.rmtree(study.root)
