"""Does the cluster of `params.yaml` answer, and are its workers of use? Nothing is asked of it but that."""

from collections.abc import Iterator
from pathlib import Path

from featurestore.errors import RadmillError
from pipelines.doctor import Finding
from pipelines.params.operation import ClusterSection


def cluster_findings(cluster: ClusterSection, root: Path) -> Iterator[Finding]:
    """Looks at scheduler, workers and store.

    Args:
        cluster: The settings; with workers of this machine there is nothing to look at.
        root: The study's folder.
    """
    if cluster.kind == "local":
        return
    if cluster.kind == "address":
        try:
            yield from _of_address(cluster, root)
        except RadmillError as error:
            yield _unfit("cluster", error)
    if cluster.store:
        from pipelines.execution.visit import try_store

        try:
            yield Finding(subject="cluster: store", found=f"takes and gives, at {try_store(cluster)}")
        except RadmillError as error:
            yield _unfit("cluster: store", error)


def _of_address(cluster: ClusterSection, root: Path) -> Iterator[Finding]:
    from pipelines.execution.surroundings import Surroundings
    from pipelines.execution.visit import visit

    seen = visit(cluster, Surroundings(root, lambda _: None))
    why = "cases wait, and the run is given up after a while"
    if seen.workers:
        memory = sorted(seen.workers.values())
        each = f"{memory[0]:g} to {memory[-1]:g}" if memory[0] != memory[-1] else f"{memory[0]:g}"
        versions = f"Python {seen.versions['python']}, radmill {seen.versions['radmill']}"
        count = f"{len(memory)} worker{'s' if len(memory) > 1 else ''} of use"
        yield Finding(subject="cluster", found=f"{count}, {each} GB each, {versions}")
    elif not seen.refused:
        remedy = "start some with `dask worker`, see docs/how-to/cluster.md"
        yield Finding(subject="cluster", found="no worker is connected", verdict="unfit", why=why, remedy=remedy)
    for line in seen.refused:
        remedy = "start it in an environment like this machine's, see docs/how-to/cluster.md"
        yield Finding(subject="cluster: not used", found=line, verdict="note", why="it gets no case", remedy=remedy)
    if len(seen.workers) > cluster.window:
        found = f"{cluster.window}, of use are {len(seen.workers)} workers"
        remedy = f"set cluster.window to {len(seen.workers)} or more"
        yield Finding(subject="cluster: window", found=found, verdict="note", why="the others idle", remedy=remedy)


def _unfit(subject: str, error: RadmillError) -> Finding:
    found = f"{error.where}: {error.what}" if error.where else error.what
    why = "stages whose cases run there end with exit code 3"
    return Finding(subject=subject, found=found, verdict="unfit", why=why, remedy=error.remedy)
