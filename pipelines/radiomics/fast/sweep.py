"""One sweep for runs, zones and dependences: only equal neighbors are visited.

Which of the 13 neighbors behind a voxel have its gray level is found for the whole box by rows of compares, as one bit
each. A set bit prolongs a run, joins a zone and makes both voxels dependent on each other.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.radiomics.fast.graylevels import GrayLevels
from pipelines.radiomics.fast.region import Region


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What one sweep finds.

    Args:
        runs: Runs of each length along each near offset, shape (directions, m, longest); the first length is 1.
        zone_ranks: Rank of each zone's gray level, from 1, shape (k,).
        zone_sizes: Voxels of each zone, shape (k,).
        dependence: Voxels of each gray level by the number of equal neighbors at distance 1, shape (m, n).
    """

    runs: NDArray[np.int64]
    zone_ranks: NDArray[np.int32]
    zone_sizes: NDArray[np.int32]
    dependence: NDArray[np.float64]


def sweep(region: Region, gray: GrayLevels, box: NDArray[np.unsignedinteger]) -> Sweep:
    """Sweeps once over the region.

    Args:
        region: The region.
        gray: Its gray levels.
        box: Ranks of the gray levels in the flat padded box, 0 outside.
    """
    steps = region.flat(region.near_offsets)
    longest = max(region.inside.shape)
    bits = _equal_bits(box, steps, region.places[0], region.places[-1] + 1)
    reached, zone_ranks, zone_sizes, dependence = _visit(
        box, bits, region.places, steps, len(gray.levels), longest, region.run_buffer, region.label_buffer
    )
    reached[:, :, 1] = gray.counts[None, :] - reached[:, :, 2:].sum(axis=2)
    runs = reached[:, :, 1:-1] - reached[:, :, 2:]
    runs[~region.lines_repeat] = 0
    return Sweep(runs=runs, zone_ranks=zone_ranks, zone_sizes=zone_sizes, dependence=dependence)


@njit(cache=True, nogil=True)
def _equal_bits(box, steps, first, last):  # type: ignore[no-untyped-def]
    bits = np.zeros(len(box), np.uint16)
    for s in range(len(steps)):
        behind = box[first - steps[s] : last - steps[s]]
        here = box[first:last]
        out = bits[first:last]
        flag = np.uint16(1 << s)
        for i in range(last - first):
            out[i] |= flag if here[i] == behind[i] else np.uint16(0)
    return bits


@njit(cache=True, nogil=True)
def _root(parent, at):  # type: ignore[no-untyped-def]
    while parent[at] != at:
        parent[at] = parent[parent[at]]
        at = parent[at]
    return at


@njit(cache=True, nogil=True)
def _joined(parent, root, other):  # type: ignore[no-untyped-def]
    """Returns the root of two zones that touch; the older one stays. Root 0 is no zone yet."""
    other = _root(parent, other)
    if root == 0 or other == root:
        return other
    parent[max(root, other)] = min(root, other)
    return min(root, other)


@njit(cache=True, nogil=True)
def _visit(box, bits, places, steps, n_levels, longest, run, label):  # type: ignore[no-untyped-def]
    reached = np.zeros((len(steps), n_levels, longest + 2), np.int64)
    dependent = np.zeros(len(box), np.uint8)
    parent = np.empty(len(places) + 1, np.int32)
    rank = np.empty(len(places) + 1, np.int32)
    size = np.zeros(len(places) + 1, np.int32)
    n = 0
    for k in range(len(places)):
        place = places[k]
        code = np.int64(box[place])
        own = place * 16
        for s in range(16):
            run[own + s] = 0
        root = np.int32(0)
        left = bits[place]
        s = 0
        while left:
            if left & 1:
                near = place - steps[s]
                dependent[near] += np.uint8(1)
                dependent[place] += np.uint8(1)
                length = run[near * 16 + s] + 1
                run[own + s] = length
                reached[s, code - 1, np.int64(length) + 1] += 1
                if label[near] != root:
                    root = _joined(parent, root, label[near])
            left >>= 1
            s += 1
        if root == 0:
            n += 1
            parent[n] = n
            rank[n] = code
            root = np.int32(n)
        label[place] = root
        size[root] += 1
    return (reached, *_zones(parent, rank, size, n), _dependence(box, dependent, places, n_levels, len(steps)))


@njit(cache=True, nogil=True)
def _zones(parent, rank, size, n):  # type: ignore[no-untyped-def]
    zones = 0
    for k in range(n, 0, -1):
        if parent[k] != k:
            size[parent[k]] += size[k]
        else:
            zones += 1
    out_rank = np.empty(zones, np.int32)
    out_size = np.empty(zones, np.int32)
    at = 0
    for k in range(1, n + 1):
        if parent[k] == k:
            out_rank[at] = rank[k]
            out_size[at] = size[k]
            at += 1
    return out_rank, out_size


@njit(cache=True, nogil=True)
def _dependence(box, dependent, places, n_levels, n_steps):  # type: ignore[no-untyped-def]
    matrix = np.zeros((n_levels, 2 * n_steps + 1))
    for k in range(len(places)):
        place = places[k]
        matrix[np.int64(box[place]) - 1, dependent[place]] += 1.0
    return matrix
