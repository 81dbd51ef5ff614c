"""Installs a release into clean environments of each Python there is, and does there what its users do first."""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from pipelines.params import edit_params
from proofs.release_build import Built

PYTHONS = ("3.11", "3.12", "3.13")
MODEL = "radiomics_lr_excretory"
SAME = 1e-9
"""Other Pythons bring other NumPys; features and probabilities may differ by their last bits and no more."""

_CONSUMER = """\
from featurestore.entities import CaseKey
from pipelines.record import StepRecord

key = CaseKey(center="north", case_id="a", phase="early", roi="tumor", observer="")
reveal_type(key.center)
reveal_type(StepRecord(step="crop").notes)
wrong: int = key.center
"""
_MYPY_SAYS = ('is "str"', 'is "tuple[str, ...]"', "Incompatible types in assignment")


def interpreters() -> dict[str, str]:
    """Returns the Pythons that this machine has, of those that radmill is for."""
    found = {}
    for version in PYTHONS:
        kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
        for path in (shutil.which(f"python{version}"), *sorted(map(str, kept.glob(f"{version}.*/bin/python")))):
            if path and _says(path) == version:
                found[version] = path
                break
    return found


def environment(folder: Path, python: str, wanted: Sequence[str]) -> Path:
    """Makes an environment anew with what is wanted in it, and returns its `bin`."""
    shutil.rmtree(folder, ignore_errors=True)
    call([python, "-m", "venv", "--without-pip", str(folder)])
    uv(folder, "install", *wanted)
    return folder / "bin"


def uv(folder: Path, *arguments: str) -> str:
    """Runs uv's pip on an environment."""
    return call(
        [sys.executable, "-m", "uv", "pip", arguments[0], "--python", str(folder / "bin/python"), *arguments[1:]]
    )


def call(command: Sequence[str], folder: Path | None = None, codes: Sequence[int] = (0,)) -> str:
    """Runs a command outside this repository and returns what it printed; ends the release when it fails."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env |= {"DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1"}
    if folder is not None:
        env["PATH"] = f"{Path(command[0]).parent}{os.pathsep}{env['PATH']}"
    done = subprocess.run(list(command), cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode not in codes:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def try_base(bin_: Path, folder: Path, package: dict[str, Any]) -> dict[str, str]:
    """Tries the base installation; returns each step with its result.

    Args:
        bin_: The environment.
        folder: Where files for it may lie.
        package: What `study_package` gave.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    radmill = str(bin_ / "radmill")
    lines = call([radmill, "--help"], folder).splitlines()
    with (
        tempfile.TemporaryDirectory() as elsewhere
    ):  # above `folder` may stand the repository, which looks like a study
        doctor = call([radmill, "doctor"], Path(elsewhere))
    if "pipelines" not in doctor:
        raise SystemExit(f"radmill doctor says nothing of its own packages:\n{doctor}")
    image, mask = _case(folder)
    features = json.loads(call([radmill, "compute", str(image), str(mask)], folder))["features"]
    scores = _score(radmill, folder, package)
    return {
        "help": f"{len(lines)} lines",
        "doctor": "fit",
        "compute": f"{len(features)} features, {_apart(features, package['features'])}",
        "score": f"{len(scores)} patients, {_apart(scores, package['scores'])}",
    }


def study_package(bin_: Path, folder: Path) -> dict[str, Any]:
    """Makes a tiny study with an installation of `radmill[study]`, and carries its model away in one file."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    study, radmill = folder / "study", str(bin_ / "radmill")
    call([radmill, "init", str(study), "--demo", "--patients", "8"], folder)
    edit_params(study / "params.yaml", _shrink)
    call([radmill, "run"], study)
    call([radmill, "register", MODEL, "--why", "release"], study)
    call([radmill, "promote", "--override", "release"], study)
    call([radmill, "score"], study, codes=(0, 1))
    told = call([radmill, "export", MODEL, str(folder / "model.radmill")], study)
    digest = next(line.split()[-1] for line in told.splitlines() if line.split()[:1] == ["digest"])
    image, mask = _case(folder)
    return {
        "file": str(folder / "model.radmill"),
        "digest": digest,
        "images": str(study / "incoming" / "harbor"),
        "key": str(study / "private" / "keys" / "harbor.key"),
        "scores": _probabilities(study / "deployment" / "centers" / "harbor" / "scores.csv"),
        "features": json.loads(call([radmill, "compute", str(image), str(mask)], folder))["features"],
    }


def try_types(folder: Path, bin_: Path) -> str:
    """Says whether mypy, given a file that uses the installed package, sees its types."""
    uv(bin_.parent, "install", "mypy")
    file = folder / "consumer.py"
    file.write_text(_CONSUMER)
    told = call([str(bin_ / "mypy"), "--strict", "--cache-dir", str(folder / "mypy"), str(file)], folder, codes=(1,))
    missing = [text for text in _MYPY_SAYS if text not in told.replace("builtins.", "")]
    if missing or told.count("error:") != 1:
        raise SystemExit(f"mypy does not see the types of the installed package:\n{told}")
    return "mypy --strict sees them"


def archives(built: Built) -> dict[str, Path]:
    """Returns what can be installed."""
    return {"wheel": built.wheel, "sdist": built.sdist}


def _score(radmill: str, folder: Path, package: dict[str, Any]) -> dict[str, float]:
    out = folder / "scores.csv"
    keys = folder / "scores.csv.work" / "private" / "keys"
    keys.mkdir(parents=True)
    shutil.copy(package["key"], keys / "this-hospital.key")
    asked = ["--package", package["file"], "--images", package["images"], "--out", str(out)]
    call([radmill, "score", *asked, "--digest", package["digest"]], folder, codes=(0, 1))
    return _probabilities(out)


def _probabilities(table: Path) -> dict[str, float]:
    with table.open(newline="") as file:
        return {row["case_id"]: float(row["probability"]) for row in csv.DictReader(file)}


def _apart(found: dict[str, float], expected: dict[str, float]) -> str:
    if found.keys() != expected.keys() or not found:
        raise SystemExit(f"other names than with the study's installation: {sorted(found.keys() ^ expected.keys())}")
    a, b = (np.array([values[name] for name in sorted(found)]) for values in (found, expected))
    apart = float(np.max(np.abs(a - b) / np.maximum(np.abs(b), 1.0)))
    if not apart <= SAME:
        raise SystemExit(f"{apart:.1e} apart from the study's installation")
    return "the same bits" if apart == 0 else f"{apart:.0e} apart"


def _case(folder: Path) -> tuple[Path, Path]:
    at = np.indices((24, 28, 30)) - np.array([12, 14, 15])[:, None, None, None]
    mask = (np.einsum("i...,i...", at, at) < 81).astype(np.uint8)
    values = np.random.default_rng(7).normal(40, 25, mask.shape) + 60 * mask
    made = []
    for name, array in (("image", values.astype(np.float32)), ("mask", mask)):
        picture = sitk.GetImageFromArray(array)
        picture.SetSpacing((0.8, 0.8, 2.0))
        sitk.WriteImage(picture, str(folder / f"{name}.nii.gz"))
        made.append(folder / f"{name}.nii.gz")
    return made[0], made[1]


def _shrink(content: Any) -> None:
    for name in [name for name in content["models"] if name != MODEL]:
        del content["models"][name]
    content["deep"], content["fusion"] = {}, {}
    content["extraction"]["default"] = {
        "imageType": {"Original": {}},
        "featureClass": {"firstorder": []},
        "setting": {"binWidth": 25, "label": 1},
    }
    content["tuning"].update(trials=2, folds=2, repeats=1, batch=2)
    content["evaluation"].update(bootstrap=100)
    content["evaluation"]["controls"].update(label_shuffles=2, voxels=False)


def _says(python: str) -> str:
    done = subprocess.run(
        [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True
    )
    return done.stdout.strip()
