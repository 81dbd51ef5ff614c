"""How long cases take and how large they are: the distribution that the simulation draws from.

Measured are the demo's stored cases and real tumors (`sts_cohort`: CT, PET and MR of the test data), each by
`extract_region` as a worker runs it, with the 1,130 features of the extraction benchmark and with its 107; to these
come the times of whole CT volumes from `benchmarks/results/extraction.json`.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from extraction_cases import content_of

from featurestore.fingerprints import canonical_json, file_digest
from featurestore.tables import read_table
from pipelines.execution.region_work import extract_region
from pipelines.radiomics.settings import ExtractionSettings

HERE = Path(__file__).parent
DATA = Path(os.environ.get("RADMILL_TEST_DATA", HERE.parents[1] / "shared" / "data"))
WHOLE = ("1130 · 100x2000", "1130 · 100x20000", "1130 · 250x200000")
ROUNDS = 2
A_SOURCE = 60
"""So many cases of each source, so that none outweighs the others."""


def costs(study: Path, scratch: Path) -> dict[str, Any]:
    """Returns measured seconds by source, the size of a stored case and of its part, and the memory of a worker."""
    cases = {"the demo's stored cases": _stored(study), "real tumors (sts_cohort)": _tumors()}
    found = {name: _timed(pairs, scratch) for name, pairs in cases.items()}
    return {"cases": {**found, **_whole()}, "worker_mb": _peak_mb(), "ingest": {}}


def _stored(study: Path) -> list[tuple[Path, Path]]:
    pairs = []
    for role in ("development", "external"):
        rows = read_table(study / "data" / "views" / role / "cases", columns=["image", "mask"]).to_pylist()
        folder = study / "data" / "cases" / role
        pairs += [(folder / row["image"], folder / row["mask"]) for row in rows]
    return pairs[:: max(len(pairs) // A_SOURCE, 1)][:A_SOURCE]


def _tumors() -> list[tuple[Path, Path]]:
    images = [path for path in sorted((DATA / "sts_cohort").glob("*/*.nii.gz")) if "_mask" not in path.name]
    pairs = [(path, path.with_name(path.name.replace(".nii.gz", "_mask.nii.gz"))) for path in images]
    return pairs[:: max(len(pairs) // A_SOURCE, 1)][:A_SOURCE]


def _timed(pairs: list[tuple[Path, Path]], scratch: Path) -> dict[str, Any]:
    """Returns the smaller of two times of each case and the processor's share in them."""
    seconds, few, sizes = [], [], []
    for image, mask in pairs:
        took = [[_once(image, mask, name, scratch) for name in ("1130", "107")] for _ in range(ROUNDS)]
        seconds.append(round(min(many for many, _ in took), 4))
        few.append(round(min(one for _, one in took), 4))
        sizes.append(image.stat().st_size + mask.stat().st_size)
    return {
        "seconds": seconds,
        "seconds_107": few,
        "stored_bytes": round(sum(sizes) / len(sizes)),
        "part_bytes": (scratch / "1130.json").stat().st_size,
    }


def _once(image: Path, mask: Path, name: str, scratch: Path) -> float:
    settings = ExtractionSettings.from_mapping({**content_of(name, "fast"), "setting": {"binCount": 32}})
    hashes = {"image_bytes_hash": file_digest(image), "mask_bytes_hash": file_digest(mask)}
    text = canonical_json(settings.plain()).decode()
    began = time.process_time()
    extract_region(str(image), str(mask), {**hashes, "image_hash": "", "mask_hash": ""}, None, text, "fast",
                   str(scratch / f"{name}.json"), "0")  # fmt: skip
    return time.process_time() - began


def _whole() -> dict[str, Any]:
    rows = json.loads((HERE / "results" / "extraction.json").read_text(encoding="utf-8"))["rows"]
    found = {}
    for name in WHOLE:
        own = rows[name]
        size = own["image_bytes"] + own["mask_bytes"]
        found[f"whole CT, {own['slices']} slices, {own['voxels']:,} voxels"] = {
            "seconds": own["fast"]["all_seconds"],
            "stored_bytes": size,
        }
    return found


def _peak_mb() -> float:
    import resource

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
