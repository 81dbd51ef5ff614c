"""Single features in place of components: ranked by what they say of the label and by how little they repeat."""

import numpy as np
from numpy.typing import NDArray

from pipelines.models.base import Floats, Labels

DIGITS = 9
"""Scores that agree so far are equal; the first column wins. Copies of a column would be told apart by rounding."""

FLOOR = 1e-9
"""The least redundancy and the least unexplained share that divide."""


def ranked(Z: Floats, y: Labels, most: int) -> NDArray[np.int64]:
    """Returns the columns of greatest relevance and least redundancy, best first; each longer list begins so too.

    The first has the largest F statistic. Each further one has the largest F, divided by its mean absolute correlation
    with those before it.

    Source: Ding and Peng 2005, Journal of Bioinformatics and Computational Biology 3:185, scheme FCQ.

    Args:
        Z: Features without gaps, shape (n, m).
        y: Labels, shape (n,).
        most: How many columns at most.
    """
    S = Z - Z.mean(axis=0)
    S = S / np.maximum(np.sqrt((S**2).sum(axis=0)), FLOOR)
    relevance = _f_statistic(S, y)
    chosen = [int(np.argmax(relevance.round(DIGITS)))]
    total = np.zeros(Z.shape[1])
    while len(chosen) < min(most, Z.shape[1]):
        total += np.abs(S[:, chosen[-1]] @ S)
        score = (relevance / np.maximum(total / len(chosen), FLOOR)).round(DIGITS)
        score[chosen] = -1.0
        chosen.append(int(np.argmax(score)))
    return np.array(chosen, dtype=np.int64)


def _f_statistic(S: Floats, y: Labels) -> Floats:
    """Returns the F statistic of each column between the two labels; columns of S are centered, of length 1."""
    centered = y - y.mean()
    length = float(np.sqrt((centered**2).sum()))
    if length == 0:
        return np.zeros(S.shape[1])
    explained = (centered @ S / length) ** 2
    return np.asarray(explained / np.maximum(1 - explained, FLOOR) * (len(y) - 2))
