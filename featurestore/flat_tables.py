"""Tables that are one Parquet file: same rows and schema, same bytes."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from featurestore.errors import DamagedTableError
from featurestore.files import atomic_path
from featurestore.schemas import Column
from featurestore.tables import COMPRESSION


def write_flat(path: Path, frame: pd.DataFrame, columns: tuple[Column, ...]) -> None:
    """Writes the declared columns of `frame` in their order, rows as they are.

    Dictionaries and statistics are kept for text alone, because they bloat the footer of a wide table.
    """
    schema = pa.schema([column.field() for column in columns])
    table = pa.Table.from_pandas(frame[schema.names], schema=schema, preserve_index=False)
    texts = [column.name for column in columns if column.kind == "string"]
    with atomic_path(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata(None),
            temporary,
            compression=COMPRESSION,
            use_dictionary=texts or False,
            write_statistics=texts or False,
            row_group_size=max(table.num_rows, 1),
        )


def read_flat(path: Path) -> tuple[pd.DataFrame, pa.Schema]:
    """Reads a file that `write_flat` wrote, with its schema.

    Raises:
        DamagedTableError: The file is missing or no Parquet.
    """
    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowInvalid, OSError) as error:
        raise DamagedTableError(f"unreadable: {error}", where=f"{path.parent.name}/{path.name}") from error
    return table.to_pandas(), table.schema
