"""What a scoring run says of itself: counts by hospital, the versions in its shadow, alarms and notes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines.scoring.shadow import ShadowComparison


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """Something that a person should look at.

    Args:
        center: The hospital it is about.
        code: What kind it is, for programs.
        message: What was seen, and what to do.
    """

    center: str
    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A case that is not taken yet, because something of it may still come.

    Args:
        case_id: Which; empty when the whole hospital waits.
        missing: What is missing, in words.
        since: When it was first seen missing, UTC; empty while files are still being written.
    """

    case_id: str
    missing: str
    since: str = ""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What one version made of one hospital's cases.

    Args:
        n_scored: Cases scored in this run.
        n_before: Cases that had their score already.
        n_positive: Cases whose current score is at or above the threshold.
        refused: Cases that could not be scored, by reason code.
        waiting: Cases that are not complete or not still yet.
    """

    n_scored: int = 0
    n_before: int = 0
    n_positive: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    waiting: tuple[Waiting, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ShadowResult(Counts):
    """What a version that is never acted upon made of one hospital's cases.

    Args:
        version: Its number.
        model: Its model's name.
        role: challenger or standby.
        problem: Why it said nothing of this hospital; empty when it did.
        beside: How its scores compare with the champion's, on the cases that both have scored.
    """

    version: int
    model: str
    role: str
    problem: str = ""
    beside: ShadowComparison = field(default_factory=lambda: ShadowComparison(n=0))

    def plain(self, center: str) -> dict[str, object]:
        """Returns the result as a table row."""
        who = {"center": center, "role": self.role, "version": f"{self.version} ({self.model})"}
        return {**who, **_row(self), "problem": self.problem or "none"}

    def comparison(self, center: str) -> dict[str, object]:
        """Returns how its scores compare with the champion's, as a table row."""
        return {"center": center, "role": self.role, "version": f"{self.version} ({self.model})", **self.beside.plain()}


@dataclass(frozen=True, kw_only=True)
class CenterResult(Counts):
    """What a scoring run did for one hospital; the counts are the champion's.

    Args:
        center: The hospital.
        problem: Why the hospital as a whole could not be read; empty when it could.
        shadow: What the versions beside the champion made of it.
        alarms: What a person should look at.
        duration_s: How long the champion took with it.
    """

    center: str
    problem: str = ""
    shadow: tuple[ShadowResult, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    duration_s: float = field(default=0.0, compare=False)

    def plain(self) -> dict[str, object]:
        """Returns the result as a table row."""
        return {"center": self.center, **_row(self), "problem": self.problem or "none"}


@dataclass(frozen=True, kw_only=True)
class ScoreSummary:
    """A scoring run: the version that scored, and what happened to each hospital.

    Args:
        model: The champion's name.
        version: The champion's number.
        centers: One result a hospital.
        notes: Versions beside the champion that could not score, and why.
    """

    model: str
    version: int
    centers: tuple[CenterResult, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether every case that was sent has a score of the champion."""
        return not any(center.refused or center.problem for center in self.centers)

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """All alarms of all hospitals."""
        return tuple(alarm for center in self.centers for alarm in center.alarms)

    @property
    def has_news(self) -> bool:
        """Whether a person has something to see: new scores, alarms, notes or a hospital with a problem."""
        return bool(self.alarms or self.notes) or any(center.n_scored or center.problem for center in self.centers)

    def waiting_rows(self) -> list[dict[str, object]]:
        """Returns the cases that wait, as rows of a table."""
        return [
            {"center": c.center, "case": w.case_id or "all", "missing": w.missing, "since": w.since or "now"}
            for c in self.centers
            for w in c.waiting
        ]

    def shadow_rows(self) -> list[dict[str, object]]:
        """Returns what the versions beside the champion did, as rows of a table."""
        return [shadow.plain(center.center) for center in self.centers for shadow in center.shadow]

    def comparison_rows(self) -> list[dict[str, object]]:
        """Returns how these versions' scores compare with the champion's, as rows of a table."""
        return [shadow.comparison(center.center) for center in self.centers for shadow in center.shadow]


def _row(counts: Counts) -> dict[str, object]:
    return {
        "scored now": counts.n_scored,
        "scored before": counts.n_before,
        "positive": counts.n_positive,
        "waiting": len(counts.waiting),
        "not scored": reasons(counts.refused),
    }


def reasons(refused: Mapping[str, int]) -> str:
    """Returns counts by reason code as text."""
    return ", ".join(f"{code} {n}" for code, n in sorted(refused.items())) or "none"
