"""Who the cohorts are: baseline characteristics with the right test and a standardized difference for each.

Numbers are shown as median and quartiles and tested by Wilcoxon's rank-sum test; categories as counts and tested by
Pearson's chi-squared test, or Fisher's exact test where an expected count is below 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from scipy import stats

from pipelines.evaluation.estimates import Floats

SMALL_EXPECTED = 5.0
MONTE_CARLO_TABLES = 9999
Kind = Literal["number", "category"]
Values: TypeAlias = "pd.Series[Any]"


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """One characteristic in one group against the same in the reference group.

    Args:
        test: The test's name; empty where none could be done.
        p_value: Its two-sided p-value.
        difference: The standardized difference, without sign.
    """

    test: str = ""
    p_value: float | None = None
    difference: float | None = None


@dataclass(frozen=True, kw_only=True)
class Characteristic:
    """One row of the baseline table, or one block of rows for a category.

    Args:
        name: The column's name.
        kind: How it is summarized.
        cells: By group the text of each level; numbers have the one level "".
        missing: By group how many values are missing.
        contrasts: By group against the reference group, which has none.
    """

    name: str
    kind: Kind
    cells: dict[str, dict[str, str]]
    missing: dict[str, int]
    contrasts: dict[str, Contrast]


def baseline_table(groups: Mapping[str, pd.DataFrame], kinds: Mapping[str, Kind]) -> list[Characteristic]:
    """Returns the characteristics of each group; the first group is the reference.

    Args:
        groups: One row a patient.
        kinds: The columns and how each is summarized.
    """
    return [_characteristic(name, kind, groups) for name, kind in kinds.items()]


def number_contrast(reference: Floats, other: Floats) -> Contrast:
    """Compares two samples of a number.

    Source: difference of means over the root of the mean variance, Austin 2009, Statistics in Medicine 28:3083.
    """
    if min(len(reference), len(other)) < 2:
        return Contrast()
    spread = np.sqrt((reference.var(ddof=1) + other.var(ddof=1)) / 2)
    difference = abs(reference.mean() - other.mean()) / spread if spread > 0 else None
    p_value = float(stats.mannwhitneyu(reference, other, alternative="two-sided").pvalue)
    return Contrast(
        test="Wilcoxon rank sum", p_value=p_value, difference=None if difference is None else float(difference)
    )


def category_contrast(counts: Floats) -> Contrast:
    """Compares the shares of levels in two groups.

    Args:
        counts: Counts, shape (2, n_levels).
    """
    counts = counts[:, counts.sum(axis=0) > 0]
    if counts.shape[1] < 2 or (counts.sum(axis=1) == 0).any():
        return Contrast()
    difference = share_difference(*(counts / counts.sum(axis=1, keepdims=True)))
    if stats.contingency.expected_freq(counts).min() < SMALL_EXPECTED:
        return Contrast(test="Fisher's exact", p_value=_fisher(counts), difference=difference)
    p_value = float(stats.chi2_contingency(counts, correction=False).pvalue)
    return Contrast(test="chi-squared", p_value=p_value, difference=difference)


def share_difference(reference: Floats, other: Floats) -> float | None:
    """Returns the standardized difference of two sets of shares: their Mahalanobis distance without the first level.

    Source: Yang and Dalton 2012, SAS Global Forum, paper 335.

    Args:
        reference: Shares of the levels, shape (n_levels,).
        other: The same in the other group.
    """
    d = (reference - other)[1:]
    spread = sum((np.diag(s[1:]) - np.outer(s[1:], s[1:])) / 2 for s in (reference, other))
    if np.linalg.cond(np.atleast_2d(spread)) > 1e12:
        return None
    return float(np.sqrt(d @ np.linalg.solve(np.atleast_2d(spread), d)))


def _fisher(counts: Floats) -> float:
    if counts.shape == (2, 2):
        return float(stats.fisher_exact(counts).pvalue)
    method = stats.MonteCarloMethod(n_resamples=MONTE_CARLO_TABLES, rng=np.random.default_rng(0))
    return float(stats.fisher_exact(counts.astype(int), method=method).pvalue)


def _characteristic(name: str, kind: Kind, groups: Mapping[str, pd.DataFrame]) -> Characteristic:
    values = {group: _column(frame, name) for group, frame in groups.items()}
    known = {group: column.dropna() for group, column in values.items()}
    summarize = _number_cells if kind == "number" else _category_cells
    reference, *others = known
    contrast = _of_numbers if kind == "number" else _of_categories
    return Characteristic(
        name=name,
        kind=kind,
        cells=summarize(known),
        missing={group: int(column.isna().sum()) for group, column in values.items()},
        contrasts={group: contrast(known[reference], known[group]) for group in others},
    )


def _column(frame: pd.DataFrame, name: str) -> Values:
    return frame[name] if name in frame else pd.Series([None] * len(frame), dtype=object)


def _number_cells(known: Mapping[str, Values]) -> dict[str, dict[str, str]]:
    cells = {}
    for group, column in known.items():
        low, middle, high = np.quantile(column.to_numpy(np.float64), [0.25, 0.5, 0.75]) if len(column) else [np.nan] * 3
        cells[group] = {"": f"{middle:.4g} ({low:.4g}–{high:.4g})" if len(column) else "–"}
    return cells


def _category_cells(known: Mapping[str, Values]) -> dict[str, dict[str, str]]:
    levels = sorted({str(value) for column in known.values() for value in column})
    cells: dict[str, dict[str, str]] = {}
    for group, column in known.items():
        counts = column.astype(str).value_counts()
        share = 100 / len(column) if len(column) else 0.0
        cells[group] = {level: f"{counts.get(level, 0)} ({counts.get(level, 0) * share:.0f} %)" for level in levels}
    return cells


def _of_numbers(reference: Values, other: Values) -> Contrast:
    return number_contrast(reference.to_numpy(np.float64), other.to_numpy(np.float64))


def _of_categories(reference: Values, other: Values) -> Contrast:
    levels = sorted({str(value) for value in (*reference, *other)})
    counts = [[int((column.astype(str) == level).sum()) for level in levels] for column in (reference, other)]
    return category_contrast(np.array(counts, dtype=np.float64).reshape(2, len(levels)))
