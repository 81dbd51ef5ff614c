"""Intake: lists, hashes and freezes what the centers sent.

Ingest opens only what intake lists and checks each file's hash, so that a file that arrives in between waits for the
next run. The table names no file: a path enters as its keyed hash.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from featurestore.errors import InputError
from featurestore.files import write_json
from featurestore.fingerprints import file_digest
from featurestore.tables import centers_of, keep_centers, read_frame, write_center
from pipelines.ingest.eligibility import read_rejected, rejections_digest
from pipelines.ingest.file_index import FileIndex, SourceFile, walk
from pipelines.ingest.places import CenterEmptyError, IngestPlaces, NothingTakenInError, has_raw, study_places
from pipelines.ingest.pseudonyms import ensure_keys, load_key, path_id
from pipelines.ingest.views import INTAKE, Row
from pipelines.params import Params
from pipelines.params.data import Center, ExtractionSection
from pipelines.runner import Progress, Silent
from pipelines.workspace import ROLES, Workspace

REJECTED = "\0cohort.rejected"
"""Stands for a center's lines of the table of rejected cases, so that a change of them runs ingest again."""


class StillArrivingError(InputError):
    """A file changed while it was hashed."""

    default_remedy = "run again when the copying has ended"


@dataclass(frozen=True, kw_only=True)
class CenterIntake:
    """What was found of one center.

    Args:
        n_files: Files listed.
        n_bytes: Their size together.
        n_hashed: Files that were new or changed, and therefore read.
        is_kept: Whether there are no raw data here and the table of an earlier run stays.
    """

    n_files: int
    n_bytes: int
    n_hashed: int = 0
    is_kept: bool = False


@dataclass(frozen=True, kw_only=True)
class IntakeSummary:
    """What intake did, by center; `notes` say what a person should know."""

    centers: dict[str, CenterIntake] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, object]:
        """Returns the summary as JSON types."""
        centers = {name: dict(vars(center)) for name, center in self.centers.items()}
        return {"centers": centers, "removed": list(self.removed), "notes": list(self.notes)}


def intake(workspace: Workspace, params: Params, progress: Progress | None = None) -> IntakeSummary:
    """Takes in what all centers of a study sent.

    Raises:
        InputError: A center has no folder or no files, or a key is missing or differs; nothing was written.
    """
    places = {role: study_places(workspace, params, role) for role in ROLES}
    if not any(has_raw(workspace, place) for place in places.values()):
        kept = _summed([_kept(place) for place in places.values()])
        write_settings(workspace, params.extraction)
        return kept
    for place in places.values():
        place.check_folders()
    key_ids = ensure_keys(workspace, params)
    listed = {}
    for role, place in places.items():
        sections = {c: s.model_copy(update={"key_id": key_ids[c]}) for c, s in params.centers.of(role).items()}
        listed[role] = list_centers(place, sections, progress or Silent())
    _sweep_index(places["development"].index, set(key_ids))
    write_settings(workspace, params.extraction)
    return _summed([write_intake(places[role], listed[role]) for role in ROLES])


def write_settings(workspace: Workspace, extraction: ExtractionSection) -> None:
    """Writes the hash of each parameter file that the settings name; empty where there is no such file.

    DVC sees the name in `params.yaml` and not what the file says.
    """
    named = sorted(
        {str(keys["file"]) for keys in (extraction.default, *extraction.by_phase.values()) if "file" in keys}
    )
    paths = {name: workspace.root / name for name in named}
    digests = {name: file_digest(path) if path.is_file() else "" for name, path in paths.items()}
    write_json(workspace.settings_files, digests)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A center's files before they are written down."""

    rows: list[Row]
    summary: CenterIntake


def intake_centers(
    places: IngestPlaces, centers: Mapping[str, Center], progress: Progress | None = None, quiet_s: float = 0.0
) -> IntakeSummary:
    """Takes in what the named centers sent.

    Args:
        places: Where their files and the table lie.
        centers: The centers with their `key_id`.
        progress: Is told how it goes.
        quiet_s: With more than 0, a file that is still being written is left for the next run; ingest then waits with
            the patients whose folder it lies in.

    Raises:
        InputError: A center has no folder, no files or no key; nothing was written.
    """
    places.check_folders()
    return write_intake(places, list_centers(places, centers, progress or Silent(), tolerant=quiet_s > 0))


def list_centers(
    places: IngestPlaces, centers: Mapping[str, Center], progress: Progress, *, tolerant: bool = False
) -> dict[str, Listed]:
    """Hashes the files of every center and writes no table yet."""
    rejected = read_rejected(places.rejected)
    listed = {}
    for center in sorted(centers):
        key = load_key(places.keys, center, centers[center].key_id)
        files, n_hashed = _files(places, center, progress, tolerant=tolerant)
        rows = [_row(center, path_id(key, file.relative), file.n_bytes, file.sha256) for file in files]
        digest = rejections_digest(rejected, center)
        if digest:
            rows.append(_row(center, path_id(key, REJECTED), 0, digest))
        n_bytes = sum(file.n_bytes for file in files)
        summary = CenterIntake(n_files=len(files), n_bytes=n_bytes, n_hashed=n_hashed)
        listed[center] = Listed(rows=rows, summary=summary)
    return listed


def write_intake(places: IngestPlaces, listed: Mapping[str, Listed]) -> IntakeSummary:
    """Writes the table and removes centers that no longer belong."""
    gone = tuple(sorted(set(centers_of(places.intake)) - set(listed)))
    for center, found in listed.items():
        write_center(places.intake, center, found.rows, INTAKE)
    places.intake.mkdir(parents=True, exist_ok=True)
    keep_centers(places.intake, listed)
    return IntakeSummary(centers={center: found.summary for center, found in listed.items()}, removed=gone)


def index_path(places: IngestPlaces, center: str) -> Path:
    """Returns where a center's private cache lies."""
    return places.index / f"{center}.json"


def _files(places: IngestPlaces, center: str, progress: Progress, *, tolerant: bool) -> tuple[list[SourceFile], int]:
    index = FileIndex.open(index_path(places, center))
    found = list(walk(places.raw[center]))
    if not found:
        raise CenterEmptyError("its folder has no files", where=f"center {center}")
    progress.start(f"intake {center}", len(found))
    files = []
    for relative, path in found:
        file = _still(index, relative, path)
        if file is None and not tolerant:
            raise StillArrivingError("a file changed while it was read", where=f"center {center}")
        files += [file] if file is not None else []
        progress.advance()
    progress.finish()
    index.save(sweep=True)
    return files, index.n_hashed


def _still(index: FileIndex, relative: str, path: Path) -> SourceFile | None:
    try:
        file = index.file(relative, path)
        now = path.stat()
    except FileNotFoundError:
        return None
    return file if (now.st_size, now.st_mtime_ns) == (file.n_bytes, file.mtime_ns) else None


def _row(center: str, name: str, n_bytes: int, digest: str) -> Row:
    return {"center": center, "path_id": name, "bytes": n_bytes, "sha256": digest}


def _kept(places: IngestPlaces) -> IntakeSummary:
    there = set(centers_of(places.intake))
    missing = sorted(set(places.raw) - there)
    if missing:
        raise NothingTakenInError("no raw data here, and nothing taken in before", where=f"center {missing[0]}")
    keep_centers(places.intake, places.raw)
    places.intake.mkdir(parents=True, exist_ok=True)
    centers = {}
    for center in sorted(places.raw):
        sizes = read_frame(places.intake, centers=[center], columns=["bytes"])["bytes"]
        centers[center] = CenterIntake(n_files=len(sizes), n_bytes=int(sizes.sum()), is_kept=True)
    notes = ("there are no raw data here: what was taken in before is kept",) if centers else ()
    return IntakeSummary(centers=centers, removed=tuple(sorted(there - set(places.raw))), notes=notes)


def _summed(parts: Sequence[IntakeSummary]) -> IntakeSummary:
    return IntakeSummary(
        centers={center: summary for part in parts for center, summary in part.centers.items()},
        removed=tuple(center for part in parts for center in part.removed),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _sweep_index(folder: Path, centers: set[str]) -> None:
    for path in folder.glob("*.json"):
        if path.stem not in centers:
            path.unlink()
