"""The filters that map each gray value by itself, scaled by the largest magnitude of the whole image.

numpy's own functions are called on the same types as PyRadiomics calls them, because a mapped value can lie on the
edge of a bin.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def _square(values: Values, largest: np.float64) -> Values:
    return ((1 / np.sqrt(largest)) * values) ** 2


def _square_root(values: Values, largest: np.float64) -> Values:
    return np.sign(values) * np.sqrt(np.abs(values) * largest)


def _logarithm(values: Values, largest: np.float64) -> Values:
    logs = np.sign(values) * np.log(np.abs(values) + 1)
    return logs * (largest / np.log(np.array([largest]) + 1)[0])


def _exponential(values: Values, largest: np.float64) -> Values:
    return np.exp(np.log(largest) / largest * values)


FILTERS: dict[str, tuple[str, Callable[[Values, np.float64], Values]]] = {
    "Square": ("square", _square),
    "SquareRoot": ("squareroot", _square_root),
    "Logarithm": ("logarithm", _logarithm),
    "Exponential": ("exponential", _exponential),
}


def mapped(image_type: str, values: NDArray[np.generic], largest: float) -> NDArray[np.float64]:
    """Returns mapped gray values.

    Args:
        image_type: Square, SquareRoot, Logarithm or Exponential.
        values: Gray values.
        largest: Largest magnitude in the whole image.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return FILTERS[image_type][1](values.astype(np.float64), np.float64(largest))
