"""Who belongs to the study: inclusion and exclusion rules, cases put aside by hand, and the flow of the cohort."""

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from featurestore.errors import InputError
from featurestore.fingerprints import digest
from pipelines.ingest.pseudonyms import patient_name
from pipelines.ingest.views import ACQUISITION
from pipelines.params.data import CohortSection, Rule

EXCLUDED = "excluded"
DONE = ("ok", "warned")
STOPPED = ("refused", "failed")


class RuleColumnError(InputError):
    """A cohort rule names a column that no table has."""

    default_remedy = "declare the column under ingest.clinical, or correct the rule under cohort"


class RejectedTableError(InputError):
    """The table of rejected cases cannot be used."""

    default_remedy = "it needs the columns center, patient_id (or the case_id in it), reason, and may have phase"


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """One case put aside by hand; without `phase` the whole patient. `patient_id` may be the case_id."""

    center: str
    patient_id: str
    reason: str
    phase: str = ""


def check_rules(cohort: CohortSection, clinical: Iterable[str]) -> None:
    """Complains about every rule on an unknown column at once.

    Raises:
        RuleColumnError: A rule's column is neither a declared clinical column nor one of `acquisition`.
    """
    known = {*clinical, *acquisition_columns()}
    unknown = sorted({rule.column for rule in (*cohort.include, *cohort.exclude)} - known)
    if unknown:
        raise RuleColumnError(
            f"no column {', '.join(unknown)} (there are {', '.join(sorted(known))})", where="params.yaml: cohort"
        )


def acquisition_columns() -> set[str]:
    """Returns the columns of `acquisition` that rules may name."""
    return {column.name for column in ACQUISITION.columns}


def on_columns(cohort: CohortSection, columns: set[str]) -> CohortSection:
    """Returns the rules about the named columns alone."""
    return cohort.model_copy(
        update={
            "include": [rule for rule in cohort.include if rule.column in columns],
            "exclude": [rule for rule in cohort.exclude if rule.column in columns],
        }
    )


def verdict(cohort: CohortSection, values: Mapping[str, object]) -> str | None:
    """Returns the reason of the first rule that puts a case aside; none if it belongs.

    An unknown value meets no inclusion rule and no exclusion rule.
    """
    for rule in cohort.include:
        if not is_met(rule, values.get(rule.column)):
            return rule.reason if is_known(values.get(rule.column)) else f"{rule.reason} ({rule.column} not known)"
    return next((rule.reason for rule in cohort.exclude if is_met(rule, values.get(rule.column))), None)


def is_known(value: object) -> bool:
    """Returns whether there is a value at all."""
    return value is not None and value != "" and not (isinstance(value, float) and math.isnan(value))


def is_met(rule: Rule, value: object) -> bool:
    """Returns whether a value meets a rule's condition."""
    if rule.present is not None:
        return is_known(value) == rule.present
    if not is_known(value):
        return False
    if rule.equals is not None:
        return _same(rule.equals, value)
    if rule.one_of is not None:
        return any(_same(allowed, value) for allowed in rule.one_of)
    return isinstance(value, int | float) and _within(rule, float(value))


def read_rejected(path: Path | None) -> list[Rejection]:
    """Reads the table of cases put aside by hand; none named gives none.

    Raises:
        RejectedTableError: The file or a column is missing, or a row lacks the reason.
    """
    if path is None:
        return []
    where = f"cohort.rejected: {path.name}"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RejectedTableError(f"cannot be read ({type(error).__name__})", where=where) from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        missing = {"center", "patient_id", "reason"} - {name.strip() for name in reader.fieldnames or ()}
        if missing:
            raise RejectedTableError(f"column {', '.join(sorted(missing))} is missing", where=where)
        return [_rejection(number, row, where) for number, row in enumerate(reader, start=2)]
    except csv.Error as error:
        raise RejectedTableError(f"it is no table ({error})", where=where) from error


def rejections_digest(rejections: Iterable[Rejection], center: str) -> str:
    """Returns a hash of a center's lines; empty if it has none."""
    own = sorted([r.patient_id, r.phase, r.reason] for r in rejections if r.center == center)
    return digest(own) if own else ""


def cohort_flow(qc: pd.DataFrame) -> list[dict[str, object]]:
    """Returns how the sent cases became the used ones, by center: a row per step and reason.

    Steps in order: `sent`, `excluded` (a row per rule), `refused` and `failed` (a row per code), `used`. Patients and
    cases are counted; a patient is sent once and counts in each step that one of his cases reaches.

    Args:
        qc: The quality-control table with `center, case_id, phase, item, status, code, message`.
    """
    cases = qc[(qc["item"] == "") & (qc["case_id"] != "")] if len(qc) else qc
    rows: list[dict[str, object]] = []
    for center, own in cases.groupby("center", sort=True) if len(cases) else ():
        rows.append(_step(str(center), "sent", "", own))
        rows += _steps(str(center), EXCLUDED, "message", own)
        for status in STOPPED:
            rows += _steps(str(center), status, "code", own)
        rows.append(_step(str(center), "used", "", own[own["status"].isin(DONE)]))
    return rows


def _steps(center: str, status: str, reason: str, cases: pd.DataFrame) -> list[dict[str, object]]:
    own = cases[cases["status"] == status]
    return [_step(center, status, str(name), part) for name, part in own.groupby(reason, sort=True)] if len(own) else []


def _step(center: str, step: str, reason: str, cases: pd.DataFrame) -> dict[str, object]:
    n_patients = int(cases["case_id"].nunique())
    return {"center": center, "step": step, "reason": reason, "n_patients": n_patients, "n_cases": len(cases)}


def _rejection(number: int, row: Mapping[str | None, object], where: str) -> Rejection:
    cells = {str(name).strip(): str(value or "").strip() for name, value in row.items()}
    empty = [name for name in ("center", "patient_id", "reason") if not cells[name]]
    if empty:
        raise RejectedTableError(f"row {number} has no {', '.join(empty)}", where=where)
    return Rejection(
        center=cells["center"],
        patient_id=patient_name(cells["patient_id"]),
        reason=cells["reason"],
        phase=cells.get("phase", ""),
    )


def _same(allowed: str | float, value: object) -> bool:
    if isinstance(value, bool):
        return str(allowed).casefold() in ({"true", "yes", "1", "1.0"} if value else {"false", "no", "0", "0.0"})
    if isinstance(allowed, str) or isinstance(value, str):
        return str(allowed).casefold() == str(value).casefold()
    return isinstance(value, int | float) and float(allowed) == float(value)


def _within(rule: Rule, value: float) -> bool:
    low = -math.inf if rule.minimum is None else rule.minimum
    high = math.inf if rule.maximum is None else rule.maximum
    return low <= value <= high
