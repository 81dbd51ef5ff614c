"""Recalibration of a model's probabilities on held-out training patients, so that 30 % means 30 %.

A search that maximizes the area under the ROC curve does not care whether probabilities are right: the best order of
patients often comes with a penalty so strong that all probabilities lie between 0.49 and 0.51. Two numbers mend that
and leave the order as it is.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from pipelines.evaluation.calibration import intercept, slope
from pipelines.models.base import Floats, Labels
from registry.arrays import MAX_INTERCEPT, MAX_SLOPE
from registry.predict import recalibrated

_CONFIDENCE = 0.95
"""Of intervals that the fit gives and nobody reads."""


@dataclass(frozen=True, kw_only=True)
class Recalibration:
    """What moves and stretches the log odds.

    Args:
        intercept: Is added.
        slope: Multiplies first; above 0.
        reason: Why the probabilities are left as they are, empty where they are not.
    """

    intercept: float = 0.0
    slope: float = 1.0
    reason: str = ""

    @property
    def coefficients(self) -> Floats:
        """Intercept and slope, shape (2,)."""
        return np.array([self.intercept, self.slope])

    def apply(self, p: Floats) -> Floats:
        """Returns recalibrated probabilities for ones within 0 and 1, any shape."""
        return recalibrated(logit(p), self.coefficients)


def fit_recalibration(y: Labels, p: Floats) -> Recalibration:
    """Returns the logistic regression of the label on the log odds, or the identity with the reason for it.

    The identity is kept where the probabilities are all the same, order the patients the wrong way round, separate the
    classes completely (no finite slope exists), or are so much alike that a slope would stretch rounding.

    Slope first, then the intercept with the slope held: that is the maximum of both together.

    Source: Cox 1958, Biometrika 45:562.

    Args:
        y: Labels, shape (n,).
        p: Held-out probabilities within 0 and 1, shape (n,) or one column a repeat.
    """
    x = logit(p.reshape(len(y), -1))
    labels, x = np.repeat(y, x.shape[1]), x.ravel()
    found = slope(labels, p.ravel(), _CONFIDENCE)
    if found.value is None:
        return Recalibration(reason=found.reason)
    if not 0 < found.value <= MAX_SLOPE:
        alike = "the probabilities are too much alike"
        wrong = "the probabilities order held-out patients the wrong way round"
        return Recalibration(reason=alike if found.value > 0 else wrong)
    middle = float(x.mean())  # about the mean, nothing is pushed to where probabilities are cut off
    level = intercept(labels, recalibrated(x, np.array([-found.value * middle, found.value])), _CONFIDENCE)
    if level.value is None or abs(level.value - found.value * middle) > MAX_INTERCEPT:
        return Recalibration(reason=level.reason or "the probabilities lie too near to 0 or 1")
    return Recalibration(intercept=level.value - found.value * middle, slope=found.value)
