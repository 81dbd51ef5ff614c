"""Gray level size zones: 26-connected zones of one gray level."""

import numpy as np
from numpy.typing import NDArray

from pipelines.radiomics.fast import sizes
from pipelines.radiomics.fast.graylevels import GrayLevels

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


def glszm_features(gray: GrayLevels, zone_ranks: NDArray[np.int32], zone_sizes: NDArray[np.int32]) -> dict[str, float]:
    """Returns the features of the zones.

    Args:
        gray: The region's gray levels.
        zone_ranks: Rank of each zone's gray level, from 1, shape (k,).
        zone_sizes: Voxels of each zone, shape (k,).
    """
    largest = int(zone_sizes.max())
    keys = zone_ranks.astype(np.int64) * (largest + 1) + zone_sizes
    keys.sort()
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    counts = np.diff(np.append(starts, len(keys))).astype(np.float64)
    keys = keys[starts]
    found = sizes.size_features(
        keys // (largest + 1) - 1, keys % (largest + 1), counts, gray.levels.astype(float), largest
    )
    features = {name: float(found[at]) for name, at in VALUE_OF.items()}
    features["ZonePercentage"] = float(found[sizes.TOTAL] / found[sizes.VOXELS])
    return features
