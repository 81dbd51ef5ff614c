"""The real window and the real Dask scheduler, over workers that only sleep: how fast cases are handed out.

Real are the driver's `Window`, Dask's client, scheduler and worker, their messages over TCP, and what a case carries.
Simulated are the machines (the workers share a few processes of this one) and the extraction (a sleep as long as a
measured case took, divided by a known factor). The scheduler is a process of its own, so that its memory and processor
time are known apart.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from scaling_worker import FASTER, pretend, seconds

from featurestore.entities import CaseKey
from pipelines.execution.pool import DASK_CONFIG
from pipelines.execution.region_work import region_task
from pipelines.execution.regions import Region
from pipelines.execution.window import Member, Window
from pipelines.radiomics.base import WholeImage
from pipelines.runner import CaseTask

HERE = Path(__file__).parent
CENTERS = 50
WORKERS_A_PROCESS = 64
MEMORY_BYTES = 4_000_000_000
PATIENT = {"distributed.comm.timeouts.tcp": "3600s"}
"""A benchmark that is stopped for some minutes, as a job of low rank may be, goes on afterwards."""
SETTINGS = '{"featureClass":{"firstorder":null,"glcm":null,"gldm":null,"glrlm":null,"glszm":null,"ngtdm":null,"shape":null},"imageType":{"LoG":{"sigma":[1.0,2.0,3.0]},"Original":{},"Wavelet":{}},"setting":{"label":1,"label_channel":0}}'  # noqa: E501


class SimulatedPool:
    """A scheduler and its workers in processes of this machine, as the window sees a cluster."""

    def __init__(self, n_workers: int, faster: float) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.patience_s = 3600.0
        self.n_lost = 0
        self._lives: Counter[str] = Counter()
        told = Path(self._folder.name) / "scheduler.json"
        environment = {**os.environ, **_settings(), FASTER: str(faster), "PYTHONPATH": f"{HERE.parent}:{HERE}"}
        options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(told)]
        started = [sys.executable, "-m", "distributed.cli.dask_scheduler", *options]
        self.scheduler = subprocess.Popen(started, env=environment)
        self.hosts: list[subprocess.Popen[bytes]] = []
        try:
            self.client = self._client(told)
            address = self.client.scheduler.address
            for first in range(0, n_workers, WORKERS_A_PROCESS):
                count = min(WORKERS_A_PROCESS, n_workers - first)
                command = [sys.executable, str(HERE / "scaling_worker.py"), address, str(first), str(count)]
                self.hosts.append(subprocess.Popen(command, env=environment))
            self.client.wait_for_workers(n_workers, timeout=120)
        except BaseException:
            self.close()
            raise

    def _client(self, told: Path) -> Any:
        import dask
        from distributed import Client

        dask.config.set(PATIENT)
        for _ in range(600):
            if told.exists() and told.read_text():
                break
            time.sleep(0.1)
        return Client(scheduler_file=str(told), set_as_default=False)

    def members(self) -> dict[str, Member] | None:
        if self.client.status != "running":
            return None
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        return {
            str(worker["name"]): Member(
                address=address, life=f"{address} {self._lives[str(worker['name'])]}", memory_bytes=MEMORY_BYTES
            )
            for address, worker in workers.items()
        }

    def kill(self, name: str) -> None:
        """Takes a worker as started anew: what it simulates has no process of its own."""
        self.n_lost += 1
        self._lives[name] += 1

    def is_excused(self, name: str) -> bool:
        self.n_lost += 1
        return True

    def absence(self) -> str:
        return ""

    def close(self) -> None:
        for process in (*self.hosts, self.scheduler):
            process.kill()
            process.wait()
        self._folder.cleanup()


def _settings() -> dict[str, str]:
    """Returns radmill's own settings of Dask as a process elsewhere is told them."""
    told = {key: value for key, value in {**DASK_CONFIG, **PATIENT}.items() if not isinstance(value, dict)}
    names = {key: "DASK_" + key.upper().replace(".", "__").replace("-", "_") for key in told}
    return {"DASK_LOGGING__DISTRIBUTED": "error", **{names[key]: str(value) for key, value in told.items()}}


def tasks(n: int) -> Iterator[CaseTask]:
    """Yields cases as extract would hand them over, one at a time."""
    whole = WholeImage(
        mean=-200.0, sd=400.0, minimum=-1024.0, maximum=3071.0, size=(512, 512, 100), lower=(100, 100, 20),
        origin_mm=(-180.0, -180.0, -400.0),
    )  # fmt: skip
    for number in range(n):
        mark = hashlib.sha256(str(number).encode()).hexdigest()
        key = CaseKey(center=f"c{number * CENTERS // n:03d}", case_id=mark[:16], phase="late", roi="tumor", observer="")
        names = {kind: f"{key.center}/{key.stem()}_{kind}.nii.gz" for kind in ("image", "mask")}
        hashes = dict.fromkeys(("image_hash", "mask_hash", "image_bytes_hash", "mask_bytes_hash"), mark)
        region = Region(
            key=key, is_primary=True, **names, hashes=hashes, whole=whole, spacing_mm=(0.8, 0.8, 2.5), n_voxels=500_000
        )
        part = Path("/study/.radmill/parts/extract/development") / f"{mark}.json"
        yield region_task(region, SETTINGS, "fast", Path("/study/data/cases/development"), part, mark)


def handed_out(
    n: int, workers: int, faster: float, keep: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """Runs `n` cases over `workers`; returns times, processor seconds and memory over the run.

    Args:
        n: How many cases.
        workers: How many simulated workers.
        faster: How much shorter a case is than it was measured.
        keep: Is given what was seen so far, forty times in a run.
    """
    pool = SimulatedPool(workers, faster)
    try:
        window = Window(pool, pretend, size=workers, timeout_s=1800)
        before, began, found = _processors(pool), time.perf_counter(), {}
        series = [_sample(pool, 0, 0.0)]
        for done, outcome in enumerate(window.run(tasks(n)), 1):
            if outcome.error is not None:
                raise outcome.error
            if done % max(n // 40, 1) == 0 or done == n:
                took = time.perf_counter() - began
                series.append(_sample(pool, done, took))
                used = {name: round(1e3 * (now - before[name]) / done, 4) for name, now in _processors(pool).items()}
                found = {
                    "cases": n,
                    "done": done,
                    "workers": workers,
                    "faster": faster,
                    "mean_case_s": round(sum(seconds()) / len(seconds()), 4),
                    "seconds": round(took, 2),
                    "cases_a_second": round(done / took, 1),
                    "cpu_ms_a_case": used,
                    "lost_workers": pool.n_lost,
                    "series": series,
                }
                if keep is not None:
                    keep(found)
        return found
    finally:
        pool.client.close(timeout=5)
        pool.close()


def _sample(pool: SimulatedPool, done: int, at: float) -> dict[str, float]:
    in_scheduler = pool.client.run_on_scheduler(_n_tasks)
    return {
        "done": done,
        "s": round(at, 1),
        "driver_mb": resident_mb(os.getpid()),
        "scheduler_mb": resident_mb(pool.scheduler.pid),
        "tasks_in_scheduler": in_scheduler,
        "futures_in_driver": len(pool.client.futures),
    }


def _n_tasks(dask_scheduler: Any) -> int:
    return len(dask_scheduler.tasks)


def _processors(pool: SimulatedPool) -> dict[str, float]:
    times = {"driver": time.process_time(), "scheduler": _cpu(pool.scheduler.pid)}
    return {**times, "workers": sum(_cpu(host.pid) for host in pool.hosts)}


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Returns what a process holds in memory now."""
    told = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+)", told)
    return round(int(found.group(1)) / 1024, 1) if found else 0.0
