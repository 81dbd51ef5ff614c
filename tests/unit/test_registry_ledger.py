"""The ledger by itself: each line is sealed and chained, and every way to tamper with it is named."""

import getpass
import hashlib
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from registry.errors import BrokenLedgerError
from registry.ledger import FIRST, FORK, FORK_REMEDY, Complaint, Event, Ledger, git_user, parsed

Lines = list[bytes]
NOON = datetime(2026, 3, 1, 13, 0, 5, 999, tzinfo=timezone(timedelta(hours=1)))


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    (tmp_path / "gitconfig").write_text("[user]\n\tname = Ada Tester\n")
    (tmp_path / "models").mkdir()
    return Ledger(tmp_path / "models" / "ledger.jsonl", lambda: NOON)


@pytest.fixture
def three(ledger: Ledger) -> Ledger:
    ledger.append("register", "p1", why="first", evidence="e1", details={"version": 1})
    ledger.append("register", "p2", why="second")
    ledger.append("promote", "p2", why="better")
    return ledger


def reread(ledger: Ledger, change: Callable[[Lines], Lines]) -> list[Complaint]:
    """Returns what is found after a change to the file's lines."""
    ledger.path.write_bytes(b"".join(change(ledger.path.read_bytes().splitlines(keepends=True))))
    return ledger.complaints()


def sealed_by_hand(fields: dict[str, Any]) -> str:
    """Returns the hash of a line as the format states it: SHA-256 of its other fields as sorted, compact JSON."""
    rest = {name: value for name, value in fields.items() if name != "hash"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def test_each_line_is_numbered_sealed_and_holds_the_hash_before(three: Ledger) -> None:
    lines = [json.loads(line) for line in three.path.read_bytes().splitlines()]
    assert [line["number"] for line in lines] == [1, 2, 3]
    assert [line["prev"] for line in lines] == ["0" * 64, lines[0]["hash"], lines[1]["hash"]]
    assert [line["hash"] for line in lines] == [sealed_by_hand(line) for line in lines]
    stated = {"verb": "register", "package": "p1", "why": "first", "evidence": "e1", "details": {"version": 1}}
    assert {name: lines[0][name] for name in stated} == stated
    assert (lines[0]["who"], lines[0]["when"]) == ("Ada Tester", "2026-03-01T12:00:05Z")
    assert (lines[1]["evidence"], lines[1]["details"]) == ("", {})


def test_what_was_appended_is_read_back_in_order_and_returned(ledger: Ledger) -> None:
    assert ledger.events() == []
    made = [ledger.append("register", f"p{n}", why=f"reason {n}") for n in range(4)]
    assert ledger.events() == made
    assert ledger.complaints() == []
    assert made[0].prev == FIRST


def test_the_clock_is_of_now_unless_another_is_given(tmp_path: Path) -> None:
    told = datetime.strptime(Ledger(tmp_path / "l").append("register", "p", why="w").when, "%Y-%m-%dT%H:%M:%SZ")
    assert abs(datetime.now(UTC) - told.replace(tzinfo=UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda lines: [lines[0], lines[1].replace(b"second", b"cheaper"), lines[2]], {2: "was changed after"}),
        (lambda lines: lines[1:], {1: "does not continue", 2: "missing or in another order"}),
        (lambda lines: [lines[0], lines[2]], {2: "calls itself event 3: lines are missing or in another order"}),
        (lambda lines: [*lines[:2], lines[2][:-9]], {3: "is no event in canonical form"}),
        (lambda lines: [lines[0], b"<<<<<<< ours\n", *lines[1:]], {2: "is no event", 3: "calls itself event 2"}),
        (lambda lines: [lines[0], b" " + lines[1], lines[2]], {2: "is no event in canonical form"}),
        (lambda lines: [lines[0], b'{"number":2}\n', lines[2]], {2: "is no event in canonical form"}),
    ],
)
def test_every_kind_of_damage_is_named_with_its_line(
    three: Ledger, change: Callable[[Lines], Lines], expected: dict[int, str]
) -> None:
    found = reread(three, change)
    for number, what in expected.items():
        assert any(c.where == f"ledger.jsonl line {number}" and what in c.what for c in found), found
    first = min(expected)
    assert not [c for c in found if int(c.where.rsplit(" ", 1)[1]) < first]
    assert all("take the file back from git" in str(c) for c in found)
    with pytest.raises(BrokenLedgerError, match=f"line {first}"):
        three.append("promote", "p1", why="on broken ground")


def test_a_line_resealed_after_a_change_still_breaks_the_chain(three: Ledger) -> None:
    def forged(lines: Lines) -> Lines:
        event = parsed(lines[0])
        assert event is not None
        other = Event(**{**json.loads(lines[0]), "why": "another reason"}).sealed()
        return [other.line(), *lines[1:]]

    assert [(c.where, c.what) for c in reread(three, forged)] == [
        ("ledger.jsonl line 2", "does not continue the line before it")
    ]


def test_two_clones_that_went_on_from_one_line_are_a_fork_with_a_cure(three: Ledger, tmp_path: Path) -> None:
    lines = three.path.read_bytes().splitlines(keepends=True)
    other = Ledger(tmp_path / "clone.jsonl", three.clock)
    other.path.write_bytes(b"".join(lines[:2]))
    theirs = other.append("retire", "p1", why="theirs")
    found = reread(three, lambda mine: [*mine, theirs.line()])
    assert [(c.where, c.what, c.remedy) for c in found if c.what == FORK] == [
        ("ledger.jsonl line 4", FORK, FORK_REMEDY)
    ]
    from_the_start = Ledger(tmp_path / "new.jsonl", three.clock).append("register", "p3", why="from nothing")
    assert FORK in [c.what for c in reread(three, lambda _: [*lines, from_the_start.line()])]


def test_after_damage_the_rest_is_still_read(three: Ledger) -> None:
    """One bad line is one complaint, or two where its neighbor no longer fits, and not one for every line behind."""
    found = reread(three, lambda lines: [lines[0].replace(b"first", b"worst"), *lines[1:]])
    assert [(c.where, c.what) for c in found] == [("ledger.jsonl line 1", "was changed after it was written")]


@pytest.mark.parametrize("line", [b"", b"7", b"[]", b"{}", b"null", b"[" * 100_000, b'{"number":1,"verb":"x","odd":2}'])
def test_what_is_no_event_is_none(line: bytes) -> None:
    assert parsed(line) is None


def test_who_is_a_name_and_never_an_address(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def known_as(name: str) -> str:
        subprocess.run(["git", "config", "--global", "user.name", name], check=True, cwd=tmp_path)
        return git_user(tmp_path)

    assert known_as("Ada Tester") == "Ada Tester"
    assert known_as("ada@example.org") == "ada"
    assert known_as("@example.org") == "unnamed"
    subprocess.run(["git", "config", "--global", "--unset", "user.name"], check=True, cwd=tmp_path)
    monkeypatch.setattr(getpass, "getuser", lambda: "login")
    assert git_user(tmp_path) == "login"


def test_git_is_asked_where_the_ledger_lies(ledger: Ledger) -> None:
    """A study may have a name of its own in its repository's settings."""
    study = ledger.path.parent
    for command in (["init", "--quiet"], ["config", "user.name", "Study Keeper"]):
        subprocess.run(["git", *command], check=True, cwd=study)
    assert ledger.append("register", "p", why="w").who == "Study Keeper"


def test_a_complaint_as_table_row_and_as_text() -> None:
    complaint = Complaint(where="here", what="is wrong", remedy="mend it")
    assert complaint.plain() == {"where": "here", "what": "is wrong", "remedy": "mend it"}
    assert str(complaint) == "here: is wrong\n  remedy: mend it"
