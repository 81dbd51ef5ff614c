"""What a case lacks, how long it is waited for, and when it is refused."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from pipelines.scoring.inbox import Inbox, Needs, awaited, lacking

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CT = Needs(phases=("ct",))


def qc(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["case_id", "phase", "status", "code"])


def cases(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["case_id", "phase"])


def test_only_what_may_still_come_is_lacking_and_only_what_the_model_needs() -> None:
    found = lacking(
        qc(
            ("a", "ct", "refused", "mask_missing"),
            ("b", "ct", "refused", "gantry_tilt"),
            ("c", "pet", "refused", "phase_missing"),
            ("d", "", "refused", "image_missing"),
            ("e", "", "warned", "clinical_missing"),
            ("", "", "refused", "file_missing"),
        ),
        cases(),
        CT,
    )
    assert found == {"a": {"ct": "mask_missing"}, "d": {"": "image_missing"}}


def test_a_clinical_row_is_lacking_where_the_model_needs_it() -> None:
    rows = qc(("e", "", "warned", "clinical_missing"), ("e", "ct", "ok", ""))
    assert lacking(rows, cases(("e", "ct")), Needs(phases=("ct",), clinical=True)) == {"e": {"": "clinical_missing"}}


def test_a_phase_that_the_rules_do_not_ask_for_and_the_model_needs_is_lacking() -> None:
    found = lacking(qc(("a", "ct", "ok", "")), cases(("a", "ct")), Needs(phases=("ct", "pet")))
    assert found == {"a": {"pet": "phase_missing"}}


def test_a_case_is_waited_for_until_its_time_is_over(tmp_path: Path) -> None:
    memory, lacks = tmp_path / "waiting.csv", {"a": {"ct": "mask_missing"}}
    first = awaited(memory, lacks, 24, NOON)
    assert [(w.case_id, w.missing, w.since) for w in first] == [("a", "ct: no outline", "2026-03-01T12:00:00Z")]
    written = memory.read_bytes()
    assert awaited(memory, lacks, 24, NOON + timedelta(hours=23)) == first
    assert awaited(memory, lacks, 24, NOON + timedelta(hours=24)) == []
    assert memory.read_bytes() == written, "nothing new, nothing written"


def test_the_time_begins_anew_when_something_came(tmp_path: Path) -> None:
    memory = tmp_path / "waiting.csv"
    awaited(memory, {"a": {"ct": "mask_missing", "pet": "phase_missing"}}, 24, NOON)
    later = NOON + timedelta(hours=20)
    assert awaited(memory, {"a": {"pet": "phase_missing"}}, 24, later)[0].since == "2026-03-02T08:00:00Z"
    assert awaited(memory, {}, 24, later) == []
    assert not memory.exists()


def test_a_clock_that_was_ahead_makes_nobody_wait_for_ever(tmp_path: Path) -> None:
    """First seen in 2036 by a clock that was then set right: the wait begins anew, and ends."""
    memory, lacks = tmp_path / "waiting.csv", {"a": {"ct": "mask_missing"}}
    awaited(memory, lacks, 24, NOON.replace(year=2036))
    assert awaited(memory, lacks, 24, NOON)[0].since == "2026-03-01T12:00:00Z"
    assert awaited(memory, lacks, 24, NOON + timedelta(hours=25)) == []


def test_a_memory_that_cannot_be_read_is_begun_anew(tmp_path: Path) -> None:
    memory = tmp_path / "waiting.csv"
    memory.write_text("case_id,phase,code,since\na,ct,mask_missing,yesterday\n")
    assert awaited(memory, {"a": {"ct": "mask_missing"}}, 24, NOON)[0].since == "2026-03-01T12:00:00Z"


def test_refusals_leave_out_what_is_waited_for_and_name_what_was_silent(tmp_path: Path) -> None:
    rows = qc(
        ("a", "ct", "refused", "mask_missing"),
        ("b", "ct", "refused", "gantry_tilt"),
        ("c", "ct", "ok", ""),
        ("c", "", "warned", "clinical_missing"),
    )
    needs = Needs(phases=("ct",), clinical=True)
    inbox = Inbox.of([rows, rows[:0]], cases(("c", "ct")), needs, tmp_path / "w.csv", [], 24)
    assert inbox.held == ["a", "c"]
    assert inbox.refusals([]) == {"gantry_tilt": 1}
    late = Inbox.of([rows], cases(("c", "ct")), needs, tmp_path / "w.csv", [], 0)
    assert late.held == []
    assert late.refusals([]) == {"clinical_missing": 1, "gantry_tilt": 1, "mask_missing": 1}
    assert late.refusals(["c"]) == {"gantry_tilt": 1, "mask_missing": 1}, "a fusion that spares a member scores it"
