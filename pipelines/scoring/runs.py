"""What every scoring run leaves behind: one line of JSON in `deployment/runs.jsonl`, with counts and no patient.

A run that was killed leaves a mark instead, from which the next one writes its line.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from featurestore.errors import RadmillError
from featurestore.files import write_json
from pipelines.scoring.results import Alarm, CenterResult, ScoreSummary
from pipelines.workspace import Workspace

DONE, FAILED, KILLED, SKIPPED = "done", "failed", "killed", "skipped"
FAULT = 3
TAIL_BYTES = 1 << 20
"""What is read back of the file: hundreds of runs, however long it has grown."""

Plain = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One scoring run.

    Args:
        start: When it began, UTC.
        end: When it ended; empty when it was killed.
        duration_s: How long it took, by a clock that does not jump.
        outcome: done, failed, killed, or skipped because another run was at work.
        exit_code: 0 done, 1 some cases were refused, 2 wrong input, 3 a fault.
        release: The radmill that ran.
        versions: The versions in force, each with model, version and role.
        centers: By hospital how many cases were scored now and before, wait, were refused by code.
        alarms: What a person should look at.
        problem: Why it failed.
        told: What became of the messages to others.
    """

    start: str
    end: str = ""
    duration_s: float = 0.0
    outcome: str = DONE
    exit_code: int = 0
    release: str = ""
    versions: list[Plain] = field(default_factory=list)
    centers: list[Plain] = field(default_factory=list)
    alarms: list[Plain] = field(default_factory=list)
    problem: str = ""
    told: dict[str, str] = field(default_factory=dict)

    @property
    def is_success(self) -> bool:
        """Whether all was scored that could be."""
        return self.outcome == DONE

    def plain(self) -> Plain:
        """Returns the record as JSON types."""
        return asdict(self)

    def words(self) -> str:
        """Returns what the run did, on one line for people."""
        if self.outcome != DONE:
            return f"{self.start}, {self.outcome}: {self.problem}"
        sums = {name: sum(center[name] for center in self.centers) for name in ("scored", "waiting")}
        n_refused = sum(sum(center["refused"].values()) for center in self.centers)
        counts = f"{sums['scored']} scored, {sums['waiting']} waiting, {n_refused} refused, {len(self.alarms)} alarms"
        return f"{self.end}, exit {self.exit_code}, {self.duration_s:.0f} s: {counts}"


class Run:
    """A run at work; `summary` is set when the scoring has ended well."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.summary: ScoreSummary | None = None
        self.record = RunRecord(start=_now(), release=version("radmill"))
        self._began = time.monotonic()

    def ended(self, error: BaseException | None) -> RunRecord:
        """Returns the record of the run at its end."""
        timed = replace(self.record, end=_now(), duration_s=round(time.monotonic() - self._began, 3))
        if error is None and self.summary is not None:
            return _of_summary(timed, self.summary)
        code = error.exit_code if isinstance(error, RadmillError) else FAULT
        problem = str(error) if isinstance(error, RadmillError) else type(error).__name__
        return replace(timed, outcome=FAILED, exit_code=code, problem=problem.replace("\n", " "))


@contextmanager
def marked_run(workspace: Workspace) -> Iterator[Run]:
    """Yields a run that is marked as begun, and writes the line of one before it that was killed.

    The mark goes when the block ends, well or not; the caller appends the record within it.
    """
    mark = workspace.state / "scoring-run.json"
    with suppress(FileNotFoundError, ValueError, KeyError):
        start = str(json.loads(mark.read_bytes())["start"])
        problem = "it ended without a word: killed, or the machine went down; this run takes its cases up"
        append_record(workspace, RunRecord(start=start, outcome=KILLED, exit_code=FAULT, problem=problem))
    run = Run(workspace)
    write_json(mark, {"start": run.record.start})
    try:
        yield run
    finally:
        mark.unlink(missing_ok=True)


def append_record(workspace: Workspace, record: RunRecord) -> None:
    """Adds a line in one write, after mending what a killed run left half written."""
    path = runs_path(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(record.plain(), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    with path.open("a+b", buffering=0) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _mend(handle)
        handle.write(line)
        os.fsync(handle.fileno())


def recent_runs(workspace: Workspace) -> list[RunRecord]:
    """Returns the latest runs, oldest first; lines that cannot be read are left out."""
    path = runs_path(workspace)
    if not path.exists():
        return []
    with path.open("rb") as handle:
        lines = _tail(handle).splitlines()
    return [record for line in lines if (record := _read(line)) is not None]


def skipped_run(holder: str) -> RunRecord:
    """Returns the record of a run that left the work to another one."""
    now = _now()
    return RunRecord(start=now, end=now, outcome=SKIPPED, release=version("radmill"), problem=holder)


def runs_path(workspace: Workspace) -> Path:
    """Returns where the records of all runs stand."""
    return workspace.deployment / "runs.jsonl"


def _of_summary(record: RunRecord, summary: ScoreSummary) -> RunRecord:
    return replace(
        record,
        exit_code=0 if summary.is_clean else 1,
        versions=_versions(summary),
        centers=[_center(result) for result in summary.centers],
        alarms=[_alarm(alarm) for alarm in summary.alarms],
    )


def _versions(summary: ScoreSummary) -> list[Plain]:
    champion = {"model": summary.model, "version": summary.version, "role": "champion"}
    beside = {(s.version, s.model, s.role) for result in summary.centers for s in result.shadow}
    return [champion, *({"model": m, "version": v, "role": r} for v, m, r in sorted(beside))]


def _center(result: CenterResult) -> Plain:
    return {
        "center": result.center,
        "scored": result.n_scored,
        "before": result.n_before,
        "positive": result.n_positive,
        "waiting": len(result.waiting),
        "refused": dict(sorted(result.refused.items())),
        "duration_s": round(result.duration_s, 3),
        "problem": result.problem,
    }


def _alarm(alarm: Alarm) -> Plain:
    return {"center": alarm.center, "code": alarm.code, "message": alarm.message}


def _mend(handle: BinaryIO) -> None:
    """Ends a line that lacks only its line break, and takes one away that was cut."""
    tail = _tail(handle)
    rest = tail.rpartition(b"\n")[2]
    if not rest:
        return
    if _read(rest) is not None:
        handle.write(b"\n")
    else:
        handle.truncate(handle.seek(0, os.SEEK_END) - len(rest))


def _tail(handle: BinaryIO) -> bytes:
    handle.seek(max(handle.seek(0, os.SEEK_END) - TAIL_BYTES, 0))
    return handle.read()


def _read(line: bytes) -> RunRecord | None:
    try:
        content = json.loads(line)
        known = {name: content[name] for name in RunRecord.__dataclass_fields__ if name in content}
        return RunRecord(**known)
    except (ValueError, TypeError):
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
