"""The window of cases in flight: who works on what since when, and what to do when a worker is late or gone.

A worker has one case at a time. Handing it the next one early would save some milliseconds, but compiled code that
never returns silences its whole process, and nobody could tell then which of the two cases it was.

Workers come and go while it runs: one that appears gets cases, one that vanishes has its case tried again.
"""

import math
import queue
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from pipelines.execution.idle import IdleWatch
from pipelines.execution.problems import CaseTimeoutError, ClusterError, NotEnoughMemoryError, WorkerDiedError
from pipelines.execution.work import STRANDED, Flight, Slot, Work, fetched, isolated
from pipelines.runner import CaseOutcome, CaseTask, OutOfMemoryError

_LOOK_S = 1.0
"""How often the driver looks which workers there are."""

_AGAIN_S = 15.0
"""How long a worker that shall end may be seen before its end is asked for again."""

_EXCUSES = 3
"""How often a case is handed out anew because its worker was taken away; one that never ends in time is to blame."""

WORKER_MB = 400.0
"""What a warm worker holds before its first case: Python, Dask, SimpleITK and an engine."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A worker that may be given cases.

    Args:
        address: Where it can be reached.
        life: Another one after each restart, whether or not the address changed.
        memory_bytes: What it may use before it is ended.
        is_open: Whether it takes new cases; one that is about to leave ends the one it has.
    """

    address: str
    life: str
    memory_bytes: int
    is_open: bool = True


class Pool(Protocol):
    """Worker processes under names, reached through a Dask client.

    Args:
        patience_s: How long there may be no worker before a run is given up.
    """

    patience_s: float

    @property
    def client(self) -> Any:
        """The client; another one after a connection was made anew."""
        ...

    def members(self) -> dict[str, Member] | None:
        """Returns the workers that may be given cases now, by name; nothing while that cannot be known."""
        ...

    def kill(self, name: str) -> None:
        """Ends a worker at once, without waiting for it; another takes its name or a name of its own."""
        ...

    def is_excused(self, name: str) -> bool:
        """Whether a worker that is gone was taken away, so that the case it had is not to blame."""
        ...

    def absence(self) -> str:
        """Says why there is no worker, for the message that gives a run up."""
        ...

    def close(self) -> None:
        """Gives back all that was taken; no case is left with a worker."""
        ...


class _Tasks:
    """Cases still to be handed out: those put back first, then the others as they come."""

    def __init__(self, tasks: Iterable[CaseTask]) -> None:
        self._source = iter(tasks)
        self._waiting: deque[CaseTask] = deque()

    def head(self) -> CaseTask | None:
        """Returns the next one, which stays the next one."""
        if not self._waiting:
            self._waiting.extend(task for task in [next(self._source, None)] if task is not None)
        return self._waiting[0] if self._waiting else None

    def drop(self) -> None:
        """Takes the head away."""
        self._waiting.popleft()

    def put_back(self, task: CaseTask) -> None:
        """Makes a case the next one."""
        self._waiting.appendleft(task)


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
        self._size = size
        self._timeout_s = timeout_s
        self._done: queue.SimpleQueue[Flight] = queue.SimpleQueue()
        self._slots: dict[str, Slot] = {}
        self._tasks = _Tasks(())
        self._alone: deque[CaseTask] = deque()
        self._excuses: Counter[str] = Counter()
        self._seen = self._working = time.monotonic()
        self._moved = self._seen
        self._is_reached = True
        self._most_memory = 0
        self._soonest = math.inf  # no case is late before
        self._idle = IdleWatch()

    def run(self, tasks: Iterable[CaseTask]) -> Iterator[CaseOutcome]:
        """Yields the outcome of each task once, as they end; a task is taken from `tasks` when a worker is free."""
        self._tasks = _Tasks(tasks)
        try:
            yield from self._look()
            while self._tasks.head() or self._alone or self._flights():
                yield from self._fill()
                yield from self._wait()
        finally:
            for flight in self._flights():
                self._vacate(flight.slot)

    def _flights(self) -> list[Flight]:
        return [slot.flight for slot in self._slots.values() if slot.flight is not None]

    def _free(self) -> list[Slot]:
        """Returns the workers that may be given a case, as many as the window has room for."""
        room = self._size - len(self._flights())
        free = [slot for slot in self._slots.values() if slot.is_free]
        return free[:room] if self._is_reached else []

    def _fill(self) -> Iterator[CaseOutcome]:
        for slot in self._free():
            yield from self._too_large()
            task = self._tasks.head()
            if task is not None and need_bytes(task) <= slot.memory_bytes:
                self._tasks.drop()
                self._submit(task, slot, is_alone=False)
        if self._alone and not self._tasks.head() and not self._flights():
            need = need_bytes(self._alone[0])
            roomy = [slot for slot in self._free() if slot.memory_bytes >= min(need, self._most_memory)]
            for slot in roomy[:1]:
                self._submit(self._alone.popleft(), slot, is_alone=True)

    def _too_large(self) -> Iterator[CaseOutcome]:
        """Ends the cases at the head that no worker seen so far has the memory for."""
        while (task := self._tasks.head()) is not None and need_bytes(task) > self._most_memory:
            self._tasks.drop()
            need, have = need_bytes(task) / 1e9, self._most_memory / 1e9
            error = NotEnoughMemoryError(f"needs about {need:.1f} GB, a worker has {have:.1f} GB", where=task.name)
            yield CaseOutcome(task=task, error=error)

    def _submit(self, task: CaseTask, slot: Slot, *, is_alone: bool) -> None:
        address = str(slot.address)
        future = self._pool.client.submit(isolated, self._work, task, workers=[address], pure=False)
        flight = Flight(task, slot, address, future, time.monotonic(), is_alone)
        slot.flight, self._moved = flight, flight.start
        self._soonest = min(self._soonest, self._limit(flight))
        future.add_done_callback(lambda _: self._done.put(flight))

    def _wait(self) -> Iterator[CaseOutcome]:
        """Waits until a case ends, one may be late, or it is time to look."""
        try:
            flight = self._done.get(timeout=max(min(self._next_look(), self._soonest) - time.monotonic(), 0.0))
        except queue.Empty:
            yield from self._end_late()
        else:
            if flight is flight.slot.flight:
                yield from self._settle(flight)
        if time.monotonic() >= self._next_look():
            yield from self._look()

    def _next_look(self) -> float:
        is_short = not self._slots or any(slot.address is None for slot in self._slots.values())
        return self._seen + (_LOOK_S / 5 if is_short else _LOOK_S)

    def _limit(self, flight: Flight) -> float:
        return flight.start + (flight.task.timeout_s or self._timeout_s)

    def _settle(self, flight: Flight) -> Iterator[CaseOutcome]:
        outcome = fetched(flight)
        if outcome is STRANDED:
            self._strand(flight)
        elif outcome is None:
            yield from self._lost(flight)
        elif isinstance(outcome.error, OutOfMemoryError) and not flight.is_alone:
            self._put_aside(flight)
        else:
            flight.slot.flight = None
            flight.future.release()
            yield outcome

    def _put_aside(self, flight: Flight) -> None:
        """There was no memory: the case is tried again when no other has any, by a process that starts anew."""
        self._vacate(flight.slot)
        self._end(flight.slot)
        self._alone.append(flight.task)

    def _strand(self, flight: Flight) -> None:
        """The way to a worker was cut while it had a case: the case is the next one, and the worker starts anew."""
        self._put_back(flight)

    def _put_back(self, flight: Flight) -> None:
        self._vacate(flight.slot)
        if flight.is_alone:
            self._alone.append(flight.task)
        else:
            self._tasks.put_back(flight.task)

    def _end_late(self) -> Iterator[CaseOutcome]:
        now = time.monotonic()
        for flight in [flight for flight in self._flights() if self._limit(flight) <= now]:
            if not self._is_reached:  # its answer may be there, and cannot come
                self._strand(flight)
                continue
            self._vacate(flight.slot)
            self._end(flight.slot)
            limit_s = flight.task.timeout_s or self._timeout_s
            error = CaseTimeoutError(f"not done after {limit_s:g} s; its process was ended", where=flight.task.name)
            yield CaseOutcome(task=flight.task, error=error)
        self._soonest = min(map(self._limit, self._flights()), default=math.inf)

    def _lost(self, flight: Flight) -> Iterator[CaseOutcome]:
        name = flight.task.name
        if self._excuses[name] < _EXCUSES and self._pool.is_excused(flight.slot.name):
            self._excuses[name] += 1
            self._put_back(flight)
            return
        yield from self._try_alone(flight, "the process working on it ended, also when it was tried again alone")

    def _try_alone(self, flight: Flight, message: str) -> Iterator[CaseOutcome]:
        """Tries a case again alone; gives one up that was."""
        self._vacate(flight.slot)
        if flight.is_alone:
            yield CaseOutcome(task=flight.task, error=WorkerDiedError(message, where=flight.task.name))
        else:
            self._alone.append(flight.task)

    def _end_idle(self) -> Iterator[CaseOutcome]:
        """Takes cases from workers that took them and do nothing."""
        for flight in self._idle.idle(self._pool.client, self._flights()):
            message = "tried again alone, a worker took it and did nothing; it probably is short of memory"
            yield from self._try_alone(flight, message)
            self._end(flight.slot)

    def _vacate(self, slot: Slot) -> None:
        flight = slot.flight
        slot.leave()
        if flight is not None:
            slot.is_stranded = True
            self._pool.client.cancel([flight.future], force=True)

    def _end(self, slot: Slot) -> None:
        """Has a life ended; it is asked for again while that life is seen."""
        slot.asked = time.monotonic()
        self._pool.kill(slot.name)

    def _look(self) -> Iterator[CaseOutcome]:
        """Notices workers that are gone, back, or new."""
        members = self._pool.members()
        self._seen = time.monotonic()  # after the answer: one that came late leaves time to hand out cases
        self._is_reached = members is not None
        if members is not None:
            for name in members:
                self._slots.setdefault(name, Slot(name))
            for slot in self._slots.values():
                yield from self._follow(slot, members.get(slot.name))
            yield from self._end_idle()
        there = [slot.memory_bytes for slot in self._slots.values() if slot.address is not None]
        if self._is_reached and there:
            self._working = self._seen
            if not self._flights() and self._seen - self._moved > self._pool.patience_s:
                self._most_memory = max(there)  # the workers with more memory stay away
        elif self._seen - self._working > self._pool.patience_s:
            raise ClusterError(f"no worker came within {self._pool.patience_s:g} s{self._pool.absence()}")

    def _follow(self, slot: Slot, member: Member | None) -> Iterator[CaseOutcome]:
        life = member.life if member is not None else None
        if slot.flight is not None and life != slot.life:
            yield from self._lost(slot.flight)
        elif slot.life is not None and life is None:
            slot.miss()
        if member is not None and member.life != slot.left:
            slot.join(member.address, member.life, member.memory_bytes, is_open=member.is_open)
            self._most_memory = max(self._most_memory, member.memory_bytes)
        elif member is not None and slot.is_stranded and self._seen - slot.asked >= _AGAIN_S:
            self._end(slot)


def need_bytes(task: CaseTask) -> float:
    """Returns the memory a worker must have for a case."""
    return (task.memory_mb + WORKER_MB) * 1e6
