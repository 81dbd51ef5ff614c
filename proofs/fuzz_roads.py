"""The roads that bad inputs are sent along, and what must hold at their end."""

import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd

from featurestore.errors import CaseError, InputError
from featurestore.tables import read_frame
from pipelines.ingest.ingest import ingest
from pipelines.ingest.intake import intake
from pipelines.ingest.pseudonyms import key_id, key_path, write_private
from pipelines.params import Params
from pipelines.params.reading import parse_params
from pipelines.runner import SerialRunner
from pipelines.workspace import Workspace
from proofs.fuzz_base import Bytes, Place, dicom_patient, nifti_patient
from proofs.fuzz_readers import NoOtherReaderError
from tests.ct_settings import ct_settings

CENTER = "alpha"
KEY = bytes(range(32))
GOOD = ("G-0001", "G-0002", "G-0003")
SECONDS = 20.0
"""CPU time after which an input counts as a hang; a sound one takes less than 0.1 s."""
MEMORY = 2 << 30
"""What a run may take on top of the process, in bytes."""

WRONG, CRASH, HANG, UNFORESEEN, LEFT, OTHERS = "wrong read", "crash", "hang", "unforeseen", "left behind", "others hurt"
FAULTS = (CRASH, HANG, WRONG, UNFORESEEN, LEFT, OTHERS)


class Hang(BaseException):
    """The time is over."""


@dataclass
class Ending:
    """How an input ended.

    Args:
        ending: `read`, the code of its `qc` row, or the name of the error of exit 2.
        compared: By what was compared (image, mask, table, settings): `equal`, `different` or `no other reader`, and by
            whom or why.
        faults: What went wrong, each with its kind in front.
    """

    ending: str = ""
    compared: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def compare(self, what: str, others: Callable[[], tuple[list[str], str]]) -> None:
        """Notes in what another reader, who is told second, sees something else; of several the worst stays."""
        try:
            found, reader = others()
            told = f"{'different' if found else 'equal'}: {reader}"
            self.faults += [f"{WRONG}: {text}" for text in found]
        except NoOtherReaderError as error:
            told = f"no other reader: {str(error)[:120]}"
        self.compared[what] = min(told, self.compared.get(what, told), key=lambda text: text.startswith("equal"))


@contextmanager
def bounded(ending: Ending) -> Iterator[None]:
    """Runs the block within time, and notes what else than an `InputError` it raises."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    except InputError as error:
        ending.ending = f"exit 2 {type(error).__name__}"
        if not error.remedy:
            ending.faults.append(f"{UNFORESEEN}: no remedy in {type(error).__name__}")
    except Hang:
        ending.faults.append(f"{HANG}: over {SECONDS:g} s of CPU")
    except CaseError as error:
        ending.ending = error.code
    except Exception as error:
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
        ending.faults.append(f"{UNFORESEEN}: {type(error).__name__} at {where}: {str(error)[:200]}")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def limit_this_process() -> None:
    """Bounds memory, sets the alarm, and lets files be written without waiting for the disk."""

    def ring(_: int, __: FrameType | None) -> None:
        raise Hang

    signal.signal(signal.SIGPROF, ring)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.fsync = lambda _: None


@dataclass
class CenterRun:
    """One center with sound patients, of whom or beside whom something is bad.

    Args:
        sandbox: An empty folder; what lies in it beside `study` afterwards was written where it must not be.
    """

    sandbox: Path
    places: list[Place] = field(default_factory=list)

    @property
    def study(self) -> Workspace:
        """The study."""
        return Workspace(self.sandbox / "study")

    @property
    def folder(self) -> Path:
        """What the center sent."""
        return self.study.raw(CENTER)

    def prepare(self) -> None:
        """Writes the study and its sound patients, and turns what would be written elsewhere into the sandbox."""
        shutil.rmtree(self.sandbox, ignore_errors=True)
        for name in ("tmp", "cwd", "study"):
            (self.sandbox / name).mkdir(parents=True)
        os.environ["TMPDIR"] = str(self.sandbox / "tmp")
        os.chdir(self.sandbox / "cwd")
        write_private(key_path(self.study.keys, CENTER), KEY.hex().encode() + b"\n")
        for name, files in sound_patients().items():
            Place(self.folder / name, name, np.random.default_rng(0)).write(files)
        (self.study.root / "data" / "outside.nii.gz").write_bytes(nifti_patient(np.random.default_rng(99))["ct.nii.gz"])

    def clinical(self) -> None:
        """Writes the clinical table of everybody."""
        bad = [name for place in self.places for name in place.patients or [place.name]]
        rows = [
            {"patient_id": n, "age": "61", "sex": "F", "ihc": ("0", "3+")[i % 2]} for i, n in enumerate([*GOOD, *bad])
        ]
        pd.DataFrame(rows).to_csv(
            self.folder / "clinical.csv", index=False, encoding="utf-8", errors="surrogateescape", lineterminator="\n"
        )

    def run(self, ending: Ending) -> None:
        """Takes in and reads, and looks for what was left."""
        before = tree(self.study.root / "data" / "raw")
        with bounded(ending):
            intake(self.study, params())
            ingest(self.study, params(), "development", SerialRunner())
            ending.ending = "read"
        if tree(self.study.root / "data" / "raw") != before:
            ending.faults.append(f"{LEFT}: the raw data changed")
        ending.faults += left(self.sandbox, {"study", "tmp", "cwd"})
        if ending.ending.startswith("exit 2"):
            made = [p for p in ("views", "outcomes", "cases") if any((self.study.root / "data").glob(f"{p}/**/*.*"))]
            ending.faults += [f"{LEFT}: {', '.join(made)} after exit 2"] if made else []

    def table(self, name: str) -> list[dict[str, Any]]:
        """Returns the rows of a table; none where there is none."""
        root = self.study.view("development", name)
        rows: list[dict[str, Any]] = read_frame(root).to_dict("records") if root.is_dir() else []
        return rows

    def hurt(self, *, all_there: bool) -> list[str]:
        """Returns how the sound patients differ from their undisturbed result."""
        rows = {row["case_id"]: row for row in self.table("cases")}
        found = []
        for name, wanted in undisturbed(str(self.sandbox.parent)).items():
            row = rows.get(name)
            if (row is None and all_there) or (row is not None and _content(row) != wanted):
                found.append(f"{OTHERS}: a sound patient is {'gone' if row is None else 'another'}")
        return found


@cache
def sound_patients() -> dict[str, Bytes]:
    """Returns the files of the sound patients."""
    rng = np.random.default_rng(1)
    return {
        GOOD[0]: dicom_patient(GOOD[0], rng),
        GOOD[1]: nifti_patient(rng),
        GOOD[2]: nifti_patient(rng, packed=False),
    }


@cache
def undisturbed(folder: str) -> Mapping[str, tuple[Any, ...]]:
    """Returns what reading the sound patients alone gives, by case."""
    run = CenterRun(Path(folder) / "undisturbed")
    run.prepare()
    run.clinical()
    ending = Ending()
    run.run(ending)
    rows = {row["case_id"]: _content(row) for row in run.table("cases")}
    if ending.faults or len(rows) != len(GOOD):
        raise SystemExit(f"the sound patients alone are not read: {ending} {run.table('qc')}")
    return rows


@cache
def params() -> Params:
    """Returns the settings of the study."""
    settings = ct_settings()
    settings["centers"] = {"development": {CENTER: {"key_id": key_id(KEY)}}, "external": {}}
    return parse_params(settings)


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Returns size and time of every file below a folder."""
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            told = os.lstat(os.path.join(path, name))
            found[os.path.join(path, name)] = (told.st_size, told.st_mtime_ns)
    return found


def left(sandbox: Path, expected: set[str]) -> list[str]:
    """Returns what lies where nothing may."""
    found = [path.name for path in sandbox.iterdir() if path.name not in expected]
    found += [f"tmp/{path.name}" for name in ("tmp", "cwd") for path in (sandbox / name).glob("*")]
    found += [path.name for path in (sandbox / "study").rglob(".tmp-*")]
    return [f"{LEFT}: {name}" for name in found]


def _content(row: dict[str, Any]) -> tuple[Any, ...]:
    names = ("image_hash", "mask_hash", "n_voxels", "spacing_z_mm", "full_origin_x_mm", "direction")
    return tuple(row[name] for name in names)


Road = Callable[[Path, Place], Ending]
