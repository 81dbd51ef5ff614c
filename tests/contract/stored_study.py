"""A small study of stored cases, and a runner that counts what it is asked."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from featurestore.fingerprints import file_digest
from featurestore.tables import keep_centers, read_frame, write_center
from pipelines.execution.extract import ExtractPlaces, ExtractSummary, extract_cases
from pipelines.images.files import read_case, write_image
from pipelines.images.volume import Mask, Volume
from pipelines.ingest.views import CASES
from pipelines.radiomics.settings import ExtractionSettings
from pipelines.runner import CaseOutcome, CaseTask, Receipt, SerialRunner

FEW: dict[str, Any] = {
    "imageType": {"Original": {}, "LoG": {"sigma": [1.5]}},
    "featureClass": {"shape": ["MeshVolume"], "firstorder": ["Mean", "Entropy"], "glcm": ["Idm"]},
    "setting": {"binWidth": 10},
}
OTHER = {**FEW, "imageType": {"Original": {}}, "setting": {"binWidth": 5}}
TEMPLATE = Path(__file__).resolve().parents[2] / "params.yaml"


@dataclass
class Counting:
    """Runs in this process and remembers which cases; interrupts after `limit` cases."""

    limit: int | None = None
    names: list[str] = field(default_factory=list)

    def run(self, work: Callable[..., Receipt], tasks: Sequence[CaseTask]) -> Iterator[CaseOutcome]:
        for outcome in SerialRunner().run(work, tasks):
            self.names.append(outcome.task.name)
            yield outcome
            if self.limit is not None and len(self.names) >= self.limit:
                raise KeyboardInterrupt


@dataclass
class Study:
    """Stored cases as ingest leaves them."""

    root: Path
    engine: str = "pyradiomics"
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def places(self) -> ExtractPlaces:
        data = self.root / "data"
        return ExtractPlaces(
            cases=data / "cases" / "development",
            views=data / "views" / "development",
            features=data / "features" / "development",
            parts=self.root / ".radmill" / "parts" / "extract" / "development",
        )

    def add(self, center: str, case_id: str, phase: str = "early", observer: str = "", **more: Any) -> dict[str, Any]:
        row = stored_case(self.places.cases, center, case_id, phase, observer, **more)
        self.rows.setdefault(center, []).append(row)
        return row

    def write(self) -> None:
        root = self.places.views / "cases"
        for center, rows in self.rows.items():
            write_center(root, center, rows, CASES)
        keep_centers(root, self.rows)

    def extract(self, runner: Any = None, **by_phase: dict[str, Any]) -> ExtractSummary:
        self.write()
        contents = by_phase or {"early": FEW, "late": FEW}
        settings = {phase: ExtractionSettings.from_mapping(content) for phase, content in contents.items()}
        return extract_cases(self.places, settings, self.engine, "1", runner or SerialRunner())

    def bytes(self) -> dict[str, str]:
        folder = self.places.features
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): file_digest(path) for path in files}

    def features(self, table: str = "radiomics") -> Any:
        return read_frame(self.places.features / table)

    def qc(self) -> dict[tuple[str, str, str], tuple[str, str]]:
        rows = read_frame(self.places.features / "qc")
        return {(r.center, r.case_id, r.phase): (r.status, r.code) for r in rows.itertuples()}


def stored_case(
    cases: Path,
    center: str,
    case_id: str,
    phase: str,
    observer: str,
    *,
    size: int = 14,
    empty: bool = False,
    pad: int = 0,
) -> dict[str, Any]:
    seed = sum(ord(letter) * (place + 1) for place, letter in enumerate(center + case_id + phase))
    voxels = np.random.default_rng(seed).integers(-50, 90, (size, size, size)).astype(np.int16)
    inside = np.zeros((size, size, size), np.uint8)
    inside[3:9, 4:10, 3:11] = 0 if empty else 1
    stem = "_".join(part for part in (case_id, phase, "tumor", observer) if part)
    names = {kind: f"{center}/{stem}_{kind}.nii.gz" for kind in ("image", "mask")}
    for kind, array in (("image", voxels), ("mask", inside)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((0.9, 0.9, 2.0))
        write_image(cases / names[kind], image)
    volume, mask = read_case(cases / names["image"], cases / names["mask"])
    return {
        **{"center": center, "case_id": case_id, "phase": phase, "roi": "tumor", "observer": observer},
        **names,
        **hashes(cases, names, volume, mask),
        "source_hash": "s",
        **{f"size_{axis}": size for axis in "xyz"},
        **{f"spacing_{axis}_mm": volume.grid.spacing_mm[i] for i, axis in enumerate("xyz")},
        **{f"origin_{axis}_mm": 0.0 for axis in "xyz"},
        "direction": "[]",
        **{f"full_size_{axis}": size + 2 * pad for axis in "xyz"},
        **{f"crop_{axis}": pad for axis in "xyz"},
        **{"n_voxels": int(inside.sum()), "volume_ml": 1.0, "image_mean": 1.0, "image_sd": 2.0},
        **{"image_min": -50.0, "image_max": 90.0, **{f"full_origin_{axis}_mm": 0.0 for axis in "xyz"}},
        "is_primary": observer in ("", "a"),
        "steps": "[]",
    }


def hashes(cases: Path, names: dict[str, str], volume: Volume, mask: Mask) -> dict[str, str]:
    return {
        "image_hash": volume.content_hash(),
        "mask_hash": mask.content_hash(),
        "image_bytes_hash": file_digest(cases / names["image"]),
        "mask_bytes_hash": file_digest(cases / names["mask"]),
    }
