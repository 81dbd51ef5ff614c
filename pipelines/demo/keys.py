"""The demo centers' pseudonym keys, drawn from the demo's seed.

A real center's key is secret and random. Nobody is behind the demo's pseudonyms, and with known keys the same demo
gives the same pseudonyms, hence the same split and the same figures everywhere.
"""

import hashlib
from pathlib import Path

from pipelines.demo.centers import CENTERS
from pipelines.ingest.pseudonyms import key_path, write_private


def write_demo_keys(folder: Path, seed: int) -> None:
    """Writes the key of every demo center.

    Args:
        folder: Where keys lie.
        seed: The demo's seed.
    """
    for style in CENTERS:
        key = hashlib.sha256(f"radmill demo {seed} {style.name}".encode()).hexdigest()
        write_private(key_path(folder, style.name), f"{key}\n".encode())
