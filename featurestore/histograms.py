"""Histograms as text, for terminals and for tables."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BARS = "▁▂▃▄▅▆▇█"
N_SPARK = 12
N_LINES = 20


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts of evenly wide bins.

    Args:
        edges: Shape (n + 1,).
        counts: Shape (n,).
        n_missing: Values that are missing or infinite.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    n_missing: int


def histogram(values: NDArray[np.float64], n: int) -> Histogram:
    """Counts values in n evenly wide bins from the smallest to the largest."""
    known = values[np.isfinite(values)]
    counts, edges = np.histogram(known, bins=n) if len(known) else (np.zeros(n, int), np.zeros(n + 1))
    return Histogram(edges=edges, counts=counts.astype(np.int64), n_missing=int(len(values) - len(known)))


def sparkline(values: NDArray[np.float64], n: int = N_SPARK) -> str:
    """Returns a histogram of one line; a bin that nobody is in is a blank."""
    counts = histogram(values, n).counts
    top = counts.max()
    return "".join(BARS[int(np.ceil(c / top * len(BARS))) - 1] if c else " " for c in counts) if top else ""


def lines(values: NDArray[np.float64], n: int = N_LINES, width: int = 50) -> list[str]:
    """Returns a histogram of n lines: from, to, bar, count."""
    found = histogram(values, n)
    top = max(int(found.counts.max()), 1)
    texts = [(f"{low:.5g}", f"{high:.5g}") for low, high in zip(found.edges[:-1], found.edges[1:], strict=True)]
    wide = max(len(text) for pair in texts for text in pair)
    told = [
        f"{low:>{wide}} – {high:<{wide}}  {'█' * round(width * count / top) or ('▏' if count else '')} {count}"
        for (low, high), count in zip(texts, found.counts.tolist(), strict=True)
    ]
    return [*told, *([f"missing: {found.n_missing}"] if found.n_missing else [])]
