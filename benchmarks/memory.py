"""What cases really need of memory, beside what they are expected to need before they are given to a worker.

    python benchmarks/memory.py [--out benchmarks/results/memory.json]
    python benchmarks/memory.py --page

Each case is worked on in a fresh process, which first has all that a warm worker has: Dask, SimpleITK and an engine
that measured a small region. Its largest resident size until then is what it held; the rest is the case's. Expected is
what the stage says of the case (`memory_mb`) and what the window adds for the worker itself.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from extraction_cases import content_of

from featurestore.entities import CaseKey
from featurestore.files import write_json
from pipelines.execution.regions import Region
from pipelines.execution.window import WORKER_MB
from pipelines.ingest.casework import ingest_case, memory_mb, plain_images
from pipelines.ingest.file_index import SourceFile, file_digest
from pipelines.ingest.parts import CaseSettings
from pipelines.ingest.sources import ImageSource, MaskSource
from pipelines.params.data import IngestSection, Margin
from pipelines.radiomics import FastEngine
from pipelines.radiomics.settings import ExtractionSettings

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "cluster.md"
RESULTS = Path(__file__).parent / "results" / "memory.json"
FEATURES = 1130
SMALL = (48, 48, 24)
EXTRACTED: dict[str, dict[str, Any]] = {
    "small crop": {"size": (64, 64, 32)},
    "large crop": {"size": (160, 160, 80)},
    "whole CT of 100 slices": {"size": (512, 512, 100)},
    "crop of 5 mm slices, resampled to 1 mm": {"size": (160, 160, 40), "spacing": (0.8, 0.8, 5.0), "to_mm": 1.0},
    "crop of 3 mm voxels, resampled to 1 mm": {"size": (64, 64, 64), "spacing": (3.0, 3.0, 3.0), "to_mm": 1.0},
}
"""The outline fills the middle of each; the whole CT has a small one."""

INGESTED: dict[str, dict[str, Any]] = {
    "NIfTI of 100 slices": {"size": (512, 512, 100), "suffix": ".nii"},
    "NIfTI of 100 slices, packed": {"size": (512, 512, 100), "suffix": ".nii.gz"},
    "NIfTI of 250 slices, packed": {"size": (512, 512, 250), "suffix": ".nii.gz"},
}


def pair(folder: Path, size: tuple[int, ...], spacing: tuple[float, ...], suffix: str = ".nii.gz") -> tuple[Path, Path]:
    """Returns noise of a CT's depth and the mask of an ellipsoid in it, whose diameters are at most 100 voxels."""
    shape = size[::-1]
    rng = np.random.default_rng(5)
    volume = np.empty(shape, dtype=np.int16)
    for plane in volume:
        plane[:] = rng.normal(40, 30, plane.shape)
    radii = [min(extent, 100) * 0.4 for extent in shape]
    axes = np.ogrid[tuple(slice(extent) for extent in shape)]
    inside = sum(((axis - extent / 2) / r) ** 2 for axis, extent, r in zip(axes, shape, radii, strict=True)) < 1
    made = []
    for name, voxels in (("image", volume), ("mask", inside.astype(np.uint8))):
        written = sitk.GetImageFromArray(voxels)
        written.SetSpacing(spacing)
        made.append(folder / f"{name}-{'x'.join(map(str, size))}{suffix}")
        sitk.WriteImage(written, str(made[-1]))
    return made[0], made[1]


def content(to_mm: float = 0.0) -> dict[str, Any]:
    """Returns extraction settings with all filters of the larger set."""
    stated = content_of(str(FEATURES), "fast")
    return {**stated, "setting": {**stated["setting"], **({"resampledPixelSpacing": [to_mm] * 3} if to_mm else {})}}


def extracted(image: str, mask: str, size: tuple[int, ...], spacing: tuple[float, ...], to_mm: float) -> float:
    """Measures a region and returns what it was expected to need."""
    FastEngine(content(to_mm)).execute(Path(image), Path(mask))
    region = Region(
        key=CaseKey(center="x", case_id="x", phase="x", roi="x", observer=""),
        is_primary=True,
        image=image,
        mask=mask,
        hashes={},
        whole=None,
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
        n_voxels=int(np.prod(size)),
    )
    return region.memory_mb(ExtractionSettings.from_mapping(content(to_mm)))


def ingested(image: str, mask: str, folder: str) -> float:
    """Reads a case as ingest does and returns what it was expected to need."""
    files = []
    for path in map(Path, (image, mask)):
        told = {"relative": path.name, "path": path, "n_bytes": path.stat().st_size, "sha256": file_digest(path)}
        files.append(SourceFile(**told))
    sources = (ImageSource(files=(files[0],), masks=(MaskSource(kind="volume", file=files[1]),)),)
    settings = CaseSettings(ingest=IngestSection(), margin=Margin(voxels=10, mm=10.0))
    key = {"center": "x", "case_id": "0" * 16, "phase": "x", "roi": "x"}
    ingest_case(key=key, images=plain_images(sources), settings=settings.plain(), cases=folder, source="x", names=[])
    return memory_mb(sources)


def peak_mb() -> float:
    """Returns the largest resident size of this process; `getrusage` would begin with its parent's."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def one(request: dict[str, Any]) -> None:
    """Works on one case in this process and prints the row."""
    import distributed  # noqa: F401  a worker has it

    FastEngine(content()).execute(*map(Path, request.pop("warm")))
    held = peak_mb()
    expected = (extracted if request.pop("stage") == "extract" else ingested)(**request) + WORKER_MB
    print(json.dumps({"held_mb": held, "peak_mb": peak_mb(), "expected_mb": expected}))


def rows(folder: Path) -> list[dict[str, Any]]:
    """Returns a row for each case."""
    warm = [str(path) for path in pair(folder, SMALL, (1.0, 1.0, 1.0))]
    found = []
    for stage, cases in (("extract", EXTRACTED), ("ingest", INGESTED)):
        for name, case in cases.items():
            size, spacing = case["size"], case.get("spacing", (0.8, 0.8, 2.5))
            image, mask = map(str, pair(folder, size, spacing, case.get("suffix", ".nii.gz")))
            request = {"stage": stage, "image": image, "mask": mask, "warm": warm}
            extract = {"size": size, "spacing": spacing, "to_mm": case.get("to_mm", 0.0)}
            request |= extract if stage == "extract" else {"folder": str(folder / "cases")}
            command = [sys.executable, __file__, "--one", json.dumps(request)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found.append({"stage": stage, "case": name, "size": size, **json.loads(answer)})
            print(found[-1], file=sys.stderr, flush=True)
    return found


def write_page(found: dict[str, Any]) -> None:
    """Writes the table of the page on workers."""
    head = ["| stage | case | largest, MB | expected, MB |", "|---|---|--:|--:|"]
    lines = [f"| {r['stage']} | {r['case']} | {r['peak_mb']:,.0f} | {r['expected_mb']:,.0f} |" for r in found["rows"]]
    before, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- memory -->\n")
    after = rest.partition("<!-- /memory -->")[2]
    table = "\n".join([*head, *lines])
    PAGE.write_text(f"{before}<!-- memory -->\n{table}\n<!-- /memory -->{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--page", action="store_true", help="Write the page from the results only.")
    chosen = parser.parse_args()
    if chosen.page:
        return write_page(json.loads(chosen.out.read_text(encoding="utf-8")))
    if chosen.one:
        return one(json.loads(chosen.one))
    with tempfile.TemporaryDirectory() as folder:
        write_json(chosen.out, {"features": FEATURES, "worker_mb": WORKER_MB, "rows": rows(Path(folder))})


if __name__ == "__main__":
    main()
