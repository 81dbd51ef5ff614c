"""A Dask cluster of warm worker processes on this machine, each taking one case at a time.

Nothing listens beyond the loopback interface, there is no dashboard, and the workers leave interrupts to the driver.
"""

import logging
import os
import signal
from multiprocessing import current_process
from typing import Any

from pipelines.execution.problems import ClusterError, MainGuardError
from pipelines.execution.window import Member
from pipelines.params.operation import ClusterSection

_START_TIMEOUT_S = 60.0

_RETURN_S = 120.0
"""How long workers may take to come back before the run is given up."""

DASK_CONFIG: dict[str, Any] = {
    "distributed.admin.low-level-log-length": 50,  # by default the scheduler keeps the last 1,000 cases of each worker
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.worker-ttl": None,  # compiled code may silence a worker for long; the driver keeps time
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.nanny.pre-spawn-environ": {
        "MALLOC_TRIM_THRESHOLD_": 65536,
        "OMP_NUM_THREADS": 1,
        "MKL_NUM_THREADS": 1,
        "OPENBLAS_NUM_THREADS": 1,
        "NUMBA_NUM_THREADS": 1,
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": 1,
    },
}
"""What Dask is told of scheduler and workers."""

_PATIENCE = {"distributed.deploy.lost-worker-timeout": "1000 days"}
"""The cluster dismisses a worker that is away this long after another of its name was lost, also when it is on its way
back. Dask reads it when a worker is lost, so it holds as long as the pool does."""


def local_pool(cluster: ClusterSection, _: object) -> "LocalPool":
    """Returns worker processes as set."""
    total = int(cluster.memory_gb * 1e9) or machine_memory_bytes()
    return LocalPool(n_workers(cluster), total // n_workers(cluster))


def n_workers(cluster: ClusterSection) -> int:
    """Returns how many processes of this machine work: as set, else one less than cores, and at least one."""
    return cluster.workers or max(1, len(os.sched_getaffinity(0)) - 1)


def machine_memory_bytes() -> int:
    """Returns the memory this process may use: the machine's, or less in a container."""
    from distributed.system import MEMORY_LIMIT

    return int(MEMORY_LIMIT)


class LocalPool:
    """Worker processes on this machine.

    Args:
        n_workers: How many.
        memory_bytes: The memory each may use before it is ended.

    Raises:
        ClusterError: They do not start.
        MainGuardError: This process is itself being started by another one.
    """

    def __init__(self, n_workers: int, memory_bytes: int) -> None:
        self.n_workers = n_workers
        self.memory_bytes = memory_bytes
        self._refuse_to_nest()
        self._patience = patience()
        self.client, self._cluster = self._start()
        self.patience_s = _RETURN_S

    def members(self) -> dict[str, Member]:
        """Returns the workers by name; one that is being restarted is left out."""
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        return {
            str(worker["name"]): Member(address=address, life=address, memory_bytes=self.memory_bytes)
            for address, worker in workers.items()
        }

    def is_excused(self, name: str) -> bool:
        """Says no: nobody takes a worker away."""
        return False

    def absence(self) -> str:
        """Says nothing more: they should be there."""
        return ""

    def kill(self, name: str) -> None:
        """Ends a worker at once; its guardian starts another under the same name."""
        pid = next((nanny.pid for key, nanny in self._cluster.workers.items() if str(key) == name), None)
        if pid:
            os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Ends all workers, whatever they do."""
        for name, nanny in list(self._cluster.workers.items()):
            nanny.auto_restart = False
            self.kill(str(name))
        self.client.close(timeout=2)
        self._cluster.close(timeout=10)
        self._patience.__exit__(None, None, None)

    def _start(self) -> tuple[Any, Any]:
        import dask
        from distributed import Client, LocalCluster

        from pipelines.execution.remote import hush_dask

        hush_dask()
        try:
            with dask.config.set(DASK_CONFIG):
                cluster = LocalCluster(
                    n_workers=self.n_workers,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=self.memory_bytes,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    scheduler_kwargs={"dashboard": False},
                    silence_logs=logging.CRITICAL + 1,
                )
                client = Client(cluster, set_as_default=False)
                client.wait_for_workers(self.n_workers, timeout=_START_TIMEOUT_S)
                client.register_plugin(_make_plugin())
        except (OSError, RuntimeError, TimeoutError) as error:
            raise ClusterError(f"{self.n_workers} worker processes did not start: {error}") from error
        return client, cluster

    @staticmethod
    def _refuse_to_nest() -> None:
        if getattr(current_process(), "_inheriting", False):
            raise MainGuardError("workers cannot be started while a script is being imported by one")


def patience() -> Any:
    """Lets a cluster wait for workers that are on their way back; ended by the `__exit__` of what is returned."""
    import dask
    import distributed  # noqa: F401  its defaults must be there before one of them is replaced

    return dask.config.set(_PATIENCE)


def ignore_interrupts() -> None:
    """Leaves Ctrl-C to the driver, which ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _make_plugin() -> Any:
    from distributed import WorkerPlugin

    class Deaf(WorkerPlugin):  # type: ignore[misc]  # distributed is untyped
        """Ignores interrupts from the terminal, in restarted workers too."""

        name = "radmill-interrupts"

        def setup(self, worker: Any) -> None:
            ignore_interrupts()

    return Deaf()
