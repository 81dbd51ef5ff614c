"""One sweep over the region counts gray level pairs and run lengths along every direction."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.radiomics.fast.graylevels import GrayLevels
from pipelines.radiomics.fast.region import Region

PAIR_LIMIT_BYTES = 4 * 2**30  # a matrix of pairs above this is refused before it is allocated


def pair_bytes(n_levels: int, n_offsets: int) -> int:
    """Returns the memory that pair matrices of so many levels and offsets take, with their normalized copies."""
    return (4 + 2 * 8) * n_offsets * (n_levels + 1) ** 2


def pair_counts(region: Region, gray: GrayLevels, box: NDArray[np.int32]) -> NDArray[np.int32]:
    """Returns how often gray level i has gray level j at each forward offset, shape (offsets, m, m)."""
    steps = region.flat(region.offsets)
    return _pairs(box, region.places, steps, len(gray.levels) + 1)[:, 1:, 1:]


def run_counts(region: Region, gray: GrayLevels, box: NDArray[np.int32]) -> NDArray[np.int64]:
    """Returns how many runs of each length each gray level has along each near offset.

    Along directions that meet the region in single voxels only, there are no runs.

    Returns:
        Counts of shape (directions, m, largest run).
    """
    longest = max(region.inside.shape)
    reached = _prefixes(box, region.places, region.flat(region.near_offsets), len(gray.levels), longest)
    runs = reached[:, :, 1:-1] - reached[:, :, 2:]
    runs[~region.lines_repeat] = 0
    used = np.flatnonzero(runs.any(axis=(0, 1)))
    return runs[:, :, : used[-1] + 1] if len(used) else runs[:, :, :1]


@njit(cache=True, nogil=True)
def _pairs(box, places, steps, n_codes):  # type: ignore[no-untyped-def]
    counts = np.zeros((len(steps), n_codes, n_codes), np.int32)
    for k in range(len(places)):
        place = places[k]
        code = box[place]
        for s in range(len(steps)):
            counts[s, box[place - steps[s]], code] += 1
    return counts


@njit(cache=True, nogil=True)
def _prefixes(box, places, steps, n_levels, longest):  # type: ignore[no-untyped-def]
    # A voxel that is the k-th of its run stands for one run of at least k voxels.
    reached = np.zeros((len(steps), n_levels, longest + 2), np.int64)
    run = np.zeros(len(box), np.int32)
    for s in range(len(steps)):
        step = steps[s]
        for k in range(len(places)):
            place = places[k]
            code = box[place]
            length = run[place - step] * np.int32(box[place - step] == code) + 1
            run[place] = length
            reached[s, code - 1, length] += 1
    return reached
