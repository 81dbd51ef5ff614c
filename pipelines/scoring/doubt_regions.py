"""Doubt from the outlined region: of a shape that no development region had, or in images whose phases look swapped."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SHAPE, SWAPPED = "shape", "phases_swapped"
LEAST_VALUES = 10
"""Development values below which neither their spread nor their ends are known."""

ROBUST_SD = 4.0
BEYOND_RANGE = 0.25
"""A shape is strange when its logarithm lies both this many robust standard deviations from the development's median
and beyond the development's ends by this share of their range: sizes have long tails."""

IQR_OF_NORMAL = 1.349
SWAPPED_LOG_RATIO = 5.0
"""So much likelier the phases must be the other way round. Of unswapped cases whose two phases are Gaussian fewer than
1 of 1,000 ring, however far apart these are; of swapped ones 7 of 10 at three standard deviations, and 9 at four."""

LIKE_THE_OTHER = 4.0
"""And each value must lie within so many robust standard deviations of the other phase's median."""

TAIL_DEGREES = 8
"""Of Student's distribution, whose tails keep one strange value from deciding."""

MEASURES = ("original_firstorder_Mean", "original_firstorder_90Percentile", "image_mean", "image_max")
"""What contrast changes: the region, and the whole image."""

_SHAPE = "original_shape_"

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def strange_shapes(values: pd.DataFrame, reference: Mapping[str, Floats]) -> Mask:
    """Returns which patients have a region of a shape far outside, shape (n,).

    Args:
        values: One row a patient; columns named as in the reference.
        reference: Development values, rising, by `<phase>.<feature>`.
    """
    strange = np.zeros(len(values), dtype=bool)
    for name, known in reference.items():
        if name in values and (_SHAPE in name or name.endswith(".volume_ml")):
            strange |= _far_outside(values[name].to_numpy(np.float64), known)
    return strange


def _far_outside(values: Floats, known: Floats) -> Mask:
    if len(known) < LEAST_VALUES or known[0] <= 0:
        return np.zeros(len(values), dtype=bool)
    with np.errstate(all="ignore"):
        told, logs = np.log(known), np.log(values)
    spread = _spread(told)
    if spread == 0:
        return np.zeros(len(values), dtype=bool)
    margin = BEYOND_RANGE * (told[-1] - told[0])
    outside = (logs < told[0] - margin) | (logs > told[-1] + margin)
    return outside & (np.abs(logs - np.median(told)) > ROBUST_SD * spread)


def swapped_phases(values: pd.DataFrame, reference: Mapping[str, Floats]) -> Mask:
    """Returns which patients' phases look like each other's, shape (n,).

    Args:
        values: One row a patient; columns named as in the reference.
        reference: Development values, rising, by `<phase>.<measure>`.
    """
    swapped = np.zeros(len(values), dtype=bool)
    for measure in MEASURES:
        known = {
            name.partition(".")[0]: told
            for name, told in reference.items()
            if name.partition(".")[2] == measure and name in values and len(told) >= LEAST_VALUES
        }
        for one, other in combinations(sorted(known), 2):
            first, second = (values[f"{phase}.{measure}"].to_numpy(np.float64) for phase in (one, other))
            swapped |= _looks_swapped(first, second, known[one], known[other])
    return swapped


def _looks_swapped(first: Floats, second: Floats, of_first: Floats, of_second: Floats) -> Mask:
    own = _log_density(first, of_first) + _log_density(second, of_second)
    other = _log_density(first, of_second) + _log_density(second, of_first)
    likely = np.nan_to_num(other - own, nan=-np.inf) > SWAPPED_LOG_RATIO
    return likely & _is_near(first, of_second) & _is_near(second, of_first)


def _log_density(values: Floats, known: Floats) -> Floats:
    spread = _spread(known)
    if spread == 0:
        return np.full(len(values), np.nan)
    from scipy.stats import t

    return np.asarray(t.logpdf((values - np.median(known)) / spread, TAIL_DEGREES) - np.log(spread))


def _is_near(values: Floats, known: Floats) -> Mask:
    return np.asarray(np.abs(values - np.median(known)) <= LIKE_THE_OTHER * _spread(known))


def _spread(known: Floats) -> float:
    low, high = np.quantile(known, [0.25, 0.75])
    return float(high - low) / IQR_OF_NORMAL
