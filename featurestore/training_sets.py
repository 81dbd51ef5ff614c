"""Training sets: a frozen table of features and labels with the record of how it was made.

The digest covers one hash for each patient's row and the record, so that a patient can be taken out later and every
other row still verifies.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from featurestore.entities import PATIENT_COLUMNS
from featurestore.errors import REPORT, DamagedTableError, FaultError
from featurestore.files import write_json
from featurestore.fingerprints import combined_digest, digest
from featurestore.flat_tables import read_flat, write_flat
from featurestore.row_hashes import hashed_rows
from featurestore.schemas import Column, Kind, columns_of

TABLE = "training_set.parquet"
RECORD = "record.json"
TRAINING, INTERNAL = "training", "internal"
_OWN_COLUMNS = (*PATIENT_COLUMNS, "split", "y", "row_hash", "position")
_ROWS = ("X", "y", "center", "case_id", "split")


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingSet:
    """Features and labels of the development patients, one row a patient, sorted by center and case_id.

    Args:
        X: Features, shape (n, p), float64; NaN where a value is missing. The label is never among them.
        y: Labels, shape (n,), int8, 1 is positive.
        center: The patient's center, shape (n,).
        case_id: The patient's pseudonym, shape (n,).
        split: `training` or `internal`, shape (n,).
        columns: The declared feature columns, in the order of X.
        record: How the set was made; JSON types.
        position: The place of each training row among the training patients of all services, -1 for others, shape
            (n,); none where the set has them all. Folds are dealt over all, so that a patient is in the same fold
            in every set.
    """

    X: NDArray[np.float64]
    y: NDArray[np.int8]
    center: NDArray[np.str_]
    case_id: NDArray[np.str_]
    split: NDArray[np.str_]
    columns: tuple[Column, ...]
    record: dict[str, Any]
    position: NDArray[np.int64] | None = None

    @property
    def groups(self) -> NDArray[np.str_]:
        """The center of each row."""
        return self.center

    @property
    def names(self) -> list[str]:
        """The feature names in the order of X."""
        return [column.name for column in self.columns]

    @cached_property
    def row_hashes(self) -> list[str]:
        """One hash a row, over column names, patient, split, label and features."""
        head = digest(self.names).encode()
        own = [self.center.tolist(), self.case_id.tolist(), self.split.tolist(), self.y.tolist()]
        keys = zip(*own, *([] if self.position is None else [self.position.tolist()]), strict=True)
        return hashed_rows([head + "\0".join(map(str, key)).encode() + b"\0" for key in keys], self.X)

    @cached_property
    def digest(self) -> str:
        """The set's identity: its rows in any order, and its record."""
        return _identity(self.row_hashes, self.record)

    def part(self, split: str) -> "TrainingSet":
        """Returns the rows on one side of the split, with the record of the whole."""
        return self.rows(self.split == split)

    def rows(self, at: NDArray[np.bool_]) -> "TrainingSet":
        """Returns some rows, with the record of the whole."""
        own = {name: getattr(self, name)[at] for name in _ROWS}
        position = None if self.position is None else self.position[at]
        return TrainingSet(**own, columns=self.columns, record=self.record, position=position)

    def save(self, folder: Path) -> str:
        """Writes `training_set.parquet` and `record.json`, and returns the digest.

        Raises:
            FaultError: Rows are not sorted by patient, a patient is doubled, or shapes differ.
        """
        self._check()
        frame = pd.DataFrame(self.X, columns=self.names)
        own: dict[str, Any] = {
            "center": self.center,
            "case_id": self.case_id,
            "split": self.split,
            "y": self.y.astype(np.int64),
        }
        own |= {"row_hash": self.row_hashes, **({} if self.position is None else {"position": self.position})}
        frame = pd.concat([pd.DataFrame(own), frame], axis=1)
        write_flat(folder / TABLE, frame, (*_own_schema(own), *self.columns))
        content = {"digest": self.digest, "rows": sorted(self.row_hashes), "record": self.record}
        write_json(folder / RECORD, content)
        return self.digest

    @classmethod
    def load(cls, folder: Path) -> "TrainingSet":
        """Reads a set and checks every row against its hash and all hashes against the digest.

        A row that was taken out later (a withdrawn patient) is no damage; a changed or added one is.

        Raises:
            DamagedTableError: A file is missing, or a row or the record is not what was written.
        """
        frame, schema = read_flat(folder / TABLE)
        content = _read_record(folder / RECORD)
        columns = columns_of(schema, keys=_OWN_COLUMNS)
        loaded = cls(
            X=frame[[column.name for column in columns]].to_numpy(np.float64),
            y=frame["y"].to_numpy(np.int8),
            center=frame["center"].to_numpy(np.str_),
            case_id=frame["case_id"].to_numpy(np.str_),
            split=frame["split"].to_numpy(np.str_),
            columns=columns,
            record=content["record"],
            position=frame["position"].to_numpy(np.int64) if "position" in frame else None,
        )
        _verify(loaded, content, folder.name)
        if len(loaded.y) < len(content["rows"]):
            loaded.__dict__["digest"] = content["digest"]
        return loaded

    def _check(self) -> None:
        patients = list(zip(self.center.tolist(), self.case_id.tolist(), strict=True))
        if patients != sorted(set(patients)):
            raise FaultError(
                "rows are not one a patient, sorted by center and case_id", where="training set", remedy=REPORT
            )
        if self.X.shape != (len(self.y), len(self.columns)):
            seen = f"{self.X.shape} values for {len(self.y)} rows, {len(self.columns)} columns"
            raise FaultError(seen, remedy=REPORT)


def _own_schema(own: Iterable[str]) -> tuple[Column, ...]:
    kinds: dict[str, Kind] = {"y": "integer", "position": "integer"}
    return tuple(Column(name=name, kind=kinds.get(name, "string")) for name in own)


def _identity(row_hashes: list[str], record: dict[str, Any]) -> str:
    return digest({"rows": combined_digest(row_hashes), "record": record})


def _read_record(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DamagedTableError(f"unreadable: {error}", where=f"{path.parent.name}/{path.name}") from error
    return content


def _verify(loaded: TrainingSet, content: dict[str, Any], name: str) -> None:
    unknown = set(loaded.row_hashes) - set(content["rows"])
    if unknown:
        raise DamagedTableError(f"{len(unknown)} rows are not what was written", where=f"training set {name}")
    if _identity(content["rows"], content["record"]) != content["digest"]:
        raise DamagedTableError("the record is not what was written", where=f"training set {name}")
