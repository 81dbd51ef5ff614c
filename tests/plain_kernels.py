"""The engine's vector instructions in plain numpy, so that its formulas run as the Python they are written in.

With `NUMBA_DISABLE_JIT=1` numba's decorators give functions back as they are; only the instructions of `lanes` and
`words`, written for the compiler, have no body in Python. These have; each refuses places outside the memory it is
given, which the compiled ones do not look at.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.typing import NDArray

LANES = 32
TILE = 8
WORD = 64


def _memory(array: NDArray[Any], place: int, n: int) -> NDArray[Any]:
    """Returns items in the order of memory, counted from the array's first, whatever its own order is."""
    owner = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    first = array.__array_interface__["data"][0] + int(place) * array.itemsize
    low, high = byte_bounds(owner)
    if first < low or first + n * array.itemsize > high:
        raise IndexError(f"{n} items from {place} lie outside the array's memory")
    behind = np.lib.stride_tricks.as_strided(array, (max(int(place), 0) + n,), (array.itemsize,))
    if place >= 0:
        return behind[int(place) :]
    flat = np.lib.stride_tricks.as_strided(owner, (owner.size,), (owner.itemsize,))
    return flat[(first - low) // owner.itemsize :][:n]


def load(array: NDArray[Any], place: int) -> NDArray[np.float64]:
    return _memory(array, place, LANES).astype(np.float64)


def store(array: NDArray[Any], place: int, values: NDArray[np.float64]) -> None:
    _memory(array, place, LANES)[:] = values


def everywhere(value: float) -> NDArray[np.float64]:
    return np.full(LANES, value)


def larger(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(first, second)


def transpose_tile(
    source: NDArray[Any], source_place: int, source_step: int, target: NDArray[Any], target_place: int, target_step: int
) -> None:
    rows = np.array([_memory(source, source_place + row * source_step, TILE) for row in range(TILE)])
    for row in range(TILE):
        _memory(target, target_place + row * target_step, TILE)[:] = rows[:, row]


def _items(array: NDArray[Any], place: int) -> NDArray[Any]:
    if not 0 <= int(place) <= len(array) - WORD:
        raise IndexError(f"a word from {place} lies outside the array's memory")
    return array[int(place) : int(place) + WORD]


def _bits(flags: NDArray[np.bool_]) -> np.uint64:
    return np.uint64(np.packbits(flags, bitorder="little").view(np.uint64)[0])


def _flags(bits: np.uint64) -> NDArray[np.bool_]:
    return np.unpackbits(np.array([bits], np.uint64).view(np.uint8), bitorder="little").astype(np.bool_)


def equal_bits(array: NDArray[Any], first: int, second: int) -> np.uint64:
    return _bits(_items(array, first) == _items(array, second))


def filled_bits(array: NDArray[Any], place: int) -> np.uint64:
    return _bits(_items(array, place) != 0)


def add_where(array: NDArray[Any], place: int, bits: np.uint64, value: int) -> None:
    _items(array, place)[_flags(bits)] += array.dtype.type(value)


def count_on(array: NDArray[Any], place: int, before: int, bits: np.uint64) -> None:
    _items(array, place)[:] = np.where(_flags(bits), _items(array, before) + array.dtype.type(1), 0)


def lowest_bit(bits: np.uint64) -> np.uint64:
    number = int(bits)
    return np.uint64((number & -number).bit_length() - 1 if number else WORD)


PLAIN: dict[str, Callable[..., Any]] = {
    instruction.__name__: instruction
    for instruction in (
        *(load, store, everywhere, larger, transpose_tile),
        *(equal_bits, filled_bits, add_where, count_on, lowest_bit),
    )
}


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Lets the engine's modules use these instructions.

    Lanes beyond the end of a line hold whatever the memory held, in compiled code as well, and are never kept.
    """
    put_back = []
    for name, module in list(sys.modules.items()):
        if name.startswith("pipelines.radiomics.fast."):
            for instruction in PLAIN.keys() & vars(module).keys():
                put_back.append((module, instruction, getattr(module, instruction)))
                setattr(module, instruction, PLAIN[instruction])
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            yield
    finally:
        for module, instruction, compiled in put_back:
            setattr(module, instruction, compiled)
