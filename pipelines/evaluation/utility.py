"""Utility: what treating by the model would gain over treating everybody or nobody."""

from dataclasses import dataclass

import numpy as np

from pipelines.evaluation.estimates import Floats, Labels, percentile_band


@dataclass(frozen=True, kw_only=True)
class DecisionCurve:
    """Net benefit over threshold probabilities, each of shape (n_thresholds,). Treating nobody is 0 everywhere."""

    threshold: Floats
    net_benefit: Floats
    low: Floats
    high: Floats
    treat_all: Floats


def net_benefit(y: Labels, p: Floats, threshold: Floats, counts: Floats) -> Floats:
    """Returns true positives less false positives at the threshold's odds, per patient.

    A patient is treated when his probability reaches the threshold.

    Source: Vickers and Elkin 2006, Medical Decision Making 26:565.

    Args:
        y: Labels, shape (n,).
        p: Probabilities, shape (n,).
        threshold: Threshold probabilities below 1, shape (n_thresholds,).
        counts: How often each patient was drawn, shape (n_draws, n).

    Returns:
        Net benefit, shape (n_draws, n_thresholds).
    """
    treated = p[:, None] >= threshold[None, :]
    odds = threshold / (1 - threshold)
    worth = np.where(y[:, None] == 1, 1.0, -odds[None, :])
    return counts @ (treated * worth) / counts.sum(axis=1, keepdims=True)


def thresholds(low: float, high: float, step: float = 0.01) -> Floats:
    """Returns threshold probabilities from `low` to `high`, both included."""
    return np.linspace(low, high, max(round((high - low) / step), 1) + 1)


def decision_curve(y: Labels, p: Floats, threshold: Floats, counts: Floats, confidence: float) -> DecisionCurve:
    """Returns the decision curve with its pointwise bootstrap band.

    Args:
        y: Labels, shape (n,), at least one patient.
        p: Probabilities, shape (n,).
        threshold: Threshold probabilities, shape (n_thresholds,).
        counts: How often each patient was drawn, shape (n_draws, n).
        confidence: The band's pointwise confidence.
    """
    once = np.ones((1, len(y)))
    low, high = percentile_band(net_benefit(y, p, threshold, counts), confidence)
    return DecisionCurve(
        threshold=threshold,
        net_benefit=net_benefit(y, p, threshold, once)[0],
        low=low,
        high=high,
        treat_all=net_benefit(y, np.ones(len(y)), threshold, once)[0],
    )
