"""Workers of a window as a test wants them, without processes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from pipelines.execution.window import Member, Window
from pipelines.runner import CaseOutcome, CaseTask

GB = 10**9


class Future:
    """A case with a worker, which ends as the test says."""

    def __init__(self, task: CaseTask, address: str) -> None:
        self.task, self.address, self.status = task, address, "pending"
        self.is_called_off = False
        self.client = SimpleNamespace(status="running")
        self._callbacks: list[Callable[[Any], None]] = []
        self._error: BaseException | None = None
        self.outcome: CaseOutcome | None = None

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._callbacks.append(callback)
        if self.status != "pending":
            callback(self)

    def end(self, status: str = "finished", error: BaseException | None = None) -> None:
        self.status, self._error = status, error
        for callback in self._callbacks:
            callback(self)

    def result(self, timeout: float) -> CaseOutcome:
        if self._error is not None:
            raise self._error
        return self.outcome or CaseOutcome(task=self.task, receipt={"at": self.address})

    def release(self) -> None:
        """Nothing to do."""


@dataclass
class FakePool:
    """Workers as the test says; `act` is told of each case, `look` of each look."""

    workers: dict[str, Member]
    act: Callable[[Future], None] = lambda future: future.end()
    look: Callable[["FakePool"], None] = lambda pool: None
    patience_s: float = 5.0
    is_cut: bool = False
    futures: list[Future] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)

    @property
    def client(self) -> "FakePool":
        return self

    def submit(self, _: object, work: object, task: CaseTask, workers: list[str], pure: bool) -> Future:
        future = Future(task, workers[0])
        self.futures.append(future)
        self.act(future)
        return future

    def cancel(self, futures: list[Future], force: bool) -> None:
        for future in futures:
            future.is_called_off = True

    def members(self) -> dict[str, Member] | None:
        self.look(self)
        return None if self.is_cut else dict(self.workers)

    def kill(self, name: str) -> None:
        self.killed.append(name)
        self.workers[name] = member(name, life="next")

    def is_excused(self, name: str) -> bool:
        return False

    def absence(self) -> str:
        return ": as the test wants it"

    def close(self) -> None:
        """Nothing to do."""


def member(name: str, life: str = "first", memory_gb: float = 4.0, is_open: bool = True) -> Member:
    return Member(address=name, life=life, memory_bytes=int(memory_gb * GB), is_open=is_open)


def cases(n: int, memory_mb: float = 100.0) -> list[CaseTask]:
    return [CaseTask(name=f"case {number}", payload={}, memory_mb=memory_mb) for number in range(n)]


def run(pool: FakePool, tasks: list[CaseTask], size: int = 8) -> dict[str, CaseOutcome]:
    ended = list(Window(pool, dict, size=size, timeout_s=60).run(iter(tasks)))
    assert sorted(outcome.task.name for outcome in ended) == sorted(task.name for task in tasks)
    return {outcome.task.name: outcome for outcome in ended}
