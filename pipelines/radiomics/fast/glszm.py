"""Gray level size zones: 26-connected zones of one gray level, found in one sweep with merging labels."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.radiomics.fast import sizes
from pipelines.radiomics.fast.graylevels import GrayLevels
from pipelines.radiomics.fast.region import Region

VALUE_OF = {
    "GrayLevelNonUniformity": sizes.GRAY,
    "GrayLevelNonUniformityNormalized": sizes.GRAY_NORM,
    "GrayLevelVariance": sizes.GRAY_VAR,
    "HighGrayLevelZoneEmphasis": sizes.HIGH,
    "LargeAreaEmphasis": sizes.LARGE,
    "LargeAreaHighGrayLevelEmphasis": sizes.LARGE_HIGH,
    "LargeAreaLowGrayLevelEmphasis": sizes.LARGE_LOW,
    "LowGrayLevelZoneEmphasis": sizes.LOW,
    "SizeZoneNonUniformity": sizes.SIZE,
    "SizeZoneNonUniformityNormalized": sizes.SIZE_NORM,
    "SmallAreaEmphasis": sizes.SMALL,
    "SmallAreaHighGrayLevelEmphasis": sizes.SMALL_HIGH,
    "SmallAreaLowGrayLevelEmphasis": sizes.SMALL_LOW,
    "ZoneEntropy": sizes.ENTROPY,
    "ZonePercentage": sizes.TOTAL,
    "ZoneVariance": sizes.SIZE_VAR,
}
NAMES = tuple(VALUE_OF)


def glszm_features(region: Region, gray: GrayLevels, box: NDArray[np.int32]) -> dict[str, float]:
    """Returns the features of the zones.

    Args:
        region: The region.
        gray: Its gray levels.
        box: Ranks of the gray levels in the flat padded box, 0 outside.
    """
    zone_ranks, zone_sizes = _zones(box, region.places, region.flat(region.near_offsets))
    largest = int(zone_sizes.max())
    keys, counts = np.unique(zone_ranks.astype(np.int64) * (largest + 1) + zone_sizes, return_counts=True)
    found = sizes.size_features(
        keys // (largest + 1) - 1, keys % (largest + 1), counts.astype(np.float64), gray.levels.astype(float), largest
    )
    features = {name: float(found[at]) for name, at in VALUE_OF.items()}
    features["ZonePercentage"] = float(found[sizes.TOTAL] / found[sizes.VOXELS])
    return features


@njit(cache=True, nogil=True)
def _zones(box, places, steps):  # type: ignore[no-untyped-def]
    label = np.zeros(len(box), np.int32)
    parent = np.empty(len(places) + 1, np.int32)
    rank = np.empty(len(places) + 1, np.int32)
    size = np.zeros(len(places) + 1, np.int32)
    n = 0
    for k in range(len(places)):
        place = places[k]
        code = box[place]
        root = 0
        for s in range(len(steps)):
            near = place - steps[s]
            if box[near] != code:
                continue
            other = label[near]
            if other == root:
                continue
            while parent[other] != other:
                parent[other] = parent[parent[other]]
                other = parent[other]
            if root == 0:
                root = other
            elif other < root:
                parent[root] = other
                root = other
            elif other > root:
                parent[other] = root
        if root == 0:
            n += 1
            parent[n] = n
            rank[n] = code
            root = n
        label[place] = root
        size[root] += 1
    zones = 0
    for k in range(n, 0, -1):
        if parent[k] != k:
            size[parent[k]] += size[k]
            size[k] = 0
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
