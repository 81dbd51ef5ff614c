"""Workers that SLURM starts: a scheduler in this process, and jobs that connect to it over TLS."""

from pathlib import Path
from typing import Any

from pipelines.execution.remote import RemotePool
from pipelines.execution.slurm_jobs import SlurmJobs
from pipelines.execution.surroundings import Surroundings
from pipelines.params.operation import ClusterSection


class SlurmPool(RemotePool):
    """The workers of jobs that are kept as long as the pool.

    Args:
        jobs: The jobs, asked for already.
        shared: The study's folder, where workers must see it.
    """

    def __init__(self, jobs: SlurmJobs, shared: Path | None = None) -> None:
        self._jobs = jobs
        self._is_any_there = False
        super().__init__(jobs.client, jobs.around.tell, jobs.section.pending_s, shared)

    def is_excused(self, name: str) -> bool:
        """Whether SLURM took a worker away, so that the case it had is not to blame."""
        return self._jobs.is_excused(name)

    def absence(self) -> str:
        """Says what the jobs wait for, or why their workers are not used."""
        return super().absence() if self._is_any_there else self._jobs.absence()

    def close(self) -> None:
        """Cancels the jobs."""
        super().close()
        self._jobs.close()

    def _workers(self) -> dict[str, dict[str, Any]] | None:
        """Asks for jobs in the place of those that ended, too."""
        workers = super()._workers()
        if workers is not None:
            self._is_any_there = bool(workers)
            self._jobs.keep(str(told["name"]) for told in workers.values())
        return workers


def slurm_pool(cluster: ClusterSection, around: Surroundings) -> SlurmPool:
    """Returns workers in SLURM jobs as set.

    Raises:
        NoSlurmError: There is no SLURM on this machine.
        NoDaskError: dask-jobqueue is not installed.
        SubmissionError: SLURM does not take the jobs.
    """
    jobs = SlurmJobs(cluster.slurm, around)
    try:
        return SlurmPool(jobs, None if cluster.store else around.root)
    except BaseException:
        jobs.close()
        raise
