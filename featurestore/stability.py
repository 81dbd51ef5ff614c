"""How well a feature survives a second reader: intraclass correlation, and columns that say the same thing twice.

Nothing here sees a label. Both filters are fitted on the rows of a training fold and give column numbers.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import InputError

Floats = NDArray[np.float64]
Kind = Literal["icc2", "icc3"]
Bound = Literal["estimate", "low"]

GOOD_AGREEMENT = 0.75
"""From here on reliability is called good. Source: Koo and Li 2016, J Chiropr Med 15:155, p. 161."""

MINIMUM_PATIENTS = 8
"""With fewer patients the interval of an ICC of 0.9 reaches below 0.5, and a filter would be a lottery."""

REDUNDANT_FROM = 0.9
"""Features of a larger absolute rank correlation say the same; the usual threshold of radiomics papers."""

_RELATIVE_ROUNDING = 1e-14
"""Values of one patient or another that differ by less than this share of their mean are the same number."""

_RELATIVE_FLOOR = 1e-24
"""Mean squares below this share of the total hold rounding only; it stands for them so that ratios stay finite."""


class TooFewRepeatsError(InputError):
    """Too few patients were outlined twice for agreement to be known."""

    default_remedy = "send more observers' masks, or perturb masks (extraction.stability), or leave the filter out"


@dataclass(frozen=True, kw_only=True, eq=False)
class Agreement:
    """Intraclass correlation of many features.

    Args:
        icc: The estimate, shape (p,); NaN where it is not known.
        low: The lower end of its interval, shape (p,).
        high: The upper end, shape (p,).
        n: How many patients each rests on, shape (p,).
        k: How many raters.
    """

    icc: Floats
    low: Floats
    high: Floats
    n: NDArray[np.int64]
    k: int

    def reliable(self, minimum: float = GOOD_AGREEMENT, bound: Bound = "low") -> NDArray[np.bool_]:
        """Returns which features reach the minimum, shape (p,); an unknown ICC does not.

        Args:
            minimum: The smallest agreement that is good enough.
            bound: Whether the estimate or the lower end of its interval must reach it.
        """
        reached = (self.low if bound == "low" else self.icc) >= minimum
        return np.asarray(reached & ~np.isnan(self.icc))


@dataclass(frozen=True, kw_only=True, eq=False)
class _MeanSquares:
    """The two-way analysis of variance without replication: between patients, between raters, residual."""

    patients: Floats
    raters: Floats
    residual: Floats
    n: NDArray[np.int64]
    k: int


def icc(ratings: Floats, kind: Kind = "icc2", confidence: float = 0.95) -> Agreement:
    """Returns the single-rating intraclass correlation of each feature with its interval.

    ICC(2,1) takes raters as a sample of all raters (absolute agreement), ICC(3,1) takes these raters as the only ones
    (consistency). A patient counts for a feature when every rater has a value.

    Source: Shrout and Fleiss 1979, Psychol Bull 86:420, pp. 423-424 and, for the interval of ICC(2,1), p. 425;
    the same as ICC(A,1) and ICC(C,1) of McGraw and Wong 1996, Psychol Methods 1:30, tables 4 and 7.

    Args:
        ratings: Values, shape (n patients, k raters, p features); NaN where missing.
        kind: `icc2` or `icc3`.
        confidence: Of the interval.

    Raises:
        TooFewRepeatsError: There are fewer than two raters, or fewer than two patients.
    """
    n, k, _ = ratings.shape
    if k < 2 or n < 2:
        raise TooFewRepeatsError(f"{n} patients with {k} outlines each", where="agreement")
    squares = _mean_squares(np.asarray(ratings, dtype=np.float64))
    estimate = _icc2 if kind == "icc2" else _icc3
    interval = _icc2_interval if kind == "icc2" else _icc3_interval
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = estimate(squares)
        low, high = interval(squares, (1 + confidence) / 2)
    known = (squares.n >= 2) & np.isfinite(value)
    bounds = [np.where(known, np.clip(end, -1.0, 1.0), np.nan) for end in (low, high)]
    return Agreement(icc=np.where(known, value, np.nan), low=bounds[0], high=bounds[1], n=squares.n, k=k)


def representatives(X: Floats, threshold: float = REDUNDANT_FROM, rank: Floats | None = None) -> NDArray[np.int64]:
    """Returns one column of each group of redundant ones, rising.

    Groups come from complete linkage on 1 - |Spearman's rho|, cut so that any two columns of a group correlate at
    least as the threshold says. Of a group the column with the best rank stays, without a rank the one that correlates
    most with the others.

    Args:
        X: Features without missing values that vary, shape (n, p).
        threshold: The absolute rank correlation from which on two columns are redundant.
        rank: What makes a column worth keeping, larger is better, shape (p,); such as its ICC.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    p = X.shape[1]
    if p < 2:
        return np.arange(p, dtype=np.int64)
    rho: Floats = _absolute_rank_correlation(X)
    distance: Floats = np.clip(1.0 - rho, 0.0, 1.0)
    np.fill_diagonal(distance, 0.0)
    # the last bits of a correlation are rounding, and a tie must not hang on them
    tree = linkage(squareform(np.round(distance, 12), checks=False), method="complete")
    group: NDArray[np.int32] = fcluster(tree, 1.0 - threshold + 1e-12, criterion="distance")
    worth = _togetherness(rho, group) if rank is None else np.nan_to_num(rank)
    order = np.lexsort((np.arange(p), -np.round(worth, 12)))
    _, first = np.unique(group[order], return_index=True)
    return np.sort(order[first]).astype(np.int64)


def _togetherness(rho: Floats, group: NDArray[np.int32]) -> Floats:
    """Returns how much each column correlates with its own group on average, shape (p,)."""
    return np.array([row[group == own].mean() for row, own in zip(rho, group, strict=True)])


def _mean_squares(ratings: Floats) -> _MeanSquares:
    k = ratings.shape[1]
    complete: NDArray[np.bool_] = np.asarray(~np.isnan(ratings).any(axis=1))
    n = complete.sum(axis=0)
    weight = complete[:, None, :].astype(np.float64)
    values = np.where(complete[:, None, :], ratings, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        grand = values.sum(axis=(0, 1)) / (n * k)
        values = (values - grand) * weight
        by_patient, by_rater = values.mean(axis=1), values.sum(axis=0) / n
        total = (values**2).sum(axis=(0, 1))
        patients, raters = k * (by_patient**2).sum(axis=0), n * (by_rater**2).sum(axis=0)
        residual = (((values - by_patient[:, None, :] - by_rater) * weight) ** 2).sum(axis=(0, 1))
        # differences at the last bits of the values are no disagreement, and no difference between patients either
        noise = n * k * (_RELATIVE_ROUNDING * np.abs(grand)) ** 2
        floor = np.where(patients > noise, _RELATIVE_FLOOR * total, np.nan)
        return _MeanSquares(
            patients=patients / (n - 1),
            raters=raters / (k - 1),
            residual=np.maximum(residual, floor) / ((n - 1) * (k - 1)),
            n=n.astype(np.int64),
            k=k,
        )


def _icc2(m: _MeanSquares) -> Floats:
    return (m.patients - m.residual) / (m.patients + (m.k - 1) * m.residual + m.k * (m.raters - m.residual) / m.n)


def _icc3(m: _MeanSquares) -> Floats:
    return (m.patients - m.residual) / (m.patients + (m.k - 1) * m.residual)


def _icc3_interval(m: _MeanSquares, q: float) -> tuple[Floats, Floats]:
    from scipy.stats import f

    ratio, between, within = m.patients / m.residual, m.n - 1, (m.n - 1) * (m.k - 1)
    low, high = ratio / f.ppf(q, between, within), ratio * f.ppf(q, within, between)
    return (low - 1) / (low + m.k - 1), (high - 1) / (high + m.k - 1)


def _icc2_interval(m: _MeanSquares, q: float) -> tuple[Floats, Floats]:
    from scipy.stats import f

    n, k, value, ratio = m.n, m.k, _icc2(m), m.raters / m.residual
    part = n * (1 + (k - 1) * value) - k * value
    freedom = (k - 1) * (n - 1) * (k * value * ratio + part) ** 2
    freedom = freedom / ((n - 1) * k**2 * value**2 * ratio**2 + part**2)
    upper, lower = f.ppf(q, n - 1, freedom), f.ppf(q, freedom, n - 1)
    error = k * m.raters + (k * n - k - n) * m.residual
    low = n * (m.patients - upper * m.residual) / (upper * error + n * m.patients)
    high = n * (lower * m.patients - m.residual) / (error + n * lower * m.patients)
    return low, high


def _absolute_rank_correlation(X: Floats) -> Floats:
    from scipy.stats import rankdata

    ranks = rankdata(X, axis=0)
    ranks -= ranks.mean(axis=0)
    length = np.sqrt((ranks**2).sum(axis=0))
    ranks /= np.where(length > 0, length, 1.0)
    return np.abs(ranks.T @ ranks)
