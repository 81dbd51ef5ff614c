"""Cases that failed for a reason of the machine are told, and tried anew by the next run."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from featurestore.entities import CaseKey
from pipelines.cli.study import run
from pipelines.execution.feature_tables import write_qc
from pipelines.ingest.views import Status, qc_row
from pipelines.study import stages_with_failures
from pipelines.workspace import Workspace

TEMPLATE = Path(__file__).resolve().parents[2]


def key(center: str = "north") -> CaseKey:
    return CaseKey(center=center, case_id="0001", phase="late", roi="tumor", observer="")


def put(root: Path, status: Status, center: str = "north") -> None:
    row = qc_row(key(center), status, code="worker_died", message="it ended", remedy="more memory", stage="extract")
    write_qc(root, center, [row])


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_bytes((TEMPLATE / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipelines.study.reproduce", lambda *_: None)
    monkeypatch.setattr("pipelines.study.uncommitted", lambda *_: False)
    monkeypatch.setattr("pipelines.window.refresh_window", lambda *_: None)
    monkeypatch.setattr("pipelines.ingest.pseudonyms.ensure_keys", lambda *_: {})
    return Workspace(tmp_path)


def test_stages_with_failed_cases_are_found_and_those_with_refused_ones_are_not(workspace: Workspace) -> None:
    put(workspace.view("external", "qc"), "failed")
    put(workspace.features("development", "qc"), "refused")
    put(workspace.shuffled("development") / "qc", "failed", center="south")
    put(workspace.shuffled("development") / "qc", "ok")
    assert stages_with_failures(workspace) == ["shuffle@development", "ingest@external"]


def test_a_run_with_failed_cases_is_no_success(workspace: Workspace) -> None:
    put(workspace.features("external", "qc"), "refused")
    assert CliRunner().invoke(run, []).exit_code == 0
    put(workspace.features("external", "qc"), "failed")
    told = CliRunner().invoke(run, [])
    assert told.exit_code == 1
    assert "extract@external" in told.output
    assert "remedy: " in told.output.splitlines()[-1]


def test_a_table_that_is_torn_stops_no_run(workspace: Workspace) -> None:
    """DVC copies tables back without synchronizing them; after a power failure one may be empty."""
    put(workspace.features("external", "qc"), "failed")
    next(workspace.features("external", "qc").rglob("*.parquet")).write_bytes(b"")
    assert stages_with_failures(workspace) == []
