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
    frame = pd.DataFrame(rows)[list(schema.names())].sort_values(list(schema.keys), kind="stable")
    table = pa.Table.from_pandas(frame, schema=schema.arrow(), preserve_index=False)
    path = root / f"center={center}" / f"{_name_of(table)}.parquet"
    if not path.exists():
        with atomic_path(path) as temporary:
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
    """Reads a part. One of the time before a column was declared has no values there."""
    try:
        raw = pq.ParquetFile(path).read()
        known = [name for name in schema.names() if name in raw.column_names]
        own = raw.cast(pa.schema([schema.arrow().field(name) for name in known]))
        table = (
            pa.Table.from_pylist(own.to_pylist(), schema=schema.arrow()) if len(known) < len(schema.names()) else own
        )
    except (pa.ArrowInvalid, ValueError, OSError) as error:
        raise DamagedTableError(f"unreadable: {error}", where=_name(path), remedy=_REMEDY) from error
    if _name_of(own) != path.stem:
        raise DamagedTableError("the rows are not those that were written", where=_name(path), remedy=_REMEDY)
    return table.replace_schema_metadata(None)


def _name_of(table: pa.Table) -> str:
    """Returns a part's name, made of its rows."""
    return combined_digest(row_digest(row) for row in table.to_pylist())


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
