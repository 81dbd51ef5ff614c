"""Curves over all thresholds: ROC and precision–recall, each with a pointwise bootstrap band."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.estimates import Floats, Labels, percentile_band


@dataclass(frozen=True, kw_only=True)
class RocCurve:
    """The empirical ROC curve, each of shape (n_points,); the band is of the true-positive rate at that rate."""

    threshold: Floats
    fpr: Floats
    tpr: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, kw_only=True)
class PrecisionRecallCurve:
    """The empirical precision–recall curve, each of shape (n_points,); the band is of precision at that recall."""

    threshold: Floats
    recall: Floats
    precision: Floats
    low: Floats
    high: Floats


def roc_curve(y: Labels, p: Floats, counts: Floats, confidence: float) -> RocCurve:
    """Returns the ROC curve from (0, 0) to (1, 1), corners only, of a cohort with both classes.

    Args:
        y: Labels, shape (n,).
        p: Probabilities, shape (n,).
        counts: How often each patient was drawn, shape (n_draws, n).
        confidence: The band's pointwise confidence.
    """
    scores, hits, false_alarms = _cumulative(y, p, np.ones((1, len(y))))
    tpr, fpr = hits[0] / hits[0, -1], false_alarms[0] / false_alarms[0, -1]
    corner = _corners(fpr, tpr)
    low, high = percentile_band(_roc_draws(y, p, counts, fpr[corner]), confidence)
    return RocCurve(threshold=scores[corner], fpr=fpr[corner], tpr=tpr[corner], low=low, high=high)


def precision_recall_curve(y: Labels, p: Floats, counts: Floats, confidence: float) -> PrecisionRecallCurve:
    """Returns the precision–recall curve of a cohort with both classes, recall ascending.

    Args:
        y: Labels, shape (n,).
        p: Probabilities, shape (n,).
        counts: How often each patient was drawn, shape (n_draws, n).
        confidence: The band's pointwise confidence.
    """
    scores, hits, false_alarms = (part[..., 1:] for part in _cumulative(y, p, np.ones((1, len(y)))))
    recall, precision = hits[0] / hits[0, -1], hits[0] / (hits[0] + false_alarms[0])
    low, high = percentile_band(_precision_draws(y, p, counts, recall), confidence)
    return PrecisionRecallCurve(threshold=scores, recall=recall, precision=precision, low=low, high=high)


def _cumulative(y: Labels, p: Floats, counts: Floats) -> tuple[Floats, Floats, Floats]:
    """Returns descending scores from infinity on, and true and false positives from each on, per draw."""
    order = np.argsort(-p, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(p[order]) != 0])
    weights = counts[:, order]
    hits = np.cumsum(np.add.reduceat(weights * (y[order] == 1), starts, axis=1), axis=1)
    false_alarms = np.cumsum(np.add.reduceat(weights * (y[order] == 0), starts, axis=1), axis=1)
    zero = np.zeros((len(counts), 1))
    return np.r_[np.inf, p[order][starts]], np.hstack([zero, hits]), np.hstack([zero, false_alarms])


def _corners(fpr: Floats, tpr: Floats) -> NDArray[np.intp]:
    """Returns the indices of the points where the curve turns; those on a straight line are left out."""
    turn = np.abs(np.diff(fpr)[:-1] * np.diff(tpr)[1:] - np.diff(fpr)[1:] * np.diff(tpr)[:-1]) > 1e-12
    return np.flatnonzero(np.r_[True, turn, True])


def _roc_draws(y: Labels, p: Floats, counts: Floats, at: Floats) -> Floats:
    _, hits, false_alarms = _cumulative(y, p, counts)
    drawn = np.full((len(counts), len(at)), np.nan)
    for row in np.flatnonzero((hits[:, -1] > 0) & (false_alarms[:, -1] > 0)):
        drawn[row] = np.interp(at, false_alarms[row] / false_alarms[row, -1], hits[row] / hits[row, -1])
    return drawn


def _precision_draws(y: Labels, p: Floats, counts: Floats, at: Floats) -> Floats:
    _, hits, false_alarms = (part[..., 1:] for part in _cumulative(y, p, counts))
    called = hits + false_alarms
    precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
    drawn = np.full((len(counts), len(at)), np.nan)
    for row in np.flatnonzero(hits[:, -1] > 0):
        first = np.searchsorted(hits[row] / hits[row, -1], at - 1e-12)
        drawn[row] = precision[row, np.minimum(first, precision.shape[1] - 1)]
    return drawn
