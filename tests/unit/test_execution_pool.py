"""Workers of this machine that stay away: the scheduler is asked, guardians are replaced, all is begun anew at last."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.execution import pool as pools
from pipelines.execution.pool import LocalPool


class FakeDask:
    """Client, scheduler, cluster and guardians of two workers, and a clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.there = [0, 1]
        self.is_answering = True
        self.status = "running"
        self.worker_spec = {0: {}, 1: {}}
        self.replaced: list[int] = []
        self.scheduler = SimpleNamespace(identity="identity")
        self.loop = SimpleNamespace(add_callback=lambda function, cluster, key: self.replaced.append(key))

    @property
    def workers(self) -> dict[int, Any]:
        status = SimpleNamespace(name=self.status)
        return {key: SimpleNamespace(status=status, pid=None, last_exit=None) for key in self.worker_spec}

    def scheduler_info(self) -> dict[str, Any]:
        """Is what the client remembers: Dask keeps replacing it by one without any worker."""
        return {"workers": {}}

    def sync(self, function: str, *, n_workers: int, callback_timeout: float) -> dict[str, Any]:
        assert (function, n_workers) == ("identity", -1)
        if not self.is_answering:
            raise TimeoutError
        return {"workers": {f"tcp://{key}": {"name": key, "local_directory": f"life-{key}"} for key in self.there}}


@pytest.fixture
def dask(monkeypatch: pytest.MonkeyPatch) -> FakeDask:
    fake = FakeDask()
    monkeypatch.setattr(pools, "time", SimpleNamespace(monotonic=lambda: fake.now))
    monkeypatch.setattr(pools, "patience", lambda: None)
    monkeypatch.setattr(LocalPool, "_start", lambda _: (fake, fake))
    return fake


def looked(pool: LocalPool, dask: FakeDask, *seconds: float) -> list[int]:
    """Returns whose guardians were replaced when the pool was looked at so long after the beginning."""
    dask.replaced.clear()
    for second in seconds:
        dask.now = 1000.0 + second
        pool.members()
    return dask.replaced


def test_what_the_client_remembers_is_never_taken_for_no_workers(dask: FakeDask) -> None:
    """Protects a case at work from being taken for lost, in one look of a hundred."""
    pool = LocalPool(2, 10**9)
    assert pool.client.scheduler_info()["workers"] == {}
    assert sorted(pool.members() or {}) == ["0", "1"]
    dask.is_answering = False
    assert pool.members() is None, "not known is not the same as none"


def test_a_worker_that_is_away_for_long_gets_another_guardian(dask: FakeDask) -> None:
    """Protects runs from a guardian that says it is running and starts nothing."""
    pool = LocalPool(2, 10**9)
    dask.there = [0]
    limit_s = pools._AWAY_S
    assert looked(pool, dask, 0, limit_s / 2, limit_s) == []
    assert looked(pool, dask, limit_s + 1, limit_s + 2, 2 * limit_s + 1) == [1]
    assert looked(pool, dask, 2 * limit_s + 2) == [1], "and another when that one does not do either"
    dask.there = [0, 1]
    assert looked(pool, dask, 2 * limit_s + 3, 4 * limit_s) == []


def test_a_guardian_that_ended_is_replaced_soon(dask: FakeDask) -> None:
    pool = LocalPool(2, 10**9)
    dask.there, dask.status = [0], "closing_gracefully"
    assert looked(pool, dask, 0, pools._ENDED_S) == []
    assert looked(pool, dask, pools._ENDED_S + 1) == [1]
    assert pools._ENDED_S < pools._AWAY_S / 5


@pytest.mark.parametrize("is_answering", [True, False])
def test_without_any_worker_for_long_all_is_begun_anew(
    dask: FakeDask, monkeypatch: pytest.MonkeyPatch, is_answering: bool
) -> None:
    """Protects runs whose scheduler is gone, or whose guardians all are."""
    told: list[str] = []
    ended: list[FakeDask] = []
    pool = LocalPool(2, 10**9, told.append)
    dask.there, dask.is_answering = [], is_answering
    other = FakeDask()
    monkeypatch.setattr(LocalPool, "_start", lambda _: (other, other))
    monkeypatch.setattr(LocalPool, "_end", lambda self: ended.append(self.client))
    limit_s = pools._NONE_S
    looked(pool, dask, 0, limit_s / 2, limit_s)
    assert (told, ended) == ([], [])
    dask.now += 1
    assert sorted(pool.members() or {}) == ["0", "1"]
    assert pool.client is other
    assert ended == [dask]
    assert f"no worker for {limit_s:g} s: worker 0 has no process" in told[0]
    other.there = []
    looked(pool, dask, limit_s + 2, 2 * limit_s)
    assert len(told) == 1, "the new ones have their time, too"
    assert limit_s < pool.patience_s / 2, "or the run is given up before"
