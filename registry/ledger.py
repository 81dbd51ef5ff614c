"""The ledger: an append-only file of events, each line chained to the one before by its hash.

One line is one event as canonical JSON. Its `hash` covers everything else in the line, `prev` repeats the hash of the
line before, so that a changed, missing, reordered or forked line shows. The ledger lies in git, not in DVC, and may
therefore hold the time of day.
"""

import getpass
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from featurestore.files import write_bytes
from featurestore.fingerprints import canonical_json, digest
from registry.errors import BrokenLedgerError

FIRST = "0" * 64
"""What the first line has for `prev`."""
FORK = "continues an earlier line: a fork of two clones"
FORK_REMEDY = "`radmill registry mend` makes one chain of both, through the gates"


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of the ledger.

    Args:
        number: Its place, from 1.
        verb: What happened: a verb of `registry.states`.
        package: The digest of the package it happened to.
        who: The git user's name.
        when: UTC, to the second, ISO 8601.
        why: The reason given.
        evidence: The hash of the evidence file it rests on, or empty.
        details: What the verb needs besides; JSON types.
        prev: The hash of the line before.
        hash: The hash of this line's other fields.
    """

    number: int
    verb: str
    package: str
    who: str
    when: str
    why: str
    evidence: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    prev: str = FIRST
    hash: str = ""

    def sealed(self) -> "Event":
        """Returns the event with its hash."""
        return Event(**{**asdict(self), "hash": self.content_hash()})

    def content_hash(self) -> str:
        """Returns the hash that the line must have."""
        content = asdict(self)
        del content["hash"]
        return digest(content)

    def line(self) -> bytes:
        """Returns the event as a line of the file."""
        return canonical_json(asdict(self)) + b"\n"


@dataclass(frozen=True, kw_only=True)
class Complaint:
    """Something that `verify` found.

    Args:
        where: The ledger line, package or evidence it is about.
        what: What is wrong.
        remedy: What to do.
    """

    where: str
    what: str
    remedy: str = "take the file back from git (`git log -- models/ledger.jsonl` shows who changed it)"

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n  remedy: {self.remedy}"

    def plain(self) -> dict[str, str]:
        """Returns the complaint as JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Ledger:
    """The ledger file of a study."""

    path: Path
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def events(self) -> list[Event]:
        """Returns all events in order.

        Raises:
            BrokenLedgerError: The chain does not hold; the message names the first fault.
        """
        events: list[Event] = []
        for complaint in self._read(events):
            raise BrokenLedgerError(complaint.what, where=complaint.where)
        return events

    def complaints(self) -> list[Complaint]:
        """Returns every fault of the chain, as far as lines can be read."""
        return list(self._read([]))

    def append(
        self, verb: str, package: str, *, why: str, evidence: str = "", details: dict[str, Any] | None = None
    ) -> Event:
        """Writes one more event, chained to the last.

        The caller holds the registry's lock and has checked that the lifecycle allows it.

        Raises:
            BrokenLedgerError: The chain before it does not hold.
        """
        before = self.events()
        event = Event(
            number=len(before) + 1,
            verb=verb,
            package=package,
            who=git_user(self.path.parent),
            when=self.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            why=why,
            evidence=evidence,
            details=details or {},
            prev=before[-1].hash if before else FIRST,
        ).sealed()
        write_bytes(self.path, b"".join(item.line() for item in before) + event.line())
        return event

    def _read(self, events: list[Event]) -> Iterator[Complaint]:
        """Fills `events` and yields what is wrong."""
        data = self.path.read_bytes() if self.path.is_file() else b""
        prev, hashes = FIRST, {FIRST}
        for number, line in enumerate(data.splitlines(keepends=True), start=1):
            where = f"{self.path.name} line {number}"
            event = parsed(line)
            if event is None:
                yield Complaint(where=where, what="is no event in canonical form (edited, cut or in conflict)")
                continue
            for what in _faults(event, number, prev, hashes):
                cure = {"remedy": FORK_REMEDY} if what == FORK else {}
                yield Complaint(where=where, what=what, **cure)
            prev = event.hash
            hashes.add(event.hash)
            events.append(event)


def git_user(folder: Path) -> str:
    """Returns the git user's name, or the login name where git knows none; never an address."""
    asked = subprocess.run(["git", "config", "user.name"], cwd=folder, capture_output=True, text=True, check=False)
    name = asked.stdout.strip() or getpass.getuser()
    return name.partition("@")[0].strip() or "unnamed"


def parsed(line: bytes) -> Event | None:
    """Returns the event of a line, or nothing if it is none in canonical form."""
    try:
        event = Event(**json.loads(line))
        return event if event.line() == line else None
    except (ValueError, TypeError, RecursionError):
        return None


def _faults(event: Event, number: int, prev: str, hashes: set[str]) -> Iterator[str]:
    if event.hash != event.content_hash():
        yield "was changed after it was written"
    if event.prev != prev:
        is_fork = event.prev in hashes
        yield FORK if is_fork else "does not continue the line before it"
    if event.number != number:
        yield f"calls itself event {event.number}: lines are missing or in another order"
