"""Content hashes: what decides a value, and whether a value is still the one that was written.

All hashes are SHA-256 in hexadecimal. Floating-point numbers enter by their eight little-endian bytes, every NaN as
the same one, so that equal values have equal hashes on every platform.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_CHUNK_BYTES = 1 << 20


def canonical_json(content: object, indent: int | None = None) -> bytes:
    """Returns JSON with sorted keys and no insignificant choice left open.

    Args:
        content: JSON types; tuples and sets are refused by the encoder, NaN becomes null.
        indent: Spaces per level, or none for the compact form that hashes are made of.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(_plain(content), sort_keys=True, ensure_ascii=False, indent=indent, separators=separators)
    return text.encode()


def digest(content: object) -> str:
    """Returns the hash of `content`'s canonical JSON."""
    return hashlib.sha256(canonical_json(content)).hexdigest()


def bytes_digest(data: bytes) -> str:
    """Returns the hash of `data`."""
    return hashlib.sha256(data).hexdigest()


def file_digest(path: Path) -> str:
    """Returns the hash of a file's bytes, read in pieces."""
    state = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK_BYTES):
            state.update(chunk)
    return state.hexdigest()


def array_digest(array: NDArray[np.generic]) -> str:
    """Returns the hash of an array's dtype, shape and values in C order."""
    state = hashlib.sha256(f"{array.dtype.newbyteorder('<').str}{array.shape}".encode())
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    state.update(little.tobytes())
    return state.hexdigest()


def row_digest(row: Mapping[str, object]) -> str:
    """Returns the hash of one table row: its column names and values, in the order of the names."""
    state = hashlib.sha256()
    for name in sorted(row):
        state.update(name.encode() + b"\0" + _value_bytes(row[name]) + b"\0")
    return state.hexdigest()


def combined_digest(digests: Iterable[str]) -> str:
    """Returns one hash for a set of hashes, whatever their order."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def _value_bytes(value: object) -> bytes:
    match value:
        case None:
            return b"-"
        case bool() | np.bool_():
            return b"b1" if value else b"b0"
        case int() | np.integer():
            return b"i%d" % int(value)
        case float() | np.floating():
            number = np.float64("nan") if math.isnan(value) else np.float64(value)
            return b"f" + number.astype("<f8").tobytes()
        case _:
            return b"s" + str(value).encode()


def _plain(content: object) -> object:
    match content:
        case Mapping():
            return {str(key): _plain(value) for key, value in content.items()}
        case list() | tuple():
            return [_plain(value) for value in content]
        case np.ndarray():
            return _plain(content.tolist())
        case np.generic():
            return _plain(content.item())
        case float():
            return content if math.isfinite(content) else None
        case _:
            return content
