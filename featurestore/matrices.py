"""A small matrix with named rows and columns in one Parquet file, read with its size checked first."""

import io
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from featurestore.errors import DamagedTableError

ROW_NAME = "row"


def matrix_bytes(rows: Sequence[str], columns: Sequence[str], values: NDArray[np.float64]) -> bytes:
    """Returns the Parquet bytes of a matrix: same values, same bytes.

    Args:
        rows: The names of the rows, stored as the column `row`.
        columns: The names of the columns.
        values: Numbers, shape (len(rows), len(columns)).
    """
    data = {ROW_NAME: pa.array(list(rows), pa.string())}
    data |= {name: pa.array(values[:, number], pa.float64()) for number, name in enumerate(columns)}
    buffer = io.BytesIO()
    pq.write_table(pa.table(data), buffer, compression="zstd", write_statistics=False, use_dictionary=False)
    return buffer.getvalue()


def matrix_from_bytes(
    data: bytes, *, max_rows: int, max_columns: int, where: str
) -> tuple[list[str], list[str], NDArray[np.float64]]:
    """Reads what `matrix_bytes` wrote: row names, column names, values.

    Args:
        data: The file's bytes.
        max_rows: More rows than these are refused before they are read.
        max_columns: More columns than these are refused before they are read.
        where: The name that errors give the file.

    Raises:
        DamagedTableError: The bytes are no such matrix, or it is larger than allowed.
    """
    try:
        source = pq.ParquetFile(io.BytesIO(data))
        shape = (source.metadata.num_rows, source.metadata.num_columns - 1)
        if shape[0] > max_rows or shape[1] > max_columns or source.metadata.num_row_groups > 1:
            raise DamagedTableError(f"has {shape[0]} rows and {shape[1]} columns", where=where)
        kinds = dict(zip(source.schema_arrow.names, source.schema_arrow.types, strict=True))
        if kinds.pop(ROW_NAME, None) != pa.string() or set(kinds.values()) - {pa.float64()}:
            raise DamagedTableError("is no matrix with named rows", where=where)
        table = source.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedTableError(f"unreadable: {error}", where=where) from error
    names = table.column_names[1:]
    columns = [table[name].to_numpy(zero_copy_only=False) for name in names]
    values = np.column_stack(columns) if columns else np.empty((table.num_rows, 0))
    return table[ROW_NAME].to_pylist(), names, values.astype(np.float64)
