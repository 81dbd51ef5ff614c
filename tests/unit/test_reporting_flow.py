"""The cohort flow and the quality table: who is counted where, and which word is the last."""

import pandas as pd

from featurestore.entities import CaseKey
from pipelines.ingest.views import qc_row
from pipelines.reporting.flow import Count, causes, flow_rows


def row(case: str, status: str, *, phase: str = "p", stage: str = "ingest", code: str = "", item: str = "") -> dict:
    key = CaseKey(center="north", case_id=case, phase=phase, roi="tumor", observer="")
    return qc_row(key, status, code=code, message=code, stage=stage, item=item)  # type: ignore[arg-type]


def test_extraction_has_the_last_word_only_where_it_stopped_a_case() -> None:
    qc = pd.DataFrame(
        [
            row("a", "ok"),
            row("a", "ok", stage="extract"),
            row("b", "ok"),
            row("b", "failed", stage="extract", code="failed"),
            row("c", "warned", code="label_missing"),
            row("c", "ok", stage="extract"),
            row("d", "refused", code="empty_mask"),
        ]
    )
    found = {(item.step, item.reason): item.total for item in flow_rows(qc)}
    assert found == {
        ("sent", ""): Count(patients=4, cases=4),
        ("refused", "empty_mask"): Count(patients=1, cases=1),
        ("failed", "failed"): Count(patients=1, cases=1),
        ("used", ""): Count(patients=2, cases=2),
    }


def test_cases_add_up_whatever_happens_to_the_patient() -> None:
    qc = pd.DataFrame([row("a", "ok", phase="p"), row("a", "refused", phase="q", code="slices_missing")])
    steps = {item.step: item.total.cases for item in flow_rows(qc)}
    assert steps["sent"] == steps["refused"] + steps["used"]


def test_causes_put_the_worst_first_and_leave_out_what_is_in_order() -> None:
    qc = pd.DataFrame(
        [
            row("a", "ok"),
            row("b", "excluded", code="excluded"),
            row("c", "refused", code="empty_mask"),
            row("d", "warned", code="clinical_value", item="age"),
            row("e", "failed", stage="extract", code="failed"),
        ]
    )
    assert [cause.status for cause in causes(qc)] == ["failed", "refused", "warned", "excluded"]


def test_no_table_gives_no_flow() -> None:
    assert flow_rows(pd.DataFrame()) == []
    assert causes(pd.DataFrame()) == []
