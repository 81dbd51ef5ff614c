"""Workers come and go: the window follows them, and no case is lost or done twice."""

from typing import Any

import pytest

from pipelines.execution.problems import ClusterError
from pipelines.execution.window import Window
from pipelines.runner import CaseOutcome, CaseTask, OutOfMemoryError
from tests.fake_pool import FakePool, Future, cases, member, run


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("pipelines.execution.window._LOOK_S", 0.02)


def test_a_worker_that_comes_while_it_runs_gets_cases() -> None:
    """Protects runs whose workers wait in a queue: none was there when the first case was."""

    def come(pool: FakePool) -> None:
        looks.append(len(looks))
        if len(looks) == 4:
            pool.workers["a"] = member("a")

    looks: list[int] = []
    ended = run(FakePool({}, look=come), cases(3))
    assert [outcome.receipt for outcome in ended.values()] == [{"at": "a"}] * 3


def test_a_case_whose_client_was_closed_has_not_failed() -> None:
    """Workers that are begun anew get another client, and what the old one had can only say that it is closed."""

    def act(future: Future) -> None:
        if len(pool.futures) == 1:
            future.client.status = "closed"
            future.end(error=RuntimeError("IOLoop is closed"))
        else:
            future.end()

    pool = FakePool({"a": member("a")}, act=act)
    assert run(pool, cases(2))["case 0"].receipt == {"at": "a"}
    assert pool.killed == ["a"]


def test_a_case_whose_worker_went_is_tried_alone_elsewhere() -> None:
    def act(future: Future) -> None:
        if future.address == "a":
            pool.workers.pop("a", None)
        else:
            future.end()

    pool = FakePool({"a": member("a"), "b": member("b")}, act=act)
    ended = run(pool, cases(4))
    assert {outcome.receipt["at"] for outcome in ended.values() if outcome.receipt} == {"b"}
    assert [future.is_called_off for future in pool.futures if future.address == "a"] == [True]


def test_a_restart_at_the_same_address_is_another_life() -> None:
    """Workers behind a firewall have fixed ports."""

    def act(future: Future) -> None:
        if len(pool.futures) == 1:
            pool.workers["a"] = member("a", life="second")
        else:
            future.end()

    pool = FakePool({"a": member("a")}, act=act)
    assert run(pool, cases(2))["case 0"].receipt == {"at": "a"}


def test_what_was_at_work_when_the_way_was_cut_is_handed_out_anew_and_blames_no_case() -> None:
    """The worker may still have the old case, so it starts anew before it gets another."""
    from distributed.client import FutureCancelledError

    def act(future: Future) -> None:
        if len(pool.futures) <= 3:  # three cuts, more often than a case may lose its worker
            pool.is_cut = True
            future.end("cancelled", FutureCancelledError("key", "scheduler-connection-lost"))
        else:
            future.end()

    def look(pool: FakePool) -> None:
        looks.append(pool.is_cut)
        pool.is_cut = pool.is_cut and sum(looks) % 3 != 0

    looks: list[bool] = []
    pool = FakePool({"a": member("a")}, act=act, look=look)
    pool.kill = lambda name: (pool.killed.append(name), pool.workers.update(a=member("a", life=str(len(looks)))))
    ended = run(pool, cases(1))
    assert ended["case 0"].receipt == {"at": "a"}
    assert pool.killed == ["a"] * 3


def test_a_case_goes_where_there_is_room_for_it() -> None:
    pool = FakePool({"small": member("small", memory_gb=1), "large": member("large", memory_gb=8)})
    tasks = [*cases(2), CaseTask(name="large", payload={}, memory_mb=5000.0)]
    tasks += [CaseTask(name="too large", payload={}, memory_mb=9000.0)]
    ended = run(pool, tasks)
    assert ended["large"].receipt == {"at": "large"}
    assert "needs about 9.4 GB, a worker has 8.0 GB" in str(ended["too large"].error)


def test_a_worker_about_to_leave_gets_no_case() -> None:
    pool = FakePool({"a": member("a", is_open=False), "b": member("b")})
    assert {outcome.receipt["at"] for outcome in run(pool, cases(5)).values() if outcome.receipt} == {"b"}


def test_no_more_cases_are_in_flight_than_the_window_holds() -> None:
    def act(future: Future) -> None:
        at_work.append(future)
        most.append(len(at_work))

    def look(_: FakePool) -> None:
        for future in at_work[:1]:
            at_work.remove(future)
            future.end()

    at_work: list[Future] = []
    most: list[int] = []
    run(FakePool({name: member(name) for name in "abcdef"}, act=act, look=look), cases(9), size=2)
    assert max(most) == 2


def test_tasks_are_made_when_a_worker_is_free_for_them() -> None:
    """Protects the memory of a run over many cases."""
    made: list[int] = []

    def tasks() -> Any:
        for number in range(20):
            made.append(number)
            yield CaseTask(name=str(number), payload={})

    window = Window(FakePool({"a": member("a")}), dict, size=8, timeout_s=60).run(tasks())
    next(window)
    assert len(made) <= 3
    assert len(list(window)) == 19


def test_a_run_without_workers_is_given_up_and_calls_its_cases_off() -> None:
    def act(_: Future) -> None:
        pool.is_cut = True

    pool = FakePool({"a": member("a")}, act=act, patience_s=0.1)
    with pytest.raises(ClusterError, match=r"no worker came within 0.1 s: as the test wants it"):
        run(pool, cases(2))
    assert all(future.is_called_off for future in pool.futures)


def test_a_worker_that_lost_its_case_and_lives_on_is_ended_until_another_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects runs of one worker: it was not used again, and the run was given up for want of workers."""
    monkeypatch.setattr("pipelines.execution.window._AGAIN_S", 0.0)

    def act(future: Future) -> None:
        if len(pool.futures) == 1:
            future.end("lost")
        else:
            future.end()

    def kill(name: str) -> None:
        pool.killed.append(name)
        if len(pool.killed) == 3:  # before, there was no process to end
            pool.workers[name] = member(name, life="second")

    pool = FakePool({"a": member("a")}, act=act)
    monkeypatch.setattr(pool, "kill", kill)
    assert run(pool, cases(2))["case 0"].receipt == {"at": "a"}
    assert pool.killed == ["a"] * 3


def test_a_free_worker_that_is_not_seen_once_is_used_again() -> None:
    def look(pool: FakePool) -> None:
        looks.append(len(looks))
        pool.workers = {} if len(looks) == 2 else {"a": member("a", is_open=len(looks) > 3)}

    looks: list[int] = []
    assert run(FakePool({}, look=look), cases(2))["case 1"].receipt == {"at": "a"}


@pytest.mark.parametrize("n_times", [1, 2])
def test_a_case_without_memory_is_tried_once_alone_by_a_fresh_process(n_times: int) -> None:
    """Alone, it has the memory that the others had."""

    def act(future: Future) -> None:
        if future.task.name == "case 0" and len(tried) < n_times:
            tried.append(future.task.name)
            error = OutOfMemoryError("no memory for the case", where=future.task.name)
            future.outcome = CaseOutcome(task=future.task, error=error)
        future.end()

    tried: list[str] = []
    pool = FakePool({"a": member("a")}, act=act)
    ended = run(pool, cases(3))
    assert pool.futures[-1].task.name == "case 0", "the others come first"
    assert pool.killed == ["a"]
    error = ended["case 0"].error
    assert (error and error.code) == (None if n_times == 1 else "out_of_memory")
    assert all(ended[f"case {number}"].receipt for number in (1, 2))
