"""The work on one region, as a runner runs it."""

import json
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from featurestore.errors import CaseError
from featurestore.fingerprints import file_digest
from pipelines.execution.region_parts import write_part
from pipelines.execution.regions import Region
from pipelines.images.files import read_image
from pipelines.images.perturbation import Perturbation, perturbed
from pipelines.images.shuffling import SHUFFLED, shuffled
from pipelines.radiomics.base import Extractor, WholeImage
from pipelines.radiomics.catalog import names
from pipelines.radiomics.engines import engine
from pipelines.radiomics.settings import ExtractionSettings
from pipelines.runner import CaseTask, Receipt


class CaseDamagedError(CaseError):
    """The stored case is not what ingest wrote."""

    code = "case_damaged"
    status = "failed"
    default_remedy = "run `radmill ingest` again; it makes damaged cases anew"


def region_task(region: Region, settings: str, engine_name: str, cases: Path, part: Path, fingerprint: str) -> CaseTask:
    """Returns the task that measures a region and leaves its part; `settings` are JSON."""
    return CaseTask(
        name=str(region.key),
        payload={
            "image": str(cases / region.image),
            "mask": str(cases / region.mask),
            "hashes": region.hashes,
            "whole": asdict(region.whole) if region.whole is not None else None,
            "settings": settings,
            "engine_name": engine_name,
            "part": str(part),
            "fingerprint": fingerprint,
            "perturbation": region.perturbation,
        },
        memory_mb=region.memory_mb(_settings(settings)),
    )


def extract_region(
    image: str,
    mask: str,
    hashes: dict[str, str],
    whole: dict[str, Any] | None,
    settings: str,
    engine_name: str,
    part: str,
    fingerprint: str,
    perturbation: str = "",
) -> Receipt:
    """Measures one stored region, perturbed or shuffled where that is asked, and writes its part.

    Raises:
        CaseDamagedError: A stored file is missing or not what ingest wrote.
        ExtractionError: The region cannot be measured.
    """
    check_file(Path(image), hashes["image_bytes_hash"], "image")
    check_file(Path(mask), hashes["mask_bytes_hash"], "mask")
    extractor = _engine(engine_name, settings)
    seed = f"{hashes['image_hash']} {hashes['mask_hash']}"
    if perturbation == SHUFFLED:
        own = read_image(Path(mask))
        features = extractor.execute(shuffled(read_image(Path(image)), own, seed), own, _whole(whole))
    elif perturbation:
        pair = perturbed(read_image(Path(image)), read_image(Path(mask)), Perturbation.parse(perturbation), seed)
        # A moved or grown region comes nearer to the edge of what was stored than the filters reach.
        told = _whole(whole)
        features = extractor.execute(*pair, told and replace(told, beyond="repeat"))
    else:
        features = extractor.execute(Path(image), Path(mask), _whole(whole))
    write_part(Path(part), fingerprint, _names(settings), features)
    return {"n_features": len(features)}


@lru_cache(maxsize=8)
def _engine(name: str, settings: str) -> Extractor:
    return engine(name, _settings(settings))


@lru_cache(maxsize=8)
def _settings(settings: str) -> ExtractionSettings:
    return ExtractionSettings.from_mapping(json.loads(settings))


@lru_cache(maxsize=8)
def _names(settings: str) -> tuple[str, ...]:
    return tuple(sorted(names(_settings(settings))))


def _whole(content: dict[str, Any] | None) -> WholeImage | None:
    if content is None:
        return None
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in content.items()
    }
    return WholeImage(**fields)


def check_file(path: Path, wanted: str, what: str) -> None:
    """Checks that a stored file is what ingest wrote.

    Raises:
        CaseDamagedError: It is not.
    """
    if not path.is_file():
        raise CaseDamagedError(f"the stored {what} is missing")
    if file_digest(path) != wanted:
        raise CaseDamagedError(f"the stored {what} is not what ingest wrote")
