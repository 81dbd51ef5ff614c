"""Clinical tables: `clinical.csv` as hospitals send it, checked against what `params.yaml` declares.

Undeclared columns are never copied. Messages name columns and row numbers of the file, and no value but a label's.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from featurestore.errors import InputError
from pipelines.ingest.clinical_values import MISSING, Value, canonical, typed
from pipelines.ingest.problems import ClinicalValueError
from pipelines.ingest.pseudonyms import patient_name
from pipelines.params.data import ClinicalColumn, LabelSection

CLINICAL_FILE = "clinical.csv"
PATIENT = "patient_id"

_DELIMITERS = (",", ";", "\t")
_N_SHOWN = 5
_N_SCORE = 4


class ClinicalTableError(InputError):
    """A center's `clinical.csv` is not what the settings declare."""

    default_remedy = "correct the file, or what params.yaml declares under ingest.clinical and label"


@dataclass(frozen=True, kw_only=True)
class Complaint:
    """A clinical value that is not what its column declares; it is read as missing."""

    column: str
    message: str
    code: str = ClinicalValueError.code
    remedy: str = ClinicalValueError.default_remedy


@dataclass(frozen=True, kw_only=True)
class Patient:
    """One patient's row.

    Args:
        patient_id: As the images name him too.
        row: The row's number in the file, the header being row 1.
        values: The declared columns, typed.
        label: 1 positive, 0 negative, none when not known.
        label_value: The label as sent.
        complaints: Values that were read as missing.
    """

    patient_id: str
    row: int
    values: dict[str, Value]
    label: int | None = None
    label_value: str | None = None
    complaints: tuple[Complaint, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ClinicalTable:
    """A center's clinical table, by patient."""

    patients: dict[str, Patient] = field(default_factory=dict)


def read_clinical(
    path: Path | None,
    center: str,
    columns: Mapping[str, ClinicalColumn],
    label: LabelSection,
    own_names: Mapping[str, str] | None = None,
    *,
    labelled: bool = True,
) -> ClinicalTable:
    """Reads a center's `clinical.csv`.

    Args:
        path: The file; none if the center sent none.
        center: For messages.
        columns: The declared columns.
        label: The declared outcome.
        own_names: What the center calls columns, by their declared name.
        labelled: Whether the table must be there and hold labels; of new hospitals, whose cases are scored, labels are
            not even looked at here, so that no label can hold up a score. `read_labels` reads them afterwards.

    Raises:
        ClinicalTableError: The file or a column is missing, an id is missing or stands in two different rows, or (where
            labels must be there) a label value is not declared.
    """
    where = f"clinical.csv of center {center}"
    if path is None or not path.is_file():
        if path is None and not labelled:
            return ClinicalTable()
        raise ClinicalTableError("there is no clinical.csv in its folder", where=where)
    header, rows = parsed_table(path, where)
    header = _declared_names(header, own_names or {}, where)
    names = _positions(header, [PATIENT, *_required(columns, label, labelled=labelled)], where)
    wanted = {name: _position(header, name) for name in [*columns, label.column]}
    if labelled:
        _check_labels(rows, wanted[label.column], label, where)
    elif label.column not in columns:
        wanted[label.column] = None
    return ClinicalTable(patients=_patients(rows, names[PATIENT], wanted, columns, label, where))


def read_labels(
    path: Path, center: str, label: LabelSection, own_names: Mapping[str, str] | None = None
) -> ClinicalTable | None:
    """Reads the labels alone, as far as they are there; a value that is not declared counts as not known yet.

    Args:
        path: The hospital's `clinical.csv`.
        center: For messages.
        label: The declared outcome.
        own_names: What the hospital calls columns, by their declared name.

    Returns:
        The patients with their labels; none when the table has no column of the label.

    Raises:
        ClinicalTableError: The file cannot be read, or a patient has two labels.
    """
    where = f"clinical.csv of center {center}"
    header, rows = parsed_table(path, where)
    header = _declared_names(header, own_names or {}, where)
    wanted = {label.column: _position(header, label.column)}
    if wanted[label.column] is None:
        return None
    names = _positions(header, [PATIENT], where)
    return ClinicalTable(patients=_patients(rows, names[PATIENT], wanted, {}, label, where))


def _patients(
    rows: Iterable[tuple[int, list[str]]],
    place: int,
    wanted: Mapping[str, int | None],
    columns: Mapping[str, ClinicalColumn],
    label: LabelSection,
    where: str,
) -> dict[str, Patient]:
    patients: dict[str, Patient] = {}
    for number, cells in rows:
        patient_id = patient_name(cells[place])
        patient = _patient(patient_id, number, cells, wanted, columns, label)
        first = patients.get(patient_id)
        patients[patient_id] = patient if first is None else _joined(first, patient, where)
    if "" in patients:
        raise ClinicalTableError(f"{_rows([patients[''].row])} has no {PATIENT}", where=where)
    return patients


def shapes(names: Iterable[str]) -> str:
    """Returns what identifiers look like without telling any: letters as A, digits as 9."""
    seen = dict.fromkeys(re.sub(r"[0-9]", "9", re.sub(r"[^\W\d_]", "A", name)) for name in sorted(names))
    return ", ".join(list(seen)[:_N_SHOWN]) or "none"


def _outlined(value: str) -> str:
    """Returns a strange label for a message; of one longer than a score only the shape, because it may be anything."""
    return repr(value) if len(value) <= _N_SCORE else f"a text like {shapes([value])}"


def label_of(text: str, label: LabelSection) -> int | None:
    """Returns 1 or 0 for a declared label value, none for another."""
    value = canonical(text)
    if value in {canonical(str(v)) for v in label.positive}:
        return 1
    return 0 if value in {canonical(str(v)) for v in label.negative} else None


def parsed_table(path: Path, where: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Returns the header and the filled rows with their numbers in the file, whatever its encoding and delimiter.

    Raises:
        ClinicalTableError: It is no table, or a row is longer than the header.
    """
    text = _decoded(path.read_bytes())
    first = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        lines = [[cell.strip() for cell in cells] for cells in reader]
    except csv.Error as error:
        raise ClinicalTableError(f"it is no table ({error})", where=where) from error
    filled = [(number, cells) for number, cells in enumerate(lines, start=1) if any(cells)]
    if not filled:
        raise ClinicalTableError("the file is empty", where=where)
    (_, header), *rows = filled
    width = len(header)
    wrong = [number for number, cells in rows if len(cells) > width and any(cells[width:])]
    if wrong:
        raise ClinicalTableError(f"more cells than columns in {_rows(wrong)}", where=where)
    return header, [(number, (cells + [""] * width)[:width]) for number, cells in rows]


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _required(columns: Mapping[str, ClinicalColumn], label: LabelSection, *, labelled: bool) -> list[str]:
    return [*(name for name, column in columns.items() if column.required), *([label.column] if labelled else [])]


def _positions(header: list[str], names: list[str], where: str) -> dict[str, int]:
    found = {name: _position(header, name) for name in names}
    missing = [name for name, position in found.items() if position is None]
    if missing:
        raise ClinicalTableError(
            f"column {', '.join(repr(name) for name in missing)} is missing ({_alike(header, missing)})",
            where=where,
        )
    return {name: position for name, position in found.items() if position is not None}


def _alike(header: list[str], missing: list[str]) -> str:
    """Returns which columns could be meant; the others' names are a hospital's own and not repeated."""
    folded = {cell.casefold(): cell for cell in header if cell}
    alike = dict.fromkeys(
        folded[one] for name in missing for one in get_close_matches(name.casefold(), list(folded), n=2)
    )
    there = f"there are {len(folded)} others"
    return f"{there}, of which {', '.join(map(repr, alike))} could be meant" if alike else there


def _declared_names(header: list[str], own_names: Mapping[str, str], where: str) -> list[str]:
    """Returns the header with the center's names replaced by the declared ones; a column it renamed away has none."""
    declared = {own.casefold(): name for name, own in own_names.items()}
    missing = sorted(own for own in own_names.values() if own.casefold() not in {cell.casefold() for cell in header})
    if missing:
        raise ClinicalTableError(
            f"column {', '.join(map(repr, missing))} is missing, which the rules name", where=where
        )
    taken = {name.casefold() for name in own_names}
    return [declared.get(cell.casefold(), "" if cell.casefold() in taken else cell) for cell in header]


def _position(header: list[str], name: str) -> int | None:
    if name in header:
        return header.index(name)
    folded = [cell.casefold() for cell in header]
    return folded.index(name.casefold()) if folded.count(name.casefold()) == 1 else None


def _check_labels(rows: list[tuple[int, list[str]]], position: int | None, label: LabelSection, where: str) -> None:
    strange: dict[str, list[int]] = {}
    for number, cells in rows:
        text = cells[position] if position is not None else ""
        if not _is_missing(text, label) and label_of(text, label) is None:
            strange.setdefault(text, []).append(number)
    if strange:
        seen = "; ".join(f"{_outlined(value)} in {_rows(numbers)}" for value, numbers in strange.items())
        allowed = [str(value) for value in (*label.positive, *label.negative)]
        raise ClinicalTableError(
            f"column {label.column!r} has values that are not declared: {seen}; declared are {', '.join(allowed)}",
            where=where,
            remedy="correct them, or declare them under label.positive or label.negative in params.yaml",
        )


def _joined(first: Patient, second: Patient, where: str) -> Patient:
    differing = [name for name, value in first.values.items() if second.values[name] != value]
    differing += ["the label"] if first.label_value != second.label_value else []
    if differing:
        raise ClinicalTableError(
            f"{_rows([first.row, second.row])} have the same {PATIENT} and differ in {', '.join(differing)}",
            where=where,
        )
    repeated = Complaint(
        column=PATIENT,
        message=f"row {second.row} of clinical.csv repeats row {first.row}",
        code="clinical_doubled",
        remedy="remove one of the rows",
    )
    return replace(first, complaints=(*(c for c in first.complaints if c.column != PATIENT), repeated))


def _patient(
    patient_id: str,
    row: int,
    cells: list[str],
    positions: Mapping[str, int | None],
    columns: Mapping[str, ClinicalColumn],
    label: LabelSection,
) -> Patient:
    texts = {name: "" if position is None else cells[position] for name, position in positions.items()}
    values: dict[str, Value] = {}
    complaints: list[Complaint] = []
    for name, column in columns.items():
        values[name], problem = typed(texts[name], column)
        if problem:
            complaints.append(Complaint(column=name, message=f"row {row} of clinical.csv: {name} {problem}"))
    known = None if _is_missing(texts[label.column], label) else texts[label.column]
    sign = None if known is None else label_of(known, label)
    if known is not None and sign is None:
        complaints.append(_undeclared(row, label))
    return Patient(
        patient_id=patient_id,
        row=row,
        values=values,
        label=sign,
        label_value=known if sign is not None else None,
        complaints=tuple(complaints),
    )


def _undeclared(row: int, label: LabelSection) -> Complaint:
    return Complaint(
        column=label.column,
        message=f"row {row} of clinical.csv: {label.column} has a value that is not declared",
        code="label_undeclared",
        remedy="correct it, or declare it under label.positive or label.negative",
    )


def _is_missing(text: str, label: LabelSection) -> bool:
    return text.casefold() in MISSING and label_of(text, label) is None


def _rows(numbers: list[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:_N_SHOWN])
    more = f" and {len(numbers) - _N_SHOWN} more" if len(numbers) > _N_SHOWN else ""
    return f"row{'s' if len(numbers) > 1 else ''} {shown}{more}"
