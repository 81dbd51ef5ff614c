"""Statistics of feature columns: what a column looks like, and the quantiles that drift is measured against."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

N_QUANTILES = 21
"""Every 5 %: enough for a stability index on deciles, and no copy of the rows in a large cohort."""

SIGNIFICANT_DIGITS = 6
"""Quantiles are compared with, never computed on; more digits only make a manifest longer."""


def describe(frame: pd.DataFrame, names: Sequence[str], by: Sequence[str] = ()) -> pd.DataFrame:
    """Returns one row a column (and group): n, missing, mean, sd, minimum, quartiles, maximum.

    Args:
        frame: A table with the columns.
        names: Which columns.
        by: Columns to group by, such as `center` and `phase`.
    """
    if by:
        return _describe_groups(frame, names, by)
    values = frame[list(names)].astype(np.float64)
    quartiles = values.quantile([0.0, 0.25, 0.5, 0.75, 1.0])
    return pd.DataFrame(
        {
            "column": list(names),
            "n": values.count().to_numpy(),
            "missing": values.isna().sum().to_numpy(),
            "mean": values.mean().to_numpy(),
            "sd": values.std(ddof=1).to_numpy(),
            **dict(zip(("minimum", "q25", "median", "q75", "maximum"), quartiles.to_numpy(), strict=True)),
        }
    )


def _describe_groups(frame: pd.DataFrame, names: Sequence[str], by: Sequence[str]) -> pd.DataFrame:
    parts = []
    for _, rows in frame.groupby(list(by), sort=True):
        part = describe(rows, names)
        for position, name in enumerate(by):
            part.insert(position, name, str(rows[name].iloc[0]))
        parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*by, "column"])


def probabilities(n: int = N_QUANTILES) -> NDArray[np.float64]:
    """Returns the evenly spaced probabilities that `quantiles` answers, 0 and 1 among them."""
    return np.round(np.linspace(0.0, 1.0, n), 12)


def quantiles(values: NDArray[np.float64], n: int = N_QUANTILES) -> NDArray[np.float64]:
    """Returns evenly spaced quantiles of each column, missing values left out.

    Args:
        values: Shape (rows,) or (rows, columns).
        n: How many.

    Returns:
        Shape (n,) or (columns, n), rounded to a few significant digits; NaN for a column without values.
    """
    columns = np.atleast_2d(values.T)
    found = [
        np.quantile(present, probabilities(n)) if len(present := column[np.isfinite(column)]) else np.full(n, np.nan)
        for column in columns
    ]
    rounded = _significant(np.array(found))
    return rounded[0] if values.ndim == 1 else rounded


def order_statistics(values: NDArray[np.float64], limit: int) -> NDArray[np.float64]:
    """Returns the finite values, rising: all up to `limit`, else so many evenly spaced ones, both ends among them.

    Args:
        values: Shape (n,).
        limit: How many at most; at least 2.
    """
    rising = np.sort(values[np.isfinite(values)])
    if len(rising) <= limit:
        return rising
    return rising[np.round(np.linspace(0, len(rising) - 1, limit)).astype(np.int64)]


def _significant(values: NDArray[np.float64]) -> NDArray[np.float64]:
    texts = [float(f"{value:.{SIGNIFICANT_DIGITS}g}") for value in values.ravel()]
    return np.array(texts).reshape(values.shape)
