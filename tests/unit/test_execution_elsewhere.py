"""Schedulers, workers and stores that vanish or hang: a run neither waits for ever nor says the wrong thing."""

import threading
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from featurestore.blobs import Blobs, BlobStoreError
from pipelines.execution import carried, kubernetes, remote, slurm
from pipelines.execution.admission import Gate, probe_function
from pipelines.execution.problems import ClusterError
from pipelines.execution.surroundings import Surroundings
from pipelines.params.operation import ClusterSection

TLS = {"ca": "ca.pem", "certificate": "c.pem", "key": "k.pem"}


def test_a_worker_that_vanished_before_it_answered_is_not_waited_for() -> None:
    """While one is waited for, workers that are all refused do not end a run."""
    gate = Gate(print, own={})
    gate._asked["gone"] = Future()
    gate.admitted(None, {})
    assert not gate.is_waiting


def test_a_scheduler_that_hangs_or_tells_nothing_is_named() -> None:
    def silent(*_: object, callback_timeout: float) -> None:
        raise TimeoutError

    def answers(*_: object, callback_timeout: float) -> dict[str, Any]:
        return {"host": {"python": "3.11.7.final.0"}}

    def refuses(*_: object, callback_timeout: float) -> None:
        raise ValueError("explicitly disallowed")

    for sync, run, said in ((silent, refuses, "no answer within 10 s"), (answers, refuses, "explicitly disallowed")):
        client = SimpleNamespace(scheduler=SimpleNamespace(address="tls://s:1", versions=None))
        client.sync, client.run_on_scheduler = sync, run
        with pytest.raises(ClusterError, match=f"does not tell its versions: {said}"):
            remote._check_scheduler(client, {"python": "3.11.7"})


def test_an_end_does_not_wait_until_a_store_is_tried_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = threading.Event()

    def broken(*_: object) -> None:
        tried.set()
        raise OSError("no way")

    blobs = Blobs("memory://store")
    monkeypatch.setattr(Blobs, "_call", broken)
    monkeypatch.setattr(blobs, "_pauses_s", (60.0, 60.0))
    failed: list[BlobStoreError] = []

    def put() -> None:
        try:
            blobs.put("one", b"")
        except BlobStoreError as error:
            failed.append(error)

    thread = threading.Thread(target=put, daemon=True)
    thread.start()
    assert tried.wait(5)
    blobs.hurry()
    thread.join(5)
    assert [error.what for error in failed] == ["OSError: no way"]


def test_what_comes_while_a_run_is_removed_is_not_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that comes too late looks for the mark after it put its part; so the mark goes before the rest."""
    blobs = Blobs("memory://run-that-ends")
    for name in ("open", "parts/early"):
        blobs.put(name, b"")
    swept = blobs.sweep

    def late() -> int:
        blobs.put("parts/late", b"")
        assert not blobs.has("open")
        return swept()

    monkeypatch.setattr(blobs, "sweep", late)
    carried._sweep(blobs)
    assert not any(blobs.has(name) for name in ("open", "parts/early", "parts/late"))


@pytest.mark.parametrize(("store", "is_looked_for"), [("", True), ("s3://bucket/prefix", False)])
def test_workers_of_every_kind_must_see_the_study_or_have_a_store(
    store: str, is_looked_for: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each case ends as damaged, and the remedy misleads."""
    seen: list[Path | None] = []
    monkeypatch.setattr(kubernetes, "security", lambda *_: None)
    monkeypatch.setattr(kubernetes, "wait_for", lambda *_: None)
    monkeypatch.setattr(kubernetes, "KubernetesPool", lambda *given: seen.append(given[-1]))
    monkeypatch.setattr(slurm, "SlurmJobs", lambda *_: None)
    monkeypatch.setattr(slurm, "SlurmPool", lambda *given: seen.append(given[-1]))
    around = Surroundings(tmp_path, print)
    kubernetes.kubernetes_pool(ClusterSection(kind="kubernetes", tls=TLS, store=store), around)
    slurm.slurm_pool(ClusterSection(kind="slurm", store=store), around)
    assert seen == [tmp_path if is_looked_for else None] * 2


def test_a_port_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="none like tls://scheduler:8786"):
        ClusterSection(kind="address", address="tls://scheduler:99999", tls=TLS)


@pytest.mark.parametrize("changed", ["featurestore/blobs.py", "pipelines/ingest/masks.py", "pipelines/images/files.py"])
def test_other_code_is_told_whichever_part_of_it_runs_on_workers(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def code() -> str:
        return str(probe_function()()["versions"]["code"])

    for name in ("featurestore", "pipelines/execution", "pipelines/images", "pipelines/ingest", "pipelines/radiomics"):
        (tmp_path / name).mkdir(parents=True)
    specs = {name: SimpleNamespace(submodule_search_locations=[str(tmp_path / name)]) for name in _PACKAGES}
    monkeypatch.setattr("importlib.util.find_spec", specs.get)
    before = code()
    (tmp_path / changed).write_text("x = 1\n")
    (tmp_path / "pipelines" / "status.py").write_text("x = 1\n")
    one = code()
    assert one != before
    (tmp_path / "pipelines" / "status.py").write_text("x = 2\n")
    assert code() == one, "what never runs there may differ"


_PACKAGES = ("featurestore", "pipelines")


def test_logs_of_studies_that_share_a_folder_are_kept_apart(tmp_path: Path) -> None:
    """The jobs of one could not start when the folder of their logs went with the old ones of another."""
    from pipelines.execution.slurm_script import log_folder
    from pipelines.params.slurm import SlurmSection

    section = SlurmSection(shared=str(tmp_path))
    at_work = log_folder(section, tmp_path / "one", "run")
    for number in range(25):
        log_folder(section, tmp_path / "two", f"run-{number}")
    assert at_work.is_dir()
    assert len(list(tmp_path.glob("radmill-logs-*/run-*"))) == 20
