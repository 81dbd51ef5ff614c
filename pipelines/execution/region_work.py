"""The work on one region, as a runner runs it, and the small file it leaves until the tables are written.

A part holds numbers in hexadecimal floating point, so that they come back to the last bit, infinities included.
"""

import json
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from featurestore.errors import CaseError, FaultError
from featurestore.files import write_json
from featurestore.fingerprints import digest, file_digest
from pipelines.execution.regions import Region
from pipelines.images.files import read_image
from pipelines.images.perturbation import Perturbation, perturbed
from pipelines.images.shuffling import SHUFFLED, shuffled
from pipelines.radiomics.base import Extractor, Features, WholeImage
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
        memory_mb=region.memory_mb(),
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
    _check_file(Path(image), hashes["image_bytes_hash"], "image")
    _check_file(Path(mask), hashes["mask_bytes_hash"], "mask")
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
    write_part(Path(part), fingerprint, features)
    return {"n_features": len(features)}


def part_path(parts: Path, region: Region, fingerprint: str) -> Path:
    """Returns where a region's part lies."""
    return parts / f"{digest([*region.key.columns().values(), fingerprint])}.json"


def write_part(path: Path, fingerprint: str, features: Features) -> None:
    """Stores what was measured."""
    values = [[name, float(value).hex()] for name, value in features.items()]
    write_json(path, {"fingerprint": fingerprint, "values": values, "digest": digest([fingerprint, values])})


def read_part(path: Path, fingerprint: str) -> Features | None:
    """Returns what was measured; nothing if the part is absent, damaged or of something else."""
    try:
        content = json.loads(path.read_bytes())
        is_same = content["fingerprint"] == fingerprint
        is_whole = content["digest"] == digest([fingerprint, content["values"]])
        return {name: float.fromhex(value) for name, value in content["values"]} if is_same and is_whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def part_lost(path: Path) -> FaultError:
    """Returns the error of a part that vanished between measuring and writing the tables."""
    return FaultError("a measured part is gone", where=path.name, remedy="run `radmill extract` again")


@lru_cache(maxsize=8)
def _engine(name: str, settings: str) -> Extractor:
    return engine(name, ExtractionSettings.from_mapping(json.loads(settings)))


def _whole(content: dict[str, Any] | None) -> WholeImage | None:
    if content is None:
        return None
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in content.items()
    }
    return WholeImage(**fields)


def _check_file(path: Path, wanted: str, what: str) -> None:
    if not path.is_file():
        raise CaseDamagedError(f"the stored {what} is missing")
    if file_digest(path) != wanted:
        raise CaseDamagedError(f"the stored {what} is not what ingest wrote")
