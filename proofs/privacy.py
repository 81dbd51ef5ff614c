"""Walks the whole road with planted secrets, then searches every byte of everything that came of it.

Names, identifiers, dates, UIDs, institutions, physicians and comments stand in every text tag of DICOM (private and
nested ones too), in file and folder names, NIfTI headers, clinical columns that nobody declared, broken files, voxels
and, where a reader breaks, in the exception itself; credentials of an object store, a webhook and MLflow stand in
environment and settings. Read are Parquet, databases, packed files, pictures in pages, DVC's cache and state, git's
objects, MLflow's files, what every command printed, and temporary folders. What may hold secrets is left out:
`private/`, `data/raw/`, `incoming/`; but the centers' keys are searched for, too.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.demo import write_demo
from pipelines.params import edit_params
from proofs.privacy_credentials import TOKENS, use_credentials
from tests.leaks import BIRTH_YEAR, MARKER, Leak, find_leaks
from tests.planted import FAULTY, HOSTILE, Planter, add_labels, besides_whole_images, break_masks, plant

CENTERS = ("data/raw/north", "data/raw/east", "data/raw/south", "data/raw/west", "incoming/harbor")
MODEL, PHASE, PATIENTS = "radiomics_lr_excretory", "excretory", 6
ASKED = "asked"
"""A second study, whose settings `radmill init` proposes from what lies in the centers' folders."""

SECRET_URL = f"https://hooks.example/{MARKER}"

_BREAKS = '''"""Lets one reader break in a way that nobody foresaw, with an exception that quotes the file."""

import importlib.machinery
import sys


class Breaking:
    def find_spec(self, name, path=None, target=None):
        if name != "pipelines.ingest.dicom_series":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        run = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (run(module), break_it(module))
        return spec


def break_it(module):
    read = module.read_series

    def read_series(headers, **more):
        if any("FAULTY" in header.series_description for header in headers):
            raise RuntimeError(f"cannot read {headers[0]!r}")
        return read(headers, **more)

    module.read_series = read_series


sys.meta_path.insert(0, Breaking())
'''


@dataclass
class Road:
    """A study on its way, and everything that its commands printed.

    Args:
        folder: Holds the study, the logs, and the home and temporary folders of the commands.
        planter: Knows what patients are called.
        more: More environment for every command.
    """

    folder: Path
    planter: Planter = field(default_factory=Planter)
    more: dict[str, str] = field(default_factory=dict)
    n_commands: int = 0

    @property
    def study(self) -> Path:
        """The study's folder."""
        return self.folder / "study"

    def inputs(self) -> list[Path]:
        """Returns what may hold secrets."""
        studies = (self.study, self.folder / ASKED)
        return [study / place for study in studies for place in ("private", "data/raw", "incoming")]

    def radmill(self, *arguments: str, codes: Sequence[int] = (0, 1), env: Mapping[str, str] | None = None) -> None:
        """Runs a command as a user does and keeps what it printed; ends the proof where its exit code is another."""
        self.call(str(Path(sys.executable).with_name("radmill")), *arguments, codes=codes, env=env)

    def call(self, *command: str, codes: Sequence[int] = (0,), env: Mapping[str, str] | None = None) -> None:
        """Runs a command in the study, with more environment."""
        self.n_commands += 1
        home = self.folder / "home"
        for folder in (home, home / "tmp", self.folder / "logs", self.study):
            folder.mkdir(exist_ok=True)
        own = str(Path(sys.executable).parent)
        environment = {
            **os.environ, "PATH": os.pathsep.join([own, os.environ["PATH"]]), "DVC_NO_ANALYTICS": "1",
            "HOME": str(home), "TMPDIR": str(home / "tmp"), "XDG_CACHE_HOME": str(home / "cache"), **self.more,
            **(env or {}),
        }  # fmt: skip
        done = subprocess.run(list(command), cwd=self.study, env=environment, capture_output=True, check=False)
        log = self.folder / "logs" / f"{self.n_commands:02d}.txt"
        log.write_bytes(done.stdout + b"\n" + done.stderr)
        print(f"  {Path(command[0]).name} {' '.join(command[1:2])}: {done.returncode}", flush=True)
        if done.returncode not in codes:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{log.read_text(errors='replace')}")

    def commit(self) -> None:
        """Commits what git tracks."""
        self.call("git", "add", ".")
        who = ["-c", "user.name=proof", "-c", "user.email=proof@localhost"]
        self.call("git", *who, "commit", "--quiet", "--allow-empty", "--message", "A step")


def main() -> None:
    """Walks the road in a new folder, searches it, and says what was found."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("folder", type=Path, nargs="?", default=Path("build/prove-privacy"))
    folder = asked.parse_args().folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    road, began = Road(folder), time.monotonic()
    prepare(road)
    refused_inputs(road)
    walk(road)
    use_credentials(road.study, road.radmill)
    print(f"the road: {road.n_commands} commands, {time.monotonic() - began:.0f} s")
    keys = [bytes.fromhex(path.read_text()) for path in sorted(road.study.glob("private/keys/*.key"))]
    found = find_leaks(folder, road.inputs(), keys)
    leaks = [*besides_whole_images(found, folder), *unescaped(road.study)]
    n_files = sum(
        path.is_file() and not any(path.is_relative_to(i) for i in road.inputs()) for path in folder.rglob("*")
    )
    n_secrets = road.planter.number + len(TOKENS) + len(keys)
    print(f"{n_secrets} secrets planted, {len(TOKENS)} credentials and {len(keys)} keys among them")
    print(f"{n_files} files searched, {len(leaks)} places with a secret")
    for leak in leaks:
        print(f"  {leak.place}: {leak.excerpt}")
    print(f"the search itself finds a secret in {proven(road)} of the outputs when one is written there")
    if leaks:
        raise SystemExit(1)


def prepare(road: Road) -> None:
    """Makes a study on planted centers."""
    road.radmill("init", ".")
    write_demo(road.study, patients=PATIENTS)
    for center in CENTERS:
        plant(road.study / center, road.planter)
    for center in ("north", "east"):
        break_masks(road.study / "data" / "raw" / center)
    edit_params(road.study / "params.yaml", _settle)
    secret = road.study / "private" / "webhook"
    secret.write_text(SECRET_URL)
    secret.chmod(0o600)
    breaking = road.folder / "breaking"
    breaking.mkdir()
    (breaking / "sitecustomize.py").write_text(_BREAKS.replace("FAULTY", FAULTY))
    road.more["PYTHONPATH"] = str(breaking)
    road.commit()


def refused_inputs(road: Road) -> None:
    """Lets tables be wrong as a whole: every one must be told without quoting it."""
    center = road.study / "data" / "raw" / "north"
    good = (center / "clinical.csv").read_bytes()
    header, *rows = good.decode().splitlines()
    texts = {
        "no label column": good.replace(b"ihc", b"zqvxjkwb score"),
        "strange labels": "\n".join([header, *(row.replace("+", f"+ {MARKER}") for row in rows)]).encode(),
        "other patients": good.replace(b"9731", b"zqvxjkwb9731").replace(MARKER.title().encode(), b"x zqvxjkwb"),
        "two rows differ": good + ",".join([*rows[0].split(",")[:1], "33", *rows[0].split(",")[2:]]).encode(),
        "too many cells": good + f"{MARKER},{MARKER},{MARKER},{MARKER},{MARKER},{MARKER}".encode() * 4,
    }
    road.radmill("key", "create")
    road.radmill("intake")
    for content in texts.values():
        (center / "clinical.csv").write_bytes(content)
        road.radmill("intake", codes=(0, 2))
        road.radmill("ingest", "development", codes=(2,))
    (center / "clinical.csv").write_bytes(good)
    listed = f"patient_id,phase,image,mask,label\n{MARKER},{MARKER},{MARKER},,{MARKER}\n"
    (center / "cases.csv").write_text(listed)
    road.radmill("intake")
    road.radmill("ingest", "development", codes=(2,))
    (center / "cases.csv").unlink()


def walk(road: Road) -> None:
    """Walks from files to a scored hospital and to a withdrawn patient."""
    patients = list(road.planter.patients.values())
    for command in ("status", "run"):
        road.radmill(command)
    road.commit()
    road.radmill("register", MODEL)
    road.radmill("promote", MODEL, "--override", "a proof")
    road.radmill("score")
    add_labels(road.study / "incoming" / "harbor", road.planter, "ihc")
    for command in _more_commands():
        road.radmill(*command, codes=(0, 1, 2, 3))
    for command in _commands(patients):
        road.radmill(*command, codes=(0, 1, 2))
    road.commit()
    road.radmill("run")
    for command in (("score",), ("mirror",), ("registry", "verify"), ("status", "--json")):
        road.radmill(*command)
    road.commit()


def _more_commands() -> Iterator[tuple[str, ...]]:
    """What may refuse, or not come out even, on so small a study: what it says and leaves is searched all the same."""
    own = ("--from-data", "data/raw", "--external", "west", "--yes")
    yield ("init", f"../{ASKED}", *own, "--label", "ihc", "--positive", "none of them")
    yield ("init", f"../{ASKED}", *own, "--label", "ihc", "--positive", "3+", "--positive", "2+")
    yield ("doctor", "--fix")
    yield ("features", "plan", "--json")
    yield ("features", "validate")
    yield ("features", "diff", "radiomics")
    yield ("features", "export", "radiomics", "../radiomics.csv", "--csv")
    yield ("features", "export", "clinical", "../clinical.csv", "--csv")
    yield ("features", "publish", "../published")
    yield ("features", "sql", "select * from development.clinical", "--csv")
    yield ("features", "import", "data/raw/north/clinical.csv", "--view", "own", "--id", "patient_id")
    yield ("models", "lineage", "1")
    yield ("models", "diff", "1", "1")
    yield ("registry", "reproduce", "1")
    yield ("registry", "mend")
    yield ("center", "admit", "harbor")
    yield ("recalibrate", "harbor")
    yield ("score", "--pages")
    for kind in ("systemd", "cron", "kubernetes"):
        yield ("schedule", "print", "--kind", kind)
    yield ("upgrade",)
    for verb in ("challenge", "retire", "promote"):
        yield (verb, "9")


def _commands(patients: list[str]) -> Iterator[tuple[str, ...]]:
    yield ("score",)
    yield ("score", "--json")
    yield ("mirror",)
    yield ("export", MODEL, "model.radmill")
    for patient in (patients[0], patients[-1], f"{MARKER} nobody"):
        yield ("features", "trace", patient)
        yield ("features", "trace", patient, "--json")
    yield ("models", "lineage", "1", "--json")
    yield ("features", "list")
    yield ("features", "describe", "clinical")
    yield ("features", "sql", "select * from development.qc")
    yield ("models", "--json")
    yield ("registry", "rebuild")
    yield ("doctor",)
    yield ("key", "list")
    yield ("key", "import", "north", "private/none")
    yield ("center", "freeze", "harbor")
    yield ("withdraw", patients[0], "--why", f"{patients[0]} asked for it")
    yield ("withdraw", patients[-1], "--why", "asked for it", "--json")
    yield ("withdraw", f"{MARKER} nobody")


def unescaped(study: Path) -> list[Leak]:
    """Returns pages in which a name from settings would be run as a program."""
    pages = [path for path in study.rglob("*.html") if "raw" not in path.parts]
    return [Leak(place=str(page.relative_to(study)), excerpt=HOSTILE) for page in pages if HOSTILE in page.read_text()]


def proven(road: Road) -> str:
    """Writes a secret into one output of each kind, and returns in how many the search finds it."""
    kinds: dict[str, Path] = {}
    for path in sorted(road.folder.rglob("*")):
        if path.is_file() and not any(path.is_relative_to(folder) for folder in road.inputs()) and path.suffix:
            kinds.setdefault(path.suffix, path)
    copy = road.folder.with_name(f"{road.folder.name}-leaking")
    found = 0
    for path in kinds.values():
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        (copy / "output").write_bytes(path.read_bytes() + f"born {BIRTH_YEAR}-07-14 {MARKER}".encode("utf-16"))
        found += bool(find_leaks(copy))
    shutil.rmtree(copy, ignore_errors=True)
    return f"{found} of {len(kinds)} kinds"


def _settle(content: Any) -> None:
    """One model on few features, small margins, one phase; and names that would be programs in a page."""
    content["study"].update(name=HOSTILE, statements={"ethics": HOSTILE})
    content.update(deep={}, fusion={})
    for section, kept in (("models", MODEL), ("services", PHASE), ("phases", PHASE)):
        for name in [name for name in content[section] if name != kept]:
            del content[section][name]
    content["ingest"]["clinical"]["node_status"]["values"].append(HOSTILE)
    content["extraction"]["default"] = {
        "imageType": {"Original": {}},
        "featureClass": {"firstorder": []},
        "setting": {"binWidth": 25, "label": 1},
    }
    content["margin"] = {"mm": 2.0, "voxels": 2}
    content["tuning"].update(trials=2, folds=2, repeats=1, batch=2)
    content["evaluation"].update(bootstrap=100, controls={"label_shuffles": 1, "trials": 1, "voxels": False})
    content["scoring"]["webhook"] = "private/webhook"
    content["cluster"]["workers"] = 1


if __name__ == "__main__":
    main()
