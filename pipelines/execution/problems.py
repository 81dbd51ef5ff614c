"""How the work on a case can end badly from outside: one class, one code and one remedy per cause."""

from featurestore.errors import CaseError, FaultError, InputError


class WorkerDiedError(CaseError):
    """The process that worked on the case ended, twice."""

    code = "worker_died"
    status = "failed"
    default_remedy = "give each worker more memory (fewer cluster.workers, or cluster.memory_gb); else report the case"


class CaseTimeoutError(CaseError):
    """The case took longer than it may."""

    code = "timeout"
    status = "failed"
    default_remedy = "raise cluster.timeout_s, or put the case aside in cohort.rejected"


class NotEnoughMemoryError(CaseError):
    """The case needs more memory than a worker has."""

    code = "no_memory"
    status = "failed"
    default_remedy = "use fewer cluster.workers, raise cluster.memory_gb, or crop the image"


class ClusterError(FaultError):
    """The worker processes cannot be started or do not come back."""

    default_remedy = "run `radmill doctor`; what is done stays done, and the next run goes on from there"


class NoDaskError(InputError):
    """Work shall be done elsewhere, and Dask is not installed."""

    default_remedy = "pip install 'radmill[study]', or set cluster.kind to local"


class MainGuardError(FaultError):
    """A script without a main guard would start workers from within a worker."""

    default_remedy = "put the call under `if __name__ == '__main__':`"
