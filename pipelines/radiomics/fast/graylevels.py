"""Gray values in bins: the edges PyRadiomics would choose and the codes that texture matrices count."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.radiomics.fast.problems import NotFiniteError, TooManyBinsError


@dataclass(frozen=True, kw_only=True)
class GrayLevels:
    """The gray levels of one image inside the region.

    Args:
        ranks: Position (from 1) of each region voxel's gray level among those present, shape (n,).
        levels: Gray levels that are present, ascending, shape (m,).
        counts: Voxels with each of them, shape (m,).
    """

    ranks: NDArray[np.int32]
    levels: NDArray[np.int64]
    counts: NDArray[np.int64]


# numpy would need as many edges; a region never has this many voxels in different bins on purpose.
MOST_BINS = 2_000_000


def bin_edges(values: NDArray[np.generic], bin_width: float, bin_count: int | None) -> NDArray[np.generic]:
    """Returns the bin edges of PyRadiomics for the values of a region.

    Args:
        values: Gray values of the region, shape (n,), in the image's own type: it decides how edges round.
        bin_width: Width of a bin in the image's unit; edges are multiples of it.
        bin_count: Number of bins instead of a width, or None.
    """
    minimum, maximum = values.min(), values.max()
    if not (np.isfinite(minimum) and np.isfinite(maximum)):
        raise NotFiniteError("the filtered region has values that are NaN or infinite")
    if bin_count is not None:
        edges = np.histogram(values, bin_count)[1]
        edges[-1] += 1  # the largest value belongs to the last bin
        return edges
    if values.dtype.kind in "iu":
        # Small integer types overflow in the sums below.
        minimum, maximum = np.int64(minimum), np.int64(maximum)
    if (float(maximum) - float(minimum)) / bin_width > MOST_BINS:
        raise TooManyBinsError(
            f"{float(maximum) - float(minimum):g} in bins of {bin_width:g} would be more than {MOST_BINS:,} bins"
        )
    return np.arange(minimum - (minimum % bin_width), maximum + 2 * bin_width, bin_width)


def gray_levels(values: NDArray[np.generic], edges: NDArray[np.generic]) -> GrayLevels:
    """Returns the gray level of each value: the number of edges that are not above it."""
    ranks, levels, counts = _digitize(np.ascontiguousarray(values), np.asarray(edges, dtype=np.float64))
    return GrayLevels(ranks=ranks, levels=levels, counts=counts)


@njit(cache=True, nogil=True)
def _digitize(values, edges):  # type: ignore[no-untyped-def]
    last = len(edges)
    first = edges[0]
    per_bin = max(last - 1, 1) / (edges[-1] - first)
    out = np.empty(len(values), np.int32)
    for i in range(len(values)):
        out[i] = np.int32(min(max((np.float64(values[i]) - first) * per_bin, 0.0), last - 1.0))
    counts = np.zeros((2, last + 1), np.int64)
    for i in range(len(values)):
        value, guess = np.float64(values[i]), np.int64(out[i])
        while guess < last and value >= edges[np.uint64(guess)]:
            guess += 1
        while guess > 0 and value < edges[np.uint64(guess - 1)]:
            guess -= 1
        out[i] = guess
        counts[np.uint64(i & 1), np.uint64(guess)] += 1
    counts = counts[0] + counts[1]
    levels = np.flatnonzero(counts)
    rank_of = np.zeros(last + 1, np.int32)
    for k in range(len(levels)):
        rank_of[levels[k]] = k + 1
    for i in range(len(out)):
        out[i] = rank_of[out[i]]
    return out, levels, counts[levels]
