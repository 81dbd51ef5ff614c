"""What the columns of clinical tables seem to hold."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from pipelines.ingest.clinical import PATIENT
from pipelines.ingest.clinical_values import MISSING, canonical, typed
from pipelines.ingest.free_texts import COMMON
from pipelines.looking.found import SeenCenter, SeenColumn
from pipelines.looking.telling import are_identifiers, is_telling, names_people
from pipelines.params.data import ClinicalColumn

LABEL_VALUES = (2, 6)
"""Different values of a column that may be an outcome."""

_CATEGORIES = 8
_NUMBERS = 7
"""Different numbers from which on they are a measurement and not a score."""

_MANY = 50
"""Patients from which on a value of one or two of them is rare."""

_DATE = re.compile(r"^(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})(?:[ T].*)?$")
_LATE = re.compile(
    r"outcome|surviv|death|dead|died|alive|^status$|vital|follow|recur|relap|progress|event|days|time|mets|metast|respon|"
    r"treat|therap|surger|chemo|radiother|resect|toxic|label|target|class$",
    re.IGNORECASE,
)
_OUTCOME = re.compile(
    r"outcome|label|target|status|mets|metast|recur|relap|event|surviv|dead|death|respon|grade|her2|ihc"
)
_YES = ("1", "yes", "y", "true", "t", "ja", "oui", "si", "positive", "pos", "+")


def seen_columns(centers: Sequence[SeenCenter]) -> list[SeenColumn]:
    """Returns the columns of all clinical tables, in the order of the first table that has each."""
    cells: dict[str, list[str]] = defaultdict(list)
    names: dict[str, str] = {}
    having: dict[str, list[str]] = defaultdict(list)
    for center in (center for center in centers if center.table is not None):
        table = center.table
        assert table is not None
        for name in table.header:
            if not name or name == table.patient_column or name.casefold() == PATIENT:
                continue
            key = name.casefold()
            names.setdefault(key, name)
            cells[key] += table.cells(name)
            having[key].append(center.name)
    return [_column(name, cells[key], tuple(having[key])) for key, name in names.items()]


def label_candidates(columns: Sequence[SeenColumn], n_tables: int) -> list[SeenColumn]:
    """Returns the columns that may be the outcome, those named like one first."""
    low, high = LABEL_VALUES
    filled = [c for c in columns if len(c.centers) == n_tables and not c.is_private]
    possible = [c for c in filled if low <= len(c.values) <= high]
    return sorted(possible, key=lambda column: not _OUTCOME.search(column.name.casefold()))


def likely_label(candidates: Sequence[SeenColumn]) -> str | None:
    """Returns the only candidate, the only one named like an outcome, or of these the only one that is yes or no."""
    named = [column for column in candidates if _OUTCOME.search(column.name.casefold())] or list(candidates)
    yes_or_no = [column for column in named if column.kind == "boolean"]
    return next((few[0].name for few in (named, yes_or_no) if len(few) == 1), None)


def positive_guess(column: SeenColumn) -> list[str]:
    """Returns the values that plainly mean yes; none where they do not say."""
    return [value for value in column.values if value.casefold() in _YES] if len(column.values) == 2 else []


def covariates(columns: Sequence[SeenColumn], label: str, centers: Sequence[SeenCenter]) -> list[SeenColumn]:
    """Returns the columns that are worth declaring: typed, filled, known before the outcome, and naming nobody."""
    return [
        column
        for column in columns
        if column.name.casefold() != label.casefold()
        and column.kind in ("number", "integer", "category", "boolean")
        and len(column.values) > 1
        and not column.is_late
        and not column.is_private
        and column.n_missing <= sum(column.values.values())
        and not tells_label(column, label, centers)
        and not (column.kind == "category" and any(is_telling(value, n) for value, n in column.values.items()))
    ]


def tells_label(column: SeenColumn, label: str, centers: Sequence[SeenCenter]) -> bool:
    """Returns whether a column of few values gives the label away: each value goes with one label alone."""
    if column.kind in ("number", "integer"):
        return False
    seen: dict[str, set[str]] = defaultdict(set)
    for table in (center.table for center in centers if center.table is not None):
        for value, outcome in zip(table.cells(column.name), table.cells(label), strict=False):
            if outcome.casefold() not in MISSING:
                seen[canonical(value)].add(canonical(outcome))
    return len(seen) > 1 and all(len(outcomes) == 1 for outcomes in seen.values())


def rare_values(column: SeenColumn) -> list[str]:
    """Returns values of so few of many patients that they are more likely another writing than a category."""
    n = sum(column.values.values())
    return sorted(value for value, seen in column.values.items() if seen < COMMON and n >= _MANY)


def own_values(column: SeenColumn) -> list[str]:
    """Returns the values of a category that settings may list: no other writing, and nothing that may name somebody."""
    rare = rare_values(column)
    return sorted(value for value, n in column.values.items() if value not in rare and not is_telling(value, n))


def declared(column: SeenColumn, n_tables: int) -> dict[str, object]:
    """Returns a column's entry under `ingest.clinical`."""
    entry: dict[str, object] = {"kind": column.kind}
    if column.kind == "category":
        entry["values"] = own_values(column)
    if column.name.casefold() in ("age", "alter"):
        entry |= {"minimum": 0, "maximum": 120, "unit": "years"}
    if len(column.centers) < n_tables:
        entry["required"] = False
    return entry


def _column(name: str, cells: list[str], centers: tuple[str, ...]) -> SeenColumn:
    known = [canonical(cell) for cell in cells if cell.casefold() not in MISSING]
    values = Counter(known)
    return SeenColumn(
        name=name,
        kind=_kind(values),
        values=values,
        n_missing=len(cells) - len(known),
        centers=centers,
        is_late=bool(_LATE.search(name)),
        is_private=names_people(name) or are_identifiers(values),
    )


def _kind(values: Counter[str]) -> str:
    if all(_is(value, "boolean") for value in values) and values:
        return "boolean"
    if all(_is(value, "number") for value in values) and values:
        if len(values) >= _NUMBERS:
            return "number"
        return "integer" if all(_is(value, "integer") for value in values) else "number"
    if values and sum(bool(_DATE.match(value)) for value in values) > len(values) / 2:
        return "date"
    is_repeated = len(values) <= sum(values.values()) / 2
    return "category" if 0 < len(values) <= _CATEGORIES and is_repeated else "text"


def _is(value: str, kind: str) -> bool:
    return typed(value, ClinicalColumn.model_validate({"kind": kind}))[1] == ""
