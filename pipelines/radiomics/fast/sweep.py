"""Runs, zones and dependences: only equal neighbors are visited.

Which neighbors behind and ahead of a voxel have its gray level is found for 64 voxels at once, as bits of a word. The
bits of all neighbors behind choose those a zone must be joined with; how many there are on both sides is the voxel's
dependence; and where a run ends, its length is looked up.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.radiomics.fast.graylevels import GrayLevels
from pipelines.radiomics.fast.region import Region
from pipelines.radiomics.fast.words import WORD, add_where, count_on, equal_bits, filled_bits, lowest_bit


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
    first, last = int(region.places[0]), int(region.places[-1]) + 1
    bits, equal = _neighbors(box, steps, first, last)
    joined = _joining(region.near_offsets.tobytes())
    zone_ranks, zone_sizes = _zones(box, bits, region.places, steps, joined, region.label_buffer)
    dependence = _dependence(box, equal, region.places, len(gray.levels), len(steps))
    runs = _runs(box, steps, first, last, len(gray.levels), max(region.inside.shape), region.run_buffer)
    lengths = np.arange(2, runs.shape[2] + 1)
    runs[:, :, 0] = gray.counts - runs[:, :, 1:] @ lengths
    runs[~region.lines_repeat] = 0
    return Sweep(runs=runs, zone_ranks=zone_ranks, zone_sizes=zone_sizes, dependence=dependence)


@njit(cache=True, nogil=True)
def _neighbors(box, steps, first, last):  # type: ignore[no-untyped-def]
    """Returns the bits of equal neighbors behind each place and how many are equal on both sides."""
    bits = np.zeros(len(box), np.uint16)
    equal = np.zeros(len(box), np.uint8)
    for at in range(first, last, WORD):
        inside = filled_bits(box, at)
        if inside == 0:
            continue
        for s in range(len(steps)):
            behind = inside & equal_bits(box, at, at - steps[s])
            ahead = inside & equal_bits(box, at, at + steps[s])
            add_where(bits, at, behind, 1 << s)
            add_where(equal, at, behind, 1)
            add_where(equal, at, ahead, 1)
    return bits, equal


@njit(cache=True, nogil=True)
def _runs(box, steps, first, last, n_levels, longest, lengths):  # type: ignore[no-untyped-def]
    """Returns how many runs of each length from 2 there are; those of 1 stay 0."""
    runs = np.zeros((len(steps), n_levels, max(longest, 1)), np.int64)
    for s in range(len(steps)):
        if steps[s] < WORD:
            _rows(box, first, last, runs[s])
        else:
            _direction(box, steps[s], first, last, runs[s], lengths)
    return runs


@njit(cache=True, nogil=True)
def _direction(box, step, first, last, runs, lengths):  # type: ignore[no-untyped-def]
    """Counts the runs along a step; `lengths` holds how many equal voxels lie behind each place."""
    for at in range(first, last, WORD):
        inside = filled_bits(box, at)
        behind = inside & equal_bits(box, at, at - step)
        count_on(lengths, at, at - step, behind)
        ends = behind & ~equal_bits(box, at, at + step)
        while ends:
            place = np.uint64(at) + lowest_bit(ends)
            runs[np.uint64(box[place]) - np.uint64(1), np.uint64(lengths[place])] += 1
            ends &= ends - np.uint64(1)


@njit(cache=True, nogil=True)
def _rows(box, first, last, runs):  # type: ignore[no-untyped-def]
    """Counts the runs of neighbors in memory."""
    length = np.int64(0)
    for at in range(first, last, WORD):
        behind = filled_bits(box, at) & equal_bits(box, at, at - 1)
        place = np.uint64(0)
        while place < WORD:
            rest = behind >> place
            n = min(lowest_bit(~rest), np.uint64(WORD) - place)
            length += np.int64(n)
            place += n
            if place == WORD:
                break
            if length:
                runs[np.int64(box[at + np.int64(place) - 1]) - 1, length] += 1
                length = np.int64(0)
            place += lowest_bit(rest >> n)
    if length:
        runs[np.int64(box[last - 1]) - 1, length] += 1


@njit(cache=True, nogil=True)
def _dependence(box, equal, places, n_levels, n_steps):  # type: ignore[no-untyped-def]
    width = np.uint64(2 * n_steps + 1)
    # Two voxels in a row often count at the same place: one would wait for the other.
    counts = np.zeros((2, (n_levels + 1) * (2 * n_steps + 1)), np.int64)
    for k in range(len(places)):
        place = np.uint64(places[k])
        counts[np.uint64(k & 1), np.uint64(box[place]) * width + np.uint64(equal[place])] += 1
    return (counts[0] + counts[1]).astype(np.float64).reshape(n_levels + 1, 2 * n_steps + 1)[1:]


@lru_cache(maxsize=8)
def _joining(offsets: bytes) -> NDArray[np.uint16]:
    """Returns, for each set of equal neighbors behind a voxel, one of each group whose members touch each other.

    Those that touch have been joined before, so that one of them stands for all.
    """
    points = np.frombuffer(offsets, dtype=np.int64).reshape(-1, 3)
    touching = np.abs(points[:, None] - points[None]).max(axis=2) <= 1
    return _representatives(touching)


@njit(cache=True, nogil=True)
def _representatives(touching):  # type: ignore[no-untyped-def]
    n = len(touching)
    near = np.zeros(n, np.int64)
    for i in range(n):
        for j in range(n):
            near[i] |= (1 << j) if touching[i, j] else 0
    chosen = np.zeros(1 << n, np.uint16)
    for bits in range(1 << n):
        left = bits
        while left:
            # The last of the offsets is the nearest in memory.
            top = n - 1
            while not left >> top & 1:
                top -= 1
            chosen[bits] |= np.uint16(1 << top)
            group, grown = 0, 1 << top
            while grown != group:
                group = grown
                for i in range(n):
                    if group >> i & 1:
                        grown |= near[i] & bits
            left &= ~group
    return chosen


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
def _zones(box, bits, places, steps, joined, label):  # type: ignore[no-untyped-def]
    """Returns gray level and size of each zone."""
    parent = np.empty(len(places) + 1, np.int32)
    rank = np.empty(len(places) + 1, np.int32)
    size = np.zeros(len(places) + 1, np.int32)
    n = 0
    for k in range(len(places)):
        place = np.uint64(places[k])
        root = np.int32(0)
        left = np.uint64(joined[np.uint64(bits[place])])
        while left:
            near = place - np.uint64(steps[lowest_bit(left)])
            if label[near] != root:
                root = _joined(parent, root, label[near])
            left &= left - np.uint64(1)
        if root == 0:
            n += 1
            parent[n] = n
            rank[n] = box[place]
            root = np.int32(n)
        label[place] = root
        size[np.uint64(root)] += 1
    return _gathered(parent, rank, size, n)


@njit(cache=True, nogil=True)
def _gathered(parent, rank, size, n):  # type: ignore[no-untyped-def]
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
