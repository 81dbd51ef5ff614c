"""Compressed and plain files as streams of voxels: read no further than needed, into memory that is reused."""

import gzip
import math
import sys
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from pipelines.radiomics.fast.problems import UnreadableError

_SPARSE = 64
"""Files that are compressed to less than one part in so many are long repeats, as masks are."""
_READ_BYTES = 1 << 17
_CHUNK_BYTES = 1 << 18  # what is discarded passes through a buffer that stays in the cache

_KEPT_BYTES = 1 << 26  # memory for a larger box is given back


class _Spare(threading.local):
    memory: NDArray[np.uint8] = np.empty(0, dtype=np.uint8)


_spare = _Spare()


def lent(shape: Sequence[int], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Returns memory for a box: that of the one before where nobody holds it, since fresh pages cost time.

    Args:
        shape: Size of the box.
        dtype: Type of its voxels.
    """
    n_bytes = math.prod(shape) * dtype.itemsize
    memory = _spare.memory
    # Every view refers to the memory itself; without any, the attribute, the name here and the call's argument do.
    if n_bytes > len(memory) or sys.getrefcount(memory) > 3:
        memory = np.empty(n_bytes, dtype=np.uint8)
        if n_bytes <= _KEPT_BYTES:
            _spare.memory = memory
    return memory[:n_bytes].view(dtype).reshape(shape)


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turns what the decoders raise about a damaged file into an error of the case.

    Raises:
        UnreadableError: The file is damaged.
    """
    try:
        yield
    except _errors() as error:
        raise UnreadableError(f"damaged: {error}", where=path.name) from error


def _errors() -> tuple[type[Exception], ...]:
    found: list[type[Exception]] = [OSError, EOFError, zlib.error]
    try:
        from isal import igzip_lib

        found.append(cast(type[Exception], igzip_lib.IsalError))
    except ImportError:
        pass
    try:
        from zlib_ng import zlib_ng

        found.append(cast(type[Exception], zlib_ng.error))
    except ImportError:
        pass
    return tuple(found)


def decoded_slices(
    path: Path, shape: tuple[int, int, int], dtype: np.dtype[np.generic], places: tuple[int, int], span: tuple[int, int]
) -> Iterator[NDArray[np.generic]]:
    """Yields slices one after the other, each in the same memory, and reads no further than the last one.

    Args:
        path: A file that holds a compressed stream.
        shape: Size of the volume in it, (z, y, x).
        dtype: Type of its voxels.
        places: Bytes of the file before the stream, and decoded bytes before the first voxel.
        span: First slice and the one behind the last.
    """
    buffer = np.empty(shape[1:], dtype=dtype)
    target = memoryview(buffer.data).cast("B")
    (offset, start), (first, last) = places, span
    with damage_named(path), path.open("rb") as raw:
        raw.seek(offset)
        stream = _decoder(raw, is_sparse=path.stat().st_size * _SPARSE < shape[0] * len(target))
        _skip(stream, start + first * len(target))
        for _ in range(first, last):
            _fill(stream, target)
            yield buffer
        if last == shape[0]:
            _finish(stream)


def _decoder(raw: BinaryIO, *, is_sparse: bool) -> BinaryIO:
    """Returns a decoded stream; isal is the faster decoder for noise, and zlib-ng, four times, for long repeats.

    Both are what those packages' file objects are made of, which would copy every slice twice more.
    """
    for decoder in (_zlib_ng, _isal) if is_sparse else (_isal, _zlib_ng):
        try:
            return decoder(raw)
        except ImportError:
            continue
    return cast(BinaryIO, gzip.GzipFile(fileobj=raw))


def _isal(raw: BinaryIO) -> BinaryIO:
    from isal.isal_zlib import _GzipReader

    return cast(BinaryIO, _GzipReader(raw, _READ_BYTES))


def _zlib_ng(raw: BinaryIO) -> BinaryIO:
    from zlib_ng.zlib_ng import _GzipReader

    return cast(BinaryIO, _GzipReader(raw, _READ_BYTES))


def _skip(stream: BinaryIO, n_bytes: int) -> None:
    buffer = memoryview(bytearray(min(_CHUNK_BYTES, max(n_bytes, 1))))
    while n_bytes > 0:
        n_bytes -= _read(stream, buffer[: min(n_bytes, len(buffer))])


def _finish(stream: BinaryIO) -> None:
    """Reads what is left, so that the decoder comes to the checksum of the whole."""
    buffer = bytearray(_CHUNK_BYTES)
    while stream.readinto(buffer):  # type: ignore[attr-defined]
        pass


def _fill(stream: BinaryIO, target: memoryview) -> None:
    at = 0
    while at < len(target):
        at += _read(stream, target[at:])


def _read(stream: BinaryIO, target: memoryview) -> int:
    n_read = stream.readinto(target)  # type: ignore[attr-defined]
    if not n_read:
        raise EOFError("it ends early")
    return int(n_read)
