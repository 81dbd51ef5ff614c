"""Cohort rules, and the flow from sent to used."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ingest.eligibility import cohort_flow, is_met, verdict
from pipelines.ingest.views import patient_key, qc_row
from pipelines.params.data import CohortSection, Rule


def rule(**condition) -> Rule:
    return Rule(column="x", reason="because", **condition)


@pytest.mark.parametrize(
    ("condition", "value", "wanted"),
    [
        ({"minimum": 18}, 18, True),
        ({"minimum": 18}, 17.9, False),
        ({"maximum": 3}, None, False),
        ({"maximum": 3}, float("nan"), False),
        ({"equals": "F"}, "f", True),
        ({"equals": "yes"}, True, True),
        ({"equals": 1}, 1.0, True),
        ({"one_of": ["A", "B"]}, "C", False),
        ({"present": True}, "", False),
        ({"present": False}, None, True),
    ],
)
def test_conditions(condition, value, wanted) -> None:
    assert is_met(rule(**condition), value) is wanted


def test_unknown_value_is_excluded_by_inclusion_and_not_by_exclusion() -> None:
    include, exclude = CohortSection(include=[rule(minimum=1)]), CohortSection(exclude=[rule(minimum=1)])
    assert verdict(include, {}) == "because (x not known)"
    assert verdict(exclude, {}) is None
    assert verdict(exclude, {"x": 2}) == "because"


STATUSES = {"ok": "", "warned": "duplicate_sent", "refused": "empty_mask", "failed": "failed", "excluded": "excluded"}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 4), st.sampled_from(list(STATUSES))), min_size=1))
def test_flow_loses_no_case(cases) -> None:
    """In every center sent = excluded + refused + failed + used, whatever happened."""
    rows = [
        qc_row(patient_key(center, f"case{patient}", phase=str(number)), status, code=STATUSES[status], message="why")
        for number, (center, patient, status) in enumerate(cases)
    ]
    rows.append(qc_row(patient_key("a", "case0"), "warned", code="label_missing", item="label"))
    rows.append(qc_row(patient_key("a", ""), "refused", code="unreadable", item="f" * 64))
    flow = pd.DataFrame(cohort_flow(pd.DataFrame(rows)))
    counts = flow.assign(is_sent=flow["step"] == "sent").groupby("is_sent")["n_cases"].sum()
    assert counts[True] == counts[False] == len(cases)
    assert flow["n_patients"].max() <= 5


def test_flow_of_nothing_is_empty() -> None:
    assert cohort_flow(pd.DataFrame()) == []
