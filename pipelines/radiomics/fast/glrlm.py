"""Gray level run lengths."""

import numpy as np
from numpy.typing import NDArray

from pipelines.radiomics.fast import sizes
from pipelines.radiomics.fast.graylevels import GrayLevels
from pipelines.radiomics.fast.offsets import distance_weights
from pipelines.radiomics.fast.region import Region

VALUE_OF = {
    "GrayLevelNonUniformity": sizes.GRAY,
    "GrayLevelNonUniformityNormalized": sizes.GRAY_NORM,
    "GrayLevelVariance": sizes.GRAY_VAR,
    "HighGrayLevelRunEmphasis": sizes.HIGH,
    "LongRunEmphasis": sizes.LARGE,
    "LongRunHighGrayLevelEmphasis": sizes.LARGE_HIGH,
    "LongRunLowGrayLevelEmphasis": sizes.LARGE_LOW,
    "LowGrayLevelRunEmphasis": sizes.LOW,
    "RunEntropy": sizes.ENTROPY,
    "RunLengthNonUniformity": sizes.SIZE,
    "RunLengthNonUniformityNormalized": sizes.SIZE_NORM,
    "RunPercentage": sizes.TOTAL,
    "RunVariance": sizes.SIZE_VAR,
    "ShortRunEmphasis": sizes.SMALL,
    "ShortRunHighGrayLevelEmphasis": sizes.SMALL_HIGH,
    "ShortRunLowGrayLevelEmphasis": sizes.SMALL_LOW,
}
NAMES = tuple(VALUE_OF)


def glrlm_features(region: Region, gray: GrayLevels, runs: NDArray[np.int64], norm: str | None) -> dict[str, float]:
    """Returns the features of the runs, averaged over directions.

    Args:
        region: The region.
        gray: Its gray levels.
        runs: Counts of shape (directions, m, largest run).
        norm: `weightingNorm`: one matrix of all directions, weighted by their length, or None.
    """
    used = np.flatnonzero(runs.any(axis=(0, 1)))
    matrices = runs[:, :, : used[-1] + 1 if len(used) else 1].astype(np.float64)
    if norm is not None:
        weights = run_weights(region, norm)
        matrices = (matrices * weights[:, None, None]).sum(axis=0, keepdims=True)
    kept = matrices[matrices.any(axis=(1, 2))]
    if not len(kept):
        # Of a single empty matrix, PyRadiomics sums nothing for two features and divides by nothing for the others.
        none = 0.0 if len(matrices) == 1 else float("nan")
        return {**dict.fromkeys(NAMES, float("nan")), "RunEntropy": none, "RunVariance": none}
    levels = gray.levels.astype(float)
    found = sizes.features_of_each(np.ascontiguousarray(kept), levels)
    means = found.mean(axis=0)
    features = {name: float(means[at]) for name, at in VALUE_OF.items()}
    features["RunPercentage"] = float((found[:, sizes.TOTAL] / found[:, sizes.VOXELS]).mean())
    return features


def run_weights(region: Region, norm: str) -> NDArray[np.float64]:
    """Returns the weight of each direction's runs: its length in mm."""
    if norm == "no_weighting":
        return np.ones(len(region.near_offsets))
    return distance_weights(region.near_offsets, region.spacing_mm, norm)
