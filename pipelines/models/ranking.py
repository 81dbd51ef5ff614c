"""Single features in place of components, ranked by the labels of the rows at hand.

- `mrmr`: the largest F statistic first; each further feature has the largest F, divided by its mean absolute
  correlation with those before it. Source: Ding and Peng 2005, Journal of Bioinformatics and Computational Biology
  3:185, scheme FCQ.
- `lasso`: by the size of the weights of a logistic regression whose penalty leaves most of them 0; features that it
  leaves out follow by F. Source: Tibshirani 1996, Journal of the Royal Statistical Society B 58:267.
- `trees`: by how much they sort the labels in extremely randomized trees. Source: Geurts et al. 2006, Machine Learning
  63:3.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.models.base import Floats, Labels

Indices = NDArray[np.int64]
Kind = Literal["mrmr", "lasso", "trees"]

DIGITS = 9
"""Scores that agree so far are equal; the first column wins. Copies of a column would be told apart by rounding."""

FLOOR = 1e-9
"""The least redundancy and the least unexplained share that divide."""

LASSO_C = 1.0
"""The inverse of the penalty: on scaled features of 50 to 300 patients it leaves some tens of them."""

TREES = 100
SEED = 0
"""Of the trees. A model's own seed would let two models of the same fold rank differently."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """How features are ranked.

    Args:
        kind: The way.
        y: Labels of the rows that are fitted on, shape (n,).
    """

    kind: Kind
    y: Labels

    def order(self, Z: Floats, most: int) -> Indices:
        """Returns the best columns, best first, at most so many; each longer list begins like a shorter one.

        Args:
            Z: Scaled features without gaps, shape (n, m).
            most: How many columns at most.
        """
        return _RANK[self.kind](Z, self.y, min(most, Z.shape[1]))


def by_redundancy(Z: Floats, y: Labels, most: int) -> Indices:
    """Returns the columns of greatest relevance and least redundancy, best first."""
    S = _unit(Z)
    relevance = _f_statistic(S, y)
    chosen = [int(np.argmax(relevance.round(DIGITS)))]
    total = np.zeros(Z.shape[1])
    while len(chosen) < most:
        total += np.abs(S[:, chosen[-1]] @ S)
        score = (relevance / np.maximum(total / len(chosen), FLOOR)).round(DIGITS)
        score[chosen] = -1.0
        chosen.append(int(np.argmax(score)))
    return np.array(chosen, dtype=np.int64)


def by_lasso(Z: Floats, y: Labels, most: int) -> Indices:
    """Returns the columns by the size of their weights, those without by F."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=LASSO_C, l1_ratio=1.0, solver="liblinear", random_state=SEED, max_iter=100)
    with warnings.catch_warnings():
        # an order is wanted, not the last digits of weights
        warnings.simplefilter("ignore", ConvergenceWarning)
        size = np.abs(model.fit(Z, y).coef_[0])
    return _falling(_f_statistic(_unit(Z), y), size)[:most]


def by_trees(Z: Floats, y: Labels, most: int) -> Indices:
    """Returns the columns by their importance, those without by F."""
    from sklearn.ensemble import ExtraTreesClassifier

    forest = ExtraTreesClassifier(n_estimators=TREES, random_state=SEED, n_jobs=1).fit(Z, y)
    return _falling(_f_statistic(_unit(Z), y), forest.feature_importances_)[:most]


_RANK: dict[str, Callable[[Floats, Labels, int], Indices]] = {
    "mrmr": by_redundancy,
    "lasso": by_lasso,
    "trees": by_trees,
}


def _falling(second: Floats, first: Floats) -> Indices:
    """Returns the order by falling `first`, then falling `second`; the lower index of equals."""
    return np.lexsort((-second.round(DIGITS), -first.round(DIGITS))).astype(np.int64)


def _unit(Z: Floats) -> Floats:
    """Returns centered columns of length 1."""
    S = Z - Z.mean(axis=0)
    return np.asarray(S / np.maximum(np.sqrt((S**2).sum(axis=0)), FLOOR))


def _f_statistic(S: Floats, y: Labels) -> Floats:
    """Returns the F statistic of each column between the two labels; columns of S are centered, of length 1."""
    centered = y - y.mean()
    length = float(np.sqrt((centered**2).sum()))
    if length == 0:
        return np.zeros(S.shape[1])
    explained = (centered @ S / length) ** 2
    return np.asarray(explained / np.maximum(1 - explained, FLOOR) * (len(y) - 2))
