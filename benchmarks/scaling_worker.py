"""Simulated machines for `benchmarks/scaling_window.py`: real Dask workers, many in a process, whose work is a sleep.

    python benchmarks/scaling_worker.py HOST_ADDRESS FIRST COUNT     # COUNT workers, named from FIRST on

A case sleeps as long as a measured one took, divided by SCALING_FASTER; which one, its fingerprint decides.
"""

import asyncio
import json
import os
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

COSTS = Path(__file__).parent / "results" / "scaling_costs.json"
FASTER = "SCALING_FASTER"
IDLE = {
    "distributed.comm.timeouts.connect": "60s",
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "5s",
    "distributed.admin.system-monitor.interval": "30s",
}
"""What a worker does beside its cases would be done 64 times over on the cores that driver and scheduler need."""


def pretend(*, fingerprint: str, **_: Any) -> dict[str, Any]:
    """Takes the place of `extract_region`: the same payload and receipt, and no voxel is read."""
    faster = float(os.environ.get(FASTER, "1"))
    if faster < 1e6:
        time.sleep(cost(fingerprint) / faster)
    return {"n_features": 1130}


def cost(fingerprint: str) -> float:
    """Returns the seconds that a measured case took, drawn by the fingerprint."""
    measured = seconds()
    return measured[int(fingerprint[:12], 16) % len(measured)]


@lru_cache
def seconds() -> tuple[float, ...]:
    """Returns every measured time."""
    found = json.loads(COSTS.read_text(encoding="utf-8"))
    return tuple(second for case in found["cases"].values() for second in case["seconds"])


async def _work(address: str, first: int, count: int) -> None:
    from distributed import Worker

    workers = [
        Worker(address, nthreads=1, name=str(number), dashboard=False, memory_limit=0, host="127.0.0.1")
        for number in range(first, first + count)
    ]
    for worker in workers:
        await worker
    await asyncio.gather(*(worker.finished() for worker in workers))


if __name__ == "__main__":
    import dask

    dask.config.set(IDLE)
    asyncio.run(_work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
