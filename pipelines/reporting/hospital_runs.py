"""What scoring runs changed at a hospital, from their records; a run that found nothing new is no step."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.scoring.runs import DONE, RunRecord

MOST = 30
"""So many of the latest steps are shown."""

_TIMES = re.compile(rb'"(?:start|end)":"[^"]*",?|"duration_s":[0-9.e+-]+,?|"told":\{[^}]*\},?')
"""What differs between runs that did the same."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A run after which something was not as before.

    Args:
        at: When it ended, UTC.
        version: The champion's number and model.
        scored_now: Cases that it scored.
        scored: Cases with a score after it.
        positive: Of them at or above the threshold.
        waiting: Cases that were not complete or not still.
        refused: Cases without a score, by reason code.
        alarms: Codes of what rang.
        problem: Why the hospital could not be read.
        duration_s: How long the hospital took.
    """

    at: str
    version: str
    scored_now: int
    scored: int
    positive: int
    waiting: int
    refused: Mapping[str, int]
    alarms: tuple[str, ...]
    problem: str
    duration_s: float

    @property
    def state(self) -> tuple[object, ...]:
        """What makes one step differ from the next."""
        return (self.version, self.scored, self.positive, self.waiting, dict(self.refused), self.alarms, self.problem)


def steps_of(runs: Path, center: str) -> list[Step]:
    """Returns the runs after which something of a hospital was not as before, oldest first.

    Args:
        runs: `deployment/runs.jsonl`.
        center: The hospital.
    """
    found: list[Step] = []
    for record in _records(runs):
        own = next((one for one in record.get("centers", []) if one["center"] == center), None)
        if own is None or record.get("outcome") != DONE:
            continue
        step = _step(record, own)
        if step.scored_now or not found or found[-1].state != step.state:
            found.append(step)
    return found


def last_words(records: Sequence[RunRecord], center: str) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """Returns counts and alarms of a hospital from the last run that went through and saw it."""
    for record in reversed(records):
        if record.outcome != DONE:
            continue
        own = next((one for one in record.centers if one["center"] == center), None)
        if own is not None:
            return own, [alarm for alarm in record.alarms if alarm["center"] == center]
    return None, []


def _records(runs: Path) -> Iterator[dict[str, Any]]:
    """Yields records, without those that repeat the one before them in all but time."""
    if not runs.exists():
        return
    before = b""
    with runs.open("rb") as lines:
        for line in lines:
            key = _TIMES.sub(b"", line)
            if key == before:
                continue
            before = key
            try:
                yield json.loads(line)
            except ValueError:  # a line that a killed run left half written
                continue


def _step(record: Mapping[str, Any], own: Mapping[str, Any]) -> Step:
    champion = next((one for one in record.get("versions", []) if one["role"] == "champion"), None)
    return Step(
        at=record["end"],
        version=f"{champion['version']} ({champion['model']})" if champion else "",
        scored_now=own["scored"],
        scored=own["scored"] + own["before"],
        positive=own["positive"],
        waiting=own["waiting"],
        refused=own["refused"],
        alarms=tuple(sorted({a["code"] for a in record.get("alarms", []) if a["center"] == own["center"]})),
        problem=own["problem"],
        duration_s=own["duration_s"],
    )
