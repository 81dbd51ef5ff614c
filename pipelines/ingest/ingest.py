"""Ingest: from what the centers sent to cropped volumes and tables.

An incremental run gives the same bytes as a full rebuild: whether a case is read again is decided by the hash of its
files, rules and versions, and everything else is computed anew from small parts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from featurestore.files import TEMPORARY, sweep
from pipelines.ingest.casework import ChangedSinceIntakeError, ingest_case, memory_mb, plain_images
from pipelines.ingest.center_data import CenterData, read_center
from pipelines.ingest.center_tables import CenterTables, Job, acquisition_verdict, center_tables, identities
from pipelines.ingest.discovery import SourceChangedError
from pipelines.ingest.eligibility import check_rules, read_rejected
from pipelines.ingest.file_index import FileIndex
from pipelines.ingest.parts import CaseSettings, is_intact, part_path, read_part, source_hash
from pipelines.ingest.places import IngestPlaces, has_raw, image_centers, study_places
from pipelines.ingest.summary import IngestSummary, summarized
from pipelines.ingest.view_tables import keep_tables, stored_tables, write_tables
from pipelines.params import CaseRules, Params
from pipelines.params.data import Center
from pipelines.runner import CaseTask, Progress, Runner, Silent
from pipelines.workspace import Role, Workspace


def ingest(
    workspace: Workspace, params: Params, role: Role, runner: Runner, progress: Progress | None = None
) -> IngestSummary:
    """Reads what the centers of a role sent. Without raw data the tables of an earlier run are kept.

    Raises:
        InputError: A key, a clinical table, a rule or a folder is wrong; no table was written.
        FaultError: Files are not what intake took in.
    """
    places = study_places(workspace, params, role)
    rules, centers = params.case_rules(), image_centers(workspace, params, role)
    if centers and not has_raw(workspace, places):
        return keep_tables(places, rules, centers)
    return ingest_centers(places, rules, centers, runner, progress)


def ingest_centers(
    places: IngestPlaces,
    rules: CaseRules,
    centers: Mapping[str, Center],
    runner: Runner,
    progress: Progress | None = None,
    *,
    quiet_s: float = 0.0,
    labelled: bool = True,
) -> IngestSummary:
    """Reads what the named centers sent; these are all the centers of the places, others are swept.

    Args:
        places: Where to read and write. Intake must have listed the centers.
        rules: What decides cases.
        centers: The centers with their `key_id`.
        runner: Runs the cases.
        progress: Is told how it goes.
        quiet_s: With more than 0, a patient is taken only when his files have been still for so long; until then his
            rows of an earlier run stay. Never used in a stage, because its result would depend on the clock.
        labelled: Whether every center must send a clinical table with labels.

    Raises:
        InputError: A key, a clinical table, a rule or a folder is wrong; no table was written.
        FaultError: Files are not what intake took in; no table was written.
    """
    places.check_folders()
    if centers:
        check_rules(rules.cohort, rules.ingest.clinical)
    rejected = read_rejected(places.rejected)
    read = {
        center: read_center(places, center, centers[center], rules, rejected, labelled=labelled, quiet_s=quiet_s)
        for center in sorted(centers)
    }
    data = {center: one for center, one in read.items() if one is not None}
    jobs = {center: center_jobs(places, one) for center, one in data.items()}
    _run(places, data, jobs, runner, progress or Silent())
    tables = {center: _tables(places, rules, center, data.get(center), jobs.get(center, [])) for center in centers}
    write_tables(places, rules, centers, tables, labelled=labelled)
    _sweep(places, tables, jobs)
    return summarized(data, jobs, tables, waiting=sorted(set(centers) - set(data)))


def _tables(
    places: IngestPlaces, rules: CaseRules, center: str, data: CenterData | None, jobs: Sequence[Job]
) -> CenterTables:
    """Returns a center's rows; those of patients (or of the whole center) that wait are the ones of an earlier run."""
    withdrawn = set(rules.cohort.withdrawn)
    if data is None:
        return stored_tables(places, rules, center, lambda case: case not in withdrawn)
    tables = center_tables(data, jobs)
    restless = {data.pseudonym(patient_id) for patient_id in data.restless} - withdrawn
    if restless:
        tables.add(stored_tables(places, rules, center, lambda case: case in restless))
    return tables


def center_jobs(places: IngestPlaces, data: CenterData) -> list[Job]:
    """Returns a center's cases, each with the part of an earlier run where that still holds."""
    stored = FileIndex.open(places.stored_index(data.center))
    settings = CaseSettings.of(data.rules)
    jobs = []
    for unit in data.units():
        job = Job(unit=unit, case_id=data.pseudonym(unit.patient_id))
        if unit.problem is None and data.exclusion(unit.patient_id, unit.phase) is None:
            job.source = source_hash(unit.images, unit.roi, settings)
            part = read_part(_part_path(places, data.center, job), job.source)
            is_whole = part is not None and all(
                acquisition_verdict(data, row) is not None or is_intact(places.cases, row, stored)
                for row in part["rows"]
            )
            job.part = part if is_whole else None
            job.is_reused = is_whole
        jobs.append(job)
    stored.save(sweep=True)
    return jobs


def _run(
    places: IngestPlaces,
    data: Mapping[str, CenterData],
    jobs: Mapping[str, Sequence[Job]],
    runner: Runner,
    progress: Progress,
) -> None:
    due = {}
    tasks = []
    for center, own in jobs.items():
        for job in own:
            if job.source and job.part is None:
                tasks.append(_task(places, data[center], job))
                due[tasks[-1].name] = job
    progress.start("ingest", len(tasks), unchanged=sum(job.is_reused for own in jobs.values() for job in own))
    changed = False
    for outcome in runner.run(ingest_case, tasks) if tasks else ():
        job = due[outcome.task.name]
        job.part, job.failure = outcome.receipt, outcome.error
        changed |= isinstance(outcome.error, ChangedSinceIntakeError)
        progress.advance(failed=outcome.error is not None)
    progress.finish()
    if changed:
        raise SourceChangedError("files changed while they were read")


def _task(places: IngestPlaces, data: CenterData, job: Job) -> CaseTask:
    unit = job.unit
    key = {"center": data.center, "case_id": job.case_id, "phase": unit.phase, "roi": unit.roi}
    return CaseTask(
        name=" / ".join(key.values()),
        payload={
            "key": key,
            "images": plain_images(unit.images),
            "settings": CaseSettings.of(data.rules).plain(),
            "cases": str(places.cases),
            "source": job.source,
            "names": list(identities(unit)),
        },
        memory_mb=memory_mb(unit.images),
    )


def _part_path(places: IngestPlaces, center: str, job: Job) -> Path:
    return part_path(places.cases, center, job.case_id, job.unit.phase, job.unit.roi)


def _sweep(places: IngestPlaces, tables: Mapping[str, CenterTables], jobs: Mapping[str, Sequence[Job]]) -> None:
    """Removes every stored file that no case names, such as those of withdrawn patients."""
    expected = {places.cases / name for own in tables.values() for name in own.stored()}
    expected |= {_part_path(places, center, job) for center, own in jobs.items() for job in own if job.part}
    for center, own in tables.items():
        expected |= {path for case in own.carried for path in (places.cases / center).glob(f"{case}_*")}
    places.cases.mkdir(parents=True, exist_ok=True)
    sweep(places.cases, expected)
    for orphan in places.views.glob(f"{TEMPORARY}*"):
        orphan.unlink()
