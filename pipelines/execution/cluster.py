"""The Dask runner: worker processes that start with the first case, and end with the block that opened them."""

import importlib.util
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipelines.execution.pool import LocalPool
from pipelines.execution.problems import NotEnoughMemoryError
from pipelines.execution.window import Window, Work
from pipelines.params.operation import ClusterSection
from pipelines.runner import CaseOutcome, CaseTask, Runner, SerialRunner

_WORKER_MB = 250.0
"""What a warm worker holds before its first case: Python, Dask, SimpleITK and an engine."""


class DaskRunner:
    """Runs cases in worker processes of this machine.

    Args:
        cluster: How many workers, how much memory, how many cases in flight, and when one is given up.
    """

    def __init__(self, cluster: ClusterSection) -> None:
        self._cluster = cluster
        self._pool: LocalPool | None = None

    @property
    def is_started(self) -> bool:
        """Whether worker processes were needed so far."""
        return self._pool is not None

    def run(self, work: Work, tasks: Sequence[CaseTask]) -> Iterator[CaseOutcome]:
        """Yields the outcome of each task as they end.

        Args:
            work: A function that the workers can import.
            tasks: The cases; with none, no process is started.
        """
        memory_bytes = self._memory_bytes()
        fitting = []
        for task in tasks:
            if task.memory_mb + _WORKER_MB > memory_bytes / 1e6:
                yield CaseOutcome(task=task, error=_too_large(task, memory_bytes))
            else:
                fitting.append(task)
        if not fitting:
            return
        if self._pool is None:
            self._pool = LocalPool(n_workers(self._cluster), memory_bytes)
        window = Window(self._pool, work, size=self._cluster.window, timeout_s=self._cluster.timeout_s)
        yield from window.run(fitting)

    def close(self) -> None:
        """Ends the workers."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _memory_bytes(self) -> int:
        total = int(self._cluster.memory_gb * 1e9) or machine_memory_bytes()
        return total // n_workers(self._cluster)


@contextmanager
def open_runner(cluster: ClusterSection) -> Iterator[Runner]:
    """Yields what runs cases: worker processes where Dask is installed, else this process.

    Nothing is started before the first case; all workers are gone when the block ends, however it ends.
    """
    if importlib.util.find_spec("distributed") is None:
        yield SerialRunner()
        return
    runner = DaskRunner(cluster)
    try:
        yield runner
    finally:
        runner.close()


def n_workers(cluster: ClusterSection) -> int:
    """Returns how many worker processes there are: as set, else one less than cores, and at least one."""
    return cluster.workers or max(1, len(os.sched_getaffinity(0)) - 1)


def machine_memory_bytes() -> int:
    """Returns the memory this process may use: the machine's, or less in a container."""
    from distributed.system import MEMORY_LIMIT

    return int(MEMORY_LIMIT)


def _too_large(task: CaseTask, memory_bytes: int) -> NotEnoughMemoryError:
    need, have = (task.memory_mb + _WORKER_MB) / 1e3, memory_bytes / 1e9
    return NotEnoughMemoryError(f"needs about {need:.1f} GB, a worker has {have:.1f} GB", where=task.name)
