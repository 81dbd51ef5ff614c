"""A small study that went the whole road once, and copies of it for tests that change it."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.demo import write_demo
from pipelines.params import edit_params
from pipelines.study import init_study
from pipelines.workspace import Workspace

PATIENTS = 10
MODEL = "radiomics_lr_excretory"
TIMEOUT_S = 600

Radmill = Callable[..., subprocess.CompletedProcess[str]]


def shrink(content: Any) -> None:
    """One model on few features: the road is what is tested, not the views along it."""
    for name in list(content["models"]):
        if name != MODEL:
            del content["models"][name]
    for name in list(content["services"]):
        if name != "excretory":
            del content["services"][name]
    content["extraction"]["default"] = {
        "imageType": {"Original": {}},
        "featureClass": {"firstorder": []},
        "setting": {"binWidth": 25, "label": 1},
    }
    content["deep"] = {}
    content["fusion"] = {}
    content["tuning"].update(trials=2, folds=2, repeats=1, batch=2)
    content["evaluation"].update(bootstrap=100)
    content["registry"]["gates"] = {"external_n_minimum": 3}


def call(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a command of the environment's bin folder as a user would."""
    own = Path(sys.executable).parent
    env = {**os.environ, "PATH": f"{own}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [shutil.which(arguments[0], path=env["PATH"]) or arguments[0], *arguments[1:]],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def derived_files(folder: Path) -> dict[str, str]:
    """Hashes of all that the stages made, by path in the study."""
    made = [path for path in (folder / "data").rglob("*") if "raw" not in path.parts]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted([*made, folder / "reports" / "study.html"])
        if path.is_file()
    }


@pytest.fixture(scope="session")
def run() -> Radmill:
    """Runs a command in a folder and demands exit 0, unless told `check=False`."""
    return call


@pytest.fixture(scope="session")
def derived() -> Callable[[Path], dict[str, str]]:
    """Hashes of all that the stages made."""
    return derived_files


@pytest.fixture(scope="session")
def road(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The study after `radmill run` and a commit. Tests read it; those that change it take `study`."""
    workspace = init_study(tmp_path_factory.mktemp("road") / "study")
    write_demo(workspace.root, patients=PATIENTS)
    edit_params(workspace.params, shrink)
    call(workspace.root, "radmill", "run")
    commit(workspace.root, "First run")
    return workspace


@pytest.fixture
def study(road: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the road's study that the test may change."""
    target = tmp_path / "study"
    shutil.copytree(road.root, target, symlinks=True, copy_function=shutil.copy2)
    shutil.rmtree(target / ".radmill" / "dvc", ignore_errors=True)
    return Workspace(target)


def commit(folder: Path, message: str) -> None:
    """Commits what git tracks in a study."""
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    subprocess.run(["git", *who, "commit", "--quiet", "--message", message], cwd=folder, check=True)
