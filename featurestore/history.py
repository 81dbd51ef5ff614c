"""An append-only table: parts are added under names made of their content, and never rewritten.

A part that was written twice, because a run died between writing and reporting, has the same name and counts once.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from featurestore.errors import DamagedTableError
from featurestore.files import TEMPORARY, atomic_path
from featurestore.fingerprints import combined_digest, row_digest
from featurestore.schemas import TableSchema

_REMEDY = "restore the file from a backup; a history is never rewritten"


def append(root: Path, center: str, rows: Sequence[Mapping[Any, object]], schema: TableSchema) -> Path:
    """Adds rows of one center as a new part.

    Args:
        root: The history's folder.
        center: The partition.
        rows: At least one row with every declared column, the center included.
        schema: The declared columns.

    Returns:
        The part's path.
    """
    name = combined_digest(row_digest(row) for row in rows)
    path = root / f"center={center}" / f"{name}.parquet"
    if not path.exists():
        frame = pd.DataFrame(rows)[list(schema.names())].sort_values(list(schema.keys), kind="stable")
        with atomic_path(path) as temporary:
            table = pa.Table.from_pandas(frame, schema=schema.arrow(), preserve_index=False)
            pq.write_table(table, temporary, compression="zstd")
    return path


def read_history(root: Path, schema: TableSchema, center: str = "*") -> pd.DataFrame:
    """Reads all parts of a center, or of all, sorted by key. What a killed run left half written is no part.

    Args:
        root: The history's folder.
        schema: The declared columns.
        center: Whose parts; everybody's when left out.

    Raises:
        DamagedTableError: A part's content is not what its name says.
    """
    whole = (path for path in root.glob(f"center={center}/*.parquet") if not path.name.startswith(TEMPORARY))
    parts = [_read(path, schema) for path in sorted(whole)]
    table = pa.concat_tables(parts) if parts else schema.arrow().empty_table()
    return table.to_pandas().sort_values(list(schema.keys), kind="stable", ignore_index=True)


def _read(path: Path, schema: TableSchema) -> pa.Table:
    try:
        table = pq.ParquetFile(path).read().cast(schema.arrow())
    except (pa.ArrowInvalid, ValueError, OSError) as error:
        raise DamagedTableError(f"unreadable: {error}", where=_name(path), remedy=_REMEDY) from error
    if combined_digest(row_digest(row) for row in table.to_pylist()) != path.stem:
        raise DamagedTableError("the rows are not those that were written", where=_name(path), remedy=_REMEDY)
    return table


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
