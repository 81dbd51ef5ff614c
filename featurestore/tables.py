"""Partitioned Parquet tables: one folder a table, one partition a center, one file a partition.

The layout is Hive's (`center=<name>/part-0.parquet`). The center is no column of the file; reading puts it back.
A file has one row group, because the footer of a wide table costs about 0.3 kB a column and row group.
"""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from featurestore.errors import REPORT, DamagedTableError, FaultError
from featurestore.files import atomic_path, sweep
from featurestore.schemas import TableSchema
from featurestore.threads import in_threads

COMPRESSION = "lz4"
"""Feature values are noise to a compressor: zstd makes files 6% smaller and their decoding twice as long."""

PART = "part-0.parquet"
CENTER_FIELD = pa.field("center", pa.string(), nullable=False)


class NoRoomError(FaultError):
    """A table could not be written; the one before it is as it was."""

    default_remedy = "make room on the disk, or give it back its write permission, and run again"


def partition(root: Path, center: str) -> Path:
    """Returns the file that holds one center's rows."""
    return root / f"center={center}" / PART


def centers_of(root: Path) -> list[str]:
    """Returns the centers that have a partition, sorted."""
    return sorted(path.parent.name.removeprefix("center=") for path in root.glob(f"center=*/{PART}"))


def write_center(
    root: Path, center: str, rows: pd.DataFrame | Sequence[dict[str, object]], schema: TableSchema
) -> Path:
    """Writes one center's rows, sorted by key; an empty table is written too, so that its schema is known.

    Args:
        root: The table's folder.
        center: The partition.
        rows: The rows, with or without the `center` column.
        schema: The declared columns; every one must be present, no other may be.

    Raises:
        FaultError: Columns differ from the schema, a key is doubled, or a value has another type.
    """
    frame = pd.DataFrame(rows if isinstance(rows, pd.DataFrame) else list(rows))
    frame = (frame if len(frame) else pd.DataFrame(columns=list(schema.names()))).assign(center=center)
    _check_columns(frame, schema, center)
    keys = list(schema.keys)
    frame = frame.sort_values(keys, kind="stable")
    if frame.duplicated(keys).any():
        twice = frame.loc[frame.duplicated(keys), keys].iloc[0].to_dict()
        where = f"table {schema.name}, center {center}"
        raise FaultError(f"two rows have the same key {twice}", where=where, remedy=REPORT)
    stored = _stored(schema)
    try:
        table = pa.Table.from_pandas(frame[stored.names], schema=stored, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        where = f"table {schema.name}, center {center}"
        raise FaultError(f"{error}", where=where, remedy=REPORT) from error
    path = partition(root, center)
    _write(table.replace_schema_metadata(stored.metadata), path, keys)
    return path


def move_center(source: Path, root: Path, center: str) -> Path:
    """Moves one center's file from another folder of the same table; what was there is replaced.

    Raises:
        NoRoomError: It could not be moved; the file before it is as it was.
    """
    target = partition(root, center)
    try:
        with atomic_path(target) as temporary:
            shutil.move(partition(source, center), temporary)
    except OSError as error:
        raise NoRoomError(f"{error.strerror or error}", where=_place(target)) from error
    return target


def read_schema(root: Path, *, centers: Iterable[str] | None = None) -> pa.Schema:
    """Returns the Arrow schema of a table with the `center` key in front.

    Args:
        root: The table's folder.
        centers: Whose partitions are looked at; all when left out.

    Raises:
        DamagedTableError: There is no partition, or two partitions have different schemas.
    """
    chosen = _chosen_centers(root, centers)
    if not chosen:
        raise DamagedTableError("no partition", where=f"table {root.name}")
    schema = _open(partition(root, chosen[0])).schema_arrow
    for center in chosen[1:]:
        _refuse_other_columns(root, chosen[0], schema, center, _open(partition(root, center)).schema_arrow)
    return schema.insert(0, CENTER_FIELD)


def read_notes(root: Path) -> dict[str, dict[str, str]]:
    """Returns, by center, the facts about the whole table that were written with it, such as settings."""
    found = {center: _open(partition(root, center)).schema_arrow.metadata or {} for center in centers_of(root)}
    return {
        center: {key.decode(): value.decode() for key, value in notes.items() if key != b"ARROW:schema"}
        for center, notes in found.items()
    }


def read_table(root: Path, *, centers: Iterable[str] | None = None, columns: Sequence[str] | None = None) -> pa.Table:
    """Reads rows of the named centers, or of all, sorted by center and key.

    Args:
        root: The table's folder.
        centers: Which partitions; all when left out. One that has no partition gives no rows.
        columns: Which columns besides `center`; all when left out.
    """
    chosen = _chosen_centers(root, centers)
    if not chosen:
        schema = read_schema(root)
        return schema.empty_table().select(_chosen(schema.names, columns))
    stored = _chosen(_open(partition(root, chosen[0])).schema_arrow.names, columns) if columns is not None else None
    parts: list[pa.Table] = []
    is_alone = len(chosen) == 1  # then its columns share the processors, which several files do better
    read = in_threads(lambda one: _read(partition(root, one), stored, use_threads=is_alone), chosen)
    for center, part in zip(chosen, read, strict=True):
        target = parts[0].schema.remove(0) if parts else part.schema
        _refuse_other_columns(root, chosen[0], target, center, part.schema)
        same = part if part.schema.equals(target, check_metadata=True) else part.cast(target)
        parts.append(_with_center(center, same))
    return pa.concat_tables(parts)


def read_frame(
    root: Path, *, centers: Iterable[str] | None = None, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Reads rows as a pandas frame; a table without any partition gives an empty frame without columns."""
    if not centers_of(root):
        return pd.DataFrame()
    return read_table(root, centers=centers, columns=columns).to_pandas()


def keep_centers(root: Path, centers: Iterable[str]) -> list[Path]:
    """Removes every partition and stray file that does not belong to the named centers."""
    return sweep(root, {partition(root, center) for center in centers})


def _chosen_centers(root: Path, centers: Iterable[str] | None) -> list[str]:
    wanted = None if centers is None else set(centers)
    return [center for center in centers_of(root) if wanted is None or center in wanted]


def _chosen(names: list[str], columns: Sequence[str] | None) -> list[str]:
    wanted = None if columns is None else {"center", *columns}
    return [name for name in names if wanted is None or name in wanted]


def _with_center(center: str, part: pa.Table) -> pa.Table:
    return part.add_column(0, CENTER_FIELD, pa.array([center] * part.num_rows, pa.string()))


def _refuse_other_columns(root: Path, first: str, schema: pa.Schema, center: str, other: pa.Schema) -> None:
    if not other.equals(schema, check_metadata=False):
        raise DamagedTableError(f"centers {first} and {center} have different columns", where=f"table {root.name}")


def _stored(schema: TableSchema) -> pa.Schema:
    full = schema.arrow()
    return pa.schema([item for item in full if item.name != "center"], metadata=full.metadata)


def _check_columns(frame: pd.DataFrame, schema: TableSchema, center: str) -> None:
    missing = set(schema.names()) - set(frame.columns)
    extra = set(frame.columns) - set(schema.names())
    if missing or extra:
        raise FaultError(
            f"columns missing: {sorted(missing)[:5]}; not declared: {sorted(extra)[:5]}",
            where=f"table {schema.name}, center {center}",
            remedy=REPORT,
        )


def _write(table: pa.Table, path: Path, keys: list[str]) -> None:
    indexed = [key for key in keys if key != "center"]
    try:
        with atomic_path(path) as temporary:
            pq.write_table(
                table,
                temporary,
                compression=COMPRESSION,
                use_dictionary=indexed,
                write_statistics=indexed,
                row_group_size=max(table.num_rows, 1),
            )
    except OSError as error:
        raise NoRoomError(f"{error.strerror or error}", where=_place(path)) from error


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DamagedTableError(f"unreadable: {error}", where=_place(path)) from error


def _read(path: Path, stored: Sequence[str] | None, *, use_threads: bool) -> pa.Table:
    source = _open(path)
    try:
        return source.read(columns=stored, use_threads=use_threads)
    except (pa.ArrowException, OSError) as error:
        raise DamagedTableError(f"unreadable: {error}", where=_place(path)) from error


def _place(path: Path) -> str:
    return f"{path.parent.parent.name}/{path.parent.name}"
