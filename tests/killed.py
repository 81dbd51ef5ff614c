"""Kills work at a chosen moment, with all processes that it started, as when a machine is switched off."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any


def ready(*modules: str) -> Any:
    """Returns a context whose processes begin at once, with these modules loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    return context


def killed(context: Any, work: Callable[..., object], arguments: tuple[Any, ...], delay: float) -> bool:
    """Kills work so many seconds after it began; returns whether it was still going on."""
    process, begin = _begun(context, work, arguments)
    time.sleep(max(begin + delay - time.time(), 0))
    was_at_work = bool(process.is_alive())
    if was_at_work:
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
    _wait_for_its_children(process.pid)
    assert process.exitcode in (0, -signal.SIGKILL), "a process that could not even begin proves nothing"
    return was_at_work


def whole(context: Any, work: Callable[..., object], arguments: tuple[Any, ...]) -> float:
    """Lets work end undisturbed in a process of its own; returns how many seconds it took."""
    process, begin = _begun(context, work, arguments)
    process.join()
    assert process.exitcode == 0
    return time.time() - begin


def _begun(context: Any, work: Callable[..., object], arguments: tuple[Any, ...]) -> tuple[Any, float]:
    """Starts work in a process group of its own and returns when it has begun, all its modules loaded."""
    mine, theirs = context.Pipe()
    process = context.Process(target=_do, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    mine.recv()
    return process, time.time()


def _wait_for_its_children(group: int, patience_s: float = 1.0) -> None:
    """Waits for what died with a process: until the last is gone, it holds the locks. A body nobody fetches is gone."""
    until = time.time() + patience_s
    with suppress(ProcessLookupError):
        while time.time() < until:
            os.killpg(group, 0)
            time.sleep(0.01)


def _do(told: Any, work: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    os.setpgrp()
    told.send(True)
    work(*arguments)
