"""What the driver does with the tables of many cases, on tables really built: 50 centers, one region a case.

No image is read: the runner here takes the place of the workers and leaves the part of each case as they would, with
drawn numbers. Everything else is radmill's own: the views that ingest writes, planning, reading parts, writing tables.
Each step is run in a fresh process, whose largest resident size is its memory.
"""

import hashlib
import multiprocessing
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from extraction_cases import content_of

from featurestore.tables import centers_of, write_center
from pipelines.execution.center_work import ExtractPlaces
from pipelines.execution.extract import ExtractSummary, extract_cases
from pipelines.execution.region_parts import write_part
from pipelines.ingest.file_index import FileIndex
from pipelines.ingest.views import CASES, QC, SOURCES
from pipelines.radiomics.catalog import names
from pipelines.radiomics.settings import ExtractionSettings
from pipelines.runner import CaseOutcome, CaseTask

CENTERS = 50
SLICES = 100
SIZES = {107: (1_000, 10_000, 100_000), 1130: (1_000, 10_000)}
INDEXED = (10_000, 100_000, 400_000)
"""Files of one center: a case of 100 slices is 100 files."""

INGESTED = (500, 2_000, 8_000)
HEADER: dict[str, Any] = {
    "kind": "image",
    "sop_class": "1.2.840.10008.5.1.4.1.1.2",
    "modality": "CT",
    "patient_id": "N11237",
    "series_uid": "1.2.826.0.1.3680043.8.498.79592253626248434785657448594064045347",
    "frame_uid": "1.2.826.0.1.3680043.8.498.12635801171700550327454231543760699617",
    "series_description": "ABD VENOUS 2.0",
    "image_type": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "position_mm": [23.75, -96.0, 854.0],
    "orientation": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    "spacing_mm": [0.8, 0.8],
    "slice_spacing_mm": 2.0,
    "thickness_mm": 2.0,
    "tilt_deg": 0.0,
    "rows": 512,
    "columns": 512,
    "n_frames": 1,
    "acquisition": 1,
    "kernel": "STANDARD",
    "kvp": 100.0,
    "manufacturer": "GE MEDICAL SYSTEMS",
    "model": "Revolution Demo",
    "units": "",
    "acquisition_time_s": 34280.0,
    "contrast_start_s": 34200.0,
    "is_truncated": False,
    "regions": [],
    "references": [],
    "instances": [],
    "names": ["Fictitious^North0000", "Fictitious", "North0000", "19580101", "A1000000", "1"],
}
"""What the index keeps of a slice, as the headers of the demo are."""

DRAWN = 64
"""So many different rows of numbers are drawn and dealt out in turn."""


def places(folder: Path) -> ExtractPlaces:
    """Returns the folders of a study of stored cases without files."""
    return ExtractPlaces(
        cases=folder / "cases", views=folder / "views", features=folder / "features", parts=folder / "parts"
    )


def settings(n_features: int) -> ExtractionSettings:
    return ExtractionSettings.from_mapping(content_of(str(n_features), "fast"))


def write_views(folder: Path, n: int) -> None:
    """The tables of ingest that extract reads and that grow with the cases: `cases` and `qc`."""
    for number in range(CENTERS):
        center = f"c{number:03d}"
        rows = case_rows(center, n // CENTERS)
        write_center(folder / "views" / "cases", center, rows, CASES)
        write_center(folder / "views" / "qc", center, qc_rows(rows), QC)


def case_rows(center: str, n: int) -> pd.DataFrame:
    """Rows of the view `cases` as ingest writes them; hashes are of the row's number."""
    marks = [hashlib.sha256(f"{center} {number}".encode()).hexdigest() for number in range(n)]
    content: dict[str, Any] = {"center": center, "case_id": [mark[:16] for mark in marks], "phase": "late"}
    content |= {"roi": "tumor", "observer": ""}
    content |= {
        kind: [f"{center}/{mark[:16]}_late_tumor_{kind}.nii.gz" for mark in marks] for kind in ("image", "mask")
    }
    for name in ("image_hash", "mask_hash", "image_bytes_hash", "mask_bytes_hash", "source_hash"):
        content[name] = [hashlib.sha256(f"{name} {mark}".encode()).hexdigest() for mark in marks]
    for axis, size, step in zip("xyz", (140, 140, 60), (0.8, 0.8, 2.5), strict=True):
        content |= {f"size_{axis}": size, f"spacing_{axis}_mm": step, f"origin_{axis}_mm": -100.25}
        content |= {f"full_size_{axis}": 512, f"full_origin_{axis}_mm": -200.5, f"crop_{axis}": 120}
    content |= {"direction": "[1,0,0,0,1,0,0,0,1]", "n_voxels": 20_000, "volume_ml": 32.0}
    content |= {"image_mean": -200.5, "image_sd": 400.25, "image_min": -1024.0, "image_max": 3071.0}
    return pd.DataFrame({**content, "is_primary": True, "steps": '[{"step":"crop"}]'})[list(CASES.names())]


def qc_rows(rows: pd.DataFrame) -> pd.DataFrame:
    keys = rows[["center", "case_id", "phase", "roi", "observer"]]
    own = keys.assign(stage="ingest", item="", status="ok", code="", message="", remedy="")
    return own[list(QC.names())]


class Dealing:
    """Leaves a part for each case, as the workers would have."""

    def __init__(self, wanted: tuple[str, ...]) -> None:
        self._names = tuple(sorted(wanted))
        drawn = np.random.default_rng(len(wanted)).normal(size=(DRAWN, len(wanted))) * 1000
        self._rows = [dict(zip(wanted, row.tolist(), strict=True)) for row in drawn]
        self.writing_s = 0.0
        self.n = 0

    def run(self, _: Callable[..., Any], tasks: Iterable[CaseTask]) -> Iterator[CaseOutcome]:
        for task in tasks:
            began = time.perf_counter()
            mark = task.payload["fingerprint"]
            row = self._rows[int(mark[:8], 16) % DRAWN]
            write_part(Path(task.payload["part"]), mark, self._names, row)
            self.writing_s += time.perf_counter() - began
            self.n += 1
            yield CaseOutcome(task=task, receipt={"n_features": len(self._rows[0])})


def run_extract(folder: Path, n_features: int) -> dict[str, Any]:
    """Extract over all cases; the time that the parts took to be written is the workers' and told apart."""
    own = settings(n_features)
    dealing = Dealing(names(own))
    began, processor = time.perf_counter(), time.process_time()
    summary: ExtractSummary = extract_cases(places(folder), {"late": own}, "fast", "1", dealing)
    took, cpu = time.perf_counter() - began, time.process_time() - processor
    return {
        "regions": summary.regions,
        "computed": summary.computed,
        "unchanged": summary.unchanged,
        "seconds": round(took, 3),
        "cpu_s": round(cpu, 3),
        "parts_s": round(dealing.writing_s, 3),
    }


def in_fresh_process(work: Callable[..., Any], *arguments: object) -> dict[str, Any]:
    """Returns what `work` returns with the largest resident size of the process that ran it."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (work, arguments))


def _measured(work: Callable[..., Any], arguments: tuple[object, ...]) -> dict[str, Any]:
    before = _peak_mb()
    began = time.perf_counter()
    found = work(*arguments)
    own = found if isinstance(found, dict) else {"seconds": round(time.perf_counter() - began, 3)}
    return {**own, "import_mb": before, "peak_mb": _peak_mb()}


def _peak_mb() -> float:
    told = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+)", told)
    return round(int(found.group(1)) / 1024, 1) if found else 0.0


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def measured_tables(folder: Path) -> dict[str, Any]:
    """Returns what every step takes at every size that is built here."""
    found = {f"{p} features": [extracted(folder, n, p) for n in sizes] for p, sizes in SIZES.items()}
    return {**found, "index": [indexed(folder, n) for n in INDEXED], "ingest": [ingested(folder, n) for n in INGESTED]}


def extracted(folder: Path, n: int, n_features: int) -> dict[str, Any]:
    """Extract from nothing, again with nothing to do, and a training set of all rows."""
    study = folder / f"tables-{n}-{n_features}"
    clear(study)
    views = in_fresh_process(write_views, study, n)
    first = in_fresh_process(run_extract, study, n_features)
    again = in_fresh_process(run_extract, study, n_features)
    table = study / "features" / "radiomics"
    found = {
        "cases": n,
        "views": views,
        "first": first,
        "again": again,
        "assemble": in_fresh_process(_assembled, table),
        "features_bytes": size_of(study / "features"),
        "views_bytes": size_of(study / "views"),
        "part_bytes": 32 + 8 * n_features,
    }
    clear(study)
    return found


def _assembled(table: Path) -> None:
    from store_tables import training_set

    training_set(table, centers_of(table))


def indexed(folder: Path, n_files: int) -> dict[str, Any]:
    """The private index of one center's DICOM files, opened and saved as an intake without changes does."""
    path = folder / "index.json"
    in_fresh_process(_write_index, path, n_files)
    found = in_fresh_process(_open_index, path)
    size = path.stat().st_size
    path.unlink()
    return {"files": n_files, "bytes": size, **found}


def _write_index(path: Path, n_files: int) -> None:
    index = FileIndex(path=path)
    for number in range(n_files):
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        index.files[f"patient{number // SLICES:06d}/late/{number % SLICES:04d}.dcm"] = (520_000, number, number, digest)
        index.headers[digest] = {**HEADER, "sop_uid": f"{HEADER['series_uid']}.{number}", "instance": number}
    index.save()


def _open_index(path: Path) -> None:
    FileIndex.open(path).save()


def ingested(folder: Path, n: int) -> dict[str, Any]:
    """The rows of all centers as ingest holds and writes them: one of `cases` a case, one of `sources` a slice."""
    found = in_fresh_process(_ingest_rows, folder / "ingested", n)
    clear(folder / "ingested")
    return {"cases": n, "rows_of_sources": n * SLICES, **found}


def _ingest_rows(folder: Path, n: int) -> None:
    tables: dict[str, dict[str, list[dict[Any, Any]]]] = {}
    for number in range(CENTERS):
        center = f"c{number:03d}"
        rows = case_rows(center, n // CENTERS)
        sources = [
            {"center": center, "case_id": case_id, "phase": "late", "roi": "tumor", "kind": "image",
             "path_id": hashlib.sha256(f"{case_id} {place}".encode()).hexdigest()}
            for case_id in rows["case_id"] for place in range(SLICES)
        ]  # fmt: skip
        cases, qc = rows.to_dict("records"), qc_rows(rows).to_dict("records")
        tables[center] = {"cases": cases, "qc": qc, "sources": sources}
    for name, schema in {"cases": CASES, "qc": QC, "sources": SOURCES}.items():
        for center, own in tables.items():
            frame = pd.DataFrame(own[name], columns=list(schema.names()), dtype=object)
            write_center(folder / name, center, frame, schema)
