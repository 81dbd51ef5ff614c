"""The row hash of `fingerprints.row_digest` for many rows at once.

Between the values of a row stand always the same bytes: names and separators. They are laid out once, the eight bytes
of each number are put into their places, and what is left is hashing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from featurestore.threads import in_threads

_ROWS_AT_ONCE = 64
"""A row of a thousand features takes some 60 kB with its names; so many stay in the processor's cache."""

_NUMBER = b"f" + bytes(8) + b"\0"

_Piece = tuple[str, NDArray[np.uint8], NDArray[np.intp], NDArray[np.intp]]
"""A text's name, or a run of numbers: their bytes without values, where the values go, and which columns they are."""


def row_digests(texts: Mapping[str, Sequence[str]], numbers: Sequence[str], values: NDArray[np.float64]) -> list[str]:
    """Returns for each row what `row_digest` returns for it.

    Args:
        texts: Columns of text by name, n rows each.
        numbers: The names of the other columns.
        values: Shape (n, len(numbers)); NaN where there is no value.
    """
    pieces = _pieces(sorted(texts), numbers)
    starts = range(0, len(values), _ROWS_AT_ONCE)

    def hashed(first: int) -> list[str]:
        rows = slice(first, first + _ROWS_AT_ONCE)
        return _hashed(pieces, {name: column[rows] for name, column in texts.items()}, values[rows])

    return [found for block in in_threads(hashed, starts) for found in block]


def _pieces(texts: Sequence[str], numbers: Sequence[str]) -> list[_Piece]:
    place = {name: number for number, name in enumerate(numbers)}
    pieces = []
    for text, run in groupby(sorted([*texts, *numbers]), key=lambda name: name if name not in place else ""):
        own = [] if text else list(run)
        layout, starts = bytearray(), []
        for name in own:
            layout += name.encode() + b"\0" + _NUMBER
            starts.append(len(layout) - 9)
        at = np.asarray(starts, np.intp)[:, None] + np.arange(8)
        columns = np.asarray([place[name] for name in own], np.intp)
        pieces.append((text, np.frombuffer(bytes(layout), np.uint8), at.ravel(), columns))
    return pieces


def _hashed(pieces: Sequence[_Piece], texts: Mapping[str, Sequence[str]], values: NDArray[np.float64]) -> list[str]:
    plain = np.array(values, dtype="<f8", order="C")
    plain[np.isnan(plain)] = np.nan
    states = [hashlib.sha256() for _ in range(len(plain))]
    for text, layout, at, columns in pieces:
        if text:
            for state, value in zip(states, texts[text], strict=True):
                state.update(f"{text}\0s{value}\0".encode())
            continue
        block = np.tile(layout, (len(plain), 1))
        block[:, at] = np.ascontiguousarray(plain[:, columns]).view(np.uint8)
        for state, row in zip(states, block, strict=True):
            state.update(row.data)
    return [state.hexdigest() for state in states]
