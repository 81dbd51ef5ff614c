"""One case with one worker: how it is run there, and how its answer comes back."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pipelines.runner import CaseFailedError, CaseOutcome, CaseTask, Receipt, attempt

Work = Callable[..., Receipt]

_FETCH_S = 30.0
"""How long a finished worker may take to hand over its receipt."""

_CUT = "scheduler-connection-lost"
"""Dask's own word for it."""

STRANDED: Final = CaseOutcome(task=CaseTask(name="", payload={}))
"""Stands for an answer that cannot come because the way to the scheduler was cut."""


@dataclass(eq=False)
class Flight:
    """A case at work since `start`, at `address`."""

    task: CaseTask
    slot: "Slot"
    address: str
    future: Any
    start: float
    is_alone: bool


@dataclass(eq=False)
class Slot:
    """One worker and its case; `left` is the life in which it was lost.

    Args:
        name: The worker's.
        address: Where it is; nothing while it must not be given cases.
        life: Which of its lives this is.
        left: The life that is over, or soon will be.
        memory_bytes: What it may use.
        flight: The case it has.
        is_open: Whether it takes new cases.
        is_stranded: Whether the life it left may go on, with a case whose answer is not waited for: it must be ended.
        asked: When its end was last asked for.
    """

    name: str
    address: str | None = None
    life: str | None = None
    left: str | None = None
    memory_bytes: int = 0
    flight: Flight | None = None
    is_open: bool = True
    is_stranded: bool = False
    asked: float = -math.inf

    @property
    def is_free(self) -> bool:
        """Whether it can be given a case now."""
        return self.flight is None and self.address is not None and self.is_open

    def leave(self) -> None:
        """Gives the worker no case until it lives again."""
        self.flight = None
        self.left, self.address, self.life = self.life or self.left, None, None

    def miss(self) -> None:
        """Gives the worker, which has no case, none until it is seen again."""
        self.address, self.life = None, None

    def join(self, address: str, life: str, memory_bytes: int, *, is_open: bool) -> None:
        """Takes the worker in as it is seen now."""
        self.address, self.life, self.memory_bytes, self.is_open = address, life, memory_bytes, is_open
        self.is_stranded, self.asked = False, -math.inf


def isolated(work: Work, task: CaseTask) -> CaseOutcome:
    """Runs one case in a worker; an attempt to leave the process is an error of the case."""
    try:
        return attempt(work, task)
    except (SystemExit, KeyboardInterrupt) as error:
        return CaseOutcome(task=task, error=CaseFailedError(f"{type(error).__name__}: {error}", where=task.name))


def fetched(flight: Flight) -> CaseOutcome | None:
    """Returns how a case ended; nothing when its worker is gone, `STRANDED` when the way to it was cut."""
    from distributed import CancelledError, KilledWorker

    future, task = flight.future, flight.task
    if future.status == "lost":
        return None
    try:
        return future.result(timeout=_FETCH_S)
    except CancelledError as error:
        return STRANDED if getattr(error, "reason", "") == _CUT else None
    except (KilledWorker, TimeoutError):
        return None
    except Exception as error:  # the function or its answer cannot travel
        if future.client.status in (
            "closing",
            "closed",
        ):  # the answer went with workers that were begun anew
            return STRANDED
        return CaseOutcome(task=task, error=CaseFailedError(f"{type(error).__name__}: {error}", where=task.name))
