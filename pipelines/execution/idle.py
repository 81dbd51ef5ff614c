"""Cases that a worker took and nobody works on: workers are asked what their threads do.

A worker that is short of memory can lose the thread that runs cases, and Dask does not start another. Its event loop
goes on, so the scheduler hears from it, also that it has the case; only the worker itself knows that no thread does.
A worker that does not answer is not judged: compiled code may silence it for as long as a case may take.
"""

import asyncio
import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from pipelines.execution.work import Flight

_AFTER_S = 30.0
"""How long a case is with a worker before that is asked for the first time."""

_EVERY_S = 20.0
"""How long after an answer it is asked again."""

_ANSWERS = 2
"""How many answers must say that no thread does anything, and none in between that one does: for a moment none does
between two cases of others."""


@dataclass(eq=False)
class _Question:
    """What is asked about one flight, and how often since one that worked the answer was that no thread did."""

    due: float
    answer: "Future[bool | None] | None" = None
    n_idle: int = 0


class IdleWatch:
    """Finds the flights that nobody works on, without waiting for anybody."""

    def __init__(self) -> None:
        self._questions: dict[Flight, _Question] = {}

    def idle(self, client: Any, flights: Iterable[Flight]) -> list[Flight]:
        """Returns those of the flights that nobody works on, as far as answers came; asks what is due.

        Args:
            client: Reaches the workers.
            flights: All that there are; others are forgotten.
        """
        before = self._questions
        self._questions = {flight: before.pop(flight, _Question(flight.start + _AFTER_S)) for flight in flights}
        return [flight for flight, question in self._questions.items() if _is_idle(client, flight, question)]


def _is_idle(client: Any, flight: Flight, question: _Question) -> bool:
    now = time.monotonic()
    if question.answer is not None and question.answer.done():
        is_working = _heard(question.answer)
        if is_working is not None:  # a worker that is short of memory fails to answer now and then
            question.n_idle = 0 if is_working else question.n_idle + 1
        question.answer, question.due = None, now + _EVERY_S
    if question.answer is None and now >= question.due:  # never a second one while the first waits
        question.answer = ask(client, flight.address)
    return question.n_idle >= _ANSWERS and flight.future.status == "pending"


def _heard(answer: "Future[bool | None]") -> bool | None:
    return None if answer.cancelled() or answer.exception() else answer.result()


def ask(client: Any, address: str) -> "Future[bool | None] | None":
    """Asks a worker whether a thread of it works on any case; the answer is nothing when it gave none.

    Cases of others count, too: behind one of theirs a case waits its turn.
    """
    question = _is_working(client, address)
    try:
        return asyncio.run_coroutine_threadsafe(question, client.loop.asyncio_loop)
    except RuntimeError:  # the client was closed meanwhile
        question.close()
        return None


async def _is_working(client: Any, address: str) -> bool | None:
    question = {"op": "call_stack", "keys": None}
    answers = await client.scheduler.broadcast(msg=question, workers=[address], on_error="ignore")
    return bool(answers[address]) if address in answers else None
