"""Running one function over many cases, whoever does the running.

A stage hands its cases to a `Runner` and takes outcomes as they come. `execution` has the Dask runner; the serial one
here serves a hospital's base install and tests.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from featurestore.errors import CaseError

Receipt = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class CaseTask:
    """One case to work on.

    Args:
        name: How progress and messages call it; never a patient's identity.
        payload: What the function is called with; it must survive pickling.
        memory_mb: The memory the work is expected to need.
        timeout_s: When to give up on it; 0 means never.
    """

    name: str
    payload: dict[str, Any]
    memory_mb: float = 0.0
    timeout_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class CaseOutcome:
    """How a case ended: with a receipt, or with the error that stopped it alone."""

    task: CaseTask
    receipt: Receipt | None = None
    error: CaseError | None = None


class CaseFailedError(CaseError):
    """Work on the case broke in a way nobody foresaw."""

    code = "failed"
    status = "failed"
    default_remedy = "look at the message; if the file opens elsewhere, please report it with this message"


class OutOfMemoryError(CaseError):
    """There is no memory for the case."""

    code = "out_of_memory"
    status = "failed"
    default_remedy = "run with fewer workers (cluster.workers) or on a machine with more memory"


class Runner(Protocol):
    """Runs a function over cases; yields every case exactly once, in any order, and never raises for a case.

    Tasks may be made one by one as they are asked for: a runner takes few more than it has at work.
    """

    def run(self, work: Callable[..., Receipt], tasks: Iterable[CaseTask]) -> Iterator[CaseOutcome]:
        """Yields the outcome of `work(**task.payload)` for each task."""
        ...


class SerialRunner:
    """Runs cases one after another in this process."""

    def run(self, work: Callable[..., Receipt], tasks: Iterable[CaseTask]) -> Iterator[CaseOutcome]:
        """Yields the outcome of each task in order."""
        for task in tasks:
            yield attempt(work, task)


def attempt(work: Callable[..., Receipt], task: CaseTask) -> CaseOutcome:
    """Runs one case and turns whatever it raises into its outcome."""
    try:
        return CaseOutcome(task=task, receipt=work(**task.payload))
    except CaseError as error:
        return CaseOutcome(task=task, error=error)
    except MemoryError:
        return CaseOutcome(task=task, error=OutOfMemoryError("no memory for the case", where=task.name))
    except Exception as error:  # one bad case stays one bad case
        return CaseOutcome(task=task, error=CaseFailedError(f"{type(error).__name__}: {error}", where=task.name))


class Progress(Protocol):
    """What a long step tells about itself: `done / total, failed, time left`."""

    def start(self, work: str, total: int, unchanged: int = 0) -> None:
        """Says what begins and how much there is to do."""
        ...

    def advance(self, *, failed: bool = False, note: str = "") -> None:
        """Counts one done."""
        ...

    def finish(self) -> None:
        """Ends the line."""
        ...


class Silent:
    """Tells nothing."""

    def start(self, work: str, total: int, unchanged: int = 0) -> None:
        """Does nothing."""

    def advance(self, *, failed: bool = False, note: str = "") -> None:
        """Does nothing."""

    def finish(self) -> None:
        """Does nothing."""
