"""Imports a table of features made elsewhere: read, checked whole, declared in `params.yaml`, then stored by center.

Nothing is written before everything was checked. A run that is cut short is done again by the same command.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from featurestore.entities import KEY_COLUMNS
from featurestore.fingerprints import file_digest
from featurestore.joining import refuse_mixed
from featurestore.schemas import columns_of
from featurestore.tables import centers_of, read_notes, read_schema
from featurestore.views import BOOKKEEPING
from pipelines.imports.belonging import exclude
from pipelines.imports.columns import Columns, numbers, require, sort_columns
from pipelines.imports.declaring import check_centers, declare
from pipelines.imports.outcomes import with_outcomes
from pipelines.imports.problems import LabelValueError, NothingToImportError, SchemaChangedError
from pipelines.imports.reading import read_file
from pipelines.imports.rows import (
    CENTER,
    LABEL,
    PHASE,
    ROW,
    Checked,
    by_phase,
    checked,
    constant,
    identified,
    phase_name,
)
from pipelines.imports.storing import SHARED, StoredRows, restarted, store
from pipelines.imports.switching import take_up
from pipelines.ingest.clinical import label_of
from pipelines.ingest.pseudonyms import ensure_keys, load_key
from pipelines.params import Params, load_params
from pipelines.params.tables import OWN_VIEWS, ImportedView
from pipelines.workspace import Role, Workspace

_N_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """What a table is to become.

    Args:
        view: The view's name.
        id_column: The column that names patients.
        id_pattern: A regular expression whose first group (or whole match) is the identifier, where a cell has more.
        center_column: The column that names centers; or
        center: the one center of all rows.
        label: The column of the outcome, if the table has it.
        clinical: The center's `clinical.csv` that has the label's column instead of the table.
        phase: The phase of all rows; the view's name when nothing is said of phases.
        phase_column: The column that names phases.
        phase_prefixes: Beginnings of column names that stand for phases.
        texts: Text columns to keep.
        columns: A regular expression on the names of features.
        drop: A regular expression on the names of columns to leave out.
        missing: Further cells that stand for no value.
        role: The role of centers that are not declared yet.
        sheet: Which sheet of an Excel file.
        source: The tool and version it was made with, where the table does not say.
        is_for_models: Whether models may see its numbers.
        largest: The column of volumes that says which of a patient's lesions counts; several are refused without.
    """

    view: str
    id_column: str
    id_pattern: str | None = None
    center_column: str | None = None
    center: str | None = None
    label: str | None = None
    clinical: Path | None = None
    phase: str | None = None
    phase_column: str | None = None
    phase_prefixes: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    columns: str = ".*"
    drop: str | None = None
    missing: tuple[str, ...] = ()
    role: Role | None = None
    sheet: str | None = None
    source: str = ""
    is_for_models: bool = True
    largest: str | None = None

    @property
    def own(self) -> list[str]:
        """The columns that say whose a row is and what came of him."""
        named = (self.id_column, self.center_column, self.phase_column, self.label)
        return [name for name in named if name is not None]


@dataclass(frozen=True, kw_only=True)
class ImportSummary:
    """What an import did.

    Args:
        centers: By center, how many rows and patients were stored, refused, and positive and negative.
        features: How many features.
        left_out: By reason, the columns that were not taken.
        constant: Features with one value in all rows.
        remarks: What is said about single rows, by center, status and code, with the rows' numbers.
        notes: What else a person should know.
        declared: What was added to `params.yaml`.
    """

    centers: dict[str, dict[str, object]]
    features: int
    left_out: dict[str, list[str]] = field(default_factory=dict)
    constant: list[str] = field(default_factory=list)
    remarks: list[dict[str, object]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    declared: list[str] = field(default_factory=list)


def import_table(workspace: Workspace, path: Path, request: ImportRequest) -> ImportSummary:
    """Imports a table.

    Raises:
        InputError: The table, a column, a row, a center or a label is not as it must be; nothing was written.
    """
    take_up(workspace)
    params = load_params(workspace.params)
    _check_name(request.view)
    frame = read_file(path, tuple(request.own), request.sheet, request.missing)
    if request.clinical is not None:
        frame = with_outcomes(frame, request.id_column, request.clinical, str(request.center), params.label)
    columns = sort_columns(frame, request.own, request.texts, request.columns, request.drop)
    found, features = _rows(frame, columns, request)
    exclude(found, workspace, params, frame)
    if found.rows.empty:
        raise NothingToImportError("the cohort's rules exclude every row", where="cohort")
    labels = _labels(found, params, request)
    centers = sorted(set(found.rows[CENTER]))
    check_centers(params, centers, request.role)
    source = request.source or columns.source
    notes = {**columns.notes, **({"source": source} if source else {})}
    _check_stored(workspace.imported(request.view), features, columns.texts, notes, centers)
    view = _view(params, request, found, source)
    params, declared = declare(workspace, params, request.view, view, centers, request.role)
    ensure_keys(workspace, params)
    keys = {center: load_key(workspace.keys, center, _key_id(workspace, center)) for center in centers}
    rows = StoredRows(
        view=request.view,
        features=features,
        texts=columns.texts,
        source_hash=file_digest(path),
        notes=notes,
        withdrawn=frozenset(params.cohort.withdrawn),
    )
    found.notes += restarted(workspace, request.view, found)
    counts = store(workspace, rows, found, labels, keys, params)
    return ImportSummary(
        centers=counts,
        features=len(features),
        left_out=columns.left_out,
        constant=constant(found.rows, features),
        remarks=_told(found),
        notes=found.notes,
        declared=declared,
    )


def _check_name(view: str) -> None:
    if view in (*OWN_VIEWS, *SHARED):
        raise NothingToImportError(
            "is the name of a table that radmill makes", where=f"view {view}", remedy="choose another --view"
        )


def _rows(frame: pd.DataFrame, columns: Columns, request: ImportRequest) -> tuple[Checked, list[str]]:
    require(frame, request.own)
    centers = frame[request.center_column].map(phase_name) if request.center_column else str(request.center)
    whole, notes = identified(frame, request.id_column, centers, request.label, request.id_pattern)
    features = columns.features
    if request.phase_prefixes:
        whole, features = by_phase(whole, features, request.phase_prefixes)
    elif request.phase_column:
        whole = _with_phase(whole, whole[request.phase_column].map(phase_name))
    else:
        whole = _with_phase(whole, request.phase or request.view)
    if not features and not columns.texts:
        raise NothingToImportError("no column is left", where="columns")
    whole = pd.concat([whole.drop(columns=features), numbers(whole, features)], axis=1).copy()
    if request.largest is not None:
        require(whole, [request.largest])
    return checked(whole, features or columns.texts, notes, request.largest), features


def _with_phase(frame: pd.DataFrame, phases: "str | pd.Series[str]") -> pd.DataFrame:
    return pd.concat([frame, pd.DataFrame({PHASE: phases}, index=frame.index)], axis=1)


def _labels(found: Checked, params: Params, request: ImportRequest) -> "pd.Series[float] | None":
    """Returns each row's label: 1, 0, or missing."""
    if request.label is None:
        return None
    texts = found.rows[LABEL].astype(str)
    labels = texts.map(lambda text: label_of(text, params.label)).astype("float64")
    strange = labels.isna() & ~texts.str.casefold().isin(["", "na", "nan", "n/a", "none", "null"])
    if strange.any():
        values = ", ".join(map(repr, sorted(set(texts[strange]))[:_N_SHOWN]))
        rows = ", ".join(str(n) for n in found.rows.loc[strange, ROW][:_N_SHOWN])
        declared = ", ".join(str(value) for value in (*params.label.positive, *params.label.negative))
        raise LabelValueError(
            f"values {values} in rows {rows} are not declared; declared are {declared}", where=f"column {request.label}"
        )
    missing = int(labels.isna().sum())
    found.notes += [f"{missing} rows have no label; models leave these patients out"] if missing else []
    return labels


def _check_stored(
    root: Path, features: list[str], texts: list[str], notes: Mapping[str, str], centers: list[str]
) -> None:
    """Compares with the view's rows of other centers, which will be joined with these."""
    others = [center for center in centers_of(root) if center not in centers]
    if not others:
        return
    known = {column.name for column in columns_of(read_schema(root), keys=(*KEY_COLUMNS, *BOOKKEEPING))}
    lacking, extra = sorted(known - {*features, *texts}), sorted({*features, *texts} - known)
    if lacking or extra:
        raise SchemaChangedError(
            f"{len(lacking)} columns of {', '.join(others)} are lacking ({', '.join(lacking[:3]) or 'none'}), "
            f"{len(extra)} are new ({', '.join(extra[:3]) or 'none'})",
            where=f"view {root.name}",
        )
    stored = read_notes(root)
    refuse_mixed({**{center: stored[center] for center in others[:1]}, "this table": notes}, f"view {root.name}")


def _view(params: Params, request: ImportRequest, found: Checked, source: str) -> ImportedView:
    before = params.imported.get(request.view)
    phases = [*(before.phases if before else ()), *found.rows[PHASE]]
    return ImportedView(
        phases=list(dict.fromkeys(phases)),
        source=source,
        texts=list(request.texts),
        is_for_models=request.is_for_models,
    )


def _key_id(workspace: Workspace, center: str) -> str | None:
    centers = load_params(workspace.params).centers
    return {**centers.development, **centers.external}[center].key_id


def _told(found: Checked) -> list[dict[str, object]]:
    """Returns what is said about rows, gathered by center and code."""
    groups: dict[tuple[str, str, str, str], list[int]] = {}
    for remark in found.remarks:
        groups.setdefault((remark.center, remark.status, remark.code, remark.remedy), []).append(remark.row)
    return [
        {"center": center, "status": status, "code": code, "n": len(rows), "rows": _shown(rows), "remedy": remedy}
        for (center, status, code, remedy), rows in groups.items()
    ]


def _shown(rows: list[int]) -> str:
    more = f" and {len(rows) - _N_SHOWN} more" if len(rows) > _N_SHOWN else ""
    return ", ".join(map(str, rows[:_N_SHOWN])) + more
