"""One hash for each row of a wide table, so that a value changed by hand is found."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from featurestore.errors import DamagedTableError
from featurestore.fingerprints import digest


def row_hashes(frame: pd.DataFrame, texts: Sequence[str], numbers: Sequence[str]) -> list[str]:
    """Returns the hash of each row: names, texts and the eight bytes of each number, every NaN the same.

    Args:
        frame: The rows.
        texts: Columns that enter as text.
        numbers: Columns that enter as float64.
    """
    head = digest([list(texts), list(numbers)]).encode()
    values = frame[list(numbers)].to_numpy(np.float64)
    values = np.ascontiguousarray(np.where(np.isnan(values), np.nan, values).astype("<f8"))
    words = frame[list(texts)].astype(object).where(frame[list(texts)].notna(), None)
    parts = ["\0".join("-" if w is None else f"s{w}" for w in key).encode() for key in words.itertuples(index=False)]
    return [
        hashlib.sha256(head + part + b"\0" + row.tobytes()).hexdigest() for part, row in zip(parts, values, strict=True)
    ]


def verify_rows(
    frame: pd.DataFrame, hashes: Sequence[str], texts: Sequence[str], numbers: Sequence[str], where: str
) -> None:
    """Checks rows against the hashes they were written with.

    Raises:
        DamagedTableError: A row is not what was written.
    """
    now = row_hashes(frame, texts, numbers)
    wrong = [i for i, (one, two) in enumerate(zip(now, hashes, strict=True)) if one != two]
    if wrong:
        raise DamagedTableError(f"{len(wrong)} of {len(now)} rows are not what was written", where=where)
