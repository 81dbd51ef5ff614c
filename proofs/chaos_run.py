"""A run under watch: which stage is at work, which processes belong to it, and how to end them."""

import os
import random
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

TOKEN = "RADMILL_CHAOS"
"""In the environment of all that a run starts, so that nothing of it goes unseen."""

LOOK_S = 0.03
BEFORE, WORKERS_IN = "before the first stage", ("ingest", "extract", "shuffle")
_STAGE = re.compile(r"^Running stage '([^']+)'", re.MULTILINE)


@dataclass(frozen=True)
class Mark:
    """When a stage was at work, in seconds after the begin of the run, and its workers after its own begin."""

    stage: str
    begin_s: float
    end_s: float
    workers: tuple[float, ...] = ()


@dataclass
class Run:
    """A command and all processes that it started."""

    process: "subprocess.Popen[bytes]"
    log: Path
    token: str
    begin: float = field(default_factory=time.monotonic)

    @classmethod
    def start(cls, arguments: list[str], folder: Path, code: Path, log: Path) -> "Run":
        """Starts a radmill command with the modules of `code`."""
        token, own = uuid.uuid4().hex, Path(sys.executable).parent
        env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RADMILL_TRACE")}
        env |= {"PATH": f"{own}{os.pathsep}{env['PATH']}", "PYTHONPATH": str(code), TOKEN: token}
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(own / "radmill"), *arguments], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return cls(process, log, token)

    def stages(self) -> list[str]:
        """Returns the stages that have begun, in their order."""
        return _STAGE.findall(self.told())

    def told(self) -> str:
        """Returns what it printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait(self, limit_s: float) -> int | None:
        """Returns the exit code; nothing when it hangs, and then it is ended."""
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def is_on(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def members(self) -> list[int]:
        """Returns all processes that it started and that live, whoever their parent is by now."""
        mark = f"{TOKEN}={self.token}".encode()
        return [pid for pid in _processes() if mark in _read(pid, "environ") and not _is_zombie(pid)]

    def kill(self) -> None:
        """Ends all at once, as when a machine is switched off: first all are stopped, so that none can answer."""
        self.signal(signal.SIGSTOP)
        while self.members():
            self.signal(signal.SIGKILL)
            time.sleep(0.02)
        self.process.wait()

    def signal(self, number: int) -> None:
        """Sends a signal to all processes."""
        for pid in self.members():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def orphans(self, patience_s: float) -> list[str]:
        """Returns the command lines of what still runs so long after the end."""
        until = time.monotonic() + patience_s
        while (left := self.members()) and time.monotonic() < until:
            time.sleep(0.1)
        return [_read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")[:200] for pid in left]

    def driver(self) -> int | None:
        """Returns the process of the stage that is at work."""
        for pid in descendants(self.process.pid):
            words = _read(pid, "cmdline").split(b"\0")
            if any(word.endswith(b"/radmill") for word in words[:2]):
                return pid
        return None

    def workers(self) -> list[int]:
        """Returns the worker processes of the stage that is at work."""
        driver = self.driver()
        return self.workers_of(driver) if driver else []

    @staticmethod
    def workers_of(driver: int) -> list[int]:
        """Returns the worker processes of a stage."""
        return [pid for pid in _children(driver) if b"spawn_main(" in _read(pid, "cmdline")]


def timeline(run: Run, limit_s: float) -> list[Mark]:
    """Watches an undisturbed run to its end and returns when which stage was at work."""
    begins, seen = [(BEFORE, 0.0)], {}
    while run.is_on() and time.monotonic() - run.begin < limit_s:
        now = time.monotonic() - run.begin
        begins += [(stage, now) for stage in run.stages()[len(begins) - 1 :]]
        stage, begin = begins[-1]
        if has_workers(stage) and run.workers():
            first, _ = seen.get(stage, (now - begin, 0.0))
            seen[stage] = first, now - begin
        time.sleep(LOOK_S)
    ends = [begin for _, begin in begins[1:]] + [time.monotonic() - run.begin]
    return [Mark(stage, begin, end, seen.get(stage, ())) for (stage, begin), end in zip(begins, ends, strict=True)]


def has_workers(stage: str) -> bool:
    """Whether worker processes share a stage's cases."""
    return stage.split("@")[0] in WORKERS_IN


@dataclass(frozen=True)
class Moment:
    """So long after the begin of a stage, which began so long after that of an undisturbed run.

    A busy machine stretches a run, an idle one shortens it: the moment stays where it was.
    """

    stage: str
    after_s: float
    begin_s: float

    @classmethod
    def drawn(cls, marks: list[Mark], rng: random.Random, part: tuple[float, float] = (0.0, 1.0)) -> "Moment":
        """Draws a moment evenly over an undisturbed run, or over a part of it."""
        at = rng.uniform(*part) * marks[-1].end_s
        mark = next(mark for mark in marks if at <= mark.end_s)
        return cls(mark.stage, max(at - mark.begin_s, 0.0), mark.begin_s)

    @classmethod
    def with_workers(cls, marks: list[Mark], rng: random.Random) -> "Moment":
        """Draws a moment at which a stage has workers, counted from when they are first seen."""
        having = [mark for mark in marks if mark.workers]
        spans = [mark.workers[1] - mark.workers[0] for mark in having]
        mark, span = rng.choices(list(zip(having, spans, strict=True)), weights=spans)[0]
        return cls(mark.stage, rng.uniform(0, span), mark.begin_s)

    def await_in(self, run: Run, *, workers: bool) -> bool:
        """Waits for it; returns whether the run is still on, and has workers if these are asked for."""
        for _ in _while_on(run):
            if self.stage == BEFORE or self.stage in run.stages():
                break
        stretch = (time.monotonic() - run.begin) / self.begin_s if self.begin_s else 1.0
        for _ in _while_on(run):
            if not workers or run.workers() or run.stages()[-1] != self.stage:
                break
        until = time.monotonic() + self.after_s * stretch
        for _ in _while_on(run):
            if time.monotonic() >= until:
                break
        return run.is_on() and (not workers or bool(run.workers()))


def descendants(pid: int) -> Iterator[int]:
    """Returns the processes below one, nearest first."""
    found = [pid]
    while found:
        own = _children(found.pop(0))
        yield from own
        found += own


def _while_on(run: Run) -> Iterator[None]:
    while run.is_on():
        yield
        time.sleep(LOOK_S)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, path.read_text().split())
    return found


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _is_zombie(pid: int) -> bool:
    return b") Z " in _read(pid, "stat")
