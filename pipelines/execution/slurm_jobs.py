"""Jobs of SLURM that are workers: asked for by sbatch, replaced when they end, cancelled when the driver ends."""

import asyncio
import math
import shutil
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from featurestore.errors import InputError
from pipelines.execution.pool import DASK_CONFIG, patience
from pipelines.execution.problems import ClusterError, NoDaskError
from pipelines.execution.remote import hush_dask
from pipelines.execution.slurm_script import certificates, job_settings, log_folder, secret_folder, start_guard
from pipelines.execution.surroundings import Surroundings
from pipelines.params.slurm import SlurmSection

_LOOK_S = 5.0
"""How often SLURM is asked what became of jobs whose workers are not there."""

_ASK_S = 60.0
"""How long one of SLURM's commands may take."""

_SILENT_S = 60.0
"""So long a SLURM that did not answer is not asked again, because no case is handed out while a question waits."""

_BAD_STARTS = 3
"""So many jobs in a row may end before their worker was there; then the next ones will, too."""

_TO_BLAME = {"RUNNING", "COMPLETED", "FAILED", "OUT_OF_MEMORY"}
"""States of a job in which the work itself ended the worker, not SLURM or who runs it."""

_OVER = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "COMPLETING", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "PREEMPTED", "REVOKED", "TIMEOUT",
}  # fmt: skip


class NoSlurmError(InputError):
    """There is no SLURM on this machine."""

    default_remedy = "run it where `sbatch` works, such as a login node or a job, or set cluster.kind to local"


class SubmissionError(ClusterError):
    """SLURM does not take a job."""

    default_remedy = "check cluster.slurm (partition, account, walltime, memory_gb) against `sinfo` and `sacctmgr`"


class BadStartError(ClusterError):
    """Jobs start, and their workers do not."""

    default_remedy = (
        "check that the nodes see the study's folder (else cluster.slurm.shared), the Python of cluster.slurm.python, "
        "and this machine's address (cluster.slurm.interface or host)"
    )


@dataclass(frozen=True)
class _Job:
    """A job as squeue tells of it."""

    state: str
    reason: str

    @property
    def is_over(self) -> bool:
        return self.state in _OVER


_Queue = dict[str | None, _Job]


class SlurmJobs:
    """As many jobs as asked for, each with its workers.

    Args:
        section: How they are asked for.
        around: Where the study is, and whom to tell.

    Raises:
        NoSlurmError: There is no sbatch.
        NoDaskError: dask-jobqueue is not installed.
        SubmissionError: SLURM does not take them.
    """

    def __init__(self, section: SlurmSection, around: Surroundings) -> None:
        self.section = section
        self.around = around
        self.cluster: Any = None
        self._seen: set[str] = set()
        self._ended: dict[str, str] = {}
        self._silent_until = 0.0
        self._bad_starts = 0
        self._told = ""
        for command in ("sbatch", "squeue", "scancel"):
            if shutil.which(command) is None:
                raise NoSlurmError(f"there is no command {command}", where="cluster.kind slurm")
        hush_dask()
        self._secret = secret_folder(self.section, self.around.root)
        self.name = f"radmill-{self._secret.name.rpartition('-')[2]}"
        self._guard = start_guard(self.name, self._secret)
        self._logs = log_folder(self.section, self.around.root, self.name)
        self._patience = patience()
        try:
            self.cluster = self._scheduler()
            for _ in range(self.section.jobs):
                self.cluster.worker_spec.update(self.cluster.new_worker_spec())
            self._submit()
            self._looked = time.monotonic()
        except BaseException:
            self.close()
            raise

    def client(self) -> Any:
        """Returns a client of the scheduler."""
        from distributed import Client

        return Client(self.cluster, set_as_default=False)

    def keep(self, present: Iterable[str]) -> None:
        """Asks for a job in the place of each that ended.

        Args:
            present: The workers that are there.

        Raises:
            BadStartError: Jobs end before their workers are there.
            SubmissionError: SLURM takes none any more, and no worker is left.
        """
        there = {self._job_of(worker) for worker in present}
        self._seen |= there
        self._ended = {name: state for name, state in self._ended.items() if name not in there}
        self._bad_starts = 0 if there else self._bad_starts
        if len(there) >= self.section.jobs or time.monotonic() - self._looked < _LOOK_S:
            return
        queue = self._queue()
        if queue is not None:
            self._keep(there, queue)
        self._looked = time.monotonic()

    def is_excused(self, worker: str) -> bool:
        """Whether SLURM took a worker away (its time was over, somebody cancelled or preempted it, its node failed)."""
        name = self._job_of(worker)
        state = self._ended.get(name)  # another job may have its name by now
        if state is None:
            found = (self._queue() or {}).get(self._id(name))
            state = found.state if found is not None else ""
        return bool(state) and state not in _TO_BLAME

    def absence(self) -> str:
        """Says what the jobs wait for."""
        queue = self._queue()
        told = "squeue does not answer" if queue is None else _in_words(queue)
        return f": {told}; the logs of jobs are in {self._logs}"

    def close(self) -> None:
        """Cancels all jobs and removes the certificates; the guard does so, too, when this process is killed."""
        self._guard.stdin.close()
        try:
            if self.cluster is not None:
                self.cluster.job_cls.silent_until = math.inf  # those not asked for yet are not, after all are cancelled
                with suppress(TimeoutError, OSError, RuntimeError):  # it ends with this process at the latest
                    self.cluster.close(timeout=10)
                self.cluster = None
            self._check_cancelled()
        finally:
            self._patience.__exit__(None, None, None)

    def _check_cancelled(self) -> None:
        try:
            code = self._guard.wait(timeout=_ASK_S)
        except subprocess.TimeoutExpired:
            code = None
        if code != 0:
            told = "SLURM did not answer" if code is None else f"scancel ended with {code}"
            self.around.tell(f"{told}: if `squeue --me` still shows jobs, end them by `scancel --name {self.name}`")

    def _scheduler(self) -> Any:
        import dask

        if not _is_installed("dask_jobqueue"):
            remedy = "pip install 'radmill[cluster]'"
            raise NoDaskError("the package dask-jobqueue is missing", where="cluster.kind slurm", remedy=remedy)
        from dask_jobqueue import SLURMCluster

        with dask.config.set(DASK_CONFIG | {"distributed.scheduler.http.routes": []}):
            return SLURMCluster(
                job_cls=_job_class(),
                name=self.name,
                security=certificates(self._secret),
                silence_logs=False,
                **job_settings(self.section, self.name, self._logs),
            )

    def _submit(self) -> None:
        async def all_asked_for() -> None:
            await self.cluster

        try:
            self.cluster.sync(all_asked_for)
        except TimeoutError as error:
            self._silent_until = time.monotonic() + _SILENT_S
            raise SubmissionError(f"no answer within {_ASK_S:g} s", where="sbatch") from error
        except (RuntimeError, ValueError, OSError) as error:
            raise SubmissionError(str(error), where="sbatch") from error

    def _keep(self, there: set[str], queue: _Queue) -> None:
        over = [name for name in set(self.cluster.workers) - there if _is_over(queue, self._id(name))]
        for name in over:
            self._note_end(name)
        if over:
            self._replace(over, queue, is_any_there=bool(there))
        elif not there:
            self._tell_once(_in_words(queue))

    def _replace(self, names: list[str], queue: _Queue, *, is_any_there: bool) -> None:
        for name in names:
            found = queue.get(self._id(name))
            self._ended[name] = found.state if found is not None else ""
            del self.cluster.workers[name]
            self._seen.discard(name)
        try:
            self._submit()
        except SubmissionError as error:
            if not is_any_there and len(names) == self.section.jobs:
                raise
            self._tell_once(f"a job that ended is not replaced yet: {error}")

    def _tell_once(self, what: str) -> None:
        if what != self._told:
            self._told = what
            self.around.tell(what)

    def _note_end(self, name: str) -> None:
        number = self._id(name)
        if number is None or name in self._seen:
            return
        self._bad_starts += 1
        if self._bad_starts >= _BAD_STARTS:
            log = self._logs / f"{self.name}-{number}.err"
            last = log.read_text(errors="replace").strip().splitlines()[-1:] if log.is_file() else []
            said = f"the last one's log ends with: {last[0]}" if last else "the last one left no log"
            raise BadStartError(f"{self._bad_starts} jobs ended before a worker was there; {said}", where=str(log))

    def _job_of(self, worker: str) -> str:
        return worker.rpartition("-")[0] if self.section.cores > 1 else worker

    def _id(self, name: str) -> str | None:
        job = self.cluster.workers.get(name)
        return None if job is None else job.job_id

    def _queue(self) -> _Queue | None:
        """Returns the jobs of this run that SLURM knows of, also those that ended lately; nothing when it is silent."""
        if time.monotonic() < self._silent_until:
            return None
        command = ["squeue", "--noheader", "--states=all", f"--name={self.name}", "--format=%i|%T|%r"]
        try:
            told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_ASK_S).stdout
        except (subprocess.SubprocessError, OSError):
            self._silent_until = time.monotonic() + _SILENT_S
            self._tell_once("squeue does not answer: jobs that end are not replaced meanwhile")
            return None
        rows = [line.strip().split("|", 2) for line in told.splitlines() if line.count("|") >= 2]
        return {number: _Job(state, reason) for number, state, reason in rows}


def _job_class() -> Any:
    from dask_jobqueue.slurm import SLURMJob
    from distributed.core import Status

    class Job(SLURMJob):  # type: ignore[misc]  # dask-jobqueue is untyped
        """A job that is cancelled with all others of its name, not by a command of its own."""

        silent_until = -math.inf

        async def start(self) -> None:
            try:
                await super().start()
            except BaseException:
                self.status = Status.failed
                raise

        async def close(self) -> None:
            self.status = Status.closed

        async def _submit_job(self, script_filename: str) -> str:
            """Asks in a thread: of those there are few, and thousands of jobs are not asked for at once."""
            return await asyncio.to_thread(self._ask, script_filename)

        @classmethod
        def _ask(cls, script: str) -> str:
            if time.monotonic() < cls.silent_until:  # or thousands would wait for one that hangs, a few at a time
                raise TimeoutError
            try:
                return _submitted(script)
            except TimeoutError:
                cls.silent_until = time.monotonic() + _SILENT_S
                raise

    return Job


def _submitted(script: str) -> str:
    """Returns what sbatch says of a script that it took.

    Raises:
        RuntimeError: It took none; the message is its own.
        TimeoutError: It does not answer.
    """
    try:
        done = subprocess.run(["sbatch", script], capture_output=True, text=True, check=False, timeout=_ASK_S)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"it ended with {done.returncode} and said nothing"]
        raise RuntimeError(said[0].removeprefix("sbatch: error: "))
    return done.stdout


def _is_installed(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None


def _is_over(queue: _Queue, number: str | None) -> bool:
    found = queue.get(number)
    return found is None or found.is_over


def _in_words(queue: _Queue) -> str:
    alive = [job for job in queue.values() if not job.is_over]
    if not alive:
        return "no job of this run is in SLURM's queue"
    counts = {(job.state.lower(), job.reason): 0 for job in alive}
    for job in alive:
        counts[job.state.lower(), job.reason] += 1
    told = [f"{n} {state}" + ("" if why == "None" else f" ({why})") for (state, why), n in sorted(counts.items())]
    return f"jobs in SLURM's queue: {', '.join(told)}"
