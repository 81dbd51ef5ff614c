"""A stage that is killed with all it started leaves nothing half written, and the next run makes the undisturbed bytes.

The short form of `make prove-chaos`, and what its rules must see.
"""

import json
import random
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest

from pipelines.demo import write_demo
from pipelines.params import edit_params
from proofs.chaos import FULL, planned, read
from proofs.chaos_checks import ending_faults, leftovers, unwhole
from proofs.chaos_faults import FAULTS
from proofs.chaos_run import Mark, Moment, Run
from proofs.chaos_study import PHASE, ROOT, file_hash, made_files

LIMIT_S = 120.0
DONE = "radmill: ingest: no room\n  remedy: make room, and run again\n"


def small_center(folder: Path) -> None:
    """One patient of one center, who comes as NIfTI files."""
    write_demo(folder, patients=1)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy2(ROOT / name, folder / name)

    def shrink(content: dict[str, dict[str, object]]) -> None:
        content["centers"].update(development={"south": {}}, external={})
        content["phases"] = {PHASE: content["phases"][PHASE]}
        content["services"] = {PHASE: {"phases": [PHASE]}}
        content.update(models={}, deep={}, fusion={})
        content["cluster"].update(workers=1)

    edit_params(folder / "params.yaml", shrink)


def hashes(study: Path) -> dict[str, str]:
    return {path.relative_to(study).as_posix(): file_hash(path) for path in made_files(study)}


def stage(study: Path, log: str, *words: str) -> Run:
    return Run.start(list(words), study, ROOT, study.with_name(log))


def test_a_killed_stage_is_made_good_by_the_next(tmp_path: Path) -> None:
    study, whole = tmp_path / "study", tmp_path / "whole"
    small_center(study)
    assert stage(study, "intake.log", "intake").wait(LIMIT_S) == 0
    shutil.copytree(study, whole)
    assert stage(whole, "whole.log", "ingest", "development").wait(LIMIT_S) == 0
    wanted = hashes(whole)
    assert any(name.endswith(".nii.gz") for name in wanted)
    run = stage(study, "killed.log", "ingest", "development")
    while not run.workers_of(run.process.pid) and run.is_on():
        time.sleep(0.02)
    time.sleep(random.Random(5).uniform(0.1, 0.6))
    run.kill()
    assert run.process.returncode == -9, "it had ended before"
    assert run.members() == []
    assert unwhole(study, wanted, is_strict=True) == []
    assert stage(study, "again.log", "ingest", "development").wait(LIMIT_S) == 0
    assert hashes(study) == wanted
    assert leftovers(study) == []


@pytest.mark.parametrize(
    ("code", "told", "fault"),
    [
        (0, "Up to date.\n", ""),
        (3, DONE, ""),
        (1, DONE, ""),
        (None, DONE, "hangs"),
        (-9, DONE, "without message"),
        (3, "ingest: 4 to do\n", "without message"),
        (3, f"{DONE}ValueError: x\n", "without message"),
        (0, "Traceback (most recent call last):\n  File\nKeyError: 1\n", "traceback"),
        (3, f"Traceback (most recent call last):\n  File\nKeyError: 1\n{DONE}", "traceback"),
    ],
)
def test_an_ending_is_judged_as_a_person_would(code: int | None, told: str, fault: str) -> None:
    found = ending_faults(code, told)
    assert fault in " ".join(found) if fault else found == []


def test_what_is_half_written_under_a_final_name_is_seen(tmp_path: Path) -> None:
    data, reports = tmp_path / "data", tmp_path / "reports"
    data.mkdir()
    reports.mkdir()
    pd.DataFrame({"a": [1]}).to_parquet(data / "whole.parquet")
    (data / "cut.parquet").write_bytes((data / "whole.parquet").read_bytes()[:-9])
    (data / "cut.json").write_text('{"a": ')
    (data / "other.csv").write_text("a,b\n")
    (data / ".tmp-7-cut.json").write_text("{")
    (reports / "study.html").write_text("<html>")
    wanted = {f"data/{name}": "" for name in ("cut.parquet", "cut.json", "other.csv")}
    wanted["data/whole.parquet"] = file_hash(data / "whole.parquet")
    seen = [line.split(":")[0] for line in unwhole(tmp_path, wanted, is_strict=False)]
    assert seen == ["data/cut.json", "data/cut.parquet", "reports/study.html"]
    assert [line.split(":")[0] for line in unwhole(tmp_path, wanted, is_strict=True)] == [
        "data/cut.json",
        "data/cut.parquet",
        "data/other.csv",
        "reports/study.html",
    ]
    assert leftovers(tmp_path) == ["data/.tmp-7-cut.json"]


def test_a_hundred_rounds_are_planned_and_a_cut_line_is_made_again(tmp_path: Path) -> None:
    assert len(planned()) == 100 == sum(fault.rounds for fault in FAULTS.values())
    assert planned() == planned()
    assert len(FULL) == 3
    lines = [json.dumps({"round": 0, "faults": ["x"]}), json.dumps({"round": 0, "faults": []}), '{"round": 1, "fau']
    (tmp_path / "rounds.jsonl").write_text("\n".join(lines))
    assert read(tmp_path / "rounds.jsonl") == {0: {"round": 0, "faults": []}}


def test_moments_are_drawn_over_the_whole_run() -> None:
    marks = [Mark("first", 0.0, 2.0), Mark("ingest@development", 2.0, 6.0, (1.0, 3.0)), Mark("last", 6.0, 10.0)]
    rng = random.Random(1)
    drawn = [Moment.drawn(marks, rng) for _ in range(300)]
    assert {moment.stage for moment in drawn} == {"first", "ingest@development", "last"}
    assert all(0 <= moment.after_s <= 4 for moment in drawn)
    assert {Moment.with_workers(marks, rng).stage for _ in range(9)} == {"ingest@development"}
    assert all(Moment.drawn(marks, rng, (0.7, 0.9)).stage == "last" for _ in range(9))
