"""A Dask cluster of warm worker processes on this machine, each taking one case at a time.

Nothing listens beyond the loopback interface, there is no dashboard, and the workers leave interrupts to the driver.
"""

import asyncio
import logging
import os
import signal
import time
from contextlib import suppress
from multiprocessing import current_process
from typing import Any

from pipelines.execution.admission import life_of
from pipelines.execution.problems import ClusterError, MainGuardError
from pipelines.execution.surroundings import Surroundings, Tell
from pipelines.execution.window import Member
from pipelines.params.operation import ClusterSection

_START_TIMEOUT_S = 60.0

_RETURN_S = 120.0
"""How long workers may take to come back before the run is given up."""

_ASK_S = 20.0
"""How long the scheduler may take to say which workers there are."""

_ENDED_S = 3.0
"""How long a worker may be away whose guardian has ended too, before it gets another guardian."""

_AWAY_S = _START_TIMEOUT_S
"""How long a worker may be away, whatever its guardian says, before it gets another guardian: as long as a first start
may take, or one that starts slowly is ended again and again."""

_NONE_S = 50.0
"""How long there may be no worker at all before scheduler and workers are begun anew."""

_GUARDING = ("init", "starting", "running")
"""The states in which a guardian starts its worker again."""

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


def local_pool(cluster: ClusterSection, around: Surroundings) -> "LocalPool":
    """Returns worker processes as set."""
    total = int(cluster.memory_gb * 1e9) or machine_memory_bytes()
    return LocalPool(n_workers(cluster), total // n_workers(cluster), around.tell)


def n_workers(cluster: ClusterSection) -> int:
    """Returns how many processes of this machine work: as set, else one less than cores, and at least one."""
    return cluster.workers or max(1, len(os.sched_getaffinity(0)) - 1)


def machine_memory_bytes() -> int:
    """Returns the memory this process may use: the machine's, or less in a container."""
    from distributed.system import MEMORY_LIMIT

    return int(MEMORY_LIMIT)


class LocalPool:
    """Worker processes on this machine, each with a guardian (Dask's nanny) that starts it again when it ends.

    Guardians end too: with a worker that lost its way to the scheduler, and when a new process cannot be started. A
    worker that is away too long gets another guardian, and when all are, scheduler and workers are begun anew.

    Args:
        n_workers: How many.
        memory_bytes: The memory each may use before it is ended.
        tell: Is told what a person should know while cases run.

    Raises:
        ClusterError: They do not start.
        MainGuardError: This process is itself being started by another one.
    """

    def __init__(self, n_workers: int, memory_bytes: int, tell: Tell = lambda _: None) -> None:
        self.n_workers = n_workers
        self.memory_bytes = memory_bytes
        self._tell = tell
        self._refuse_to_nest()
        self._patience = patience()
        self.client, self._cluster = self._start()
        self.patience_s = _RETURN_S
        self._away: dict[str, float] = {}
        self._any_seen = time.monotonic()

    def members(self) -> dict[str, Member] | None:
        """Returns the workers by name; one that is being restarted is left out.

        The scheduler is asked, not the client's memory: Dask keeps replacing that by one without any worker.
        """
        workers = self._asked()
        now = time.monotonic()
        if workers:
            self._any_seen = now
        if now - self._any_seen > _NONE_S:
            self._begin_anew()
            workers = self._asked()
        self._replace_guardians(set(workers or ()))
        return workers

    def is_excused(self, name: str) -> bool:
        """Says no: nobody takes a worker away."""
        return False

    def absence(self) -> str:
        """Says what is known of each worker."""
        told = [_state(str(name), nanny) for name, nanny in sorted(self._cluster.workers.items())]
        return f": {'; '.join(told) or 'there is none'}"

    def kill(self, name: str) -> None:
        """Ends a worker at once; its guardian starts another under the same name."""
        pid = next((nanny.pid for key, nanny in self._cluster.workers.items() if str(key) == name), None)
        if pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Ends all workers, whatever they do."""
        self._end()
        self._patience.__exit__(None, None, None)

    def _end(self) -> None:
        for name in list(self._cluster.workers):
            self.kill(str(name))
        for end, limit_s in ((self.client.close, 2), (self._cluster.close, 10)):
            with suppress(Exception):  # what does not end in time ends with this process
                end(timeout=limit_s)
        _hush()  # a cluster that closes gives Dask its voice back

    def _asked(self) -> dict[str, Member] | None:
        """Returns the workers that the scheduler has; nothing when it does not answer."""
        try:
            told = self.client.sync(self.client.scheduler.identity, n_workers=-1, callback_timeout=_ASK_S)
        except (OSError, RuntimeError, TimeoutError):
            return None
        return {
            str(worker["name"]): Member(address=address, life=life_of(address, worker), memory_bytes=self.memory_bytes)
            for address, worker in told["workers"].items()
        }

    def _begin_anew(self) -> None:
        self._tell(f"no worker for {_NONE_S:g} s{self.absence()}; starting workers anew")
        self._end()
        self.client, self._cluster = self._start()
        self._any_seen = time.monotonic()
        self._away.clear()

    def _replace_guardians(self, there: set[str]) -> None:
        now = time.monotonic()
        for key in self._cluster.worker_spec:
            name, nanny = str(key), self._cluster.workers.get(key)
            if name in there:
                self._away.pop(name, None)
                continue
            limit_s = _ENDED_S if nanny is not None and nanny.status.name not in _GUARDING else _AWAY_S
            if now - self._away.setdefault(name, now) > limit_s:
                self._away[name] = now
                self._cluster.loop.add_callback(_replaced, self._cluster, key)

    def _start(self) -> tuple[Any, Any]:
        import dask
        from distributed import Client, LocalCluster

        _hush()
        try:
            with dask.config.set(DASK_CONFIG):
                cluster = LocalCluster(
                    n_workers=self.n_workers,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=self.memory_bytes,
                    worker_class=_guardian(),
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


def _hush() -> None:
    from pipelines.execution.remote import hush_dask

    hush_dask()


def _state(name: str, nanny: Any) -> str:
    """Says what is known of a worker that should be there."""
    process = f"process {nanny.pid} is there" if nanny.pid else "no process"
    last = f", the last one ended with code {nanny.last_exit}" if nanny.last_exit is not None else ""
    return f"worker {name} has {process}{last} (its guardian is {nanny.status.name})"


async def _replaced(cluster: Any, key: Any) -> None:
    """Gives a worker another guardian, which starts another process."""
    nanny = cluster.workers.pop(key, None)
    if nanny is not None:
        with suppress(Exception):  # whatever state it is in
            await asyncio.wait_for(nanny.close(timeout=2), timeout=_ENDED_S * 2)
    if cluster.status.name == "running":
        cluster.scale(len(cluster.worker_spec))  # as many as before: it starts what is missing


def _guardian() -> Any:
    from distributed import Nanny

    class Guardian(Nanny):  # type: ignore[misc]  # distributed is untyped
        """Remembers how the last process ended."""

        last_exit: int | None = None

        def _on_worker_exit_sync(self, exitcode: int) -> None:
            self.last_exit = exitcode
            super()._on_worker_exit_sync(exitcode)

    return Guardian


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
