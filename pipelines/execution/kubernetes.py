"""Workers of a cluster that the Dask operator keeps on Kubernetes.

The operator makes scheduler and workers from a file (`deploy/dask-cluster.yaml`), so whoever runs the study needs no
rights over Kubernetes: this connects to the scheduler's service as to any other address.
"""

from pathlib import Path

from pipelines.execution.certificates import NobodyThereError, security
from pipelines.execution.remote import Connect, RemotePool, connected, wait_for
from pipelines.execution.surroundings import Surroundings, Tell
from pipelines.params.operation import ClusterSection
from pipelines.params.slurm import KubernetesSection


class NoClusterError(NobodyThereError):
    """The operator's cluster cannot be reached."""

    default_remedy = "run radmill in a pod of the same Kubernetes; from elsewhere forward the port, with kind: address"


class KubernetesPool(RemotePool):
    """The workers of one of the operator's clusters.

    Args:
        section: Which cluster.
        connect: Makes a client of its scheduler.
        tell: Is told what a person should know while cases run.
        shared: The study's folder, where pods must see it.
    """

    def __init__(self, section: KubernetesSection, connect: Connect, tell: Tell, shared: Path | None = None) -> None:
        self._section = section
        super().__init__(connect, tell, section.pending_s, shared)

    def absence(self) -> str:
        """Says what is known, and where to look."""
        return f"{super().absence()}; look at `{_look(self._section)}`"


def kubernetes_pool(cluster: ClusterSection, around: Surroundings) -> KubernetesPool:
    """Returns the workers of the cluster that `cluster.kubernetes` names.

    Raises:
        CertificateError: The certificates of `cluster.tls` cannot be used.
        NoClusterError: Its scheduler is not there.
        ClusterError: One side does not let the other in.
    """
    section = cluster.kubernetes
    safety = security(cluster.tls, around.root)
    shared = None if cluster.store else around.root
    try:
        wait_for(section.address, safety)
        return KubernetesPool(section, lambda: connected(section.address, safety), around.tell, shared)
    except NobodyThereError as error:
        raise NoClusterError(f"nobody answers; look at `{_look(section)}`", where=section.address) from error


def _look(section: KubernetesSection) -> str:
    return f"kubectl -n {section.namespace} get pods -l dask.org/cluster-name={section.cluster}"
