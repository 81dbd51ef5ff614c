"""One bad case stays one bad case: the Dask runner against work that raises, kills its process, or never ends."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import dask
import pytest

from pipelines.execution.cluster import DaskRunner, open_runner
from pipelines.execution.idle import ask
from pipelines.execution.pool import LocalPool, n_workers
from pipelines.execution.problems import MainGuardError
from pipelines.params.operation import ClusterSection
from pipelines.runner import CaseOutcome, CaseTask, Receipt


def make_work() -> Callable[..., Receipt]:
    """Returns work as a closure, which travels to the workers by value (they cannot import a test module)."""

    def misbehave(what: str) -> None:
        import os
        import signal

        from featurestore.errors import CaseError

        raised = {
            "refuse": CaseError("wrong", where="there", remedy="right it"),
            "break": ZeroDivisionError("by zero"),
            "exhaust": MemoryError(),
            "leave": SystemExit(3),
        }
        if what in raised:
            raise raised[what]
        match what:
            case "hang":
                sum(range(10**15))  # compiled, and never lets another thread of the process run
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)

    def work(what: str, number: int = 0, folder: str = "") -> Receipt:
        import os
        import pathlib
        import time

        misbehave(what)
        if what == "die once" and not (pathlib.Path(folder) / "died").exists():
            (pathlib.Path(folder) / "died").touch()
            misbehave("die")
        if what == "swallow":
            block = [bytearray(50_000_000) for _ in range(number)]
            time.sleep(5)
            return {"bytes": len(block)}
        return {"square": number * number, "process": os.getpid()}

    return work


@pytest.fixture(params=[1, 2], scope="module")
def runner(request: pytest.FixtureRequest) -> Iterator[DaskRunner]:
    with open_runner(ClusterSection(workers=request.param, memory_gb=1.2 * request.param, timeout_s=60)) as made:
        assert isinstance(made, DaskRunner)
        yield made


def outcomes(runner: DaskRunner, tasks: list[CaseTask]) -> dict[str, CaseOutcome]:
    ended = list(runner.run(make_work(), tasks))
    assert sorted(outcome.task.name for outcome in ended) == sorted(task.name for task in tasks)
    return {outcome.task.name: outcome for outcome in ended}


def square(number: int) -> CaseTask:
    return CaseTask(name=f"square {number}", payload={"what": "square", "number": number})


def bad(what: str, **more: object) -> CaseTask:
    timeout_s = float(str(more.pop("timeout_s", 0.0)))
    return CaseTask(name=what, payload={"what": what, **more}, timeout_s=timeout_s)


def test_every_case_ends_once_in_other_processes(runner: DaskRunner) -> None:
    ended = outcomes(runner, [square(number) for number in range(150)])
    assert [ended[f"square {n}"].receipt["square"] for n in range(150)] == [n * n for n in range(150)]
    processes = {outcome.receipt["process"] for outcome in ended.values()}
    assert os.getpid() not in processes


def test_bad_cases_leave_the_others_alone(runner: DaskRunner, tmp_path: object) -> None:
    """Protects the batch from work that raises, exits, kills its process, hangs, or dies only in company."""
    dirt = [
        bad("refuse"),
        bad("break"),
        bad("leave"),
        bad("exhaust"),
        bad("die"),
        bad("die once", folder=str(tmp_path)),
        bad("hang", timeout_s=1.0),
    ]
    good = [square(number) for number in range(12)]
    ended = outcomes(runner, [*good[:4], *dirt, *good[4:]])
    assert all(ended[task.name].receipt for task in good)
    codes = {name: outcome.error.code for name, outcome in ended.items() if outcome.error}
    assert codes == {
        "refuse": "case_error",
        "break": "failed",
        "leave": "failed",
        "exhaust": "out_of_memory",
        "die": "worker_died",
        "hang": "timeout",
    }
    assert ended["die once"].receipt
    assert ended["refuse"].error.remedy == "right it"
    assert "ZeroDivisionError: by zero" in str(ended["break"].error)
    assert "1 s" in str(ended["hang"].error)


def test_workers_on_their_way_back_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask dismisses a worker that is away when it looks, 15 s after any loss: many deadly cases ended the batch."""
    pytest.importorskip("distributed")  # its defaults come first
    monkeypatch.setattr("pipelines.execution.pool._RETURN_S", 10.0)
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1 ms"}),
        open_runner(ClusterSection(workers=1)) as made,
    ):
        ended = {outcome.task.name: outcome for outcome in made.run(make_work(), [bad("die"), square(2)])}
    assert ended["die"].error.code == "worker_died"
    assert ended["square 2"].receipt


def test_a_worker_that_lost_its_way_to_the_scheduler_is_replaced(
    runner: DaskRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a worker ends, and has Dask's guardian end with it: nothing started it again."""
    monkeypatch.setattr("pipelines.execution.pool._ENDED_S", 0.2)
    pool = runner._pool
    assert isinstance(pool, LocalPool)

    async def cut() -> None:
        for stream in pool._cluster.scheduler.stream_comms.values():
            stream.abort()

    pool.client.sync(cut)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and pool.members():
        time.sleep(0.01)
    assert pool.members() == {}
    assert "closing_gracefully" in pool.absence()
    assert outcomes(runner, [square(number) for number in range(4)])["square 3"].receipt["square"] == 9


def test_a_worker_tells_whether_a_thread_of_it_works(runner: DaskRunner) -> None:
    """What the scheduler knows is not enough: it lists a case as executing also when the thread for it has died."""
    assert outcomes(runner, [square(1)])["square 1"].receipt
    pool = runner._pool
    assert isinstance(pool, LocalPool)
    address = next(iter((pool.members() or {}).values())).address
    case = pool.client.submit(time.sleep, 0.5, workers=[address], pure=False)
    while not (is_working := ask(pool.client, address).result(10)) and not case.done():
        time.sleep(0.01)
    assert is_working is True
    case.result(10)
    assert ask(pool.client, address).result(10) is False


def test_too_much_memory_ends_the_case_alone(runner: DaskRunner) -> None:
    ended = outcomes(runner, [bad("swallow", number=40), square(3)])
    assert ended["swallow"].error.code == "worker_died"
    assert ended["square 3"].receipt["square"] == 9


def test_a_case_too_large_for_a_worker_is_said_before_it_runs(runner: DaskRunner) -> None:
    large = CaseTask(name="large", payload={"what": "square"}, memory_mb=5000)
    error = outcomes(runner, [large])["large"].error
    assert error.code == "no_memory"
    assert "needs about 5.4 GB, a worker has 1.2 GB" in str(error)


def test_nothing_to_do_starts_no_process() -> None:
    with open_runner(ClusterSection(workers=2)) as made:
        assert list(made.run(make_work(), [])) == []
        assert isinstance(made, DaskRunner)
        assert not made.is_started


def test_workers_by_default_are_one_less_than_cores_and_at_least_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, expected in ((1, 1), (2, 1), (8, 7)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        assert n_workers(ClusterSection()) == expected
    assert n_workers(ClusterSection(workers=3)) == 3


def test_a_script_without_main_guard_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.execution.pool.current_process", lambda: SimpleNamespace(_inheriting=True))
    with open_runner(ClusterSection(workers=1)) as made, pytest.raises(MainGuardError, match="__main__"):
        list(made.run(make_work(), [square(1)]))


SCRIPT = """
import os, sys, time
from pipelines.execution.cluster import open_runner
from pipelines.params.operation import ClusterSection
from pipelines.runner import CaseTask

if __name__ == "__main__":
    with open_runner(ClusterSection(workers=2)) as runner:
        tasks = [CaseTask(name=str(i), payload={"secs": 0.01 if i == 0 else 600}) for i in range(3)]
        try:
            for outcome in runner.run(lambda secs: (time.sleep(secs), {"pid": os.getpid()})[1], tasks):
                print(outcome.receipt["pid"], flush=True)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
"""


def test_an_interrupt_ends_quickly_quietly_and_leaves_no_process() -> None:
    """Ctrl-C reaches the whole process group, as in a terminal."""
    command = [sys.executable, "-c", SCRIPT]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        worker = int(process.stdout.readline())
        os.killpg(process.pid, 2)
        rest, noise = process.communicate(timeout=30)
    assert rest == "interrupted\n"
    assert noise == ""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _is_alive(worker):
        time.sleep(0.05)
    assert not _is_alive(worker)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
