"""The GLCM features that rest on a small difference or a small eigenvalue: ClusterShade, Imc1, Imc2 and MCC.

Where they are well determined they follow from sums and from a symmetric eigenproblem. Where they are noise
(independent gray levels, symmetric distributions), PyRadiomics's value is the rounding error of its own order of
operations; that order is followed then.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipelines.radiomics.fast.eigen import second_correlations
from pipelines.radiomics.fast.sizes import EPSILON

# Rounding is about 1e-16 of the difference or eigenvalue; above this it stays below 1e-10 of the feature.
WELL_DETERMINED = 1e-5
# Cluster shade below this part of its natural size (tendency to the power 3/2) has cancelled.
CANCELLED = 1e-6
# Bits of marginal entropy below which Imc1 magnifies rounding beyond 1e-12.
NEARLY_FLAT = 1e-3
# Above this, absent gray levels are left out from the start: the order of sums may differ then.
MOST_CELLS = 2**27


class StockMatrices:
    """The normalized pair matrices in PyRadiomics's own memory layout, which decides the order of numpy's sums.

    Args:
        counts: Pairs at each forward offset, shape (offsets, m, m).
        levels: Gray level of each row, shape (m,).
        weights: Weight of each offset, or None for a matrix each.
        symmetric: Count each pair in both orders.
    """

    def __init__(
        self,
        counts: NDArray[np.int32],
        levels: NDArray[np.int64],
        weights: NDArray[np.float64] | None,
        *,
        symmetric: bool,
    ) -> None:
        self._counts = counts
        self._levels = levels
        self._weights = weights
        self._symmetric = symmetric

    @cached_property
    def matrices(self) -> NDArray[np.float64]:
        """Normalized matrices, shape (1, m, m, d)."""
        highest = int(self._levels[-1])
        at = self._levels - 1
        if highest * highest * len(self._counts) > MOST_CELLS:
            highest, at = len(at), np.arange(len(at))
        p = np.zeros((1, highest, highest, len(self._counts)))
        p[0, at[:, None], at[None, :], :] = self._counts.transpose(1, 2, 0)
        absent = np.setdiff1d(np.arange(highest), at)
        # np.delete moves the axis it works on to the front in memory.
        p = np.delete(np.delete(p, absent, 1), absent, 2)
        if self._symmetric:
            p += np.transpose(p, (0, 2, 1, 3)).copy()
        if self._weights is not None:
            p = np.sum(p * self._weights[None, None, None, :], 3, keepdims=True)
        totals = np.sum(p, (1, 2))
        if p.shape[3] > 1:
            empty = np.where(np.sum(totals, 0) == 0)
            p, totals = np.delete(p, empty, 3), np.delete(totals, empty, 1)
        p /= totals[:, None, None, :]
        return p

    def shades(self) -> NDArray[np.float64]:
        """Returns the cluster shade of each matrix."""
        p, level = self.matrices, self._levels.astype(np.float64)
        i, j = level[:, None], level[None, :]
        mean_x = np.sum(i[None, :, :, None] * p, (1, 2), keepdims=True)
        mean_y = np.sum(j[None, :, :, None] * p, (1, 2), keepdims=True)
        return np.sum(p * (((i + j)[None, :, :, None] - mean_x - mean_y) ** 3), (1, 2))[0]

    def gains(self) -> NDArray[np.float64]:
        """Returns HXY2 - HXY of each matrix."""
        p = self.matrices
        px, py = p.sum(2, keepdims=True), p.sum(1, keepdims=True)
        joint = -np.sum((px * py) * np.log2(px * py + EPSILON), (1, 2))
        return (joint + np.sum(p * np.log2(p + EPSILON), (1, 2)))[0]

    def informational_firsts(self) -> NDArray[np.float64]:
        """Returns Imc1 of each matrix."""
        p = self.matrices
        px, py = p.sum(2, keepdims=True), p.sum(1, keepdims=True)
        entropy = -np.sum(p * np.log2(p + EPSILON), (1, 2))
        entropy_x = -np.sum(px * np.log2(px + EPSILON), (1, 2))
        entropy_y = -np.sum(py * np.log2(py + EPSILON), (1, 2))
        cross = -np.sum(p * np.log2(px * py + EPSILON), (1, 2))
        wider = np.fmax(entropy_x, entropy_y)
        values = entropy - cross
        values[wider != 0] /= wider[wider != 0]
        values[wider == 0] = 0
        return values[0]

    def correlations(self, wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Returns the maximal correlation coefficient of the wanted matrices, from the unsymmetric eigenproblem."""
        # The marginals are summed over all matrices at once, as PyRadiomics does, before some are taken.
        px, py = (self.matrices.sum(axis, keepdims=True)[..., wanted] for axis in (2, 1))
        p = self.matrices[..., wanted]
        q = _quotient(p, px, py, 0)
        for gray in range(1, p.shape[1]):
            q += _quotient(p, px, py, gray)
        values = np.linalg.eigvals(q.transpose((0, 3, 1, 2)))
        values.sort()
        with np.errstate(invalid="ignore"):
            return np.real(np.sqrt(values[0, :, -2]))


def _quotient(
    p: NDArray[np.float64], px: NDArray[np.float64], py: NDArray[np.float64], gray: int
) -> NDArray[np.float64]:
    above = p[:, :, None, gray, :] * p[:, None, :, gray, :]
    below = px[:, :, None, 0, :] * py[:, None, :, gray, :] + EPSILON
    return above / below


def shades(found: NDArray[np.float64], tendencies: NDArray[np.float64], stock: StockMatrices) -> NDArray[np.float64]:
    """Returns the cluster shades, PyRadiomics's own where they have cancelled."""
    return stock.shades() if (np.abs(found) < CANCELLED * tendencies**1.5).any() else found


def informational_firsts(
    found: NDArray[np.float64], entropies: NDArray[np.float64], stock: StockMatrices
) -> NDArray[np.float64]:
    """Returns the Imc1, PyRadiomics's own where the marginal entropy it is divided by is next to nothing."""
    return stock.informational_firsts() if (entropies < NEARLY_FLAT).any() else found


def informational_seconds(gains: NDArray[np.float64], stock: StockMatrices) -> NDArray[np.float64]:
    """Returns Imc2 of each normalized matrix from HXY2 - HXY in bits.

    Source: PyRadiomics, RadiomicsGLCM.getImc2FeatureValue.
    """
    if (gains < WELL_DETERMINED).any():
        gains = stock.gains()
    with np.errstate(invalid="ignore"):
        values: NDArray[np.float64] = (1 - np.e ** (-2 * gains)) ** 0.5
    values[gains == 0] = 0
    return values


def maximal_correlations(matrices: NDArray[np.float64], stock: StockMatrices) -> NDArray[np.float64]:
    """Returns the maximal correlation coefficient of each normalized matrix, with PyRadiomics's epsilon.

    Args:
        matrices: Normalized matrices, shape (d, m, m), m > 1.
        stock: The same in PyRadiomics's layout.

    Source: PyRadiomics, RadiomicsGLCM.getMCCFeatureValue.
    """
    squared, unsure = second_correlations(matrices)
    found: NDArray[np.float64] = np.sqrt(squared)
    unsure |= squared < WELL_DETERMINED
    if unsure.any():
        found[unsure] = stock.correlations(unsure)
    return found
