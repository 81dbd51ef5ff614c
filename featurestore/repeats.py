"""The same features of the same patients by other outlines: what agreement is computed from, beside a training set."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from featurestore.entities import PATIENT_COLUMNS
from featurestore.errors import DamagedTableError
from featurestore.fingerprints import row_digest
from featurestore.flat_tables import read_flat, write_flat
from featurestore.schemas import Column

TABLE = "repeats.parquet"
OBSERVER = "observer"
_KEYS = (*PATIENT_COLUMNS, OBSERVER)


def repeat_hashes(frame: pd.DataFrame) -> list[str]:
    """Returns one hash a row, sorted; a training set's record holds them, so that its digest covers them."""
    return sorted(row_digest(row) for row in frame.to_dict("records"))  # type: ignore[arg-type]


def write_repeats(folder: Path, frame: pd.DataFrame) -> None:
    """Writes the rows beside a training set; without any, a file of an earlier set is removed.

    Args:
        folder: The training set's folder.
        frame: `center`, `case_id`, `observer`, and the set's features in its order.
    """
    if frame.empty:
        (folder / TABLE).unlink(missing_ok=True)
        return
    columns = [Column(name=name, kind="string" if name in _KEYS else "float") for name in frame.columns]
    write_flat(folder / TABLE, frame.sort_values(list(_KEYS), ignore_index=True), tuple(columns))


def read_repeats(
    folder: Path, names: list[str], center: NDArray[np.str_], case_id: NDArray[np.str_], hashes: list[str]
) -> NDArray[np.float64] | None:
    """Returns the values of each other outline for the given patients, shape (n, k, p), NaN where there is none.

    Args:
        folder: The training set's folder.
        names: The set's features in its order.
        center: The patients' centers, shape (n,).
        case_id: Their pseudonyms, shape (n,).
        hashes: Of the rows that were written, as the set's record has them.

    Returns:
        The values; nothing when the set has no repeats.

    Raises:
        DamagedTableError: The file is missing, or a row is not what was written.
    """
    if not hashes:
        return None
    frame, _ = read_flat(folder / TABLE)
    if not set(repeat_hashes(frame)) <= set(hashes):
        raise DamagedTableError("rows are not what was written", where=f"{folder.name}/{TABLE}")
    patients = pd.MultiIndex.from_arrays([center, case_id], names=list(PATIENT_COLUMNS))
    parts = [
        rows.set_index(list(PATIENT_COLUMNS))[names].reindex(patients).to_numpy(np.float64)
        for _, rows in frame.groupby(OBSERVER, sort=True)
    ]
    return np.stack(parts, axis=1) if parts else None
