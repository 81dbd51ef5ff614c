"""Counts of gray level pairs at every offset."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.radiomics.fast.graylevels import GrayLevels
from pipelines.radiomics.fast.region import Region

PAIR_LIMIT_BYTES = 4 * 2**30  # a matrix of pairs above this is refused before it is allocated


def pair_bytes(n_levels: int, n_offsets: int) -> int:
    """Returns the memory that pair matrices of so many levels and offsets take, with their normalized copies."""
    return (4 + 2 * 8) * n_offsets * (n_levels + 1) ** 2


def pair_counts(region: Region, gray: GrayLevels, box: NDArray[np.unsignedinteger]) -> NDArray[np.int32]:
    """Returns how often gray level i has gray level j at each forward offset, shape (offsets, m, m)."""
    steps = region.flat(region.offsets)
    return _pairs(box, region.places, steps, len(gray.levels) + 1)[:, 1:, 1:]


@njit(cache=True, nogil=True)
def _pairs(box, places, steps, n_codes):  # type: ignore[no-untyped-def]
    counts = np.zeros((len(steps), n_codes, n_codes), np.int32)
    for k in range(len(places)):
        place = places[k]
        code = box[place]
        for s in range(len(steps)):
            counts[s, box[place - steps[s]], code] += 1
    return counts
