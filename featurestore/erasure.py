"""Takes a patient's rows out of Parquet files, and finds the files that hold him."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from featurestore.errors import DamagedTableError
from featurestore.files import TEMPORARY, atomic_path
from featurestore.fingerprints import combined_digest, row_digest
from featurestore.tables import COMPRESSION


def parquet_files(roots: Iterable[Path]) -> Iterator[Path]:
    """Yields every Parquet file below the roots, sorted; half-written ones left out."""
    for root in roots:
        for path in sorted(root.rglob("*.parquet")) if root.is_dir() else []:
            if not path.name.startswith(TEMPORARY):
                yield path


def rows_of(path: Path, center: str, case_id: str) -> int:
    """Returns how many rows of a file are about a patient; 0 for a table that is not about patients."""
    names = _names(path)
    if "case_id" not in names:
        return 0
    keys = _file(path).read(columns=[name for name in ("center", "case_id") if name in names])
    return int(pc.sum(_about(keys, path, center, case_id)).as_py() or 0)


def erase(path: Path, center: str, case_id: str) -> int:
    """Rewrites a file without a patient's rows and returns how many there were; an unconcerned file is not touched.

    A part of an append-only history is named by its rows, and gets its new name.
    """
    n_rows = rows_of(path, center, case_id)
    if not n_rows:
        return 0
    file = _file(path)
    table = file.read()
    kept = table.filter(pc.invert(_about(table, path, center, case_id)))
    target = path
    if _is_named_by_rows(path, table):
        target = path.with_name(f"{combined_digest(row_digest(row) for row in kept.to_pylist())}.parquet")
    if kept.num_rows or target == path:
        _write(kept, file, target)
    if target != path:
        path.unlink()
    return n_rows


def erase_where(path: Path, column: str, values: Iterable[str]) -> int:
    """Rewrites a file without the rows whose text column has one of the values, and returns how many there were."""
    file = _file(path)
    table = file.read()
    at = pc.is_in(table.column(column), value_set=pa.array(sorted(values), pa.string()))
    n_rows = int(pc.sum(at).as_py() or 0)
    if n_rows:
        _write(table.filter(pc.invert(at)), file, path)
    return n_rows


def _about(table: pa.Table, path: Path, center: str, case_id: str) -> pa.ChunkedArray:
    at = pc.equal(table.column("case_id"), case_id)
    if "center" in table.column_names:
        return pc.and_(at, pc.equal(table.column("center"), center))
    # a partition that names its center in the folder; a table without any center is not about this one
    is_own = path.parent.name == f"center={center}"
    return at if is_own else pc.and_(at, pa.scalar(False))


def _write(table: pa.Table, like: pq.ParquetFile, path: Path) -> None:
    """Writes a table the way its file was written: compression, and dictionaries and statistics on the same columns."""
    group = like.metadata.row_group(0) if like.metadata.num_row_groups else None
    columns = [group.column(i) for i in range(group.num_columns)] if group is not None else []
    kept = [column.path_in_schema for column in columns if column.statistics is not None]
    with atomic_path(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression=columns[0].compression if columns else COMPRESSION,
            use_dictionary=kept or False,
            write_statistics=kept or False,
            row_group_size=max(table.num_rows, 1),
        )


def _is_named_by_rows(path: Path, table: pa.Table) -> bool:
    is_digest = len(path.stem) == len(combined_digest([]))
    return is_digest and path.stem == combined_digest(row_digest(row) for row in table.to_pylist())


def _names(path: Path) -> list[str]:
    return list(_file(path).schema_arrow.names)


def _file(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DamagedTableError(f"unreadable: {error}", where=f"{path.parent.name}/{path.name}") from error
