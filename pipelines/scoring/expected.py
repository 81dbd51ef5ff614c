"""What performance to expect before any label is there, from the probabilities alone.

If probabilities are right, a case given 0.8 has the outcome eight times in ten; so the number of positives, the Brier
score and the area under the curve follow from the probabilities of the cases at hand. It is an estimate that assumes
calibration holds at this hospital, which nothing but labels can show; where the hospital's cases are unlike those of
the development it is worth nothing, and is not given.

Source: Białek et al. 2024, arXiv:2401.08348 (confidence-based performance estimation); Guillory et al. 2021, ICCV,
p. 1134 (predicting with confidence on unseen distributions).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.estimates import Estimate, Floats, absent, percentile

CONFIDENCE = 0.95
N_DRAWS = 500
ASSUMES = "an estimate from the probabilities alone; it assumes that calibration holds at this hospital"
TOO_FEW, DRIFTED = "too_few", "drift"


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the probabilities promise.

    Args:
        n: Cases.
        auc: The area under the curve that labels drawn from the probabilities would show.
        brier: The Brier score.
        positives: How many cases have the outcome.
        off: Why nothing is promised: `too_few` or `drift`; empty where it is.
        reason: The same in words.
    """

    n: int
    auc: Estimate
    brier: Estimate
    positives: Estimate
    off: str = ""
    reason: str = ""

    def plain(self) -> dict[str, object]:
        """Returns JSON types; the note says what the numbers rest on."""
        told = {"n": self.n, "note": ASSUMES, "off": self.off, "reason": self.reason}
        numbers = {"auc": self.auc, "brier": self.brier, "positives": self.positives}
        return {**told, **{key: value for name, one in numbers.items() for key, value in one.columns(name).items()}}


def expected_performance(p: Floats, minimum: int, *, has_drifted: bool = False, seed: int = 0) -> Expected:
    """Returns what to expect of these cases' scores, with intervals over drawn cases and drawn labels.

    Args:
        p: Current probabilities, shape (n,).
        minimum: With fewer cases nothing is promised.
        has_drifted: Whether the drift alarm of this hospital rings.
        seed: Of the draws.
    """
    n = len(p)
    if has_drifted:
        return _off(n, DRIFTED, "the hospital's cases are unlike those of the development, so calibration may not hold")
    if n < max(minimum, 1):
        return _off(n, TOO_FEW, f"{n} cases; {minimum} are asked for")
    ordered = np.sort(p)
    drawn = _draws(ordered, np.random.default_rng([seed, n]))
    values = (expected_auc(ordered), float((p * (1 - p)).mean()), float(p.sum()))
    if not np.isfinite(values[0]):
        area = absent("the probabilities allow one class only")
    else:
        area = percentile(values[0], drawn[0], CONFIDENCE)
    brier, positives = (percentile(value, row, CONFIDENCE) for value, row in zip(values[1:], drawn[1:], strict=True))
    return Expected(n=n, auc=area, brier=brier, positives=positives)


def expected_auc(p: Floats) -> float:
    """Returns the area in which each pair of two cases counts with its chance of being a positive and a negative.

    Args:
        p: Probabilities in ascending order, shape (n,).
    """
    starts = _starts(p)
    positive, negative = np.add.reduceat(p, starts), np.add.reduceat(1 - p, starts)
    below = np.cumsum(negative) - negative
    with_itself = float((p * (1 - p)).sum())
    pairs = float(p.sum() * (1 - p).sum()) - with_itself
    # a case is no pair with itself; among the ties of one score it would have counted half
    won = float((positive * (below + negative / 2)).sum()) - with_itself / 2
    return won / pairs if pairs > 0 else float("nan")


def _draws(p: Floats, rng: np.random.Generator) -> Floats:
    """Returns area, Brier score and positives of drawn cases with drawn labels, shape (3, n_draws)."""
    starts = _starts(p)
    found = np.empty((3, N_DRAWS))
    for draw in range(N_DRAWS):
        count = np.bincount(rng.integers(len(p), size=len(p)), minlength=len(p))
        ill = rng.binomial(count, p)
        positive, negative = np.add.reduceat(ill, starts), np.add.reduceat(count - ill, starts)
        pairs = int(positive.sum()) * int(negative.sum())
        won = float((positive * (np.cumsum(negative) - negative / 2)).sum())
        error = float((ill * (1 - p) ** 2 + (count - ill) * p**2).sum()) / len(p)
        found[:, draw] = won / pairs if pairs else np.nan, error, ill.sum()
    return found


def _starts(p: Floats) -> NDArray[np.intp]:
    return np.flatnonzero(np.r_[True, np.diff(p) != 0])


def _off(n: int, code: str, reason: str) -> Expected:
    none = absent(reason)
    return Expected(n=n, auc=none, brier=none, positives=none, off=code, reason=reason)
