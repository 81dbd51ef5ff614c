"""A small synthetic study with a registered version of each kind: what the proofs in this folder work on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.demo import write_demo
from pipelines.params import edit_params
from pipelines.study import init_study

PATIENTS = 10
TABULAR, CLINICAL, NETWORK, FUSION = "radiomics_lr_excretory", "clinical", "deep_25d", "fusion_late"
REGISTERED = (TABULAR, NETWORK, FUSION)


def small_study(folder: Path) -> Path:
    """Returns the study in `folder`, made there first when it is not: a few minutes on two cores."""
    if not (folder / "models" / "ledger.jsonl").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        init_study(folder)
        write_demo(folder, patients=PATIENTS)
        edit_params(folder / "params.yaml", _shrink)
        radmill(folder, "run")
        commit(folder, "First run")
        for name in REGISTERED:
            radmill(folder, "register", name)
        commit(folder, "The cards")
    return folder


def radmill(folder: Path, *arguments: str, codes: Sequence[int] = (0,)) -> str:
    """Runs a radmill command as a user does and returns what it printed."""
    return call(folder, str(Path(sys.executable).with_name("radmill")), *arguments, codes=codes)


def call(folder: Path, *command: str, codes: Sequence[int] = (0,), **more: str) -> str:
    """Runs a command in a folder and returns what it printed; ends the proof where its exit code is another."""
    own = Path(sys.executable).parent
    env = {**os.environ, "PATH": f"{own}{os.pathsep}{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1", **more}
    done = subprocess.run(list(command), cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def commit(folder: Path, message: str) -> None:
    """Commits what git tracks in a study."""
    who = ["-c", "user.name=proof", "-c", "user.email=proof@localhost"]
    call(folder, "git", "add", ".")
    call(folder, "git", *who, "commit", "--quiet", "--allow-empty", "--message", message)


def _shrink(content: Any) -> None:
    """One model of each kind, on few features and few epochs."""
    for section, kept in (("models", (TABULAR, CLINICAL)), ("deep", (NETWORK,)), ("fusion", (FUSION,))):
        for name in [name for name in content[section] if name not in kept]:
            del content[section][name]
    content["fusion"][FUSION].update(members=[TABULAR, CLINICAL, NETWORK], nonnegative=False)
    content["deep"][NETWORK].update(epochs=2, size=32)
    content["extraction"]["default"] = {
        "imageType": {"Original": {}},
        "featureClass": {"firstorder": []},
        "setting": {"binWidth": 25, "label": 1},
    }
    content["tuning"].update(trials=2, folds=2, repeats=1, batch=2)
    content["evaluation"].update(bootstrap=100)
    content["registry"]["gates"] = {"external_n_minimum": 3}
