"""Counts of gray level pairs at every offset."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.radiomics.fast.graylevels import GrayLevels
from pipelines.radiomics.fast.region import Region

PAIR_LIMIT_BYTES = 4 * 2**30  # a matrix of pairs above this is refused before it is allocated

NEAR_OFFSETS = 13


def pair_bytes(n_levels: int, n_offsets: int) -> int:
    """Returns the memory that pair matrices of so many levels and offsets take, with their normalized copies."""
    return (4 + 2 * 8) * n_offsets * (n_levels + 1) ** 2


def pair_counts(region: Region, gray: GrayLevels, box: NDArray[np.unsignedinteger]) -> NDArray[np.int32]:
    """Returns how often gray level i has gray level j at each forward offset, shape (offsets, m, m)."""
    steps = region.flat(region.offsets).astype(np.uint64)
    few = tuple(steps) if len(steps) <= NEAR_OFFSETS else steps  # the compiler unrolls over a tuple
    return _pairs(box, region.places, few, len(gray.levels) + 1)[:, 1:, 1:]


@njit(cache=True, nogil=True)
def _pairs(box, places, steps, n_codes):  # type: ignore[no-untyped-def]
    counts = np.zeros(len(steps) * n_codes * n_codes, np.int32)
    row, matrix = np.uint64(n_codes), np.uint64(n_codes * n_codes)
    for k in range(len(places)):
        place = np.uint64(places[k])
        at = np.uint64(box[place])
        for step in steps:
            counts[at + np.uint64(box[place - step]) * row] += np.int32(1)
            at += matrix
    return counts.reshape(len(steps), n_codes, n_codes)
