"""Mending a ledger that two clones wrote apart and git merged: the second branch is judged anew on top of the first.

Nothing goes silently: an event that the first branch no longer allows, or a gate refuses, is named, and the ledger
keeps every line that it lost in the event `mend`.
"""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import Any

from featurestore.errors import InputError
from featurestore.files import exclusive, write_bytes
from registry import states
from registry.errors import BrokenLedgerError, MoveRefusedError
from registry.gates import Compare, gates_from, judge
from registry.keeping import commit, require_repository, stage, write_evidence
from registry.ledger import FIRST, Event, Ledger, git_user, parsed
from registry.lifecycle import Registry
from registry.states import RegistryState, after, check_move, fold

_MARKERS = (b"<<<<<<<", b"=======", b">>>>>>>", b"|||||||")


class NothingToMendError(InputError):
    """The ledger is one chain."""

    default_remedy = "nothing needs to be done"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an event of the second branch.

    Args:
        event: The event as it was.
        refused: Why it was not taken over; empty when it was.
    """

    event: Event
    refused: str = ""

    def plain(self) -> dict[str, object]:
        """Returns the outcome as a table row."""
        who = f"{self.event.who}, {self.event.when}"
        return {
            "event": self.event.verb,
            "package": self.event.package[:12],
            "by": who,
            "outcome": f"refused: {self.refused}" if self.refused else "taken over",
        }


@dataclass(frozen=True, kw_only=True)
class Mended:
    """What mending did.

    Args:
        outcomes: What became of each event of the second branch, in its order.
        is_merging: Whether git waits for the merge to be committed.
    """

    outcomes: tuple[Outcome, ...]
    is_merging: bool


def mend(registry: Registry, gates: Mapping[str, Any], compare: Compare | None = None) -> Mended:
    """Makes one chain of a forked ledger: the first branch as it is, then what of the second still holds.

    Args:
        registry: The study's registry.
        gates: The limits of `registry.gates`, by which promotions of the second branch are judged anew.
        compare: The paired test of two models.

    Raises:
        NothingToMendError: There is no fork.
        BrokenLedgerError: Something else is wrong with the ledger, which no mending may hide.
    """
    require_repository(registry.study)
    with exclusive(registry.study / ".radmill" / "registry.lock", "radmill registry mend"):
        trunk, branch = branches(registry.ledger.path)
        joined = _Joining(registry, list(trunk), fold(trunk), gates, compare)
        outcomes = tuple(Outcome(event=event, refused=joined.take(event)) for event in branch)
        joined.remember(outcomes)
        write_bytes(registry.ledger.path, b"".join(event.line() for event in joined.events))
        own, is_merging = [registry.ledger.path, *joined.written], _is_merging(registry.study)
        if is_merging:
            stage(registry.study, own)
        else:
            commit(registry.study, own, "Mend the ledger of two clones")
    return Mended(outcomes=outcomes, is_merging=is_merging)


def branches(path: Path) -> tuple[list[Event], list[Event]]:
    """Returns the events of the branch that comes first in the file from the beginning on, and all others.

    Raises:
        NothingToMendError: There is one chain.
        BrokenLedgerError: A line was changed, is missing, or is no event.
    """
    found = list(_events(path))
    by_prev: dict[str, list[Event]] = {}
    for event in found:
        by_prev.setdefault(event.prev, []).append(event)
    trunk: list[Event] = []
    while following := by_prev.get(trunk[-1].hash if trunk else FIRST):
        trunk.append(following[0])
    rest = [event for event in found if event not in trunk]
    if not rest:
        raise NothingToMendError("the ledger is one chain", where=path.name)
    known = {FIRST, *(event.hash for event in found)}
    lost = next((event for event in rest if event.prev not in known), None)
    if lost is not None:
        raise BrokenLedgerError("continues a line that is not here", where=f"{path.name} event {lost.number}")
    return trunk, rest


def _events(path: Path) -> Iterator[Event]:
    """Yields each event once; the marks that git leaves at a conflict are passed over."""
    seen: set[str] = set()
    data = path.read_bytes() if path.is_file() else b""
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        if line.startswith(_MARKERS):
            continue
        event = parsed(line)
        if event is None or event.hash != event.content_hash():
            what = "was changed after it was written, or is no event"
            raise BrokenLedgerError(what, where=f"{path.name} line {number}")
        if event.hash not in seen:
            seen.add(event.hash)
            yield event


@dataclass
class _Joining:
    """The chain as it grows."""

    registry: Registry
    events: list[Event]
    state: RegistryState
    gates: Mapping[str, Any]
    compare: Compare | None
    written: list[Path] = field(default_factory=list)

    def take(self, event: Event) -> str:
        """Takes over an event of the second branch if it still holds; returns why not, or an empty text."""
        if event.verb == "register" and event.package in self.state.versions:
            return "the first branch registered the same package"
        details = dict(event.details)
        if event.verb in states.MOVES:
            try:
                check_move(self.state, event.verb, event.package)
            except MoveRefusedError as error:
                return error.what
        if event.verb == "promote":
            refused, event = self._judged(event)
            if refused and not details.get("override"):
                return f"gates not met on top of the first branch: {', '.join(refused)}"
            if details.get("override"):
                details["overruled"] = refused
        origin = {"hash": event.hash, "who": event.who, "when": event.when}
        self._append(replace(event, details={**details, "mended": origin}))
        return ""

    def remember(self, outcomes: Sequence[Outcome]) -> None:
        """Writes which lines were taken out, and which of them were refused and why."""
        refused = [{"hash": one.event.hash, "why": one.refused} for one in outcomes if one.refused]
        details = {"taken": [asdict(one.event) for one in outcomes], "refused": refused}
        mending = Event(number=0, verb=states.MEND, package="", who="", when="", why="two clones", details=details)
        self._append(mending)

    def _judged(self, event: Event) -> tuple[list[str], Event]:
        """Returns which gates a promotion does not meet now, and the event with the new verdicts as its evidence."""
        dossier = self.registry.dossier(self.state, self.state.versions[event.package], self.compare)
        results = judge(gates_from(self.gates), dossier)
        content = {"gates": [result.plain() for result in results], "package": event.package}
        folder = self.registry.models / "evidence"
        sha = write_evidence(folder, content)
        self.written.append(folder / f"{sha}.json")
        return [result.name for result in results if not result.passed], replace(event, evidence=sha)

    def _append(self, event: Event) -> None:
        ledger = self.registry.ledger
        last = self.events[-1].hash if self.events else FIRST
        sealed = replace(
            event,
            number=len(self.events) + 1,
            who=git_user(ledger.path.parent),
            when=_now(ledger),
            prev=last,
        ).sealed()
        self.state = after(self.state, sealed)
        self.events.append(sealed)


def _now(ledger: Ledger) -> str:
    return ledger.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_merging(study: Path) -> bool:
    asked = ["git", "rev-parse", "--quiet", "--verify", "MERGE_HEAD"]
    return subprocess.run(asked, cwd=study, capture_output=True, check=False).returncode == 0
