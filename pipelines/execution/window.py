"""The window of cases in flight: who works on what since when, and what to do when a worker is late or gone.

A worker has one case at a time. Handing it the next one early would save some milliseconds, but compiled code that
never returns silences its whole process, and nobody could tell then which of the two cases it was.
"""

import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipelines.execution.problems import CaseTimeoutError, ClusterError, WorkerDiedError
from pipelines.runner import CaseFailedError, CaseOutcome, CaseTask, Receipt, attempt

Work = Callable[..., Receipt]

_LOOK_S = 1.0
"""How often the driver looks whether workers are still there."""

_FETCH_S = 30.0
"""How long a finished worker may take to hand over its receipt."""

_RETURN_S = 120.0
"""How long workers may take to come back before the run is given up."""


class Pool(Protocol):
    """Worker processes under names, reached through a Dask client."""

    client: Any
    names: tuple[str, ...]

    def addresses(self) -> dict[str, str]:
        """Returns where each worker can be reached now, by its name."""
        ...

    def kill(self, name: str) -> None:
        """Ends a worker at once; another takes its name."""
        ...


@dataclass(eq=False)
class _Flight:
    """A case at work since `start`."""

    task: CaseTask
    slot: "_Slot"
    future: Any
    start: float
    is_alone: bool


@dataclass(eq=False)
class _Slot:
    """One worker and its case; `left` is where it was when it was lost."""

    name: str
    address: str | None
    left: str | None = None
    flight: _Flight | None = None


class Window:
    """Runs one function over cases on a pool.

    Args:
        pool: The workers.
        work: What is run.
        size: How many cases may be in flight.
        timeout_s: When a case is given up that says nothing else.
    """

    def __init__(self, pool: Pool, work: Work, *, size: int, timeout_s: float) -> None:
        self._pool = pool
        self._work = work
        self._timeout_s = timeout_s
        self._done: queue.SimpleQueue[_Flight] = queue.SimpleQueue()
        addresses = pool.addresses()
        self._slots = [_Slot(name, addresses.get(name)) for name in pool.names[:size]]
        self._pending: deque[CaseTask] = deque()
        self._alone: deque[CaseTask] = deque()
        self._seen = self._working = time.monotonic()

    def run(self, tasks: Sequence[CaseTask]) -> Iterator[CaseOutcome]:
        """Yields the outcome of each task once, as they end."""
        self._pending.extend(tasks)
        try:
            while self._pending or self._alone or self._flights():
                self._fill()
                yield from self._wait()
        finally:
            for flight in self._flights():
                self._vacate(flight.slot)

    def _flights(self) -> list[_Flight]:
        return [slot.flight for slot in self._slots if slot.flight is not None]

    def _free(self) -> list[_Slot]:
        return [slot for slot in self._slots if slot.flight is None and slot.address is not None]

    def _fill(self) -> None:
        for slot in self._free():
            if self._pending:
                self._submit(self._pending.popleft(), slot, is_alone=False)
        if self._alone and not self._pending and not self._flights():
            for slot in self._free()[:1]:
                self._submit(self._alone.popleft(), slot, is_alone=True)

    def _submit(self, task: CaseTask, slot: _Slot, *, is_alone: bool) -> None:
        future = self._pool.client.submit(isolated, self._work, task, workers=[slot.address], pure=False)
        flight = _Flight(task, slot, future, time.monotonic(), is_alone)
        slot.flight = flight
        future.add_done_callback(lambda _: self._done.put(flight))

    def _wait(self) -> Iterator[CaseOutcome]:
        is_short = any(slot.address is None for slot in self._slots)
        now = time.monotonic()
        limits = [max(self._limit(flight) - now, 0.0) for flight in self._flights()]
        try:
            flight = self._done.get(timeout=min([_LOOK_S / 5 if is_short else _LOOK_S, *limits]))
        except queue.Empty:
            yield from self._end_late()
        else:
            if flight is flight.slot.flight:
                yield from self._settle(flight)
        if is_short or time.monotonic() - self._seen >= _LOOK_S:
            yield from self._look()

    def _limit(self, flight: _Flight) -> float:
        return flight.start + (flight.task.timeout_s or self._timeout_s)

    def _settle(self, flight: _Flight) -> Iterator[CaseOutcome]:
        outcome = _fetched(flight)
        if outcome is None:
            yield from self._lost(flight)
            return
        flight.slot.flight = None
        flight.future.release()
        yield outcome

    def _end_late(self) -> Iterator[CaseOutcome]:
        now = time.monotonic()
        for flight in [flight for flight in self._flights() if self._limit(flight) <= now]:
            self._vacate(flight.slot)
            self._pool.kill(flight.slot.name)
            limit_s = flight.task.timeout_s or self._timeout_s
            error = CaseTimeoutError(f"not done after {limit_s:g} s; its process was ended", where=flight.task.name)
            yield CaseOutcome(task=flight.task, error=error)

    def _lost(self, flight: _Flight) -> Iterator[CaseOutcome]:
        self._vacate(flight.slot)
        if not flight.is_alone:
            self._alone.append(flight.task)
            return
        message = "the process working on it ended, also when it was tried again alone"
        yield CaseOutcome(task=flight.task, error=WorkerDiedError(message, where=flight.task.name))

    def _vacate(self, slot: _Slot) -> None:
        flight, slot.flight = slot.flight, None
        slot.left, slot.address = slot.address, None
        if flight is not None:
            self._pool.client.cancel([flight.future], force=True)

    def _look(self) -> Iterator[CaseOutcome]:
        """Notices workers that are gone and workers that are back."""
        self._seen = time.monotonic()
        addresses = self._pool.addresses()
        for slot in self._slots:
            current = addresses.get(slot.name)
            if slot.flight is not None and current != slot.address:
                yield from self._lost(slot.flight)
            elif slot.address is not None and current is None:
                slot.left = slot.address
            slot.address = current if current != slot.left else None
        if any(slot.address for slot in self._slots):
            self._working = self._seen
        elif self._seen - self._working > _RETURN_S:
            raise ClusterError(f"no worker came back within {_RETURN_S:g} s")


def isolated(work: Work, task: CaseTask) -> CaseOutcome:
    """Runs one case in a worker; an attempt to leave the process is an error of the case."""
    try:
        return attempt(work, task)
    except (SystemExit, KeyboardInterrupt) as error:
        return CaseOutcome(task=task, error=CaseFailedError(f"{type(error).__name__}: {error}", where=task.name))


def _fetched(flight: _Flight) -> CaseOutcome | None:
    """Returns how a case ended; nothing when its worker is gone."""
    from distributed import KilledWorker

    future, task = flight.future, flight.task
    if future.status in ("cancelled", "lost"):
        return None
    try:
        return future.result(timeout=_FETCH_S)
    except (KilledWorker, TimeoutError):
        return None
    except Exception as error:  # the function or its answer cannot travel
        return CaseOutcome(task=task, error=CaseFailedError(f"{type(error).__name__}: {error}", where=task.name))
