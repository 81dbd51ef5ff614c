"""The images, outlines and clinical table of one center, from names and headers of its first patients."""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from featurestore.errors import RadmillError
from pipelines.ingest.clinical import CLINICAL_FILE, PATIENT, parsed_table
from pipelines.ingest.dicom_header import read_header
from pipelines.ingest.discovery import CASES
from pipelines.ingest.file_index import SourceFile, walk
from pipelines.ingest.headers import DicomHeader
from pipelines.ingest.nifti import labels_in
from pipelines.ingest.pseudonyms import patient_name
from pipelines.ingest.volume_cases import SUFFIXES, grouped
from pipelines.looking.found import SeenCenter, SeenImage, SeenTable, tally
from pipelines.runner import Progress, Silent

PATIENTS = 40
"""Looked at in each center whose files must be opened to know whose they are."""

_FEW, _MANY = 3, 400
"""Files opened of a folder's files of one size: of a folder that holds one series, and of one that holds several."""

_MASKS = 4
"""Masks opened to see their values."""

_OTHERS = (".csv", ".txt", ".json", ".xml", ".pdf", ".jpg", ".png", ".xlsx", ".md", ".html", ".yaml", ".yml", ".zip")


def look_at_center(name: str, folder: Path, progress: Progress | None = None) -> SeenCenter:
    """Returns what is found of one center; a file that cannot be read is passed over and counted.

    Args:
        name: What radmill calls the center.
        folder: Where its files lie.
        progress: Is told how it goes.
    """
    seen = SeenCenter(name=name, folder=folder)
    files = list(walk(folder))
    seen.n_files = len(files)
    tables = {relative.lower(): path for relative, path in files if relative.lower() in (CLINICAL_FILE, CASES)}
    rest = [(relative, path) for relative, path in files if path not in tables.values()]
    if CASES in tables:
        _listed(tables[CASES], seen)
    else:
        _volumes([file for file in rest if file[0].lower().endswith(SUFFIXES)], seen)
        _dicom([file for file in rest if not file[0].lower().endswith((*SUFFIXES, *_OTHERS))], seen, progress)
    if CLINICAL_FILE in tables:
        _clinical(tables[CLINICAL_FILE], seen)
    return seen


def _listed(path: Path, seen: SeenCenter) -> None:
    table = _table(path, "cases.csv", seen)
    if table is None:
        return
    masks = table.cells("mask") or [""] * len(table.rows)
    told = zip(table.cells(PATIENT), table.cells("phase"), masks, strict=True)
    seen.images += [
        SeenImage(patient=patient_name(patient), text=phase, form="listed", is_outlined=bool(mask))
        for patient, phase, mask in told
    ]


def _volumes(files: list[tuple[str, Path]], seen: SeenCenter) -> None:
    sources = [SourceFile(relative=relative, path=path, n_bytes=0, sha256="") for relative, path in files]
    masks: list[Path] = []
    observers: set[tuple[str, str]] = set()
    for (folder, _), group in grouped(sources).items():
        patient = patient_name(folder.rpartition("/")[2])
        outlines = [named for named in group if named.observer is not None]
        for named in group:
            if named.observer is None and patient:
                outlined = bool(outlines)
                seen.images.append(SeenImage(patient=patient, text=named.stem, form="volume", is_outlined=outlined))
        observers |= {(patient, named.observer) for named in outlines if named.observer}
        masks += [named.file.path for named in outlines[:1]]
    seen.observers = tally(observers)
    for path in masks[:: max(len(masks) // _MASKS, 1)][:_MASKS]:
        try:
            seen.labels.update(labels_in(path))
        except RadmillError:
            seen.problems.append("a mask cannot be read; `radmill run` says which case and why")


def _dicom(files: list[tuple[str, Path]], seen: SeenCenter, progress: Progress | None) -> None:
    headers = _headers(files, seen, progress or Silent())
    whose = list(dict.fromkeys(patient_name(header.patient_id) for header in headers))
    if len(whose) > PATIENTS:
        seen.is_partial = True
        whose = whose[:PATIENTS]
    kept = [header for header in headers if patient_name(header.patient_id) in set(whose)]
    outlines = [header for header in kept if header.kind in ("rtstruct", "seg")]
    seen.regions |= {
        (patient_name(header.patient_id), text) for header in outlines for _, text in header.regions if text
    }
    series = defaultdict(list)
    for header in kept:
        if header.kind == "image" and not header.is_localizer and header.patient_id:
            series[patient_name(header.patient_id), header.series_uid].append(header)
    told = {uid for header in outlines for uid in header.references}
    loose = {sop for header in outlines if not header.references for sop in header.instances}
    frames = {header.frame_uid for header in outlines if not header.references and not header.instances}
    for (patient, uid), slices in series.items():
        first = slices[0]
        outlined = uid in told or any(one.sop_uid in loose for one in slices) or first.frame_uid in frames
        seen.images.append(
            SeenImage(
                patient=patient,
                text=first.series_description,
                form="dicom",
                modality=first.modality,
                delay_s=min((d for one in slices if (d := one.contrast_delay_s) is not None), default=None),
                is_outlined=outlined,
            )
        )


def _headers(files: list[tuple[str, Path]], seen: SeenCenter, progress: Progress) -> list[DicomHeader]:
    folders = defaultdict(list)
    for relative, path in files:
        folders[relative.rpartition("/")[0]].append(path)
    if not folders:
        return []
    progress.start(f"looking at {seen.name}", len(folders))
    headers: list[DicomHeader] = []
    n_bad = 0
    for paths in folders.values():
        for header in _of_folder(paths):
            headers += [] if header is None else [header]
            n_bad += header is None
        progress.advance()
        if len({header.patient_id for header in headers}) > PATIENTS:
            break
    progress.finish()
    if n_bad:
        seen.problems.append(f"{n_bad} of the files looked at are no DICOM or cannot be read")
    return headers


def _of_folder(paths: list[Path]) -> Iterator[DicomHeader | None]:
    """Yields headers of some of a folder's files: slices of one series have one size, outlines another."""
    by_size = defaultdict(list)
    for path in sorted(paths):
        by_size[round(2 * math.log2(max(path.stat().st_size, 1)))].append(path)
    for alike in by_size.values():
        first = [_header(path) for path in _spread(alike, _FEW)]
        if len({header.series_uid for header in first if header is not None}) > 1 and len(alike) > _FEW:
            first = [_header(path) for path in _spread(alike, _MANY)]
        yield from first


def _spread(paths: list[Path], n: int) -> list[Path]:
    """Returns at most `n` of the paths, evenly over all."""
    if len(paths) <= n:
        return paths
    return [paths[round(k * (len(paths) - 1) / (n - 1))] for k in range(n)]


def _header(path: Path) -> DicomHeader | None:
    try:
        return read_header(path)
    except Exception:  # a damaged header may break the parser in any way; `radmill run` tells which case it is
        return None


def _clinical(path: Path, seen: SeenCenter) -> None:
    table = _table(path, "clinical.csv", seen)
    if table is not None:
        seen.table = replace(table, patient_column=_patient_column(table, seen.patients))


def _table(path: Path, name: str, seen: SeenCenter) -> SeenTable | None:
    """Returns what a table holds; one that cannot be read is a problem of the center."""
    try:
        header, rows = parsed_table(path, name)
    except RadmillError as error:
        seen.problems.append(f"{name}: {error.what}")
        return None
    return SeenTable(header=tuple(header), rows=tuple(tuple(cells) for _, cells in rows))


def _patient_column(table: SeenTable, patients: set[str]) -> str:
    """Returns the column that names patients: `patient_id`, or the one with most of the images' patients."""
    named = next((name for name in table.header if name.casefold() == PATIENT), "")
    if named:
        return named
    hits = {name: len(patients & {patient_name(cell) for cell in table.cells(name)}) for name in table.header if name}
    best = max(hits, key=lambda name: hits[name], default="")
    return best if best and hits[best] else ""
