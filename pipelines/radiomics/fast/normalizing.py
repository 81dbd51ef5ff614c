"""Normalization of gray values by mean and standard deviation of the whole image, as ITK computes it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """How gray values are normalized.

    Args:
        mean: Mean of the whole image.
        sd: Its standard deviation, with divisor n - 1.
        scale: Factor afterwards (`normalizeScale`).
        outliers: Values beyond so many standard deviations are set to them (`removeOutliers`), or None.
    """

    mean: float
    sd: float
    scale: float
    outliers: float | None

    def apply(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Returns normalized values."""
        normalized = (values.astype(np.float64) + (-self.mean)) * (1 / self.sd)
        if self.outliers is not None:
            normalized = np.clip(normalized, -self.outliers, self.outliers)
        return normalized * self.scale
