"""First order statistics of the gray values."""

import numpy as np
from numpy.typing import NDArray

from pipelines.radiomics.fast.graylevels import GrayLevels
from pipelines.radiomics.fast.sizes import EPSILON

NAMES = (
    "10Percentile",
    "90Percentile",
    "Energy",
    "Entropy",
    "InterquartileRange",
    "Kurtosis",
    "Maximum",
    "Mean",
    "MeanAbsoluteDeviation",
    "Median",
    "Minimum",
    "Range",
    "RobustMeanAbsoluteDeviation",
    "RootMeanSquared",
    "Skewness",
    "TotalEnergy",
    "Uniformity",
    "Variance",
)
DEPRECATED = ("StandardDeviation",)


def firstorder_features(
    values: NDArray[np.float64], gray: GrayLevels, voxel_mm3: float, shift: float
) -> dict[str, float]:
    """Returns the statistics.

    Args:
        values: Gray values of the region, shape (n,).
        gray: Their gray levels, for entropy and uniformity.
        voxel_mm3: Volume of a voxel.
        shift: Added to the values for energies and root mean square (`voxelArrayShift`).
    """
    ordered = np.sort(values)
    n = len(ordered)
    low, first, median, third, high = (_quantile(ordered, q) for q in (0.1, 0.25, 0.5, 0.75, 0.9))
    mean = values.mean()
    centered = values - mean
    squares = centered * centered
    variance = squares.mean()
    energy = float(np.square(values + shift).sum()) if shift else float(np.square(values).sum())
    middle = ordered[np.searchsorted(ordered, low, "left") : np.searchsorted(ordered, high, "right")]
    share = gray.counts / gray.counts.sum()
    flat = variance == 0
    return {
        "10Percentile": low,
        "90Percentile": high,
        "Energy": energy,
        "Entropy": float(-np.sum(share * np.log2(share + EPSILON))),
        "InterquartileRange": third - first,
        "Kurtosis": 0.0 if flat else float(np.dot(squares, squares) / n / variance**2),
        "Maximum": float(ordered[-1]),
        "Mean": float(mean),
        "MeanAbsoluteDeviation": float(np.abs(centered).mean()),
        "Median": median,
        "Minimum": float(ordered[0]),
        "Range": float(ordered[-1] - ordered[0]),
        "RobustMeanAbsoluteDeviation": float(np.abs(middle - middle.mean()).mean()),
        "RootMeanSquared": float(np.sqrt(energy / n)),
        "Skewness": 0.0 if flat else float(np.dot(squares, centered) / n / variance**1.5),
        "TotalEnergy": energy * voxel_mm3,
        "Uniformity": float(np.sum(share**2)),
        "Variance": float(variance),
        "StandardDeviation": float(np.sqrt(variance)),
    }


def _quantile(ordered: NDArray[np.float64], q: float) -> float:
    """Returns numpy's linear quantile of sorted values."""
    place = q * (len(ordered) - 1)
    at = int(place)
    after = min(at + 1, len(ordered) - 1)
    weight = place - at
    a, b = float(ordered[at]), float(ordered[after])
    return a + (b - a) * weight if weight < 0.5 else b - (b - a) * (1 - weight)
