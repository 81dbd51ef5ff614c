"""How the patients that were sent became the patients that count, and why the others did not."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from pipelines.ingest.eligibility import DONE, cohort_flow

CASE = ["center", "case_id", "phase", "roi", "observer"]
STEP_WORDS = {
    "sent": "Sent",
    "excluded": "Excluded by rule",
    "refused": "Refused",
    "failed": "Failed",
    "used": "Features computed",
}


@dataclass(frozen=True, kw_only=True)
class Count:
    """Patients and cases: a case is one patient, phase and outline."""

    patients: int = 0
    cases: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(patients=self.patients + other.patients, cases=self.cases + other.cases)


@dataclass(frozen=True, kw_only=True)
class FlowRow:
    """One line of the flow: a step, a reason, and counts by center."""

    step: str
    reason: str
    by_center: Mapping[str, Count]

    @property
    def words(self) -> str:
        """What people call the step."""
        return STEP_WORDS[self.step]

    @property
    def total(self) -> Count:
        """All centers together."""
        return sum(self.by_center.values(), Count())


@dataclass(frozen=True, kw_only=True)
class QcCause:
    """One cause of trouble: how often, where, and what to do about it."""

    status: str
    code: str
    stage: str
    rows: int
    centers: tuple[str, ...]
    example: str
    remedy: str


def flow_rows(qc: pd.DataFrame) -> list[FlowRow]:
    """Returns the flow over all centers, steps in order; empty without a quality-control table.

    Args:
        qc: Rows of ingest and of extraction. A case that ingest took and extraction did not counts as the latter.
    """
    if qc.empty:
        return []
    steps = pd.DataFrame(cohort_flow(last_word(qc)))
    if steps.empty:
        return []
    order = {step: number for number, step in enumerate(STEP_WORDS)}
    rows = []
    for (step, reason), part in steps.groupby(["step", "reason"], sort=False):
        counts = {
            str(center): Count(patients=int(patients), cases=int(cases))
            for center, patients, cases in part[["center", "n_patients", "n_cases"]].itertuples(index=False)
        }
        rows.append(FlowRow(step=str(step), reason=str(reason), by_center=counts))
    return sorted(rows, key=lambda row: (order[row.step], -row.total.cases, row.reason))


def last_word(qc: pd.DataFrame) -> pd.DataFrame:
    """Returns one row a case: extraction's where it stopped the case, else ingest's; rows about items are kept."""
    about_case = (qc["item"] == "") & (qc["case_id"] != "")
    cases = qc[about_case].assign(is_later=lambda frame: (frame["stage"] != "ingest") & ~frame["status"].isin(DONE))
    cases = cases.sort_values("is_later", kind="stable").drop_duplicates(CASE, keep="last").drop(columns="is_later")
    return pd.concat([cases, qc[~about_case]], ignore_index=True)


def causes(qc: pd.DataFrame) -> list[QcCause]:
    """Returns what went wrong, worst and most frequent first."""
    if qc.empty:
        return []
    trouble = qc[qc["status"] != "ok"]
    rank = {"failed": 0, "refused": 1, "warned": 2, "excluded": 3}
    found = [
        QcCause(
            status=str(status),
            code=str(code),
            stage=str(stage),
            rows=len(part),
            centers=tuple(sorted(set(part["center"]))),
            example=str(part.sort_values(CASE)["message"].iloc[0]),
            remedy=str(part["remedy"].iloc[0]),
        )
        for (status, code, stage), part in trouble.groupby(["status", "code", "stage"], sort=True)
    ]
    return sorted(found, key=lambda cause: (rank.get(cause.status, 9), -cause.rows, cause.code))
