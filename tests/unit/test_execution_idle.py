"""A case that a worker took and no thread works on is not waited for."""

from collections.abc import Callable
from concurrent.futures import Future as Answer
from itertools import cycle
from typing import Any

import pytest

from tests.fake_pool import FakePool, Future, cases, member, run


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("pipelines.execution.window._LOOK_S", 0.02)


def _asked_at_once(monkeypatch: pytest.MonkeyPatch, ask: Callable[[Any, str], "Answer[bool | None] | None"]) -> None:
    monkeypatch.setattr("pipelines.execution.idle._AFTER_S", 0.0)
    monkeypatch.setattr("pipelines.execution.idle._EVERY_S", 0.0)
    monkeypatch.setattr("pipelines.execution.idle.ask", ask)


def answered(is_working: bool | None) -> "Answer[bool | None]":
    answer: Answer[bool | None] = Answer()
    answer.set_result(is_working)
    return answer


@pytest.mark.parametrize("n_times", [1, 2])
def test_a_case_that_nobody_works_on_is_tried_once_alone_by_a_fresh_process(
    monkeypatch: pytest.MonkeyPatch, n_times: int
) -> None:
    """Protects runs from waiting for the time limit: a worker without memory takes a case and does nothing."""
    told = cycle([False, None])  # it may lack the memory to answer, too
    _asked_at_once(monkeypatch, lambda client, address: answered(next(told)))

    def act(future: Future) -> None:
        if future.task.name == "case 0" and len(taken) < n_times:
            taken.append(future)
        else:
            future.end()

    taken: list[Future] = []
    pool = FakePool({"a": member("a")}, act=act)
    monkeypatch.setattr(pool, "kill", lambda name: pool.workers.update(a=member("a", life=f"{len(pool.futures)}")))
    ended = run(pool, cases(3))
    assert all(future.is_called_off for future in taken)
    assert pool.futures[-1].task.name == "case 0", "the others come first"
    error = ended["case 0"].error
    assert (error and error.code) == (None if n_times == 1 else "worker_died")
    assert "short of memory" in str(error) or n_times == 1
    assert all(ended[f"case {number}"].receipt for number in (1, 2))


@pytest.mark.parametrize("told", [[True], [None], [False, True], "fails", "waits", "closed"])
def test_a_case_is_left_to_a_worker_that_works_or_says_nothing(monkeypatch: pytest.MonkeyPatch, told: Any) -> None:
    """Compiled code may silence a worker; one answer alone can fall between two cases of others."""

    def ask(client: Any, address: str) -> "Answer[bool | None] | None":
        asked.append(address)
        if told == "closed":
            return None
        answer: Answer[bool | None] = Answer()
        if told == "fails":
            answer.set_exception(OSError("cut"))
        elif told != "waits":
            answer.set_result(told[len(asked) % len(told)])
        return answer

    def look(pool: FakePool) -> None:
        looks.append(len(looks))
        if len(looks) == 8:
            pool.futures[0].end()

    asked: list[str] = []
    looks: list[int] = []
    _asked_at_once(monkeypatch, ask)
    pool = FakePool({"a": member("a")}, act=lambda _: None, look=look)
    assert run(pool, cases(1))["case 0"].receipt == {"at": "a"}
    assert pool.killed == []
    assert len(asked) == 1 if told == "waits" else len(asked) > 3, "no second question while the first waits"
