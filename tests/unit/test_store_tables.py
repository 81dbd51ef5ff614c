"""Partitioned tables and the append-only history keep what was written, and refuse what was not declared."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from featurestore import history
from featurestore.entities import KEY_COLUMNS
from featurestore.errors import DamagedTableError, FaultError
from featurestore.fingerprints import row_digest
from featurestore.row_hashes import hashed_rows
from featurestore.schemas import Column, TableSchema, columns_of
from featurestore.tables import (
    centers_of,
    keep_centers,
    partition,
    read_frame,
    read_schema,
    read_table,
    write_center,
)

SCHEMA = TableSchema(
    name="demo",
    columns=(
        Column(name="original_firstorder_Mean", unit="HU", description="Mean intensity", code="Q4LE"),
        Column(name="note", kind="string"),
        Column(name="n", kind="integer"),
    ),
)


def row(case: str, phase: str = "excretory", mean: float | None = 1.0) -> dict[str, object]:
    key = dict(zip(KEY_COLUMNS, ("north", case, phase, "tumor", ""), strict=True))
    return {**key, "original_firstorder_Mean": mean, "note": "ok", "n": 3}


def test_rows_come_back_sorted_with_units_and_codes(tmp_path: Path) -> None:
    write_center(tmp_path, "north", [row("b"), row("a", mean=None)], SCHEMA)
    write_center(tmp_path, "east", [row("c")], SCHEMA)
    frame = read_frame(tmp_path)
    assert list(frame.columns) == list(SCHEMA.names())
    assert list(zip(frame.center, frame.case_id, strict=True)) == [("east", "c"), ("north", "a"), ("north", "b")]
    assert columns_of(read_schema(tmp_path)) == SCHEMA.columns
    assert read_frame(tmp_path, centers=["east"], columns=["n"]).to_dict("list") == {"center": ["east"], "n": [3]}


def test_order_of_rows_does_not_change_the_bytes(tmp_path: Path) -> None:
    first = write_center(tmp_path / "1", "north", [row("b"), row("a")], SCHEMA)
    second = write_center(tmp_path / "2", "north", [row("a"), row("b")], SCHEMA)
    assert first.read_bytes() == second.read_bytes()


def test_an_empty_center_keeps_its_schema(tmp_path: Path) -> None:
    write_center(tmp_path, "north", [], SCHEMA)
    write_center(tmp_path, "east", [row("a")], SCHEMA)
    assert len(read_frame(tmp_path)) == 1
    assert read_table(tmp_path, centers=["north"]).num_rows == 0


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([{**row("a"), "surprise": 1}], "not declared"),
        ([{k: v for k, v in row("a").items() if k != "n"}], "columns missing"),
        ([row("a"), row("a")], "same key"),
        ([{**row("a"), "n": "three"}], "three"),
    ],
)
def test_what_is_not_declared_is_refused(tmp_path: Path, rows: list[dict[str, object]], complaint: str) -> None:
    with pytest.raises(FaultError, match=complaint):
        write_center(tmp_path, "north", rows, SCHEMA)
    assert not centers_of(tmp_path)


def test_one_row_group_and_statistics_on_keys_only(tmp_path: Path) -> None:
    """Footers of wide tables would outgrow their data otherwise."""
    meta = pq.ParquetFile(write_center(tmp_path, "north", [row("a")], SCHEMA)).metadata
    assert meta.num_row_groups == 1
    with_statistics = {
        meta.row_group(0).column(i).path_in_schema
        for i in range(meta.num_columns)
        if meta.row_group(0).column(i).is_stats_set
    }
    assert with_statistics == set(KEY_COLUMNS) - {"center"}


def test_a_center_that_left_is_swept(tmp_path: Path) -> None:
    for center in ("north", "east"):
        write_center(tmp_path, center, [row("a")], SCHEMA)
    assert keep_centers(tmp_path, ["east"]) == [partition(tmp_path, "north")]
    assert centers_of(tmp_path) == ["east"]


def test_a_truncated_partition_is_named(tmp_path: Path) -> None:
    path = write_center(tmp_path / "radiomics", "north", [row("a")], SCHEMA)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedTableError, match="radiomics/center=north"):
        read_frame(tmp_path / "radiomics")


def test_many_centers_come_back_in_order_and_the_first_damaged_one_is_named(tmp_path: Path) -> None:
    """Files are read side by side; what is told must not depend on which was ready first."""
    names = [f"c{number:02d}" for number in range(20)]
    for number, name in enumerate(names):
        write_center(tmp_path, name, [row("a", mean=float(number))], SCHEMA)
    frame = read_frame(tmp_path)
    assert frame["center"].tolist() == names
    assert frame["original_firstorder_Mean"].tolist() == list(range(20))
    for name in ("c07", "c03"):
        partition(tmp_path, name).write_bytes(b"PAR1")
    with pytest.raises(DamagedTableError, match="center=c03"):
        read_table(tmp_path)


def test_rows_hashed_side_by_side_have_the_hashes_of_rows_hashed_alone() -> None:
    values = np.asfortranarray(np.random.default_rng(1).normal(size=(600, 5)))
    values[::7, 2] = -np.float64("nan")
    heads = [f"{number}".encode() for number in range(600)]
    alone = [hashed_rows([head], values[[at]])[0] for at, head in enumerate(heads)]
    assert hashed_rows(heads, values) == alone
    plain = values[7].copy()
    plain[2] = np.nan
    assert alone[7] == hashlib.sha256(b"7" + plain.astype("<f8").tobytes()).hexdigest()


def test_every_nan_has_one_hash_and_absence_another() -> None:
    assert row_digest({"x": float("nan")}) == row_digest({"x": -float("nan")})
    assert len({row_digest({"x": value}) for value in (float("nan"), None, 0, 0.0, False, "0")}) == 6


def test_history_counts_a_part_once_and_finds_a_changed_one(tmp_path: Path) -> None:
    first = history.append(tmp_path, "north", [row("a")], SCHEMA)
    assert history.append(tmp_path, "north", [row("a")], SCHEMA) == first
    history.append(tmp_path, "north", [row("b")], SCHEMA)
    assert list(history.read_history(tmp_path, SCHEMA).case_id) == ["a", "b"]
    frame = pd.read_parquet(first).assign(n=4)
    frame.to_parquet(first, index=False)
    with pytest.raises(DamagedTableError):
        history.read_history(tmp_path, SCHEMA)
