"""Shows that the MLflow window can be lost: rebuilt in place, in a clone, and on a server that is killed half-way.

`python -m proofs.rebuild FOLDER` makes a small study in FOLDER when there is none, asks MLflow's REST API what it
shows, loses the database in three ways, and compares what the API says afterwards. It also makes every registered
version again.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proofs.small_study import FUSION, NETWORK, REGISTERED, TABULAR, call, commit, radmill, small_study
from proofs.window import shown
from tests.contract.postgres import Postgres, binaries, free_port

NAME = "her2-bladder"
KILLS = 4
STARTING_S = 60


def main(folder: Path) -> None:
    """Runs the proof."""
    study = _decided(small_study(folder / "small" / "study"), folder)
    whole = _seen(study)
    print(f"before: {_counts(whole)}")
    for name in ("mlflow.db", "mlartifacts"):
        path = study / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    radmill(study, "registry", "rebuild")
    _compare("database deleted, `radmill registry rebuild`", whole, _seen(study))
    clone = _cloned(study, folder)
    radmill(clone, "registry", "rebuild")
    _compare("git clone, `dvc pull`, `radmill registry rebuild`", whole, _seen(clone))
    for name in REGISTERED:  # images are in no cache, and so in no clone
        place = clone if name == TABULAR else study
        told = [" ".join(line.split()) for line in radmill(place, "registry", "reproduce", name).splitlines()]
        print(f"made again in the {'clone' if place is clone else 'study'}: {'; '.join(told)}")
    radmill(study, "mirror")
    whole = _seen(study)
    _killed_half_way(study, folder, whole)


def _decided(small: Path, folder: Path) -> Path:
    """Returns a copy of the study with a champion, one before it, a challenger and an override."""
    study = folder / "study"
    shutil.rmtree(study, ignore_errors=True)
    shutil.copytree(small, study, symlinks=True)
    radmill(study, "promote", TABULAR, "--override", "a proof")
    radmill(study, "promote", FUSION, "--override", "another proof")
    radmill(study, "challenge", NETWORK)
    commit(study, "Decisions")
    return study


def _cloned(study: Path, folder: Path) -> Path:
    store, clone = folder / "store", folder / "clone" / "study"
    for path in (store, clone.parent):
        shutil.rmtree(path, ignore_errors=True)
    dvc = (sys.executable, "-m", "dvc")
    call(study, *dvc, "remote", "add", "--default", "--force", "store", str(store.resolve()))
    commit(study, "A remote")
    call(study, *dvc, "push", "--quiet")
    clone.parent.mkdir(parents=True)
    call(clone.parent, "git", "clone", "--quiet", str(study.resolve()), "study")
    call(clone, *dvc, "pull", "--quiet", DVC_SITE_CACHE_DIR=str((clone / ".radmill" / "dvc").resolve()))
    return clone


def _killed_half_way(study: Path, folder: Path, whole: dict[str, Any]) -> None:
    """Kills a tracking server on PostgreSQL at random moments of a mirror, and lets the next one complete it."""
    found, seed = binaries(), random.Random(7)
    if found is None:
        print("skipped: no PostgreSQL on this machine")
        return
    database = Postgres(found)
    database.start()
    try:
        home, port = folder / "server", free_port()
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        address = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        cut = 0
        for _ in range(KILLS):
            with _server(database.uri(), home, port) as server:
                command = [str(Path(sys.executable).with_name("radmill")), "mirror"]
                mirror = subprocess.Popen(command, cwd=study, env={**os.environ, **address}, stderr=subprocess.PIPE)
                time.sleep(seed.uniform(3, 8))
                _kill(server)
                cut += mirror.wait() != 0
        with _server(database.uri(), home, port):
            call(study, str(Path(sys.executable).with_name("radmill")), "mirror", **address)
            again = _asked(address["MLFLOW_TRACKING_URI"])
        _compare(f"server on PostgreSQL killed {KILLS} times, {cut} mirrors cut short, one more mirror", whole, again)
    finally:
        database.close()


def _seen(study: Path) -> dict[str, Any]:
    """Returns what a server on the study's own database shows."""
    port = free_port()
    with _server(f"sqlite:///{(study / 'mlflow.db').resolve()}", study, port):
        return _asked(f"http://127.0.0.1:{port}")


def _asked(address: str) -> dict[str, Any]:
    from registry.mirror.place import connection

    with connection(address) as client:
        return shown(client, NAME)


@contextmanager
def _server(store: str, home: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", store, "--artifacts-destination", str((home / "kept").resolve())]
    env = {**os.environ, "MLFLOW_MODEL_CATALOG_URI": "", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (home.parent / "server.log").open("ab") as log:
        server = subprocess.Popen(
            [*command, *stores], cwd=home, env=env, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait(port)
        yield server
    finally:
        _kill(server)


def _wait(port: int) -> None:
    import urllib.error
    import urllib.request

    for _ in range(STARTING_S * 5):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise SystemExit("the MLflow server does not answer")


def _kill(server: "subprocess.Popen[bytes]") -> None:
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _compare(what: str, one: Any, other: Any) -> None:
    differing = list(_differing(one, other))
    print(f"{what}: {_counts(other)}, {'the same' if not differing else 'DIFFERENT'}")
    if differing:
        raise SystemExit("\n".join(differing[:40]))


def _counts(seen: dict[str, Any]) -> str:
    points = sum(len(curve) for run in seen["runs"].values() for curve in run["metrics"].values())
    params = sum(len(run["params"]) for run in seen["runs"].values())
    files = sum(len(run["artifacts"]) for run in seen["runs"].values())
    return (
        f"{len(seen['versions'])} versions, aliases {seen['aliases']}, {seen['n_runs']} runs, {params} parameters, "
        f"{points} points of metrics and curves, {files} artifacts"
    )


def _differing(one: Any, other: Any, path: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from _differing(one.get(key), other.get(key), f"{path}/{key}")
    elif one != other:
        yield f"{path}: {str(one)[:150]} | {str(other)[:150]}"


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/proofs").resolve())
