"""A training set comes back as it was frozen, or not at all."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featurestore.errors import DamagedTableError, FaultError
from featurestore.flat_tables import read_flat, write_flat
from featurestore.schemas import Column, columns_of
from featurestore.training_sets import RECORD, TABLE, TrainingSet


def made(n: int = 6) -> TrainingSet:
    X = np.arange(n * 3, dtype=np.float64).reshape(n, 3)
    X[1, 2] = np.nan
    return TrainingSet(
        X=X,
        y=(np.arange(n) % 2).astype(np.int8),
        center=np.array(["east"] * 2 + ["north"] * (n - 2)),
        case_id=np.array([f"{i:016x}" for i in range(n)]),
        split=np.array(["training", "internal"] * n)[:n],
        columns=(Column(name="early.a", unit="HU", code="X1"), Column(name="early.b"), Column(name="late.a")),
        record={"service": {"name": "both"}, "counts": []},
    )


def rewritten(folder: Path, row: int | None = None, **changes: object) -> None:
    """Changes the stored table as somebody would who does not know about hashes; `row` takes one out."""
    frame, schema = read_flat(folder / TABLE)
    frame = frame.drop(index=row) if row is not None else frame
    for name, value in changes.items():
        frame.loc[0, name.replace("__", ".")] = value
    write_flat(folder / TABLE, frame, columns_of(schema, keys=()))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    before = made()
    digest = before.save(tmp_path)
    after = TrainingSet.load(tmp_path)
    np.testing.assert_array_equal(after.X, before.X)
    assert after.X.dtype == np.float64
    assert after.y.tolist() == before.y.tolist()
    assert after.case_id.tolist() == before.case_id.tolist()
    assert after.groups.tolist() == before.center.tolist()
    assert after.columns == before.columns
    assert after.record == before.record
    assert after.digest == digest == before.digest


def test_the_same_set_has_the_same_bytes(tmp_path: Path) -> None:
    made().save(tmp_path / "a")
    made().save(tmp_path / "b")
    for name in (TABLE, RECORD):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"y": np.array([1, 1, 0, 1, 0, 1], np.int8)},
        {"split": np.array(["internal"] * 6)},
        {"case_id": np.array([f"{i:016x}" for i in range(1, 7)])},
        {"record": {"service": {"name": "other"}}},
        {"columns": (Column(name="early.a"), Column(name="early.c"), Column(name="late.a"))},
    ],
    ids=["label", "split", "patient", "record", "columns"],
)
def test_the_digest_covers_everything_that_decides(change: dict[str, object]) -> None:
    assert replace(made(), **change).digest != made().digest  # type: ignore[arg-type]


def test_the_digest_covers_every_value() -> None:
    changed = made()
    changed.X[5, 0] += 1e-12
    assert changed.digest != made().digest


@pytest.mark.parametrize(
    "change", [{"early__a": 0.5}, {"y": 1}, {"split": "internal"}], ids=["value", "label", "split"]
)
def test_a_changed_row_is_found(tmp_path: Path, change: dict[str, object]) -> None:
    made().save(tmp_path)
    rewritten(tmp_path, **change)
    with pytest.raises(DamagedTableError, match="1 rows are not what was written"):
        TrainingSet.load(tmp_path)


def test_a_changed_record_is_found(tmp_path: Path) -> None:
    made().save(tmp_path)
    content = json.loads((tmp_path / RECORD).read_text())
    content["record"]["service"]["name"] = "other"
    (tmp_path / RECORD).write_text(json.dumps(content))
    with pytest.raises(DamagedTableError, match="record"):
        TrainingSet.load(tmp_path)


def test_a_withdrawn_row_leaves_the_rest_valid(tmp_path: Path) -> None:
    digest = made().save(tmp_path)
    rewritten(tmp_path, row=3)
    left = TrainingSet.load(tmp_path)
    assert len(left.y) == 5
    assert left.digest == digest


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DamagedTableError, match=TABLE):
        TrainingSet.load(tmp_path)


def test_a_doubled_patient_is_refused(tmp_path: Path) -> None:
    twice = replace(made(), case_id=np.array(["a", "b", "c", "c", "d", "e"]))
    with pytest.raises(FaultError, match="one a patient"):
        twice.save(tmp_path)


def test_a_part_has_one_side_only() -> None:
    part = made().part("internal")
    assert set(part.split) == {"internal"}
    assert len(part.y) == 3
    np.testing.assert_array_equal(part.X, made().X[1::2])
