"""The Dask runner: workers that are there with the first case, and given back with the block that asked for them."""

import importlib.util
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from pipelines.execution.problems import NoDaskError
from pipelines.execution.surroundings import Surroundings, Tell
from pipelines.execution.window import Pool, Window
from pipelines.execution.work import Work
from pipelines.params.operation import ClusterSection
from pipelines.runner import CaseOutcome, CaseTask, Runner, SerialRunner

POOLS = {
    "local": "pipelines.execution.pool:local_pool",
    "address": "pipelines.execution.remote:address_pool",
    "slurm": "pipelines.execution.slurm:slurm_pool",
    "kubernetes": "pipelines.execution.kubernetes:kubernetes_pool",
}
"""Where the function is that makes a pool of each `cluster.kind`; a new kind is a line here."""


class DaskRunner:
    """Runs cases in worker processes.

    Args:
        cluster: Which workers, how many cases in flight, and when one is given up.
        around: What their pool needs besides.
    """

    def __init__(self, cluster: ClusterSection, around: Surroundings) -> None:
        self._cluster = cluster
        self._around = around
        self._pool: Pool | None = None

    @property
    def is_started(self) -> bool:
        """Whether workers were needed so far."""
        return self._pool is not None

    def run(self, work: Work, tasks: Iterable[CaseTask]) -> Iterator[CaseOutcome]:
        """Yields the outcome of each task as they end.

        Args:
            work: A function that the workers can import.
            tasks: The cases; with none, nothing is started.
        """
        if not tasks:
            return
        if self._pool is None:
            self._pool = make_pool(self._cluster, self._around)
        window = Window(self._pool, work, size=self._cluster.window, timeout_s=self._cluster.timeout_s)
        yield from window.run(tasks)

    def close(self) -> None:
        """Gives the workers back."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None


@contextmanager
def open_runner(cluster: ClusterSection, root: Path | None = None, tell: Tell | None = None) -> Iterator[Runner]:
    """Yields what runs cases: worker processes where Dask is installed, else this process.

    Nothing is started before the first case; all workers are gone or given back when the block ends, however it ends.

    Args:
        cluster: Where work runs.
        root: The study's folder; the current one when left out.
        tell: Is told what a person should know while cases run.

    Raises:
        NoDaskError: Work shall run elsewhere, and there is no Dask.
    """
    if importlib.util.find_spec("distributed") is None:
        if cluster.kind != "local":
            raise NoDaskError("the package distributed is missing", where=f"cluster.kind {cluster.kind}")
        yield SerialRunner()
        return
    around = Surroundings(root or Path.cwd(), tell or (lambda _: None))
    runner = DaskRunner(cluster, around)
    near = DaskRunner(cluster.model_copy(update={"kind": "local"}), around)
    try:
        if cluster.kind == "local" or not cluster.store:
            yield runner
        else:
            from pipelines.execution.carried import CarryingRunner

            yield CarryingRunner(near, runner, cluster, around.root / ".radmill", around.tell)
    finally:
        near.close()
        runner.close()


def make_pool(cluster: ClusterSection, around: Surroundings) -> Pool:
    """Returns the workers of a `cluster.kind`."""
    module, name = POOLS[cluster.kind].split(":")
    made: Pool = getattr(import_module(module), name)(cluster, around)
    return made
