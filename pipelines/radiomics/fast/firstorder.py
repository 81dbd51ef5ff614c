"""First order statistics of the gray values."""

import numpy as np
from numba import njit
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
    values: NDArray[np.generic], gray: GrayLevels, voxel_mm3: float, shift: float
) -> dict[str, float]:
    """Returns the statistics.

    Args:
        values: Gray values of the region, shape (n,), in the image's own type.
        gray: Their gray levels, for entropy and uniformity.
        voxel_mm3: Volume of a voxel.
        shift: Added to the values for energies and root mean square (`voxelArrayShift`).
    """
    # Sorting is faster in the image's own, narrower type.
    ordered, exact = (part.astype(np.float64, copy=False) for part in (np.sort(values), values))
    n = len(ordered)
    low, first, median, third, high = (_quantile(ordered, q) for q in (0.1, 0.25, 0.5, 0.75, 0.9))
    mean = exact.mean()
    absolute, second, third_power, fourth, energy = _moments(exact, mean, shift)
    variance = second / n
    middle = ordered[np.searchsorted(ordered, low, "left") : np.searchsorted(ordered, high, "right")]
    # Of two voxels, both lie outside their own percentiles.
    robust = _moments(middle, middle.mean(), 0.0)[0] / len(middle) if len(middle) else float("nan")
    share = gray.counts / gray.counts.sum()
    flat = variance == 0
    return {
        "10Percentile": low,
        "90Percentile": high,
        "Energy": energy,
        "Entropy": float(-np.sum(share * np.log2(share + EPSILON))),
        "InterquartileRange": third - first,
        "Kurtosis": 0.0 if flat else fourth / n / variance**2,
        "Maximum": float(ordered[-1]),
        "Mean": float(mean),
        "MeanAbsoluteDeviation": absolute / n,
        "Median": median,
        "Minimum": float(ordered[0]),
        "Range": float(ordered[-1] - ordered[0]),
        "RobustMeanAbsoluteDeviation": robust,
        "RootMeanSquared": float(np.sqrt(energy / n)),
        "Skewness": 0.0 if flat else third_power / n / variance**1.5,
        "TotalEnergy": energy * voxel_mm3,
        "Uniformity": float(np.sum(share**2)),
        "Variance": float(variance),
        "StandardDeviation": float(np.sqrt(variance)),
    }


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def _moments(values, mean, shift):  # type: ignore[no-untyped-def]
    """Returns sums of |d|, d², d³, d⁴ with d the distance from the mean, and of the squared shifted values."""
    absolute = 0.0
    second = 0.0
    third = 0.0
    fourth = 0.0
    energy = 0.0
    for i in range(len(values)):
        d = values[i] - mean
        square = d * d
        absolute += abs(d)
        second += square
        third += square * d
        fourth += square * square
        energy += (values[i] + shift) * (values[i] + shift)
    return absolute, second, third, fourth, energy


def _quantile(ordered: NDArray[np.float64], q: float) -> float:
    """Returns numpy's linear quantile of sorted values."""
    place = q * (len(ordered) - 1)
    at = int(place)
    after = min(at + 1, len(ordered) - 1)
    weight = place - at
    a, b = float(ordered[at]), float(ordered[after])
    return a + (b - a) * weight if weight < 0.5 else b - (b - a) * (1 - weight)
