"""What a scoring run tells of itself: its line, the webhook, Prometheus, what people read, and the exit codes."""

import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from prometheus_client.parser import text_string_to_metric_families

from featurestore.errors import LockedError, RadmillError
from pipelines.cli import radmill
from pipelines.runner import SerialRunner
from pipelines.scoring.in_force import NoChampionError
from pipelines.scoring.metrics_file import exposition, write_metrics
from pipelines.scoring.runs import RunRecord, recent_runs, runs_path
from pipelines.scoring.webhook import Webhook, WebhookError
from tests.hospital_study import SmallStudy, small_study

SECRET = "T0KEN-that-nobody-may-see"


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """A study with a champion and a hospital of one whole case and one without an outline; copy it."""
    study = small_study(tmp_path_factory.mktemp("runs") / "study")
    study.promoted("first")
    study.arrive("harbor", "H-1", "H-2")
    (study.workspace.incoming / "harbor" / "H-2" / "ct_mask.nii.gz").unlink()
    for path in study.workspace.incoming.rglob("*"):
        os.utime(path, (1e9, 1e9))  # just written files are hashed again in the next run
    return study


@pytest.fixture
def study(promoted: SmallStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallStudy:
    copy = promoted.copy(tmp_path / "study")
    monkeypatch.chdir(copy.root)
    monkeypatch.setenv("no_proxy", "*")
    return copy


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def serial(*_: object) -> Iterator[SerialRunner]:
        yield SerialRunner()

    monkeypatch.setattr("pipelines.execution.cluster.open_runner", serial)


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    """A server on this machine that keeps what it is told and gives the answer that its path names."""

    class Keeper(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.told.append(json.loads(body))  # type: ignore[attr-defined]
            self.send_response(int(self.path.split("/")[1]))
            self.send_header("Location", "/200")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    found = HTTPServer(("127.0.0.1", 0), Keeper)
    found.told = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def settle(study: SmallStudy, **scoring: Any) -> None:
    study.workspace.params.write_text(yaml.safe_dump({"cohort": {}, "cluster": {}, "scoring": scoring}))


def run(*options: str) -> Result:
    found = CliRunner().invoke(radmill, ["score", *options])
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


def last(study: SmallStudy) -> RunRecord:
    return recent_runs(study.workspace)[-1]


def test_a_case_that_is_not_complete_waits_and_is_refused_when_its_time_is_over(study: SmallStudy) -> None:
    settle(study, incomplete_after_h=24)
    first = run()
    assert first.exit_code == 0
    assert "ct: no outline" in first.stdout
    (harbor,) = last(study).centers
    wanted = {"center": "harbor", "scored": 1, "before": 0, "waiting": 1, "refused": {}, "problem": ""}
    assert wanted.items() <= harbor.items()
    settle(study, incomplete_after_h=0)
    assert run().exit_code == 1
    assert last(study).centers[0]["refused"] == {"mask_missing": 1}
    assert (last(study).exit_code, last(study).outcome) == (1, "done")
    study.arrive("harbor", "H-2")
    assert run().exit_code == 0
    assert last(study).centers[0]["scored"] == 1, "it is taken when the rest has come"


def test_a_run_that_scores_nothing_writes_its_line_and_nothing_else(study: SmallStudy) -> None:
    run()
    before = contents(study)
    said = run("--quiet")
    after = contents(study)
    assert said.output == ""
    changed = {path for path in before | after if before.get(path) != after.get(path)}
    assert changed == {runs_path(study.workspace)}
    assert after[runs_path(study.workspace)].startswith(before[runs_path(study.workspace)])
    record = last(study)
    assert record.centers[0]["before"] == 1
    assert record.versions == [{"model": "first", "version": 1, "role": "champion"}]


def contents(study: SmallStudy) -> dict[Path, bytes]:
    """All that scoring could write; the lock's file names a process and is no result."""
    roots = (study.workspace.deployment, study.workspace.private, study.workspace.models, study.workspace.state)
    paths = [path for root in roots for path in root.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {path: path.read_bytes() for path in paths}


def test_no_patient_is_in_what_is_told(study: SmallStudy, server: HTTPServer) -> None:
    settle(study, webhook=f"http://127.0.0.1:{server.server_port}/204", prometheus="radmill.prom")
    run()
    told = json.dumps(server.told) + (study.root / "radmill.prom").read_text()  # type: ignore[attr-defined]
    told += runs_path(study.workspace).read_text()
    case_ids = set(study.history()["case_id"])
    assert case_ids
    assert not [name for name in ("H-1", "H-2", *case_ids) if name in told]


def test_the_webhook_is_told_the_record(study: SmallStudy, server: HTTPServer) -> None:
    settle(study, webhook=f"http://127.0.0.1:{server.server_port}/204")
    run()
    (told,) = server.told  # type: ignore[attr-defined]
    record = last(study)
    assert record.told == {"webhook": "delivered, answer 204"}
    assert told == {"study": "study", **record.plain(), "told": {}}


@pytest.mark.parametrize("answer", [500, 302])
def test_a_webhook_that_fails_fails_no_run_and_is_told(study: SmallStudy, server: HTTPServer, answer: int) -> None:
    """The address may be a secret and stands in no message and no record; a redirect is not followed."""
    settle(study, webhook=f"http://127.0.0.1:{server.server_port}/{answer}/{SECRET}")
    found = run()
    assert found.exit_code == 0
    assert last(study).told == {"webhook": f"failed: answer {answer}"}
    assert f"webhook failed: answer {answer}" in found.stderr
    assert "remedy" in found.stderr
    assert SECRET not in found.output + runs_path(study.workspace).read_text()
    assert len(server.told) == 1  # type: ignore[attr-defined]


def test_a_webhook_that_never_answers_is_given_up(
    study: SmallStudy, server: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.scoring.webhook.TIMEOUT_S", 0.2)
    hook = Webhook(f"http://127.0.0.1:{server.server_port}/200")
    still = threading.Event()
    monkeypatch.setattr(Webhook, "_post", lambda *_: str(still.wait(5)))
    assert hook.tell({}).startswith("failed: no answer")
    still.set()


def test_a_server_that_is_not_there_is_named_without_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as taken:  # bound and not listening: nobody else gets the port meanwhile
        taken.bind(("127.0.0.1", 0))
        found = Webhook(f"http://127.0.0.1:{taken.getsockname()[1]}/{SECRET}").tell({})
    assert found == "failed: Connection refused"


@pytest.mark.parametrize(
    "address", [f"file:///{SECRET}", f"ftp://x/{SECRET}", f"https://{SECRET}:p@x/", f"http:///{SECRET}", "no-such-file"]
)
def test_an_address_that_cannot_be_called_stops_the_run_before_it_begins(study: SmallStudy, address: str) -> None:
    settle(study, webhook=address)
    with pytest.raises(WebhookError, match="http") as error:
        run()
    assert error.value.exit_code == 2
    assert SECRET not in str(error.value) + runs_path(study.workspace).read_text()
    assert last(study).exit_code == 2
    assert study.history().empty


def test_a_secret_address_stands_in_a_private_file(study: SmallStudy, server: HTTPServer) -> None:
    study.workspace.private.mkdir(exist_ok=True)
    (study.workspace.private / "webhook").write_text(f"http://127.0.0.1:{server.server_port}/200/{SECRET}\n")
    settle(study, webhook="private/webhook")
    run()
    assert last(study).told == {"webhook": "delivered, answer 200"}


def test_prometheus_reads_the_file(study: SmallStudy) -> None:
    """By the parser of Prometheus' own Python client."""
    settle(study, prometheus="radmill.prom", incomplete_after_h=0)
    run()
    found = samples((study.root / "radmill.prom").read_text())
    own = {"study": "study"}
    assert found[key("cases", **own, center="harbor", state="scored")] == 1
    assert found[key("cases", **own, center="harbor", state="refused")] == 1
    assert found[key("refused_cases", **own, center="harbor", code="mask_missing")] == 1
    assert found[key("version_info", **own, model="first", version="1", role="champion")] == 1
    assert found[key("last_run_exit_code", **own)] == 1
    assert found[key("last_success_timestamp_seconds", **own)] == found[key("last_run_timestamp_seconds", **own)]
    assert found[key("center_problem", **own, center="harbor")] == 0
    assert [path.name for path in study.root.glob("*radmill.prom*")] == ["radmill.prom"]


def samples(text: str) -> dict[Any, float]:
    families = list(text_string_to_metric_families(text))
    assert all(family.type == "gauge" and family.documentation for family in families)
    return {key(s.name.removeprefix("radmill_score_"), **s.labels): s.value for f in families for s in f.samples}


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_prometheus_reads_awkward_names_alarms_and_a_failure_after_a_success(tmp_path: Path) -> None:
    study = 'a "study"\\with\na break'
    done = RunRecord(start="2026-01-01T00:00:00Z", end="2026-01-01T00:01:00Z", duration_s=60.0)
    alarms = [{"center": "harbor", "code": "drift", "message": "m"}] * 2
    failed = RunRecord(start="2026-01-02T00:00:00Z", end="2026-01-02T00:00:01Z", outcome="failed", exit_code=3,
                       alarms=alarms)  # fmt: skip
    found = samples(exposition(study, [done, failed]))
    assert found[key("last_success_timestamp_seconds", study=study)] == 1767225660
    assert found[key("last_run_exit_code", study=study)] == 3
    assert found[key("alarms", study=study, center="harbor", code="drift")] == 2
    assert samples(exposition(study, [failed])), "no success yet: the metric is absent, and the file is whole"


def test_a_metrics_file_that_cannot_be_written_fails_no_run(study: SmallStudy) -> None:
    settle(study, prometheus="no/such/folder/radmill.prom")
    found = run()
    assert found.exit_code == 0
    assert last(study).told == {"prometheus": "failed: No such file or directory"}
    assert "check scoring.prometheus" in found.stderr


def test_a_metrics_file_is_never_seen_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector reads every *.prom, so the name in between must not end so; a fault leaves the old file."""
    path = tmp_path / "radmill.prom"
    write_metrics(path, "old\n")
    seen: list[str] = []

    def stop(_: int) -> None:
        seen.extend(other.name for other in tmp_path.iterdir() if other != path)
        raise OSError("full")

    monkeypatch.setattr("os.fsync", stop)
    with pytest.raises(OSError, match="full"):
        write_metrics(path, "new\n")
    assert seen
    assert not [name for name in seen if name.endswith(".prom")]
    assert [other.read_text() for other in tmp_path.iterdir()] == ["old\n"]


def test_a_run_without_a_champion_is_recorded_with_exit_2(study: SmallStudy) -> None:
    (study.workspace.models / "ledger.jsonl").unlink()
    with pytest.raises(NoChampionError):
        run()
    record = last(study)
    assert (record.outcome, record.exit_code) == ("failed", 2)
    assert "promote" in record.problem


def test_an_unforeseen_fault_is_recorded_with_its_kind_alone(
    study: SmallStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its text could name a patient."""

    def broken(*_: object) -> None:
        raise ValueError("H-1")

    monkeypatch.setattr("pipelines.scoring.score.score", broken)
    with pytest.raises(ValueError, match="H-1"):
        run()
    assert (last(study).exit_code, last(study).problem) == (3, "ValueError")


def test_settings_that_cannot_be_read_are_recorded(study: SmallStudy) -> None:
    settle(study, prometheus="radmill.txt")
    with pytest.raises(RadmillError, match=r"scoring\.prometheus"):
        run()
    assert last(study).exit_code == 2


def test_two_runs_never_overlap(study: SmallStudy) -> None:
    """By hand it is told as a fault; a scheduled run leaves the cases to the one at work, and records that."""
    with study.workspace.lock("radmill score", name="deployment"):
        with pytest.raises(LockedError, match="is running"):
            run()
        found = run("--quiet")
    assert found.exit_code == 0
    assert "left to it" in found.stderr
    assert last(study).outcome == "skipped"
    assert study.history().empty


def test_the_last_run_is_told_on_one_line(study: SmallStudy) -> None:
    """As `radmill status` shows it."""
    run()
    assert re.fullmatch(
        r"20\S+Z, exit 0, \d+ s: 1 scored, 1 waiting, 0 refused, 0 alarms", recent_runs(study.workspace)[-1].words()
    )
