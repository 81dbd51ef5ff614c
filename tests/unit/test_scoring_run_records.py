"""The file of run records: what a killed run leaves is made good, and no whole line is lost."""

from pathlib import Path

import pytest

from featurestore.errors import FaultError
from pipelines.scoring.runs import RunRecord, append_record, marked_run, recent_runs, runs_path
from pipelines.workspace import Workspace


def test_a_killed_run_is_recorded_by_the_next(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    killed = marked_run(workspace)
    killed.__enter__()
    with marked_run(workspace):
        assert [(r.outcome, r.exit_code) for r in recent_runs(workspace)] == [("killed", 3)]
    with pytest.raises(FaultError), marked_run(workspace):
        raise FaultError("seen by people")
    with marked_run(workspace):
        assert len(recent_runs(workspace)) == 1, "runs that ended leave no mark"


def test_a_half_line_is_mended_and_no_whole_line_is_lost(tmp_path: Path) -> None:
    """Cut at every byte of the last line."""
    workspace = Workspace(tmp_path)
    first, second, third = (RunRecord(start=f"2026-01-0{n}T00:00:00Z", problem="ü") for n in (1, 2, 3))
    append_record(workspace, first)
    n_first = runs_path(workspace).stat().st_size
    append_record(workspace, second)
    whole = runs_path(workspace).read_bytes()
    for n in range(n_first, len(whole) + 1):
        runs_path(workspace).write_bytes(whole[:n])
        append_record(workspace, third)
        kept = [first, second] if n >= len(whole) - 1 else [first]
        assert recent_runs(workspace) == [*kept, third]
        assert runs_path(workspace).read_bytes().endswith(b"}\n")


def test_a_long_file_is_read_from_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.scoring.runs.TAIL_BYTES", 1000)
    workspace = Workspace(tmp_path)
    for n in range(50):
        append_record(workspace, RunRecord(start=f"2026-01-01T00:00:{n:02}Z"))
    found = recent_runs(workspace)
    assert 1 < len(found) < 10
    assert found[-1].start.endswith("49Z")
