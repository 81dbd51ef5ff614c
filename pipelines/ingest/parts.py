"""What is kept of each case beside its volumes, so that an unchanged case is not read again.

A part is a small JSON file in the cases folder: the rows that reading the case gave, and the hash of everything that
decided them. It names nobody.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurestore.files import write_json
from featurestore.fingerprints import digest
from pipelines.ingest.file_index import FileIndex
from pipelines.ingest.sources import ImageSource
from pipelines.params import CaseRules
from pipelines.params.data import IngestSection, Margin
from pipelines.record import FEATURE_SET, installed

FORMAT = 4
LIBRARIES = ("SimpleITK", "pydicom", "highdicom", "numpy")
RETRIED = ("compression", "unreadable")
"""Refusals that another installation may not share, so that they are tried again in every run."""

Plain = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class CaseSettings:
    """The rules that decide what is read of a case's files."""

    ingest: IngestSection
    margin: Margin

    @classmethod
    def of(cls, rules: CaseRules) -> "CaseSettings":
        """Returns the settings without what decides no voxel."""
        return cls(ingest=rules.ingest.model_copy(update={"clinical": {}}), margin=rules.margin)

    def plain(self) -> Plain:
        """Returns the settings as JSON types."""
        return {"ingest": self.ingest.model_dump(mode="json"), "margin": self.margin.model_dump(mode="json")}

    @classmethod
    def from_plain(cls, content: Plain) -> "CaseSettings":
        """Returns the settings that `plain` gave."""
        ingest = IngestSection.model_validate(content["ingest"])
        return cls(ingest=ingest, margin=Margin.model_validate(content["margin"]))


def source_hash(images: Sequence[ImageSource], roi: str, settings: CaseSettings) -> str:
    """Returns the hash of everything that decides what reading a case gives: bytes, rules and versions."""
    content = {
        "images": [image.identity() for image in images],
        "roi": roi,
        "settings": settings.plain(),
        "feature_set": FEATURE_SET,
        "versions": installed(*LIBRARIES),
        "format": FORMAT,
    }
    return digest(content)


def part_path(cases: Path, center: str, case_id: str, phase: str, roi: str) -> Path:
    """Returns where the part of a case lies."""
    return cases / center / f"{case_id}_{phase}_{roi}.json"


def write_part(path: Path, source: str, rows: list[Plain]) -> Plain:
    """Stores a part and returns it."""
    content = {"format": FORMAT, "source_hash": source, "rows": rows}
    part = {**content, "digest": digest(content)}
    write_json(path, part)
    return part


def read_part(path: Path, source: str) -> Plain | None:
    """Returns a stored part; none if it is absent, damaged, made of something else, or must be tried again."""
    try:
        part = json.loads(path.read_bytes())
        content = {name: part[name] for name in ("format", "source_hash", "rows")}
        is_same = part["digest"] == digest(content) and content["source_hash"] == source
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_final = is_same and all(row["code"] not in RETRIED for row in part["rows"])
    return part if is_final else None


def is_intact(cases: Path, row: Plain, stored: FileIndex) -> bool:
    """Returns whether the stored volumes of a row are those that were written."""
    case = row["case"]
    if case is None:
        return True
    pairs = [(case["image"], case["image_bytes_hash"]), (case["mask"], case["mask_bytes_hash"])]
    return all((cases / name).is_file() and stored.file(name, cases / name).sha256 == wanted for name, wanted in pairs)
