"""Cases that are not complete yet: what is missing, since when, and how long they are waited for.

A case that lacks something is not refused at once, because the rest may be on its way. What it lacks is remembered with
the time it was first seen lacking that; after `scoring.incomplete_after_h` it is refused. It is taken at any later time
when the rest has come.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pandas as pd

from featurestore.files import write_text
from featurestore.sheets import csv_rows
from pipelines.ingest.summary import IngestSummary
from pipelines.scoring.results import Waiting

INCOMPLETE = {
    "phase_missing": "no image",
    "image_missing": "no image",
    "file_missing": "a file that cases.csv names",
    "mask_missing": "no outline",
    "observer_missing": "no outline of the observer",
    "slices_missing": "slices in between",
    "contour_off_image": "slices that the outline lies on",
    "truncated_file": "the rest of a file",
    "clinical_missing": "no row in clinical.csv",
}
"""Codes of `qc` that more files can cure, and what is missing in words."""

CLINICAL = "clinical_missing"
REFUSED = ("refused", "failed")
EMPTY_QC = pd.DataFrame({name: pd.Series(dtype=str) for name in ("case_id", "phase", "status", "code")})
MEMORY = ("case_id", "phase", "code", "since")
Lacks = Mapping[str, Mapping[str, str]]
"""By case_id what it lacks: code by phase."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a model needs of a case.

    Args:
        phases: Phases that it looks at.
        clinical: Whether it needs the row of the clinical table.
    """

    phases: tuple[str, ...]
    clinical: bool = False


def lacking(qc: pd.DataFrame, cases: pd.DataFrame, needs: Needs) -> dict[str, dict[str, str]]:
    """Returns the cases that lack something that may still come.

    Args:
        qc: What ingest has to say of every case.
        cases: The images that can be used.
        needs: What the model needs.
    """
    found: dict[str, dict[str, str]] = {}
    relevant = qc[qc["case_id"] != ""] if len(qc) else qc
    for row in relevant.to_dict("records"):
        is_clinical = row["code"] == CLINICAL
        asked = needs.clinical if is_clinical else row["phase"] in ("", *needs.phases) and row["status"] == "refused"
        if asked and row["code"] in INCOMPLETE:
            found.setdefault(str(row["case_id"]), {})[str(row["phase"])] = str(row["code"])
    _add_silent(found, relevant, cases, needs)
    return found


def _add_silent(found: dict[str, dict[str, str]], qc: pd.DataFrame, cases: pd.DataFrame, needs: Needs) -> None:
    """Adds phases that the model needs and the rules do not ask for: no row says that they are not there."""
    if qc.empty or cases.empty:
        return
    there = set(zip(cases["case_id"], cases["phase"], strict=True))
    told = set(zip(qc["case_id"], qc["phase"], strict=True))
    for case_id in sorted(set(cases["case_id"])):
        for phase in needs.phases:
            if (case_id, phase) not in there | told:
                found.setdefault(str(case_id), {})[phase] = "phase_missing"


def awaited(path: Path, lacks: Lacks, after_h: float, now: datetime | None = None) -> list[Waiting]:
    """Returns the cases that are waited for, and remembers since when.

    Args:
        path: The table in which it is remembered; written only when something changed.
        lacks: What cases lack now.
        after_h: For how many hours a case is waited for; 0 waits for none.
        now: The present time.
    """
    now = now or datetime.now(UTC)
    known = _remembered(path)
    since = {case_id: _since(known.get(case_id), own, now) for case_id, own in lacks.items()}
    _remember(path, lacks, since)
    limit = timedelta(hours=after_h)
    return [
        Waiting(case_id=case_id, missing=words(lacks[case_id]), since=since[case_id])
        for case_id in sorted(lacks)
        if now - datetime.fromisoformat(since[case_id]) < limit
    ]


def words(lacks: Mapping[str, str]) -> str:
    """Returns what is missing, for people."""
    return "; ".join(f"{phase}: {INCOMPLETE[code]}" if phase else INCOMPLETE[code] for phase, code in lacks.items())


def still_arriving(summary: IngestSummary, center: str) -> list[Waiting]:
    """Returns the cases whose files are not still yet; a table that is not still holds up its whole hospital."""
    cases = summary.arriving.get(center, [])
    if center in summary.waiting and not cases:
        return [Waiting(case_id="", missing="clinical.csv, or another file beside it, is still arriving")]
    return [Waiting(case_id=case_id, missing="its files are still arriving") for case_id in cases]


def _since(known: tuple[dict[str, str], str] | None, own: Mapping[str, str], now: datetime) -> str:
    """Returns since when a case lacks just this; a time ahead of the clock, which was set back, begins anew."""
    if known is not None and known[0] == dict(own) and datetime.fromisoformat(known[1]) <= now:
        return known[1]
    return now.isoformat(timespec="seconds").replace("+00:00", "Z")


def _remember(path: Path, lacks: Lacks, since: Mapping[str, str]) -> None:
    """Writes a line for all that a case lacks, if that changed; a patient who withdraws takes his lines along."""
    if not lacks:
        path.unlink(missing_ok=True)
        return
    rows = [(case_id, *item, since[case_id]) for case_id in sorted(lacks) for item in sorted(lacks[case_id].items())]
    text = csv_rows([MEMORY, *rows])
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def _remembered(path: Path) -> dict[str, tuple[dict[str, str], str]]:
    found: dict[str, tuple[dict[str, str], str]] = {}
    try:
        for row in csv.DictReader(StringIO(path.read_text(encoding="utf-8"))):
            datetime.fromisoformat(row["since"])
            found.setdefault(row["case_id"], ({}, row["since"]))[0][row["phase"]] = row["code"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found


@dataclass(frozen=True)
class Inbox:
    """Which of a hospital's cases are not complete or not still yet.

    Args:
        qc: What ingest and extraction have to say of every case.
        lacks: What cases lack.
        awaited: The cases that are waited for.
        arriving: The cases whose files are still being written; what is known of them is of an earlier run.
    """

    qc: pd.DataFrame
    lacks: Lacks
    awaited: tuple[Waiting, ...]
    arriving: tuple[Waiting, ...]

    @classmethod
    def of(
        cls,
        remarks: Sequence[pd.DataFrame],
        cases: pd.DataFrame,
        needs: Needs,
        memory: Path,
        arriving: Sequence[Waiting],
        after_h: float,
    ) -> "Inbox":
        """Looks through what was read; `memory` keeps since when a case lacks what it lacks."""
        frames = [frame for frame in remarks if len(frame)]
        qc = pd.concat(frames, ignore_index=True) if frames else EMPTY_QC
        lacks = lacking(qc, cases, needs)
        return cls(qc, lacks, tuple(awaited(memory, lacks, after_h)), tuple(arriving))

    @property
    def held(self) -> list[str]:
        """The cases that are not scored, whatever else of them is here."""
        return [waiting.case_id for waiting in self.awaited]

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """All cases that wait, each once."""
        moving = {waiting.case_id for waiting in self.arriving}
        return (*self.arriving, *(waiting for waiting in self.awaited if waiting.case_id not in moving))

    def refusals(self, scored: Iterable[str]) -> dict[str, int]:
        """Returns how often each reason refused a case; what may still be cured is left out.

        Args:
            scored: The cases that have all that the model needs.
        """
        spared = {*self.held, *scored}
        is_held = self.qc["case_id"].isin(self.held) & self.qc["code"].isin(list(INCOMPLETE))
        told = self.qc[self.qc["status"].isin(REFUSED) & ~is_held]
        known = set(zip(told["case_id"], told["phase"], told["code"], strict=True))
        lacked = ((case_id, phase, code) for case_id, own in self.lacks.items() for phase, code in own.items())
        late = [
            code for case_id, phase, code in lacked if case_id not in spared and (case_id, phase, code) not in known
        ]
        return dict(sorted(Counter([*map(str, told["code"]), *late]).items()))
