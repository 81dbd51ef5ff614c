"""How much features tell of where they were made: the association of each with center, scanner or kernel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.harmonization import Combat, CombatRules

Floats = NDArray[np.float64]

FALSE_DISCOVERIES = 0.05
"""The share of false alarms that is accepted among the features called associated."""

MINIMUM_LEVEL = 5
"""A scanner or kernel with fewer images is left out: it can neither be tested nor harmonized."""


@dataclass(frozen=True, kw_only=True)
class Association:
    """What the features of a table tell of a batch variable, before and after harmonization.

    Args:
        batch: The variable, such as `center` or `manufacturer`.
        levels: How many of its values have enough rows.
        n: Rows that have one of them.
        features: Features that vary.
        before: The share of features associated with it, at a false discovery rate of 5 %.
        after: The same after ComBat over this variable.
        effect_before: The median share of a feature's rank variance that it explains.
        effect_after: The same after ComBat.
    """

    batch: str
    levels: int
    n: int
    features: int
    before: float
    after: float
    effect_before: float
    effect_after: float

    def plain(self) -> dict[str, Any]:
        """Returns the result as JSON types, shares rounded for people."""
        shares = ("before", "after", "effect_before", "effect_after")
        return {name: round(value, 4) if name in shares else value for name, value in vars(self).items()}


def associations(
    X: Floats, batch: Sequence[object], name: str, rules: CombatRules | None = None, covariates: Floats | None = None
) -> Association | None:
    """Tests every feature against a batch variable, before and after ComBat over it.

    The harmonization is fitted on these rows to describe them; no model sees it.

    Args:
        X: Features, shape (n, p); NaN counts as the median.
        batch: The variable's value in each row; rows without one are left out.
        name: What the variable is called.
        rules: How to harmonize.
        covariates: What harmonization keeps, shape (n, q).

    Returns:
        The result; nothing when fewer than two values have enough rows, or no feature varies.
    """
    labels = np.array(["" if value is None or value != value else str(value) for value in batch], dtype=np.str_)
    found, counts = np.unique(labels, return_counts=True)
    levels = [level for level, count in zip(found.tolist(), counts, strict=True) if level and count >= MINIMUM_LEVEL]
    rows = np.isin(labels, levels)
    values = _filled(X[rows]) if len(levels) > 1 else X[:0, :0]
    if not values.shape[1]:
        return None
    kept = None if covariates is None else covariates[rows]
    moved = Combat.fit(values, labels[rows], rules, kept).transform(values, labels[rows], kept)
    shares = [_shares(table, labels[rows]) for table in (values, moved)]
    return Association(
        batch=name,
        levels=len(levels),
        n=int(rows.sum()),
        features=values.shape[1],
        before=shares[0][0],
        after=shares[1][0],
        effect_before=shares[0][1],
        effect_after=shares[1][1],
    )


def kruskal_wallis(X: Floats, groups: NDArray[np.str_]) -> tuple[Floats, Floats]:
    """Returns the p-value and the effect size of each column, shapes (p,).

    The effect is the share of rank variance between groups, corrected for their number: (H - k + 1) / (n - k).

    Source: Kruskal and Wallis 1952, J Am Stat Assoc 47:583; Tomczak and Tomczak 2014, Trends Sport Sci 1:19.

    Args:
        X: Values without missing ones that vary, shape (n, p).
        groups: The group of each row, shape (n,).
    """
    from scipy.stats import chi2, rankdata

    n = len(X)
    ranks = rankdata(X, axis=0)
    names = np.unique(groups)
    between = sum((rows := groups == name).sum() * (ranks[rows].mean(axis=0) - (n + 1) / 2) ** 2 for name in names)
    # dividing by the ranks' own variance corrects for ties
    statistic = (n - 1) * between / ((ranks - (n + 1) / 2) ** 2).sum(axis=0)
    effect = np.clip((statistic - len(names) + 1) / (n - len(names)), 0.0, 1.0)
    return chi2.sf(statistic, len(names) - 1), np.asarray(effect)


def discoveries(p_values: Floats, rate: float = FALSE_DISCOVERIES) -> NDArray[np.bool_]:
    """Returns which hypotheses are rejected, shape (m,). Source: Benjamini and Hochberg 1995, J R Stat Soc B 57:289."""
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p_values) <= rate)


def _shares(X: Floats, groups: NDArray[np.str_]) -> tuple[float, float]:
    p_values, effects = kruskal_wallis(X, groups)
    return float(discoveries(p_values).mean()), float(np.median(effects))


def _filled(X: Floats) -> Floats:
    """Returns the columns that vary, gaps filled with the median."""
    values = np.where(np.isinf(X), np.nan, X)
    values = values[:, ~np.isnan(values).all(axis=0)]
    values = np.where(np.isnan(values), np.nanmedian(values, axis=0), values) if values.size else values
    magnitude = np.abs(values).max(axis=0, initial=0.0)
    return np.asarray(values[:, values.std(axis=0) > 1e-10 * magnitude])
