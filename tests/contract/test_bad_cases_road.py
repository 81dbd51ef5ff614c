"""Three bad cases among five, with real workers: one kills its process, one never ends, one is too large for any.

Each is one row with code and remedy, the others are what they are without them, and the next run tries the three again.
"""

import gzip
import os
import shutil
import struct
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from pipelines.cli.stages import ingest
from pipelines.cli.study import run
from pipelines.execution.problems import CaseTimeoutError, NotEnoughMemoryError, WorkerDiedError
from pipelines.ingest.pseudonyms import case_id, load_key
from tests.contract.conftest import Cohort, SpyRunner

TIMEOUT_S = 2.0
WORKERS, WORKER_GB = 2, 0.8
LARGE = (220, 400, 400)  # 70 MB as it lies in the file, which stands for more than a worker has
BAD = {"P-deadly": WorkerDiedError, "P-endless": CaseTimeoutError, "P-large": NotEnoughMemoryError}
GOOD = ("P-first", "P-last")

Asked = list[tuple[str, ...]]

PLANTED = """
import os, signal, sys, time

if "--multiprocessing-fork" in sys.orig_argv:  # a worker
    import pipelines.ingest.case_volumes  # what a case waits for is its own

    def watch(event, arguments):
        path = str(arguments[0]) if event == "open" else ""
        if not os.path.basename(path).startswith("ct.nii"):
            return
        patient = os.path.basename(os.path.dirname(path))
        log = os.open(os.environ["PLANTED_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, f"{patient} {time.monotonic()}\\n".encode())
        os.close(log)
        if patient == "P-deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        if patient == "P-endless":
            time.sleep(600)

    sys.addaudithook(watch)
"""


def enlarge(path: Path, value: int) -> None:
    """Makes a small volume a large one, which is empty on disk but for a block of one value."""
    header = bytearray(gzip.decompress(path.read_bytes())[:352])
    struct.pack_into("<3h", header, 42, *reversed(LARGE))
    dtype = np.dtype(f"u{struct.unpack_from('<h', header, 72)[0] // 8}")
    path.unlink()
    path.with_suffix("").write_bytes(header)
    os.truncate(path.with_suffix(""), len(header) + int(np.prod(LARGE)) * dtype.itemsize)
    voxels = np.memmap(path.with_suffix(""), dtype, "r+", len(header), LARGE)
    voxels[100:106, 200:206, 200:206] = value
    voxels[100, 200, 200] += value > 1
    voxels.flush()


@pytest.fixture
def planted(cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fills the study, has its workers misbehave with three patients, and returns what they tell of each start."""
    for patient in sorted((*GOOD, *BAD)):
        folder = cohort.nifti("alpha", patient, ("ct",))
    large = folder.parent / "P-large"
    enlarge(large / "ct.nii.gz", 80)
    enlarge(large / "ct_mask.nii.gz", 1)
    cohort.settings["cluster"].update(workers=WORKERS, memory_gb=WORKERS * WORKER_GB, timeout_s=TIMEOUT_S)
    cohort.save()
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "sitecustomize.py").write_text(PLANTED)
    path = [str(tmp_path / "planted"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    monkeypatch.setenv("PLANTED_LOG", str(tmp_path / "starts"))
    monkeypatch.chdir(cohort.root)
    return tmp_path / "starts"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Has the stage run in this process where DVC would run it, and returns what DVC was asked for."""
    calls: Asked = []

    def repro(_: object, *words: str) -> None:
        calls.append(words)
        if len(calls) == 1 or "--force" in words:  # else nothing has changed
            ingest.main([words[-1].partition("@")[2]], standalone_mode=False)

    monkeypatch.setattr("pipelines.study._repro", repro)
    monkeypatch.setattr("pipelines.study.settle", lambda _: None)
    monkeypatch.setattr("pipelines.study.uncommitted", lambda _: False)
    return calls


def radmill_run() -> int:
    return CliRunner().invoke(run, ["ingest@development"]).exit_code


def kept(cohort: Cohort) -> dict[str, tuple[bytes, int]]:
    """Returns content and time of what is stored of cases."""
    root = cohort.root / "data" / "cases"
    return {str(p.relative_to(root)): (p.read_bytes(), p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()}


def ids(cohort: Cohort, patients: Iterable[str]) -> dict[str, str]:
    """Returns the pseudonyms of patients."""
    key = load_key(cohort.workspace.keys, "alpha")
    return {patient: case_id(key, patient) for patient in patients}


def without_the_bad(cohort: Cohort, folder: Path) -> Cohort:
    """Returns the same study, with the same key, to which only the good patients were sent."""
    other = Cohort(
        Path(shutil.copytree(cohort.root, folder)), cohort.settings, {"alpha": dict(cohort.clinical["alpha"])}
    )
    for patient in BAD:
        shutil.rmtree(other.folder("alpha", patient))
        del other.clinical["alpha"][patient]
    other.write_clinical("alpha")
    other.run()
    return other


def check_starts(starts: Path) -> None:
    """The deadly case was started twice, at the end and when nothing else was at work; the large one never."""
    told = [(patient, float(time)) for patient, time in (line.split() for line in starts.read_text().splitlines())]
    patients = [patient for patient, _ in told]
    assert patients.count("P-deadly") == 2
    assert patients.count("P-endless") == 1
    assert set(patients) == {*GOOD, "P-deadly", "P-endless"}
    (last, last_s), begin_s = told[-1], dict(told)["P-endless"]
    assert last == "P-deadly"
    assert last_s - begin_s > TIMEOUT_S - 0.5, "it was tried again beside another case"


def test_bad_cases_are_isolated_told_and_tried_again(
    cohort: Cohort, planted: Path, asked: Asked, spy: SpyRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort.take_in()
    clean = without_the_bad(cohort, tmp_path / "clean")
    names = ids(cohort, (*GOOD, *BAD))

    assert radmill_run() == 1
    check_starts(planted)
    qc = cohort.table("qc").query("item == ''").set_index("case_id")
    for patient, error in BAD.items():
        row = qc.loc[names[patient]]
        assert (row["status"], row["code"], row["remedy"]) == ("failed", error.code, error.default_remedy)
    assert "needs about 0.9 GB, a worker has 0.8 GB" in qc.loc[names["P-large"], "message"]
    assert f"not done after {TIMEOUT_S:g} s" in qc.loc[names["P-endless"], "message"]
    assert (qc.loc[[names[patient] for patient in GOOD], "status"] == "ok").all()
    pd.testing.assert_frame_equal(cohort.table("cases"), clean.table("cases"))
    before = kept(cohort)
    assert {name: content for name, (content, _) in before.items()} == {
        name: content for name, (content, _) in kept(clean).items()
    }

    monkeypatch.setattr("pipelines.execution.cluster.open_runner", lambda *_: nullcontext(spy))
    assert radmill_run() == 0
    assert ("--force", "--single-item", "ingest@development") in asked
    assert {name.split(" / ")[1] for name in spy.names} == {names[patient] for patient in BAD}
    assert set(cohort.table("cases")["case_id"]) == set(names.values())
    assert before.items() <= kept(cohort).items(), "what was done was done again"
