"""The rows of a center's tables, from what was found, what the clinical table says and what reading each case gave."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from featurestore.entities import CaseKey
from featurestore.errors import CaseError
from pipelines.ingest.center_data import CenterData
from pipelines.ingest.clinical import CLINICAL_FILE
from pipelines.ingest.eligibility import EXCLUDED, acquisition_columns, on_columns, verdict
from pipelines.ingest.free_texts import names_in
from pipelines.ingest.parts import Plain
from pipelines.ingest.problems import (
    ClinicalMissingError,
    DuplicatePatientError,
    ImageMissingError,
    LabelMissingError,
    PhaseMissingError,
)
from pipelines.ingest.pseudonyms import item_id, path_id, without_identity
from pipelines.ingest.sources import Remark, Unit
from pipelines.ingest.views import Row, Status, patient_key, qc_row

FILES = ("image", "mask")
EXCLUDED_REMEDY = "nothing; the rule stands under cohort in params.yaml"


@dataclass(kw_only=True)
class CenterTables:
    """The rows of one center, by table.

    `carried` names patients whose rows are those of an earlier run. `spare` are the stored files of cases that are
    refused for another's sake: kept, so that they need not be read in every run.
    """

    cases: list[Row] = field(default_factory=list)
    acquisition: list[Row] = field(default_factory=list)
    clinical: list[Row] = field(default_factory=list)
    outcomes: list[Row] = field(default_factory=list)
    qc: list[Row] = field(default_factory=list)
    sources: list[Row] = field(default_factory=list)
    carried: set[str] = field(default_factory=set)
    spare: list[str] = field(default_factory=list)

    def add(self, other: "CenterTables") -> None:
        """Adds the rows of other patients."""
        for name in ("cases", "acquisition", "clinical", "outcomes", "qc", "sources"):
            getattr(self, name).extend(getattr(other, name))
        self.carried |= other.carried

    def stored(self) -> list[str]:
        """Returns the stored files to keep."""
        return [*self.spare, *(cast(str, row[kind]) for row in self.cases for kind in FILES)]


@dataclass(kw_only=True)
class Job:
    """One case on its way.

    Args:
        unit: What was sent.
        case_id: Whose.
        source: The hash of what decides the result; empty where nothing is read.
        part: What reading it gave.
        failure: Why the work broke.
        is_reused: Whether the part is of an earlier run.
    """

    unit: Unit
    case_id: str
    source: str = ""
    part: Plain | None = None
    failure: CaseError | None = None
    is_reused: bool = False


def center_tables(data: CenterData, jobs: Sequence[Job]) -> CenterTables:
    """Returns all rows of a center."""
    tables = CenterTables()
    twins = _twins(jobs)
    by_patient = defaultdict(list)
    for job in jobs:
        by_patient[job.unit.patient_id].append(job)
    for patient_id in data.patients():
        _add_patient(tables, data, patient_id, by_patient[patient_id])
        for job in by_patient[patient_id]:
            _add_job(tables, data, job, twins)
    for remark in data.found.remarks:
        if not data.is_withdrawn(remark.patient_id) and remark.patient_id not in data.restless:
            tables.qc.append(_remark_row(data, remark))
    tables.qc, tables.sources = _unique(tables.qc), _unique_files(tables.sources)
    return tables


def _add_patient(tables: CenterTables, data: CenterData, patient_id: str, jobs: Sequence[Job]) -> None:
    case_id, reason = data.pseudonym(patient_id), data.exclusion(patient_id)
    tables.qc += _clinical_remarks(data, patient_id, is_used=reason is None)
    if reason is not None:
        if not jobs:
            tables.qc.append(_excluded(patient_key(data.center, case_id), reason))
        return
    row = data.row(patient_id)
    who: Row = {"center": data.center, "case_id": case_id}
    values = row.values if row is not None else dict.fromkeys(data.rules.ingest.clinical)
    tables.clinical.append({**who, **values})
    tables.outcomes.append(
        {**who, "label": row.label if row is not None else None, "value": row.label_value if row is not None else None}
    )
    tables.qc += _absences(data, patient_id, jobs)


def _clinical_remarks(data: CenterData, patient_id: str, *, is_used: bool) -> list[Row]:
    key, row = patient_key(data.center, data.pseudonym(patient_id)), data.row(patient_id)
    if row is None:
        return [_error_row(key, ClinicalMissingError(f"no row in {CLINICAL_FILE}"), item="clinical")]
    found = [
        qc_row(key, "warned", code=c.code, message=c.message, remedy=c.remedy, item=c.column) for c in row.complaints
    ]
    if is_used and data.labelled and row.label is None:
        error = LabelMissingError(f"{data.rules.label.column} is empty in {CLINICAL_FILE}")
        found.append(_error_row(key, error, item="label"))
    return found


def _absences(data: CenterData, patient_id: str, jobs: Sequence[Job]) -> list[Row]:
    case_id = data.pseudonym(patient_id)
    if patient_id not in data.found.files and not jobs:
        remedy = f"send the patient's images, or take the patient out of {CLINICAL_FILE}"
        error = ImageMissingError(f"the patient is in {CLINICAL_FILE} and no images were sent", remedy=remedy)
        return [_error_row(patient_key(data.center, case_id), error)]
    there = {job.unit.phase for job in jobs}
    return [
        _error_row(
            patient_key(data.center, case_id, phase, data.rules.ingest.roi.name),
            PhaseMissingError(f"no {phase} image was found"),
        )
        for phase, rule in data.rules.phases.items()
        if rule.required and phase not in there and data.exclusion(patient_id, phase) is None
    ]


def _add_job(tables: CenterTables, data: CenterData, job: Job, twins: dict[str, set[str]]) -> None:
    unit = job.unit
    key = patient_key(data.center, job.case_id, unit.phase, unit.roi)
    reason = data.exclusion(unit.patient_id, unit.phase)
    if reason is not None:
        tables.qc.append(_excluded(key, reason))
    elif unit.problem is not None:
        tables.qc.append(_error_row(key, unit.problem, names=identities(unit)))
    elif job.part is None:
        failure = job.failure or CaseError("the work on it did not end", remedy="run again: this case alone is read")
        tables.qc.append(_error_row(key, failure, names=identities(unit)))
    else:
        for row in job.part["rows"]:
            _add_row(tables, data, job, row, twins)
        tables.sources += _sources(key, data, unit)


def _add_row(tables: CenterTables, data: CenterData, job: Job, row: Plain, twins: dict[str, set[str]]) -> None:
    unit = job.unit
    key = CaseKey(center=data.center, case_id=job.case_id, phase=unit.phase, roi=row["roi"], observer=row["observer"])
    reason = acquisition_verdict(data, row)
    others = twins.get(row["image_content"], set()) - {job.case_id}
    if reason is not None:
        tables.qc.append(_excluded(key, reason))
        return
    if others:
        error = DuplicatePatientError(f"the image was also sent as patient {', '.join(sorted(others))}")
        tables.qc.append(_error_row(key, error))
        tables.spare += [row["case"][kind] for kind in FILES if row["case"] is not None]
        return
    tables.qc.append(_with_remarks(key, row, unit.remarks))
    if row["case"] is not None:
        tables.cases.append({**key.columns(), **row["case"]})
        tables.acquisition.append({**key.columns(), **row["acquisition"]})


def acquisition_verdict(data: CenterData, row: Plain) -> str | None:
    """Returns why the way an image was made puts it aside; none if it does not, or nothing is known of it."""
    if row["acquisition"] is None:
        return None
    columns = acquisition_columns() - set(data.rules.ingest.clinical)
    return verdict(on_columns(data.rules.cohort, columns), row["acquisition"])


def identities(unit: Unit) -> tuple[str, ...]:
    """Returns what the files of a case may name its patient by."""
    folders = {part for file in unit.files() for part in file.folder.split("/")}
    telling = {part for part in folders if len(part) > 3 and not part.isalpha()}
    told = set(names_in(header for image in unit.images for header in image.headers))
    told |= {name for image in unit.images for mask in image.masks for name in mask.names}
    return tuple(sorted({unit.patient_id, *telling, *told}))


def _twins(jobs: Sequence[Job]) -> dict[str, set[str]]:
    """Returns whose each image is, by the content of the whole image."""
    owners = defaultdict(set)
    for job in jobs:
        for row in job.part["rows"] if job.part is not None else ():
            if row["image_content"]:
                owners[row["image_content"]].add(job.case_id)
    return owners


def _with_remarks(key: CaseKey, row: Plain, remarks: Sequence[CaseError]) -> Row:
    status, code, remedy = row["status"], row["code"], row["remedy"]
    message = "; ".join(dict.fromkeys(text for text in (row["message"], *(r.what for r in remarks)) if text))
    if remarks and status == "ok":
        status, code, remedy = "warned", remarks[0].code, remarks[0].remedy
    return qc_row(key, status, code=code, message=message, remedy=remedy)


def _remark_row(data: CenterData, remark: Remark) -> Row:
    case_id = data.pseudonym(remark.patient_id)
    key = patient_key(data.center, case_id, remark.phase)
    item = item_id(data.key, remark.item) if case_id else path_id(data.key, remark.item)
    names = (remark.patient_id, *(file.relative for file in remark.files), *remark.names)
    return _error_row(key, remark.error, item=item, names=names)


def _error_row(key: CaseKey, error: CaseError, *, item: str = "", names: Sequence[str] = ()) -> Row:
    message = without_identity(error.what, names)
    status = cast(Status, error.status)
    return qc_row(key, status, code=error.code, message=message, remedy=error.remedy, item=item)


def _excluded(key: CaseKey, reason: str) -> Row:
    return qc_row(key, "excluded", code=EXCLUDED, message=reason, remedy=EXCLUDED_REMEDY)


def _unique(rows: Sequence[Row]) -> list[Row]:
    """Leaves one row for each key; the last says most."""
    names = ("center", "case_id", "phase", "roi", "observer", "stage", "item")
    return list({tuple(row[name] for name in names): row for row in rows}.values())


def _sources(key: CaseKey, data: CenterData, unit: Unit) -> list[Row]:
    """Returns a row for each file that a case was read from."""
    whose = {"center": key.center, "case_id": key.case_id, "phase": key.phase, "roi": key.roi}
    files = [("image", file) for image in unit.images for file in image.files]
    files += [(mask.kind, mask.file) for image in unit.images for mask in image.masks]
    return [{**whose, "path_id": path_id(data.key, file.relative), "kind": kind} for kind, file in files]


def _unique_files(rows: Sequence[Row]) -> list[Row]:
    """Leaves one row for each file of a case: several outlines may lie in one."""
    names = ("center", "case_id", "phase", "roi", "path_id")
    return list({tuple(row[name] for name in names): row for row in rows}.values())
