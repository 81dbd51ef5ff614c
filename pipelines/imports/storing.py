"""Stores an imported table: features, labels and remarks, each by center and under pseudonyms."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from featurestore.entities import KEY_COLUMNS
from featurestore.files import TEMPORARY, drop_orphans
from featurestore.fingerprints import digest
from featurestore.row_hashes import row_hashes, verify_rows
from featurestore.schemas import Column, TableSchema
from featurestore.tables import centers_of, partition, read_frame, write_center
from featurestore.views import BOOKKEEPING
from pipelines.imports.belonging import no_longer_belong
from pipelines.imports.problems import RulesChangedError
from pipelines.imports.rows import CENTER, PATIENT, PHASE, ROW, Checked, Remark
from pipelines.imports.switching import aside, switch, take_up
from pipelines.ingest.pseudonyms import case_id, key_path, load_key
from pipelines.ingest.views import QC, Row, Status, outcomes_schema, patient_key, qc_row
from pipelines.params import Params
from pipelines.params.data import CohortSection
from pipelines.workspace import Workspace

OUTCOMES, REMARKS = "outcomes", "qc"
SHARED = (OUTCOMES, REMARKS)
"""Tables beside the imported views that belong to all of them."""
STAGE = "import"

_BOOKKEEPING = (
    Column(name="fingerprint", kind="string", description="the file and the settings the row came from"),
    Column(name="value_hash", kind="string", description="the row as it was imported"),
)


@dataclass(frozen=True, kw_only=True)
class StoredRows:
    """What is stored of an imported table.

    Args:
        view: The view's name.
        features: Columns of numbers.
        texts: Columns of text.
        source_hash: The hash of the file.
        notes: What the rows were made with.
        withdrawn: Pseudonyms of patients who are in no table.
    """

    view: str
    features: list[str]
    texts: list[str]
    source_hash: str
    notes: Mapping[str, str] = field(default_factory=dict)
    withdrawn: frozenset[str] = frozenset()

    def schema(self) -> TableSchema:
        """Returns the declared columns of the stored table."""
        columns = [*(Column(name=n) for n in self.features), *(Column(name=n, kind="string") for n in self.texts)]
        return TableSchema(name=self.view, columns=(*columns, *_BOOKKEEPING), notes=dict(self.notes))


def store(
    workspace: Workspace,
    rows: StoredRows,
    found: Checked,
    labels: "pd.Series[float] | None",
    keys: Mapping[str, bytes],
    params: Params,
) -> dict[str, dict[str, object]]:
    """Writes the partitions of each center of the table aside, and switches to all of them at once.

    Returns:
        By center, counts for people.
    """
    counts: dict[str, dict[str, object]] = {}
    for folder in (workspace.imported(rows.view).parent, workspace.keys):
        drop_orphans(folder)
    for orphan in workspace.root.glob(f"{TEMPORARY}*"):
        orphan.unlink(missing_ok=True)
    for center, key in sorted(keys.items()):
        own = found.rows[found.rows[CENTER] == center]
        named = own.assign(case_id=[case_id(key, name) for name in own[PATIENT]])
        named = named[~named["case_id"].isin(rows.withdrawn)]
        remarks = [remark for remark in found.remarks if remark.center == center]
        found.notes += _matches(workspace, rows.view, center, named)
        outcomes = _outcomes(workspace, center, named, labels, params)
        qc = _remarks(workspace, rows.view, center, key, named, remarks, rows.withdrawn)
        write_center(aside(workspace) / REMARKS, center, qc, QC)
        write_center(aside(workspace) / OUTCOMES, center, outcomes, outcomes_schema(params.label))
        write_center(aside(workspace) / rows.view, center, _features(rows, center, named), rows.schema())
        patients = named.drop_duplicates("case_id").index
        known = labels.loc[patients] if labels is not None else pd.Series(dtype="float64")
        counts[center] = {
            "rows": len(named),
            "patients": named["case_id"].nunique(),
            "refused": sum(remark.status == "refused" for remark in remarks),
            "excluded": sum(remark.status == "excluded" for remark in remarks),
            "positive": int((known == 1).sum()),
            "negative": int((known == 0).sum()),
        }
    switch(workspace)
    return counts


def restarted(workspace: Workspace, view: str, found: Checked) -> list[str]:
    """Says which centers that were imported before have the same identifiers; their patients stay different ones."""
    root, notes = workspace.imported(view), []
    here = set(found.rows[CENTER])
    for center in (name for name in centers_of(root) if name not in here and key_path(workspace.keys, name).exists()):
        key = load_key(workspace.keys, center)
        known = set(read_frame(root, centers=[center], columns=["case_id"])["case_id"])
        n = len({name for name in found.rows[PATIENT] if case_id(key, name) in known})
        if n:
            notes.append(
                f"{n} identifiers are in center {center} too; they stay different patients, because each center has "
                "its own pseudonyms"
            )
    return notes


def verify_imports(workspace: Workspace, cohort: CohortSection | None = None) -> dict[str, int]:
    """Checks every row of every imported view against its hash, and ends an import that was cut short.

    Args:
        workspace: The study.
        cohort: Who belongs to it now.

    Returns:
        By view, how many rows.

    Raises:
        DamagedTableError: A file is unreadable, or a row is not what was imported.
        RulesChangedError: The cohort's rules would exclude a row.
    """
    root = workspace.imported(OUTCOMES).parent
    root.mkdir(parents=True, exist_ok=True)
    take_up(workspace)
    drop_orphans(root)
    found = {}
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and path.name not in SHARED):
        found[folder.name] = sum(_verified(workspace, folder.name, center, cohort) for center in centers_of(folder))
    return found


def _verified(workspace: Workspace, view: str, center: str, cohort: CohortSection | None) -> int:
    root = workspace.imported(view)
    frame = read_frame(root, centers=[center])
    words = [str(name) for name in frame if frame[name].dtype.kind not in "fib" and name not in BOOKKEEPING]
    numbers = [str(name) for name in frame if name not in (*words, *BOOKKEEPING)]
    where = f"imported/{view}/{partition(root, center).parent.name}"
    verify_rows(frame, frame["value_hash"].tolist(), [*words, "fingerprint"], numbers, where)
    n = 0 if cohort is None else no_longer_belong(cohort, frame)
    if n:
        raise RulesChangedError(f"{n} of {len(frame)} rows do not belong to the cohort any more", where=where)
    return len(frame)


def _matches(workspace: Workspace, view: str, center: str, named: pd.DataFrame) -> list[str]:
    """Says how many patients are in this table and in other imported views of the center."""
    notes, here = [], set(named["case_id"])
    root = workspace.imported(OUTCOMES).parent
    for folder in sorted(root.glob("*")) if root.is_dir() else ():
        if folder.name in (view, *SHARED) or center not in centers_of(folder):
            continue
        there = set(read_frame(folder, centers=[center], columns=["case_id"])["case_id"])
        strange = named.loc[~named["case_id"].isin(there), ROW].tolist()
        rows = f" (rows {', '.join(map(str, strange[:5]))}{' …' if len(strange) > 5 else ''})" if strange else ""
        notes.append(
            f"{center}: {len(here & there)} patients are in view {folder.name} too; {len(here - there)} are only here"
            f"{rows}, {len(there - here)} only there"
        )
    return notes


def _features(rows: StoredRows, center: str, named: pd.DataFrame) -> pd.DataFrame:
    mark = digest({"file": rows.source_hash, "notes": dict(rows.notes)})
    own = {"center": center, "case_id": named["case_id"], "phase": named[PHASE], "roi": rows.view, "observer": ""}
    keys = pd.DataFrame(own, index=named.index)
    texts = {name: named[name].map(_text) for name in rows.texts}
    frame = pd.concat([keys, named[rows.features], pd.DataFrame(texts, index=named.index)], axis=1)
    frame = frame.assign(fingerprint=mark)
    return frame.assign(value_hash=row_hashes(frame, [*KEY_COLUMNS, *rows.texts, "fingerprint"], rows.features))


def _outcomes(
    workspace: Workspace, center: str, named: pd.DataFrame, labels: "pd.Series[float] | None", params: Params
) -> list[Row]:
    """Returns the center's labels: those stored before, and this table's over them."""
    schema = outcomes_schema(params.label)
    before = read_frame(workspace.imported(OUTCOMES), centers=[center])
    rows: dict[str, Row] = {}
    if len(before):
        rows = {str(row["case_id"]): row for row in plain_rows(before[list(schema.names())])}
    if labels is not None:
        known = labels.loc[named.index].tolist()
        for name, value in zip(named["case_id"], known, strict=True):
            label = None if value != value else int(value)
            rows[name] = {"center": center, "case_id": name, "label": label}
            rows[name]["value"] = None if label is None else str(label)
    gone = params.cohort.withdrawn
    return [
        {**row, "label": None if row["label"] != row["label"] else row["label"]}
        for name, row in rows.items()
        if name not in gone
    ]


def plain_rows(frame: pd.DataFrame) -> list[Row]:
    """Returns a frame's rows as plain mappings."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def _remarks(
    workspace: Workspace,
    view: str,
    center: str,
    key: bytes,
    named: pd.DataFrame,
    remarks: list[Remark],
    withdrawn: frozenset[str],
) -> list[Row]:
    """Returns the center's quality rows: other views' as they are, and one for each row of this table."""
    before = read_frame(workspace.imported(REMARKS), centers=[center])
    others = before[(before["roi"] != view) & ~before["case_id"].isin(withdrawn)] if len(before) else before
    kept: list[Row] = plain_rows(others)
    rows = {
        (name, phase): qc_row(patient_key(center, name, phase, view), "ok", stage=STAGE)
        for name, phase in zip(named["case_id"], named[PHASE], strict=True)
    }
    unnamed = []
    for remark in remarks:
        name = case_id(key, remark.patient_id) if remark.patient_id else ""
        status: Status = remark.status
        told = {"code": remark.code, "message": remark.message, "remedy": remark.remedy, "stage": STAGE}
        if not name:
            item = f"row {remark.row} {remark.phase}"
            unnamed.append(qc_row(patient_key(center, "", remark.phase, view), status, item=item, **told))
        elif remark.status == "excluded" and (name, remark.phase) in rows:
            item = f"row {remark.row}"  # a smaller lesion of a patient whose largest one is taken
            unnamed.append(qc_row(patient_key(center, name, remark.phase, view), status, item=item, **told))
        elif name not in withdrawn:
            rows[name, remark.phase] = qc_row(patient_key(center, name, remark.phase, view), status, **told)
    return [*kept, *rows.values(), *unnamed]


def _text(cell: object) -> str | None:
    return None if cell is None or cell != cell or cell == "" else str(cell).strip()
