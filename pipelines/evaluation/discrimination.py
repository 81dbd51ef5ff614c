"""Discrimination: does a patient with the outcome get the higher probability?

The area under the ROC curve comes with DeLong's interval. A perfect or a wholly wrong ranking has no DeLong variance;
there Newcombe's interval is given, which has a width. Paired models are compared by DeLong's test.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from pipelines.evaluation.estimates import (
    Estimate,
    Floats,
    Labels,
    absent,
    class_problem,
    percentile,
    resample_counts,
    z_value,
)

VARIANCE_FLOOR = 1e-12
"""A DeLong variance below this is rounding: the ranking is perfect, or two models rank alike."""

BLOCK_NUMBERS = 2_000_000
"""Draws are worked off in blocks of so many numbers: 16 MB, however large the cohort."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models on the same patients.

    Args:
        n: The patients both were judged on.
        events: Those with the outcome.
        auc_a: The first model's area.
        auc_b: The second model's area.
        difference: First minus second.
        p_value: DeLong's two-sided p-value.
        reason: Why there is no test.
    """

    n: int
    events: int
    auc_a: float | None = None
    auc_b: float | None = None
    difference: Estimate = field(default_factory=Estimate)
    p_value: float | None = None
    reason: str = ""


def placements(y: Labels, p: Floats) -> tuple[Floats, Floats]:
    """Returns for each positive the share of negatives below it, and for each negative the share of positives above.

    Ties count half. The mean of either is the area under the curve.

    Source: DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44:837; computed from midranks as in Sun and Xu 2014,
    IEEE Signal Processing Letters 21:1389.
    """
    from scipy.stats import rankdata

    positive, negative = p[y == 1], p[y == 0]
    ranks = rankdata(np.concatenate([positive, negative]))
    m, n = len(positive), len(negative)
    above = (ranks[:m] - rankdata(positive)) / n
    below = 1 - (ranks[m:] - rankdata(negative)) / m
    return above, below


def auc(y: Labels, p: Floats) -> float:
    """Returns the area under the ROC curve, NaN with one class."""
    return float("nan") if class_problem(y) else float(placements(y, p)[0].mean())


def fold_placements(y: Labels, p: Floats, fold: NDArray[np.integer]) -> tuple[Floats, Floats]:
    """Returns placements that compare patients within their fold only, scaled so that their means are the area.

    Each fold's model has its own scale, and its predictions lean against the classes it was short of, so that pairs
    across folds pull a pooled area below 0.5 when there is nothing to find. Pairs within a fold share one model.

    Source: Forman and Scholz 2010, SIGKDD Explorations 12:49; Airola et al. 2011, Computational Statistics & Data
    Analysis 55:1828.

    Args:
        y: Labels, shape (n,).
        p: Out-of-fold probabilities of one repeat, shape (n,).
        fold: The fold in which each patient was held out, shape (n,).
    """
    above, below = np.zeros(len(y)), np.zeros(len(y))
    pairs = 0
    for number in np.unique(fold):
        held = np.flatnonzero(fold == number)
        if class_problem(y[held]):
            continue
        positive, negative = held[y[held] == 1], held[y[held] == 0]
        share_above, share_below = placements(y[held], p[held])
        above[positive], below[negative] = share_above * len(negative), share_below * len(positive)
        pairs += len(positive) * len(negative)
    scale = np.nan if pairs == 0 else 1 / pairs
    return above[y == 1] * (y == 1).sum() * scale, below[y == 0] * (y == 0).sum() * scale


def auc_estimate(y: Labels, p: Floats, confidence: float) -> Estimate:
    """Returns the area under the ROC curve with DeLong's interval, clipped to 0–1."""
    if problem := class_problem(y):
        return absent(problem)
    return _from_placements(*placements(y, p), confidence)


def fold_auc_estimate(y: Labels, p: Floats, fold: NDArray[np.integer], confidence: float) -> Estimate:
    """Returns the cross-validated area: pairs within folds, averaged over repeats, with an interval over patients.

    The interval treats patients as independent; that the folds' models share training patients is not in it.

    Args:
        y: Labels, shape (n,).
        p: Out-of-fold probabilities, one column a repeat, shape (n, n_repeats).
        fold: The fold in which each patient was held out, shape (n, n_repeats).
        confidence: The interval's confidence.
    """
    if problem := class_problem(y):
        return absent(problem)
    repeats = [fold_placements(y, p[:, r], fold[:, r]) for r in range(p.shape[1])]
    above = np.mean([r[0] for r in repeats], axis=0)
    below = np.mean([r[1] for r in repeats], axis=0)
    if not np.isfinite(above).all():
        return absent("no fold holds both classes")
    return _from_placements(above, below, confidence)


def delong_test(y: Labels, p_a: Floats, p_b: Floats, confidence: float) -> Comparison:
    """Compares two models on the same patients by DeLong's test.

    Args:
        y: Labels, shape (n,).
        p_a: The first model's probabilities, shape (n,).
        p_b: The second model's probabilities, shape (n,).
        confidence: The confidence of the difference's interval.
    """
    n, events = len(y), int(y.sum())
    if problem := class_problem(y):
        return Comparison(n=n, events=events, reason=problem, difference=absent(problem))
    (above_a, below_a), (above_b, below_b) = placements(y, p_a), placements(y, p_b)
    found = Comparison(n=n, events=events, auc_a=float(above_a.mean()), auc_b=float(above_b.mean()))
    difference = float(above_a.mean() - above_b.mean())
    variance = _variance(above_a - above_b, below_a - below_b)
    if not variance > VARIANCE_FLOOR:
        reason = "too few patients for a variance" if difference else "both rank the patients alike"
        return replace(found, difference=Estimate(value=difference, reason=reason), reason=reason)
    error = float(np.sqrt(variance))
    half = z_value(confidence) * error
    estimate = Estimate(value=difference, low=difference - half, high=difference + half)
    return replace(found, difference=estimate, p_value=float(2 * ndtr(-abs(difference) / error)))


def bootstrap_auc(y: Labels, p: Floats, counts: Floats, confidence: float) -> Estimate:
    """Returns the area with its bootstrap percentile interval.

    Args:
        y: Labels, shape (n,).
        p: Probabilities, shape (n,).
        counts: How often each patient was drawn, shape (n_draws, n).
        confidence: The interval's confidence.
    """
    if problem := class_problem(y):
        return absent(problem)
    return percentile(auc(y, p), weighted_auc(y, p, counts), confidence)


def weighted_auc(y: Labels, p: Floats, counts: Floats) -> Floats:
    """Returns the area on each bootstrap draw, NaN where a draw has one class, shape (n_draws,)."""
    rows = max(BLOCK_NUMBERS // max(len(y), 1), 1)
    parts = [_pairs_won(y, p, counts[start : start + rows]) for start in range(0, len(counts), rows)]
    return _share(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def drawn_auc(y: Labels, p: Floats, n_draws: int, rng: np.random.Generator) -> Floats:
    """Returns the same as `weighted_auc` of that many draws, which are never all in memory, shape (n_draws,)."""
    rows = max(BLOCK_NUMBERS // max(len(y), 1), 1)
    blocks = [min(rows, n_draws - start) for start in range(0, n_draws, rows)]
    return np.concatenate([weighted_auc(y, p, resample_counts(len(y), block, rng)) for block in blocks])


def bootstrap_fold_auc(y: Labels, p: Floats, fold: NDArray[np.integer], counts: Floats, confidence: float) -> Estimate:
    """Returns the cross-validated area with its bootstrap percentile interval; the models are not fitted again.

    Args:
        y: Labels, shape (n,).
        p: Out-of-fold probabilities, one column a repeat, shape (n, n_repeats).
        fold: The fold in which each patient was held out, shape (n, n_repeats).
        counts: How often each patient was drawn, shape (n_draws, n).
        confidence: The interval's confidence.
    """
    found = fold_auc_estimate(y, p, fold, confidence)
    if found.value is None:
        return found
    won, pairs = np.zeros(len(counts)), np.zeros(len(counts))
    for repeat in range(p.shape[1]):
        for number in np.unique(fold[:, repeat]):
            held = np.flatnonzero(fold[:, repeat] == number)
            of_fold = _pairs_won(y[held], p[held, repeat], counts[:, held])
            won, pairs = won + of_fold[0], pairs + of_fold[1]
    return percentile(found.value, _share(won, pairs), confidence)


def _pairs_won(y: Labels, p: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Returns per draw in how many pairs the positive has the higher score, ties half, and how many pairs there are."""
    positive, negative = _weights_by_score(y, p, counts)
    below = np.cumsum(negative, axis=1) - negative
    return (positive * (below + negative / 2)).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1)


def _share(won: Floats, pairs: Floats) -> Floats:
    return np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)


def average_precision(y: Labels, p: Floats, counts: Floats, confidence: float) -> Estimate:
    """Returns the average precision with its bootstrap percentile interval.

    It is the sum of precision times gain in recall over the distinct thresholds, without interpolation.

    Args:
        y: Labels, shape (n,).
        p: Probabilities, shape (n,).
        counts: How often each patient was drawn, shape (n_draws, n).
        confidence: The interval's confidence.
    """
    if problem := class_problem(y):
        return absent(problem)
    value = _weighted_average_precision(y, p, np.ones((1, len(y))))[0]
    return percentile(float(value), _weighted_average_precision(y, p, counts), confidence)


def _weighted_average_precision(y: Labels, p: Floats, counts: Floats) -> Floats:
    positive, negative = (part[:, ::-1] for part in _weights_by_score(y, p, counts))
    hits = np.cumsum(positive, axis=1)
    called = hits + np.cumsum(negative, axis=1)
    precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
    total = hits[:, -1]
    summed = (precision * positive).sum(axis=1)
    return np.divide(summed, total, out=np.full(len(total), np.nan), where=total > 0)


def _weights_by_score(y: Labels, p: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Returns the weight of positives and of negatives at each distinct score, ascending, shape (n_draws, n_scores)."""
    order = np.argsort(p, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(p[order]) != 0])
    sorted_counts = counts[:, order]
    positive = np.add.reduceat(sorted_counts * (y[order] == 1), starts, axis=1)
    return positive, np.add.reduceat(sorted_counts, starts, axis=1) - positive


def _variance(above: Floats, below: Floats) -> float:
    if min(len(above), len(below)) < 2:
        return float("nan")
    return float(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below))


def _from_placements(above: Floats, below: Floats, confidence: float) -> Estimate:
    area = float(above.mean())
    variance = _variance(above, below)
    if not variance > VARIANCE_FLOOR:
        low, high = newcombe_interval(area, len(above), len(below), confidence)
        return Estimate(value=area, low=low, high=high)
    half = z_value(confidence) * float(np.sqrt(variance))
    return Estimate(value=area, low=max(area - half, 0.0), high=min(area + half, 1.0))


def newcombe_interval(area: float, n_positive: int, n_negative: int, confidence: float) -> tuple[float, float]:
    """Returns a score-type interval for an area, which has a width even at 0 and 1.

    Source: Newcombe 2006, Statistics in Medicine 25:559, method 5 (Hanley and McNeil's variance at the limit itself,
    both sizes in it replaced by their mean less one).
    """
    from scipy.optimize import brentq

    z = z_value(confidence)
    extra = (n_positive + n_negative) / 2 - 1

    def excess(limit: float) -> float:
        spread = limit * (1 - limit) * (1 + extra * ((1 - limit) / (2 - limit) + limit / (1 + limit)))
        return (area - limit) ** 2 - z**2 * spread / (n_positive * n_negative)

    low = 0.0 if area <= 0 else float(brentq(excess, 0.0, area - 1e-12))
    high = 1.0 if area >= 1 else float(brentq(excess, area + 1e-12, 1.0))
    return low, high
