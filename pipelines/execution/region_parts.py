"""The small file that measuring a region leaves until the center's tables are written.

It holds a hash and then the values in the order of the features' names, eight bytes each, so that they come back to the
last bit. A million of them are written and read in the course of one run: names, which are the same in all of them, are
not in it but in its hash.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import FaultError
from featurestore.files import write_bytes
from featurestore.fingerprints import digest
from pipelines.execution.regions import Region
from pipelines.radiomics.base import Features

_HASH_BYTES = 32


def part_path(parts: Path, region: Region, fingerprint: str) -> Path:
    """Returns where a region's part lies; in folders of some thousands, which every file system bears."""
    name = digest([*region.key.columns().values(), fingerprint])
    return parts / name[:2] / f"{name}.part"


def write_part(path: Path, fingerprint: str, names: Sequence[str], features: Features) -> None:
    """Stores what was measured.

    Args:
        path: Where.
        fingerprint: What decided it.
        names: The features that the settings ask for, in order.
        features: Those that have a value.
    """
    nothing = float("nan")
    values = np.array([features.get(name, nothing) for name in names], "<f8").tobytes()
    write_bytes(path, _hash(fingerprint, names, values) + values)


def read_part(path: Path, fingerprint: str, names: Sequence[str]) -> NDArray[np.float64] | None:
    """Returns what was measured, NaN where there is no value; nothing if the part is absent, damaged or of another."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    values = content[_HASH_BYTES:]
    if content[:_HASH_BYTES] != _hash(fingerprint, names, values) or len(values) != 8 * len(names):
        return None
    return np.frombuffer(values, "<f8").astype(np.float64)


def part_lost(where: str) -> FaultError:
    """Returns the error of a region whose values vanished between measuring and writing the tables."""
    return FaultError("what was measured is gone", where=where, remedy="run `radmill extract` again")


def _hash(fingerprint: str, names: Sequence[str], values: bytes) -> bytes:
    return hashlib.sha256(f"{fingerprint}\0{_names_digest(tuple(names))}\0".encode() + values).digest()


@lru_cache(maxsize=64)
def _names_digest(names: tuple[str, ...]) -> str:
    return digest(names)
