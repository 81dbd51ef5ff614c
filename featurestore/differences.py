"""What differs between two versions of a table: rows, columns, values, and what they were made with."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
import pandas as pd

from featurestore.entities import KEY_COLUMNS
from featurestore.joining import flat_notes
from featurestore.views import BOOKKEEPING


@dataclass(frozen=True, kw_only=True)
class ColumnChange:
    """A column whose values differ.

    Args:
        column: Its name.
        n: Rows in which they differ.
        largest: The largest absolute difference; none for text, or where a value came or went.
        relative: The largest difference as a share of the older value.
    """

    column: str
    n: int
    largest: float | None
    relative: float | None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What became of a table.

    Args:
        added: Rows that are new, by center.
        removed: Rows that are gone, by center.
        changed: Rows with another value in a column of both.
        same: Rows that are as they were.
        columns_added: Columns that are new.
        columns_removed: Columns that are gone.
        columns: Columns whose values differ, most changed first.
        made: What the rows were made with where that differs: name, before, after.
    """

    added: dict[str, int]
    removed: dict[str, int]
    changed: int
    same: int
    columns_added: list[str] = field(default_factory=list)
    columns_removed: list[str] = field(default_factory=list)
    columns: list[ColumnChange] = field(default_factory=list)
    made: list[tuple[str, str, str]] = field(default_factory=list)

    def plain(self) -> dict[str, object]:
        """Returns the difference as JSON types."""
        return asdict(self)


def difference(
    before: pd.DataFrame, after: pd.DataFrame, notes_before: Mapping[str, str], notes_after: Mapping[str, str]
) -> Difference:
    """Compares two versions of a table by key.

    Args:
        before: The older rows.
        after: The newer rows.
        notes_before: What the older rows were made with.
        notes_after: What the newer rows were made with.
    """
    keys = [name for name in KEY_COLUMNS if name in before and name in after]
    old, new = before.set_index(keys).sort_index(), after.set_index(keys).sort_index()
    both = old.index.intersection(new.index)
    shared = [name for name in old.columns if name in new.columns and name not in BOOKKEEPING]
    a, b = old.loc[both, shared], new.loc[both, shared]
    unlike = ~((a == b) | (a.isna() & b.isna()))
    per_row = unlike.any(axis=1)
    changes = [_change(name, a[name], b[name], unlike[name]) for name in shared if unlike[name].any()]
    made_before, made_after = flat_notes(notes_before), flat_notes(notes_after)
    return Difference(
        added=_by_center(new.index.difference(old.index)),
        removed=_by_center(old.index.difference(new.index)),
        changed=int(per_row.sum()),
        same=int((~per_row).sum()),
        columns_added=[name for name in new.columns if name not in old.columns],
        columns_removed=[name for name in old.columns if name not in new.columns],
        columns=sorted(changes, key=lambda change: (-(change.relative or 0.0), change.column)),
        made=[
            (key, made_before.get(key, ""), made_after.get(key, ""))
            for key in sorted({*made_before, *made_after})
            if made_before.get(key) != made_after.get(key)
        ],
    )


def _change(name: str, a: pd.Series, b: pd.Series, unlike: pd.Series) -> ColumnChange:
    n = int(unlike.sum())
    if a.dtype.kind not in "fi" or b.dtype.kind not in "fi":
        return ColumnChange(column=name, n=n, largest=None, relative=None)
    gap = (a - b).abs()[unlike].to_numpy(np.float64)
    known = gap[np.isfinite(gap)]
    size = a.abs()[unlike].to_numpy(np.float64)[np.isfinite(gap)]
    share = known[size > 0] / size[size > 0]
    return ColumnChange(
        column=name,
        n=n,
        largest=float(known.max()) if len(known) else None,
        relative=float(share.max()) if len(share) else None,
    )


def _by_center(index: pd.Index) -> dict[str, int]:
    if not len(index):
        return {}
    counts = index.get_level_values("center").value_counts().sort_index()
    return {str(center): int(n) for center, n in counts.items()}
