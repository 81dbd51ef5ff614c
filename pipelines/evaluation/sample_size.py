"""How many patients a model of so many parameters needs: Riley's three criteria for a binary outcome.

Source: Riley et al. 2019, Statistics in Medicine 38:1276; Riley et al. 2020, BMJ 368:m441, figure 1.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import log_expit, logit, ndtri

from pipelines.evaluation.estimates import Floats

SHRINKAGE = 0.9
"""The least shrinkage that a model should need: more than a tenth off is overfitting."""

OPTIMISM = 0.05
"""The largest tolerable optimism of Nagelkerke's R²."""

MARGIN = 0.05
"""How precisely the overall risk should be known."""

EXPECTED_NAGELKERKE = 0.15
"""What a model may be expected to explain when nothing is known of it, as Riley et al. 2020 advise."""

QUADRATURE_POINTS = 4001


@dataclass(frozen=True, kw_only=True)
class SampleSize:
    """What the criteria ask for.

    Args:
        r2: The expected Cox–Snell R².
        r2_maximum: The largest that this share of events allows.
        shrinkage: Patients for a shrinkage of at least 0.9.
        optimism: Patients for an optimism in R² of at most 0.05.
        intercept: Patients for the overall risk to within 0.05.
        optimism_shrinkage: The shrinkage that goes with the second criterion.
    """

    r2: float
    r2_maximum: float
    shrinkage: int
    optimism: int
    intercept: int
    optimism_shrinkage: float

    @property
    def needed(self) -> int:
        """The patients that satisfy all three."""
        return max(self.shrinkage, self.optimism, self.intercept)

    @property
    def nagelkerke(self) -> float:
        """The expected R² as a share of the largest possible one."""
        return self.r2 / self.r2_maximum


def maximum_r2(prevalence: float) -> float:
    """Returns the largest Cox–Snell R² at a share of events (Riley et al. 2019, equation 23)."""
    null = prevalence * math.log(prevalence) + (1 - prevalence) * math.log(1 - prevalence)
    return 1 - math.exp(2 * null)


def sample_size(r2: float, parameters: int, prevalence: float) -> SampleSize:
    """Returns how many patients a logistic model needs.

    Args:
        r2: The expected Cox–Snell R², above 0 and below the largest possible.
        parameters: Candidate parameters, whether or not they stay in the model.
        prevalence: The share of events.
    """
    largest = maximum_r2(prevalence)
    second = r2 / (r2 + OPTIMISM * largest)
    return SampleSize(
        r2=r2,
        r2_maximum=largest,
        shrinkage=_for_shrinkage(r2, parameters, SHRINKAGE),
        optimism=_for_shrinkage(r2, parameters, second),
        intercept=math.ceil((1.96 / MARGIN) ** 2 * prevalence * (1 - prevalence)),
        optimism_shrinkage=second,
    )


def expected_shrinkage(r2: float, parameters: int, n: int) -> float:
    """Returns the shrinkage to expect of a model fitted on n patients: the share of its slope that is not chance.

    It solves the first criterion for the shrinkage, by halving the interval; 0 where chance explains all.
    """
    low, high = r2 + 1e-12, 1 - 1e-12
    if _patients(r2, parameters, low) > n:
        return 0.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _patients(r2, parameters, middle) <= n else (low, middle)
    return low


def r2_from_area(area: float, prevalence: float) -> float:
    """Returns the Cox–Snell R² that goes with an area under the ROC curve.

    The linear predictor is taken as normal in both classes with one variance, which makes the logistic model exact;
    the expected log likelihood follows by quadrature where the source simulates.

    Source: Riley et al. 2021, Statistics in Medicine 40:859.

    Args:
        area: The area, at least 0.5 and below 1.
        prevalence: The share of events.
    """
    distance = math.sqrt(2) * float(ndtri(area))
    at = np.linspace(-9.0, 9.0 + distance, QUADRATURE_POINTS)
    odds = logit(prevalence) + distance * at - distance**2 / 2
    fitted = prevalence * _mean(log_expit(odds), at, distance) + (1 - prevalence) * _mean(log_expit(-odds), at, 0.0)
    null = prevalence * math.log(prevalence) + (1 - prevalence) * math.log(1 - prevalence)
    return 1 - math.exp(2 * (null - fitted))


def _mean(values: Floats, at: Floats, center: float) -> float:
    from scipy.stats import norm

    return float(np.trapezoid(values * norm.pdf(at - center), at))


def _patients(r2: float, parameters: int, shrinkage: float) -> float:
    return parameters / ((shrinkage - 1) * math.log1p(-r2 / shrinkage))


def _for_shrinkage(r2: float, parameters: int, shrinkage: float) -> int:
    return math.ceil(_patients(r2, parameters, shrinkage))
