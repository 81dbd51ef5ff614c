"""Machines that share only TCP and an object store, as processes of this one: scheduler, workers, store.

Each has an empty folder of its own as working and home folder. A worker runs, where the system lets it, in a mount
namespace in which the study's parent folder is an empty one, so that it could not read it if it tried.
"""

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from proofs.certificates import make_certificates

BUCKET = "machines"
_KEY = re.compile(r"radmill-[0-9a-f]{32}/(open|files/[0-9a-f]{64}|parts/[0-9a-f]{64}\.part)")
_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "proof", "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-proof", "AWS_DEFAULT_REGION": "us-east-1",
}  # fmt: skip
_HIDE = 'mount -t tmpfs -o size=1m none "$1" && shift && exec "$@"'


@dataclass
class Machines:
    """A scheduler, workers and a store.

    Args:
        folder: Where their folders go.
        hidden: The folder that workers must not see.
        code: The folder of radmill's packages.
    """

    folder: Path
    hidden: Path
    code: Path
    is_hidden: bool = False
    port: int = 0
    endpoint: str = ""
    seen: set[str] = field(default_factory=set)
    _processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    _client: Any = None

    @property
    def tls(self) -> Path:
        """The folder of all certificates."""
        return self.folder / "tls"

    def env(self, home: Path, before: str = "") -> dict[str, str]:
        """Returns the environment of a machine, with the keys of the store and nothing of this process.

        Args:
            home: Its home folder.
            before: A folder of modules that come before all others.
        """
        own = Path(sys.executable).parent
        return {
            "PATH": f"{own}{os.pathsep}/usr/local/bin:/usr/bin:/bin",
            "HOME": str(home),
            "PYTHONPATH": os.pathsep.join(part for part in (before, str(self.code)) if part),
            "AWS_ENDPOINT_URL": self.endpoint,
            "NO_PROXY": "*",
            **_CREDENTIALS,
        }

    def start_scheduler(self, port: int = 0) -> None:
        """Starts the scheduler, and waits until it listens."""
        self.port = port or _free_port()
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--protocol", "tls", "--no-dashboard"]
        self._start("scheduler", ["scheduler", *options])
        wait_until(lambda: _is_open(self.port), "the scheduler listens")

    def start_worker(self, name: str, before: str = "") -> None:
        """Starts a worker; `before` is a folder of modules that come before all others there."""
        options = [f"tls://127.0.0.1:{self.port}", "--nthreads", "1", "--no-dashboard", "--name", name]
        self._start(name, ["worker", *options], before)

    def kill_worker(self, name: str) -> int:
        """Kills the process that works for a worker's nanny, and returns its number."""
        for child in psutil.Process(self._processes[name].pid).children(recursive=True):
            if "spawn_main(" in " ".join(child.cmdline()):
                child.kill()
                return int(child.pid)
        raise SystemExit(f"worker {name} has no process")

    def log(self, name: str) -> str:
        """Returns what a process wrote."""
        return (self.folder / name / "log").read_text(encoding="utf-8", errors="replace")

    def stop(self, name: str) -> None:
        """Ends a process and all that it started."""
        process = self._processes.pop(name)
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        for one in children:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.kill()
        process.wait()

    def stored(self) -> list[str]:
        """Returns the names of all that lies in the store."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        found = [item["Key"] for page in pages for item in page.get("Contents", ())]
        self.seen.update(found)
        return found

    def strange_keys(self) -> list[str]:
        """Returns names that were seen in the store and are none of a run's."""
        return sorted(key for key in self.seen if _KEY.fullmatch(key.split("/", 1)[1]) is None)

    def files_seen(self) -> set[str]:
        """Returns the hashes of all files that were seen in the store."""
        return {key.rsplit("/", 1)[1] for key in self.seen if "/files/" in key}

    def _start(self, name: str, command: list[str], before: str = "") -> None:
        own = self.folder / name
        own.mkdir(parents=True, exist_ok=True)
        kind = command[0]
        tls = ["ca-file", f"{self.tls}/ca.pem", "cert", f"{self.tls}/{kind}.pem", "key", f"{self.tls}/{kind}.key"]
        files = [word for flag, path in zip(tls[::2], tls[1::2], strict=True) for word in (f"--tls-{flag}", path)]
        full = [sys.executable, "-m", "dask", *command, *files]
        if kind == "worker" and self.is_hidden:
            full = ["unshare", "--mount", "sh", "-c", _HIDE, "sh", str(self.hidden), *full]
        with (own / "log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                full, cwd=own, env=self.env(own, before), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def close(self) -> None:
        """Ends all of them."""
        for name in [*self._processes][::-1]:
            self.stop(name)


@contextmanager
def machines(folder: Path, hidden: Path, code: Path) -> Iterator[Machines]:
    """Yields a scheduler without workers and an empty store; all processes are gone when the block ends."""
    import boto3
    from moto.server import ThreadedMotoServer

    hidden.mkdir(parents=True, exist_ok=True)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    host, port = store.get_host_and_port()
    made = Machines(folder, hidden, code, endpoint=f"http://{host}:{port}", is_hidden=can_hide(hidden))
    made._client = boto3.client(
        "s3",
        endpoint_url=made.endpoint,
        aws_access_key_id=_CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=_CREDENTIALS["AWS_DEFAULT_REGION"],
    )
    made._client.create_bucket(Bucket=BUCKET)
    make_certificates(made.tls)
    try:
        made.start_scheduler()
        yield made
    finally:
        made.close()
        store.stop()


def cluster(made: Machines, port: int = 0, tls: Path | None = None) -> dict[str, Any]:
    """Returns the section `cluster` of a study that works there; `port` is a relay's."""
    own = tls or made.tls
    files = {"ca": f"{own}/ca.pem", "certificate": f"{own}/client.pem", "key": f"{own}/client.key"}
    address = f"tls://127.0.0.1:{port or made.port}"
    return {"kind": "address", "address": address, "tls": files, "store": f"s3://{BUCKET}/proof", "workers": 2}


def can_hide(folder: Path) -> bool:
    """Whether a process can be started for which a folder is empty."""
    command = ["unshare", "--mount", "sh", "-c", _HIDE, "sh", str(folder), "true"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def wait_until(is_so: Callable[[], bool], what: str, limit_s: float = 120.0) -> None:
    """Waits until something is so, and ends the proof when it never is."""
    deadline = time.monotonic() + limit_s
    while not is_so():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {limit_s:g} s: {what}")
        time.sleep(0.05)


def write_result(path: Path, step: str, seen: dict[str, Any]) -> None:
    """Adds what a step saw to a file of results."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**known, step: seen}, indent=1) + "\n", encoding="utf-8")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def _is_open(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
