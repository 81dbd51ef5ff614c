"""The statistics of drift: how far a hospital's cases lie from the patients of development, one variable at a time.

Development is known by order statistics alone, all of them in a small cohort and at most 201 in a large one. A case is
kept as its place among them, a code, and no value: places are all that a Kolmogorov-Smirnov distance needs.

Where not all order statistics are kept the distance is the smallest that agrees with those that are. So it is never
larger than that of all rows, by at most one step (about 0.005) smaller, and rings no alarm that all rows would not.

Source: Kolmogorov-Smirnov's two-sample test, Hodges 1958, Ark Mat 3:469.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.uint16]

MISSING = np.iinfo(np.uint16).max
"""The code of a value that is not there."""

EXACT_UP_TO = 100_000
"""Products of both numbers of patients up to which a p-value is counted exactly; beyond, the limit law differs by less
than a twentieth."""

UNLUCKY = 0.05
"""The share of packages whose held-out patients may lie further aside than is allowed for."""

_EDGE = 1e-10
"""Differences of shares that are smaller are rounding."""


@dataclass(frozen=True, eq=False)
class Scale:
    """What development knows of one variable.

    Args:
        values: Its distinct kept values, rising, shape (u,).
        low: The share of patients who certainly lie at or below each, shape (u,).
        high: The share of patients who can lie below the next, shape (u,); equal to `low` where all are kept.
        n: How many patients had a value.
    """

    values: Floats
    low: Floats
    high: Floats
    n: int

    @classmethod
    def of(cls, kept: Floats, n: int) -> "Scale":
        """Returns the scale of evenly spaced order statistics, the smallest and the largest among them.

        Args:
            kept: Rising, shape (k,).
            n: How many patients they stand for, at least k.
        """
        kept = np.asarray(kept, dtype=np.float64)
        ranks = np.arange(n) if len(kept) >= n else np.rint(np.linspace(0, n - 1, len(kept)))
        values, first = np.unique(kept, return_index=True)
        last = np.append(first[1:], len(kept)) - 1
        low = (ranks[last] + 1) / n if len(kept) else np.empty(0)
        high = np.append(ranks[first[1:]] / n, 1.0) if len(kept) else np.empty(0)
        return cls(values, low, high, n)

    @property
    def middle(self) -> Floats:
        """By code, the share of patients below, those at the same place counted half, shape (2u + 1,)."""
        below = np.append(0.0, self.high)
        found = np.empty(2 * len(self.values) + 1)
        found[0::2] = (below + np.append(0.0, self.low)) / 2
        found[1::2] = (below[:-1] + self.low) / 2
        return found

    @property
    def places(self) -> Floats:
        """By code, a value that has it, shape (2u + 1,); what lies beyond all patients is told as the outermost."""
        found = np.empty(2 * len(self.values) + 1)
        found[1::2] = self.values
        found[2:-1:2] = (self.values[:-1] + self.values[1:]) / 2
        found[[0, -1]] = self.values[[0, -1]]
        return found


def codes(scales: Sequence[Scale], values: Floats) -> Codes:
    """Returns the place of each value among the patients of development, shape (n, v).

    An even code lies between two kept values, an odd one at a kept value.

    Args:
        scales: One a variable.
        values: Shape (n, v); NaN where there is none.
    """
    found = np.full(values.shape, MISSING, dtype=np.uint16)
    for number, scale in enumerate(scales):
        column = values[:, number]
        place = np.searchsorted(scale.values, column, "left") + np.searchsorted(scale.values, column, "right")
        found[:, number] = np.where(np.isnan(column), MISSING, place)
    return found


@dataclass(frozen=True, eq=False)
class Moves:
    """How far each variable lies from development; all arrays have shape (v,).

    Args:
        n: Cases with a value.
        distance: Kolmogorov-Smirnov's.
        p_value: Its p-value; 1 where nobody has a value.
        delta: From -1, every case below every patient, to 1, every case above; 0 where neither is more often larger.
        below: The share of cases below the patients' lower quartile; 0.25 where nothing changed.
        above: The share of cases above their upper quartile; 0.25 where nothing changed.
        median: The cases' median, kept within what development saw.
        before: The patients' median.
    """

    n: NDArray[np.int64]
    distance: Floats
    p_value: Floats
    delta: Floats
    below: Floats
    above: Floats
    median: Floats
    before: Floats


def moves(scales: Sequence[Scale], places: Codes) -> Moves:
    """Measures how far the cases lie from development.

    Args:
        scales: One a variable.
        places: As `codes` returns them, shape (n, v).
    """
    rows = [_move(scale, places[:, number]) for number, scale in enumerate(scales)]
    n, distance, *others = np.array(rows, dtype=np.float64).reshape(-1, 7).T
    known = np.array([scale.n for scale in scales], dtype=np.int64)
    p_value = _p_values(distance, n.astype(np.int64), known)
    return Moves(n.astype(np.int64), distance, p_value, *others)


def _move(scale: Scale, column: Codes) -> tuple[float, ...]:
    own = column[column != MISSING]
    if not len(own) or not len(scale.values):
        return 0, 0.0, 0.0, 0.25, 0.25, np.nan, np.nan
    share = np.cumsum(np.bincount(own, minlength=2 * len(scale.values) + 1)) / len(own)
    before_next = np.append(share[2::2], 1.0)[: len(scale.values)]
    ahead = max(share[0], float((before_next - scale.high).max()))
    behind = float((scale.low - share[1::2]).max())
    middle, places = scale.middle[own], scale.places
    typical = float(np.median(places[own]))
    before = float(places[np.searchsorted(scale.middle, 0.5)])
    ends = float((middle < 0.25).mean()), float((middle > 0.75).mean())
    return len(own), max(ahead, behind, 0.0), float(2 * middle.mean() - 1), *ends, typical, before


def p_values(distance: Floats, n: int, m: int) -> Floats:
    """Returns the p-values of Kolmogorov-Smirnov distances between n and m rows, of the same shape.

    Exact as far as `EXACT_UP_TO`, and too large where values are tied.
    """
    if n * m > EXACT_UP_TO:
        from scipy.stats import kstwo

        return np.asarray(kstwo.sf(distance, np.floor(n * m / (n + m))), dtype=np.float64)
    apart, back = np.unique(distance, return_inverse=True)
    return _share_outside(apart, n, m)[back]


def guarded_p_values(distance: Floats, n: NDArray[np.int64], m: NDArray[np.int64], together: int) -> Floats:
    """Returns p-values that allow for few patients held out, of the same shape.

    A two-sample p-value is right over all references there might have been. A package has one, and if its few
    held-out patients happen to lie aside, all its hospitals differ from it. So the distance is made smaller by what
    all references but one in twenty stay within, and compared with what n cases alone leave to chance: in nineteen of
    twenty packages the p-value is then right for every hospital. Used beside the two-sample p-value, not for it.

    Args:
        distance: Kolmogorov-Smirnov distances, shape (v,).
        n: Cases, shape (v,).
        m: Patients held out, shape (v,).
        together: How many variables are looked at together; none of their references may lie further aside.
    """
    from scipy.stats import kstwo

    found = np.ones(len(distance))
    for place in np.flatnonzero((n > 0) & (m > 0)):
        aside = kstwo.isf(UNLUCKY / together, m[place])
        found[place] = kstwo.sf(max(distance[place] - aside, 0.0), n[place])
    return found


def _p_values(distance: Floats, n: NDArray[np.int64], m: NDArray[np.int64]) -> Floats:
    found = np.ones(len(distance))
    for one, other in {pair for pair in zip(n.tolist(), m.tolist(), strict=True) if min(pair) > 0}:
        rows = (n == one) & (m == other)
        found[rows] = p_values(distance[rows], one, other)
    return found


def _share_outside(distance: Floats, n: int, m: int) -> Floats:
    """Returns the share of orders of n and m rows whose distance is at least so large, shape (d,).

    Orders are walks from (0, 0) to (n, m); walks to (i, j) came by (i - 1, j) with share i / (i + j). Diagonal by
    diagonal, so that nothing large is subtracted and small shares stay exact.
    """
    n, m = min(n, m), max(n, m)
    rows = np.arange(n + 1)
    walks = np.zeros((n + 1, len(distance)))
    walks[0] = distance <= _EDGE
    for step in range(1, n + m + 1):
        first, last = max(0, step - m), min(n, step)
        i = rows[first : last + 1]
        share = i / step
        before = walks[np.maximum(i - 1, 0)] * share[:, None] + walks[first : last + 1] * (1 - share)[:, None]
        is_outside = np.abs(i / n - (step - i) / m)[:, None] >= distance - _EDGE
        walks[first : last + 1] = np.where(is_outside, 1.0, before)
    return walks[n]
