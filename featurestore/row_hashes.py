"""One hash for each row of a wide table, so that a value changed by hand is found."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from featurestore.errors import DamagedTableError
from featurestore.fingerprints import digest
from featurestore.threads import in_threads

_ROWS_AT_ONCE = 256
"""So many rows of a wide table stay in the processor's cache while they are copied and hashed."""


def hashed_rows(heads: Sequence[bytes], values: NDArray[np.float64]) -> list[str]:
    """Returns a hash for each row: its head, then the eight little-endian bytes of each number, every NaN the same.

    Args:
        heads: What enters before the numbers, one a row.
        values: Shape (n, p), in any memory order.
    """
    starts = range(0, len(values), _ROWS_AT_ONCE)
    blocks = [(heads[first : first + _ROWS_AT_ONCE], values[first : first + _ROWS_AT_ONCE]) for first in starts]
    return [found for block in in_threads(_hashed_block, blocks) for found in block]


def row_hashes(frame: pd.DataFrame, texts: Sequence[str], numbers: Sequence[str]) -> list[str]:
    """Returns the hash of each row: names, texts and the eight bytes of each number, every NaN the same.

    Args:
        frame: The rows.
        texts: Columns that enter as text.
        numbers: Columns that enter as float64.
    """
    head = digest([list(texts), list(numbers)]).encode()
    words = frame[list(texts)].astype(object).where(frame[list(texts)].notna(), None)
    parts = ["\0".join("-" if w is None else f"s{w}" for w in key).encode() for key in words.itertuples(index=False)]
    return hashed_rows([head + part + b"\0" for part in parts], frame[list(numbers)].to_numpy(np.float64))


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


def _hashed_block(block: tuple[Sequence[bytes], NDArray[np.float64]]) -> list[str]:
    heads, values = block
    plain = np.array(values, dtype="<f8", order="C")
    plain[np.isnan(plain)] = np.nan
    found = []
    for head, row in zip(heads, plain, strict=True):
        state = hashlib.sha256(head)
        state.update(row.data)
        found.append(state.hexdigest())
    return found
