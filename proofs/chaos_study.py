"""The study that is disturbed: as it is before its first run, and what an undisturbed run makes of it."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proofs.chaos_run import Mark, Run, timeline

ROOT = Path(__file__).resolve().parents[1]
PHASE = "corticomedullary"
MODEL = f"radiomics_lr_{PHASE}"
PATIENTS, SEED, SPLIT_SEED = 4, 9, 1
"""Drawn so that all parts of the split have patients of both labels, in spite of the planted faults."""

LIMIT_S = 5400.0
"""A run that has not ended by then hangs, on the busiest machine."""


@dataclass(frozen=True)
class Stage:
    """A folder with frozen code, a pristine study and what an undisturbed run made of it.

    Args:
        folder: Where all of it lies.
        is_full: Whether it is the whole demo, or three centers with four patients and one model.
    """

    folder: Path
    is_full: bool = False

    @property
    def code(self) -> Path:
        """A clone of this repository, so that an edit meanwhile changes no round."""
        return self.folder / "code"

    @property
    def pristine(self) -> Path:
        """The study before its first run."""
        return self.folder / "pristine"

    @property
    def whole(self) -> Path:
        """The study after an undisturbed run."""
        return self.folder / "whole"

    def commit(self) -> str:
        """Returns the name of the frozen code."""
        return _told(["git", "rev-parse", "--short", "HEAD"], self.code)

    def prepare(self) -> "Reference":
        """Makes what is missing and returns the undisturbed run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        note = self.folder / "reference.json"
        if not note.is_file():
            for path in (self.code, self.pristine, self.whole):
                shutil.rmtree(path, ignore_errors=True)
            _told(["git", "clone", "--quiet", str(ROOT), str(self.code)], self.folder)
            self._begin()
            made, marks = self._undisturbed()  # compiles kernels for all that follow
            if not self.is_full:
                first, (made, marks) = made, self._undisturbed()
                if first != made:
                    raise SystemExit(f"two undisturbed runs differ: {differing(first, made)}")
            plain = {"outputs": made, "marks": [[m.stage, m.begin_s, m.end_s, m.workers] for m in marks]}
            note.write_text(json.dumps({"commit": self.commit(), **plain}, indent=1), encoding="utf-8")
        read = json.loads(note.read_text(encoding="utf-8"))
        marks = [Mark(stage, begin, end, tuple(workers)) for stage, begin, end, workers in read["marks"]]
        return Reference(read["commit"], read["outputs"], marks)

    def forget(self) -> None:
        """Lets the next `prepare` freeze the code as it is then."""
        (self.folder / "reference.json").unlink(missing_ok=True)

    def copy(self, target: Path) -> Path:
        """Puts a pristine copy into a folder that exists or not."""
        shutil.copytree(self.pristine, target, symlinks=True, dirs_exist_ok=True)
        return target

    def run(self, study: Path, log: Path) -> Run:
        """Starts `radmill run` in a study."""
        return Run.start(["run"], study, self.code, log)

    def _undisturbed(self) -> tuple[dict[str, str], list[Mark]]:
        shutil.rmtree(self.whole, ignore_errors=True)
        self.copy(self.whole)
        log = self.folder / "undisturbed.log"
        run = self.run(self.whole, log)
        marks = timeline(run, LIMIT_S)
        if run.wait(LIMIT_S) != 0:
            raise SystemExit(f"the undisturbed run failed: see {log}")
        return outputs(self.whole), marks

    def _begin(self) -> None:
        size = [] if self.is_full else ["--patients", str(PATIENTS), "--seed", str(SEED)]
        log = self.folder / "init.log"
        made = Run.start(["init", str(self.pristine), "--demo", *size], self.folder, self.code, log)
        if made.wait(LIMIT_S) != 0:
            raise SystemExit(f"no study: see {log}")
        if not self.is_full:
            edit(self.pristine / "params.yaml", shrink)
            for name in ("data/raw/east", "incoming/harbor"):
                shutil.rmtree(self.pristine / name)
            who = ["-c", "user.name=proof", "-c", "user.email=proof@localhost"]
            _told(["git", *who, "commit", "--quiet", "--all", "--message", "In small"], self.pristine)


@dataclass(frozen=True)
class Reference:
    """An undisturbed run: under which code, what it made, and when which stage was at work."""

    commit: str
    outputs: dict[str, str]
    marks: list[Mark]

    @property
    def run_s(self) -> float:
        """How long it took."""
        return self.marks[-1].end_s


def shrink(content: Any) -> None:
    """One phase, one model, the least that every stage takes."""
    del content["centers"]["development"]["east"]
    for name in [name for name in content["phases"] if name != PHASE]:
        del content["phases"][name]
    content["models"] = {MODEL: {"service": PHASE, "estimator": "lr"}}
    content["services"] = {PHASE: {"phases": [PHASE]}}
    content["extraction"]["default"] = {
        "imageType": {"Original": {}},
        "featureClass": {"firstorder": []},
        "setting": {"binWidth": 25, "label": 1},
    }
    content["deep"], content["fusion"] = {}, {}
    content["split"].update(internal_fraction=0.3, seed=SPLIT_SEED)
    content["tuning"].update(trials=2, folds=2, repeats=1, batch=2)
    content["evaluation"].update(bootstrap=100, controls={"label_shuffles": 0, "voxels": False})
    content["cluster"].update(workers=2)


def edit(params: Path, change: Callable[[Any], None]) -> None:
    """Changes a study's settings as a person would."""
    from pipelines.params import edit_params

    edit_params(params, change)


def outputs(study: Path) -> dict[str, str]:
    """Returns the hashes of all that a run makes for people and for later stages, and what git says of it.

    Caches, logs, the file index and the MLflow window are not among them.
    """
    paths = [*made_files(study), study / "dvc.lock", study / "params.yaml"]
    found = {path.relative_to(study).as_posix(): file_hash(path) for path in paths if path.is_file()}
    return {**dict(sorted(found.items())), "git status": _told(["git", "status", "--porcelain"], study)}


def made_files(study: Path) -> list[Path]:
    """Returns all files below the folders of results."""
    folders = [path for path in (study / "data").glob("*") if path.name != "raw"] + [
        study / "reports",
        study / "models",
    ]
    return sorted(path for top in folders for path in (top.rglob("*") if top.is_dir() else [top]) if path.is_file())


def file_hash(path: Path) -> str:
    """Returns the hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Returns what is not the same in both."""
    return [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]


def _told(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return done.stdout.strip()
