"""Areas under the ROC curve in groups of patients, such as centers, and how far the groups differ beyond chance.

Areas are pooled on the logit scale by a random-effects model: tau² by Paule and Mandel, interval by Hartung and Knapp.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, expit, logit

from pipelines.evaluation.estimates import Estimate, Floats, z_value

MINIMUM_FOR_PREDICTION = 3
"""With fewer groups nothing can be said of the next one."""


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """What several independent estimates say together.

    Args:
        k: How many estimates.
        mean: Their random-effects mean with its interval.
        prediction: Between which limits the true value of a new group lies; no value of its own.
        tau2: The variance between groups.
        q: Cochran's Q.
        i2: The share of the spread that chance does not explain, 0 to 1.
        p_value: Of the hypothesis that all groups have one true value.
    """

    k: int
    mean: Estimate
    prediction: Estimate
    tau2: float
    q: float
    i2: float
    p_value: float


def pool(values: Floats, variances: Floats, confidence: float) -> Pooled | None:
    """Pools independent estimates by a random-effects model; fewer than two cannot be pooled.

    The variance factor of Hartung and Knapp is not let below 1, so that the interval is never shorter than the
    one without heterogeneity.

    Source: Paule and Mandel 1982, Journal of Research of the NBS 87:377; Hartung and Knapp 2001, Statistics in
    Medicine 20:3875; the floor, Röver et al. 2015, BMC Medical Research Methodology 15:99; I², Higgins and Thompson
    2002, Statistics in Medicine 21:1539; the prediction interval, Higgins et al. 2009, JRSS A 172:137.

    Args:
        values: The estimates, shape (k,).
        variances: Their sampling variances, shape (k,).
        confidence: The intervals' confidence.
    """
    k = len(values)
    if k < 2:
        return None
    q = _spread(values, variances, 0.0)
    tau2 = _paule_mandel(values, variances)
    weights = 1 / (variances + tau2)
    mean = float(weights @ values / weights.sum())
    factor = max(_spread(values, variances, tau2) / (k - 1), 1.0)
    error = float(np.sqrt(factor / weights.sum()))
    half = _t_value(confidence, k - 1) * error
    return Pooled(
        k=k,
        mean=Estimate(value=mean, low=mean - half, high=mean + half),
        prediction=_prediction(mean, error, tau2, k, confidence),
        tau2=tau2,
        q=q,
        i2=max((q - (k - 1)) / q, 0.0) if q > 0 else 0.0,
        p_value=float(chdtrc(k - 1, q)),
    )


def pool_areas(areas: Sequence[Estimate], confidence: float) -> Pooled | None:
    """Pools areas under the ROC curve on the logit scale and gives means and limits back as areas.

    An area of 0 or 1, or one without an interval, has no logit and no variance there; it is left out.

    Source: Snell et al. 2018, Statistical Methods in Medical Research 27:3505 (logit of the c-statistic).

    Args:
        areas: Independent areas with DeLong's intervals.
        confidence: Of these intervals and of the result's.
    """
    values, variances = logit_areas(areas, confidence)
    found = pool(values, variances, confidence)
    if found is None:
        return None
    return Pooled(
        k=found.k,
        mean=_as_area(found.mean),
        prediction=_as_area(found.prediction),
        tau2=found.tau2,
        q=found.q,
        i2=found.i2,
        p_value=found.p_value,
    )


def logit_areas(areas: Sequence[Estimate], confidence: float) -> tuple[Floats, Floats]:
    """Returns logits and their variances of the areas that have both, by the delta method."""
    found = []
    for area in areas:
        if area.value is None or area.low is None or area.high is None or not 0 < area.value < 1:
            continue
        # an interval that was cut at 0 or 1 is measured on its other side
        half = max(area.value - area.low, area.high - area.value)
        if half > 0:
            error = half / z_value(confidence) / (area.value * (1 - area.value))
            found.append((float(logit(area.value)), error**2))
    table = np.array(found, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _spread(values: Floats, variances: Floats, tau2: float) -> float:
    weights = 1 / (variances + tau2)
    return float(weights @ (values - weights @ values / weights.sum()) ** 2)


def _paule_mandel(values: Floats, variances: Floats) -> float:
    """Returns the variance between groups at which the weighted spread is what chance alone gives."""
    from scipy.optimize import brentq

    expected = len(values) - 1
    if _spread(values, variances, 0.0) <= expected:
        return 0.0
    # a variance above the raw squared spread leaves less than 1 a group
    top = float(((values - values.mean()) ** 2).sum())
    return float(brentq(lambda tau2: _spread(values, variances, tau2) - expected, 0.0, top, xtol=1e-14, rtol=1e-14))


def _prediction(mean: float, error: float, tau2: float, k: int, confidence: float) -> Estimate:
    if k < MINIMUM_FOR_PREDICTION:
        return Estimate(reason=f"{k} groups; a prediction needs {MINIMUM_FOR_PREDICTION}")
    half = _t_value(confidence, k - 2) * float(np.sqrt(tau2 + error**2))
    return Estimate(low=mean - half, high=mean + half)


def _t_value(confidence: float, degrees: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.5 + confidence / 2, degrees))


def _as_area(found: Estimate) -> Estimate:
    value, low, high = (None if end is None else float(expit(end)) for end in (found.value, found.low, found.high))
    return Estimate(value=value, low=low, high=high, reason=found.reason)
