"""Gray level co-occurrence: features of the normalized pair matrices, averaged over directions."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.radiomics.fast.delicate import (
    StockMatrices,
    informational_firsts,
    informational_seconds,
    maximal_correlations,
    shades,
)
from pipelines.radiomics.fast.graylevels import GrayLevels
from pipelines.radiomics.fast.offsets import distance_weights
from pipelines.radiomics.fast.region import Region
from pipelines.radiomics.fast.sizes import EPSILON

NAMES = (
    "Autocorrelation",
    "ClusterProminence",
    "ClusterShade",
    "ClusterTendency",
    "Contrast",
    "Correlation",
    "DifferenceAverage",
    "DifferenceEntropy",
    "DifferenceVariance",
    "Id",
    "Idm",
    "Idmn",
    "Idn",
    "Imc1",
    "Imc2",
    "InverseVariance",
    "JointAverage",
    "JointEnergy",
    "JointEntropy",
    "MCC",
    "MaximumProbability",
    "SumAverage",
    "SumEntropy",
    "SumSquares",
)
_IMC1 = NAMES.index("Imc1")
_IMC2 = NAMES.index("Imc2")
_MCC = NAMES.index("MCC")
_SHADE = NAMES.index("ClusterShade")
_TENDENCY = NAMES.index("ClusterTendency")
_WIDER = len(NAMES)  # the larger marginal entropy, kept beside the features


def glcm_features(
    region: Region, gray: GrayLevels, counts: NDArray[np.int32], norm: str | None, *, symmetric: bool
) -> dict[str, float]:
    """Returns the features of the pair matrices.

    Args:
        region: The region.
        gray: Its gray levels.
        counts: Pairs at each forward offset, shape (offsets, m, m).
        norm: `weightingNorm`: one matrix of all offsets, weighted by their length, or None.
        symmetric: Count each pair in both orders.
    """
    kept = _normalized(region, counts, norm, symmetric=symmetric)
    n_levels = len(gray.levels)
    if not len(kept):
        empty = dict.fromkeys(NAMES, float("nan"))
        # PyRadiomics calls a flat region without pairs perfectly correlated where there are several directions,
        # and sums nothing for its inverse variance where there is one matrix.
        is_single = norm is not None or len(counts) == 1
        if n_levels < 2:
            empty["InverseVariance" if is_single else "MCC"] = 0.0 if is_single else 1.0
        return empty
    found = _directions(kept, gray.levels.astype(float), float(gray.levels[-1]))
    weights = None if norm is None else pair_weights(region, norm)
    stock = StockMatrices(counts, gray.levels, weights, symmetric=symmetric)
    found[:, _SHADE] = shades(found[:, _SHADE], found[:, _TENDENCY], stock)
    found[:, _IMC1] = informational_firsts(found[:, _IMC1], found[:, _WIDER], stock)
    means = found.mean(axis=0)
    means[_IMC2] = _mean_of_known(informational_seconds(found[:, _IMC2], stock))
    means[_MCC] = _mean_of_known(maximal_correlations(kept, stock)) if n_levels > 1 else 1.0
    return dict(zip(NAMES, map(float, means[:_WIDER]), strict=True))


def _mean_of_known(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _normalized(region: Region, counts: NDArray[np.int32], norm: str | None, *, symmetric: bool) -> NDArray[np.float64]:
    pairs = counts.astype(np.float64)
    if symmetric:
        pairs += counts.transpose(0, 2, 1)
    if norm is not None:
        pairs = (pairs * pair_weights(region, norm)[:, None, None]).sum(axis=0, keepdims=True)
    totals = pairs.sum(axis=(1, 2))
    kept = totals > 0
    return pairs[kept] / totals[kept][:, None, None]


def pair_weights(region: Region, norm: str) -> NDArray[np.float64]:
    """Returns the weight of each offset's pairs: exp(-length²), length in mm."""
    if norm == "no_weighting":
        return np.ones(len(region.offsets))
    return np.exp(-(distance_weights(region.offsets, region.spacing_mm, norm) ** 2))


@njit(cache=True, nogil=True)
def _directions(matrices, levels, highest):  # type: ignore[no-untyped-def]
    out = np.zeros((len(matrices), 25))  # the place of MCC stays empty
    for d in range(len(matrices)):
        _direction(matrices[d], levels, highest, out[d])
    return out


@njit(cache=True, nogil=True)
def _direction(p, levels, highest, out):  # type: ignore[no-untyped-def]
    """Adds the features of one matrix to a row of zeros."""
    n = len(levels)
    px = np.zeros(n)
    py = np.zeros(n)
    by_sum = np.zeros(2 * int(highest) + 1)
    by_gap = np.zeros(int(highest) + 1)
    for i in range(n):
        for j in range(n):
            value = p[i, j]
            if value == 0.0:
                continue
            px[i] += value
            py[j] += value
            by_sum[int(levels[i] + levels[j])] += value
            by_gap[int(abs(levels[i] - levels[j]))] += value
            out[0] += levels[i] * levels[j] * value
            out[17] += value * value
            out[18] -= value * np.log2(value + EPSILON)
            out[20] = max(out[20], value)
    _clusters(p, levels, px, py, out)
    _marginals(levels, px, py, out)
    _gaps(by_gap, highest, out)
    _sums(by_sum, out)


@njit(cache=True, nogil=True)
def _clusters(p, levels, px, py, out):  # type: ignore[no-untyped-def]
    """Fills what needs the means; 13 and 14 hold the cross entropy and the joint entropy of the marginals."""
    mean_x = (px * levels).sum()
    mean_y = (py * levels).sum()
    for i in range(len(levels)):
        for j in range(len(levels)):
            marginal = px[i] * py[j]
            log = np.log2(marginal + EPSILON)
            out[14] -= marginal * log
            value = p[i, j]
            if value == 0.0:
                continue
            out[13] -= value * log
            off = levels[i] + levels[j] - mean_x - mean_y
            out[3] += value * off * off
            out[2] += value * off * off * off
            out[1] += value * off * off * off * off
            out[5] += value * (levels[i] - mean_x) * (levels[j] - mean_y)
    out[16] = mean_x


@njit(cache=True, nogil=True)
def _marginals(levels, px, py, out):  # type: ignore[no-untyped-def]
    mean_y = (py * levels).sum()
    var_x = 0.0
    var_y = 0.0
    entropy_x = 0.0
    entropy_y = 0.0
    for i in range(len(levels)):
        var_x += px[i] * (levels[i] - out[16]) * (levels[i] - out[16])
        var_y += py[i] * (levels[i] - mean_y) * (levels[i] - mean_y)
        entropy_x -= px[i] * np.log2(px[i] + EPSILON)
        entropy_y -= py[i] * np.log2(py[i] + EPSILON)
    spread = np.sqrt(var_x) * np.sqrt(var_y)
    wider = max(entropy_x, entropy_y)
    out[5] = out[5] / (spread + EPSILON) if spread != 0 else 1.0
    out[13] = (out[18] - out[13]) / wider if wider != 0 else 0.0
    out[14] -= out[18]
    out[23] = var_x
    out[24] = wider


@njit(cache=True, nogil=True)
def _gaps(by_gap, highest, out):  # type: ignore[no-untyped-def]
    average = 0.0
    for k in range(len(by_gap)):
        average += k * by_gap[k]
    contrast = 0.0
    entropy = 0.0
    variance = 0.0
    inverse = 0.0
    moment = 0.0
    moment_n = 0.0
    inverse_n = 0.0
    odd = 0.0
    for k in range(len(by_gap)):
        value = by_gap[k]
        if value == 0.0:
            continue
        square = float(k) * float(k)
        contrast += square * value
        entropy -= value * np.log2(value + EPSILON)
        variance += value * (k - average) * (k - average)
        inverse += value / (1 + k)
        moment += value / (1 + square)
        moment_n += value / (1 + square / (highest * highest))
        inverse_n += value / (1 + k / highest)
        if k:
            odd += value / square
    out[4] = contrast
    out[6] = average
    out[7] = entropy
    out[8] = variance
    out[9] = inverse
    out[10] = moment
    out[11] = moment_n
    out[12] = inverse_n
    out[15] = odd


@njit(cache=True, nogil=True)
def _sums(by_sum, out):  # type: ignore[no-untyped-def]
    average = 0.0
    entropy = 0.0
    for k in range(len(by_sum)):
        value = by_sum[k]
        if value > 0.0:
            average += k * value
            entropy -= value * np.log2(value + EPSILON)
    out[21] = average
    out[22] = entropy
