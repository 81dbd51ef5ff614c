"""Who a foreign table's rows are about: identifiers checked, phases told apart, one row a patient and phase."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pipelines.imports.problems import IdDoubledError, NothingToImportError
from pipelines.ingest.pseudonyms import patient_name
from pipelines.ingest.views import Status

ROW, CENTER, PATIENT, PHASE, LABEL = "\0row", "\0center", "\0patient", "\0phase", "\0label"
OWN = (ROW, CENTER, PATIENT, PHASE, LABEL)
"""Column names of the work; no file can have them."""

_N_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Remark:
    """What is said about one row of the file.

    Args:
        row: Its number, the header being row 1.
        center: Whose it is.
        patient_id: The patient; empty where the file names none.
        phase: The phase.
        status: `warned`, `refused` or `excluded`.
        code: One word for the cause.
        message: What was seen.
        remedy: What to do.
    """

    row: int
    center: str
    patient_id: str
    phase: str
    status: Status
    code: str
    message: str
    remedy: str


@dataclass
class Checked:
    """Rows that are taken, and what is said about them and the others."""

    rows: pd.DataFrame
    remarks: list[Remark] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def identified(
    frame: pd.DataFrame,
    id_column: str,
    centers: "str | pd.Series[str]",
    label: str | None,
    id_pattern: str | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Adds row number, center, patient and label as own columns, and says what was corrected."""
    filled = frame[~(frame.isna() | (frame == "")).all(axis=1)]
    raw = filled[id_column].astype(str)
    names = raw.map(patient_name)
    stripped = names
    if id_pattern is not None:
        pattern = id_pattern if re.compile(id_pattern).groups else f"({id_pattern})"
        names = names.str.extract(pattern, expand=True)[0].fillna("")
    own = {
        ROW: filled.index + 2,
        CENTER: centers if isinstance(centers, str) else centers.loc[filled.index],
        PATIENT: names,
        LABEL: filled[label].map(str.strip) if label else "",
    }
    blanks = int((raw != stripped).sum())
    notes = [f"{blanks} identifiers had blanks around them, which do not count"] if blanks else []
    return pd.concat([filled, pd.DataFrame(own, index=filled.index)], axis=1), notes


def by_phase(frame: pd.DataFrame, features: Sequence[str], prefixes: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Turns columns `<prefix><feature>` into one row a phase; the phase is the prefix without its last separator.

    Returns:
        The long frame, and the features in their order.
    """
    parts: list[pd.DataFrame] = []
    order: dict[str, None] = {}
    for prefix in prefixes:
        names = {name: name.removeprefix(prefix) for name in features if name.startswith(prefix)}
        if not names:
            raise NothingToImportError(f"no column begins with {prefix!r}", where="--phase-prefix")
        order |= dict.fromkeys(names.values())
        kept = [name for name in frame if name not in features]
        part = frame[[*kept, *names]].rename(columns=names)
        parts.append(part.assign(**{PHASE: phase_name(prefix)}))
    return pd.concat(parts, ignore_index=True), list(order)


def phase_name(text: str) -> str:
    """Returns a phase's name as radmill writes names."""
    plain = "".join(letter if letter.isalnum() else "-" for letter in text.strip().casefold()).strip("-")
    return plain or "all"


def checked(frame: pd.DataFrame, features: Sequence[str], notes: Sequence[str], largest: str | None = None) -> Checked:
    """Keeps one row a patient and phase that has any value.

    Args:
        frame: The rows.
        features: The columns that must have a value.
        notes: What was said of them before.
        largest: The column whose largest value says which of a patient's lesions counts; none refuses several.

    Raises:
        IdDoubledError: A patient has two different rows in one phase.
        NothingToImportError: No row is left.
    """
    found = Checked(rows=frame, notes=list(notes))
    _set_aside(found, frame[PATIENT] == "", "id_missing", "the row has no identifier", "fill in the identifier")
    empty = found.rows[list(features)].isna().all(axis=1)
    remedy = "compute the features of this case again, or leave the row out"
    _set_aside(found, empty, "row_empty", "the row has no value in any feature", remedy)
    _drop_copies(found, list(features))
    if largest is not None:
        _keep_largest(found, largest)
    _refuse_doubled(found)
    if found.rows.empty:
        raise NothingToImportError(f"of {len(frame)} rows none can be used", where="rows")
    _tell_collisions(found)
    return found


def constant(frame: pd.DataFrame, features: Sequence[str]) -> list[str]:
    """Returns the features with one value in all rows."""
    return [name for name in features if len(frame) > 1 and frame[name].nunique(dropna=False) == 1]


def _set_aside(found: Checked, at: "pd.Series[bool]", code: str, message: str, remedy: str) -> None:
    found.remarks += [remark_on(row, "refused", code, message, remedy) for row in _records(found.rows[at])]
    found.rows = found.rows[~at]


def _drop_copies(found: Checked, features: list[str]) -> None:
    unique = found.rows.drop_duplicates([CENTER, PATIENT, PHASE, LABEL, *features])
    copies = found.rows.loc[found.rows.index.difference(unique.index)]
    remedy = "nothing; one of them can be removed"
    found.remarks += [
        remark_on(row, "warned", "row_doubled", "the same row stands before", remedy) for row in _records(copies)
    ]
    found.rows = unique


def _keep_largest(found: Checked, largest: str) -> None:
    """Keeps the row of each patient's largest lesion in a phase; of equally large ones the first in the file."""
    size = -found.rows[largest].astype("float64").fillna(-np.inf)
    order = found.rows[[CENTER, PATIENT, PHASE, ROW]].assign(size=size).sort_values(["size", ROW], kind="stable")
    first = order[~order.duplicated([CENTER, PATIENT, PHASE])].index
    smaller = found.rows.loc[found.rows.index.difference(first)]
    remedy = f"nothing; --largest {largest} takes one lesion a patient"
    found.remarks += [
        remark_on(row, "excluded", "lesion_smaller", "the patient has a larger lesion", remedy)
        for row in _records(smaller)
    ]
    found.rows = found.rows.loc[found.rows.index.isin(first)]


def _refuse_doubled(found: Checked) -> None:
    key = [CENTER, PATIENT, PHASE]
    differing = found.rows[found.rows.duplicated(key, keep=False)]
    if len(differing):
        numbers = ", ".join(str(n) for n in sorted(differing[ROW])[:_N_SHOWN])
        n = len(differing.drop_duplicates(key))
        raise IdDoubledError(f"{n} patients have rows that differ, such as rows {numbers}", where="identifiers")


def _tell_collisions(found: Checked) -> None:
    pairs = found.rows[[PATIENT, CENTER]].drop_duplicates()
    shared = pairs[pairs.duplicated(PATIENT, keep=False)]
    if len(shared):
        centers = sorted(set(shared[CENTER]))
        found.notes.append(
            f"{shared[PATIENT].nunique()} identifiers are in several of {', '.join(centers)}; they stay different "
            "patients, because each center has its own pseudonyms"
        )


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in rows[list(OWN)].to_dict("records")]


def remark_on(row: dict[str, Any], status: Status, code: str, message: str, remedy: str) -> Remark:
    """Returns what is said about one row, with its number."""
    return Remark(
        row=int(row[ROW]),
        center=str(row[CENTER]),
        patient_id=str(row[PATIENT]),
        phase=str(row[PHASE]),
        status=status,
        code=code,
        message=f"row {int(row[ROW])}: {message}",
        remedy=remedy,
    )
