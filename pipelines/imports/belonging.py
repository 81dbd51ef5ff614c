"""Who of a foreign table belongs to the study: the cohort's rules on its columns, and cases put aside by hand."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from pipelines.imports.rows import CENTER, OWN, PATIENT, PHASE, ROW, Checked, remark_on
from pipelines.ingest.eligibility import EXCLUDED, Rejection, on_columns, read_rejected, verdict
from pipelines.params import Params
from pipelines.params.data import CohortSection
from pipelines.workspace import Workspace

_REMEDY = "nothing; the cohort of params.yaml says so"


def exclude(found: Checked, workspace: Workspace, params: Params, frame: pd.DataFrame) -> None:
    """Sets aside the rows of patients who do not belong; each is named with the rule's reason.

    Args:
        found: The rows that are taken so far.
        workspace: The study, which may have a table of rejected cases.
        params: Its settings.
        frame: The table as read, whose columns the rules may be about.
    """
    name = params.cohort.rejected
    rejected = read_rejected(workspace.root / name if name else None)
    cells = {number + 2: row for number, row in enumerate(_plain(frame))} if _asks(params.cohort, rejected) else {}
    own = found.rows[list(OWN)].to_dict("records") if cells else []
    out = []
    for index, one in zip(found.rows.index, own, strict=False):
        row = {str(key): value for key, value in one.items()}
        reason = _reason(row, cells[int(row[ROW])], params.cohort, rejected)
        if reason:
            out.append(index)
            found.remarks.append(remark_on(row, "excluded", EXCLUDED, reason, _REMEDY))
    found.rows = found.rows.drop(index=out)


def no_longer_belong(cohort: CohortSection, rows: pd.DataFrame) -> int:
    """Returns how many stored rows the rules of today would exclude."""
    own = on_columns(cohort, {str(name) for name in rows})
    if not own.include and not own.exclude:
        return 0
    return sum(verdict(own, row) is not None for row in _plain(rows))


def _asks(cohort: CohortSection, rejected: list[Rejection]) -> bool:
    return bool(cohort.include or cohort.exclude or rejected)


def _reason(
    row: Mapping[str, Any], values: Mapping[str, object], cohort: CohortSection, rejected: Iterable[Rejection]
) -> str | None:
    for one in rejected:
        is_his = one.center == row[CENTER] and one.patient_id == row[PATIENT]
        if is_his and one.phase in ("", row[PHASE]):
            return one.reason
    return verdict(on_columns(cohort, set(values)), values)


def _plain(rows: pd.DataFrame) -> list[dict[str, object]]:
    return [{str(key): _number(value) for key, value in row.items()} for row in rows.to_dict("records")]


def _number(value: Any) -> object:
    return value.item() if hasattr(value, "item") else value
