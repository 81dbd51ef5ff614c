"""Which of a center's files make which case."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from featurestore.errors import FaultError
from featurestore.tables import read_frame
from pipelines.ingest.clinical import CLINICAL_FILE
from pipelines.ingest.dicom_cases import find_dicom
from pipelines.ingest.file_index import FileIndex, SourceFile, walk
from pipelines.ingest.intake import REJECTED, index_path
from pipelines.ingest.listed_cases import find_listed, read_cases
from pipelines.ingest.phases import PhaseMatcher
from pipelines.ingest.places import IngestPlaces
from pipelines.ingest.problems import DuplicatePhaseError
from pipelines.ingest.pseudonyms import path_id
from pipelines.ingest.sources import Found, Unit
from pipelines.ingest.volume_cases import find_volumes, is_volume
from pipelines.params import CaseRules
from pipelines.params.data import Center

CASES = "cases.csv"


class SourceChangedError(FaultError):
    """Files are not what intake took in."""

    default_remedy = "run `radmill intake` (or `radmill run`) again; nothing was lost"


def taken_files(
    places: IngestPlaces, center: str, key: bytes, index: FileIndex, rejected: str = ""
) -> list[SourceFile]:
    """Returns the files that intake listed, each found unchanged; files that arrived later are left alone.

    Raises:
        SourceChangedError: The center was not taken in, or a listed file is gone or changed.
    """
    where = f"center {center}"
    rows = read_frame(places.intake, centers=[center])
    if rows.empty:
        raise SourceChangedError("intake has not listed this center", where=where)
    listed = dict(zip(rows["path_id"], rows["sha256"], strict=True))
    if listed.pop(path_id(key, REJECTED), "") != rejected:
        raise SourceChangedError("the table of rejected cases changed since intake", where=where)
    files = []
    for relative, path in walk(places.raw[center]):
        digest = listed.pop(path_id(key, relative), None)
        if digest is not None:
            files.append(_unchanged(index.file(relative, path), digest, where))
    if listed:
        raise SourceChangedError(f"{len(listed)} files that intake listed are gone", where=where)
    return files


def discover(
    files: Sequence[SourceFile], center: str, section: Center, rules: CaseRules, index: FileIndex
) -> tuple[Found, Path | None]:
    """Returns the cases of a center and where its clinical table lies, if it sent one.

    Raises:
        InputError: `cases.csv` or the center's phase patterns cannot be used.
    """
    found = Found()
    roi = rules.ingest.roi
    matcher = PhaseMatcher.of(rules.phases, center, section)
    tables = {file.relative.lower(): file for file in files if file.relative.lower() in (CLINICAL_FILE, CASES)}
    rest = [file for file in files if file not in tables.values()]
    if CASES in tables:
        listed = read_cases(tables[CASES], center, list(rules.phases), roi.name, roi.label)
        find_listed(listed, rest, index, found)
    else:
        find_volumes([file for file in rest if is_volume(file)], matcher, roi.name, roi.label, found)
        find_dicom([file for file in rest if not is_volume(file)], index, matcher, roi.name, found)
    found.units = _one_each(found.units)
    clinical = tables.get(CLINICAL_FILE)
    return found, None if clinical is None else clinical.path


def _one_each(units: list[Unit]) -> list[Unit]:
    """Joins units of one key, such as a phase sent both as DICOM and as NIfTI."""
    by_key: dict[tuple[str, str, str], list[Unit]] = {}
    for unit in units:
        by_key.setdefault((unit.patient_id, unit.phase, unit.roi), []).append(unit)
    return [_joined(group) for _, group in sorted(by_key.items())]


def _joined(group: list[Unit]) -> Unit:
    if len(group) == 1:
        return group[0]
    problem = DuplicatePhaseError(f"{sum(len(unit.images) for unit in group)} images of different formats")
    images = tuple(image for unit in group for image in unit.images)
    return replace(group[0], images=images, problem=problem)


def open_index(places: IngestPlaces, center: str) -> FileIndex:
    """Returns a center's private cache."""
    return FileIndex.open(index_path(places, center))


def _unchanged(file: SourceFile, digest: str, where: str) -> SourceFile:
    if file.sha256 != digest:
        raise SourceChangedError("a file changed since intake", where=where)
    return file
