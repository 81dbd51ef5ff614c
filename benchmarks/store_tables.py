"""Tables for `benchmarks/store.py`: real rows drawn with replacement, and the work that is measured on them."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from featurestore import validation
from featurestore.entities import KEY_COLUMNS
from featurestore.joining import joined_columns, view_of
from featurestore.schemas import Column, TableSchema, columns_of
from featurestore.tables import COMPRESSION, centers_of, partition, read_frame, read_schema, read_table, write_center
from featurestore.training_sets import TrainingSet
from featurestore.views import FeatureService, feature_names, wide_frame
from pipelines.training.splits import side

DATA = Path(os.environ.get("RADMILL_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SERVICE = FeatureService(name="late", view="fake", phases=("late",))


def real_values(n: int, p: int, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of real patients, drawn with replacement; each value is shaken by a thousandth of its column's spread."""
    frame = pd.read_csv(DATA / "multicentre_nsclc" / "Moffitt.csv.gz").select_dtypes("number").drop(columns="id")
    names = [f"{name}{'' if turn == 0 else f'_{turn}'}" for turn in range(-(-p // frame.shape[1])) for name in frame]
    values = np.tile(frame.to_numpy(np.float64), (1, -(-p // frame.shape[1])))[:, :p]
    drawn = values[rng.integers(len(values), size=n)]
    return pd.DataFrame(drawn + rng.normal(size=drawn.shape) * np.nanstd(values, axis=0) / 1000, columns=names[:p])


def center_rows(center: str, n: int, p: int) -> pd.DataFrame:
    values = real_values(n, p, np.random.default_rng([n, p, int(center[1:])]))
    keys = {
        "center": center,
        "case_id": [f"{i:016x}" for i in range(n)],
        "phase": "late",
        "roi": "tumor",
        "observer": "",
    }
    return pd.concat([pd.DataFrame(keys)[list(KEY_COLUMNS)], values], axis=1)


def names_of(centers: int) -> list[str]:
    return [f"c{number:03d}" for number in range(centers)]


def write_store(root: Path, n: int, p: int, centers: int) -> None:
    for center in names_of(centers):
        frame = center_rows(center, n // centers, p)
        write_center(root, center, frame, schema_of(frame))


def schema_of(frame: pd.DataFrame) -> TableSchema:
    return TableSchema(name="fake", columns=tuple(Column(name=name) for name in feature_names(frame)))


def plain_write(path: Path, frame: pd.DataFrame) -> None:
    """The same bytes by pyarrow alone: no check, no sorting, no sync of the disk."""
    table = pa.Table.from_pandas(frame.drop(columns="center"), preserve_index=False)
    texts = ["case_id", "phase", "roi", "observer"]
    pq.write_table(
        table, path, compression=COMPRESSION, use_dictionary=texts, write_statistics=texts, row_group_size=len(frame)
    )


def plain_read(root: Path, columns: list[str] | None = None, centers: list[str] | None = None) -> pa.Table:
    """The same bytes by pyarrow alone: every file read and joined, nothing checked or added."""
    chosen = centers or centers_of(root)
    return pa.concat_tables([pq.ParquetFile(partition(root, center)).read(columns=columns) for center in chosen])


def stamped_file(root: Path, centers: list[str], target: Path) -> None:
    """One file with the time that Feast asks for, as it would be registered there; compressed as the store is."""
    writer = None
    for center in centers:
        table = read_table(root, centers=[center])
        stamps = pa.array([pd.Timestamp("2024-01-01", tz="UTC")] * table.num_rows, pa.timestamp("us", tz="UTC"))
        table = table.append_column("event_timestamp", stamps)
        writer = writer or pq.ParquetWriter(target, table.schema, compression=COMPRESSION, use_dictionary=False)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def plain_frame(root: Path, centers: list[str]) -> pd.DataFrame:
    return plain_read(root, centers=centers).to_pandas()


def patient_rows(root: Path, centers: list[str]) -> pd.DataFrame:
    """One row a patient with the columns of the service: the answer that Feast's retrieval gives."""
    return wide_frame(read_frame(root, centers=centers), SERVICE)


def training_set(root: Path, centers: list[str]) -> TrainingSet:
    """What `radmill assemble` does with the rows of a service: read, one row a patient, sides, hashes."""
    long = read_frame(root, centers=centers)
    wide = wide_frame(long, SERVICE)
    names = [name for name in wide if name not in ("center", "case_id")]
    declared = joined_columns(
        {"fake": view_of("fake", long, columns_of(read_schema(root, centers=centers[:1])))}, SERVICE
    )
    pairs = zip(wide["center"].tolist(), wide["case_id"].tolist(), strict=True)
    made = TrainingSet(
        X=wide[names].to_numpy(np.float64),
        y=(np.arange(len(wide)) % 2).astype(np.int8),
        center=wide["center"].to_numpy(np.str_),
        case_id=wide["case_id"].to_numpy(np.str_),
        split=np.array([side(center, case, 1, 0.3) for center, case in pairs]),
        columns=tuple(declared[name] for name in names),
        record={"service": SERVICE.plain()},
    )
    assert made.digest
    return made


def validate(root: Path, centers: list[str]) -> int:
    """The rules of `radmill validate` about rows and columns."""
    rows = read_frame(root, centers=centers)
    names = feature_names(rows)
    rules = (
        validation.empty_rows,
        validation.infinite_values,
        validation.missing_values,
        validation.constant_columns,
        validation.duplicated_rows,
    )
    return sum(len(rule(rows, names, "late")) for rule in rules)


def add_one_case(root: Path, number: int) -> None:
    """One more row of one center: its partition alone is read and written."""
    center = centers_of(root)[0]
    frame = read_frame(root, centers=[center])
    last = frame.iloc[[-1]].assign(case_id=f"f{number:015x}")
    write_center(root, center, pd.concat([frame, last], ignore_index=True), schema_of(frame))


def write_one_file(root: Path, target: Path) -> None:
    pq.write_table(plain_read(root), target, compression=COMPRESSION, use_dictionary=False)


def rewrite_one_file(source: Path, target: Path) -> None:
    """What a store of one file must do for one more row: read and write everything."""
    table = pq.ParquetFile(source).read()
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), target, compression=COMPRESSION, use_dictionary=False)
