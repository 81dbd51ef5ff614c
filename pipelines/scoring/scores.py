"""The history of scores, and what follows from it: which cases are due, and which score is current.

A score belongs to a package and to the exact inputs it was computed from. The same case under the same package is
scored once; a scan that was sent again and differs gives a new score that names the one it replaces. So the latest
score is always that of the present inputs, also when an earlier scan comes back.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from featurestore.fingerprints import combined_digest
from featurestore.history import append, read_history
from featurestore.schemas import Column, TableSchema

SCORES = TableSchema(
    name="scores",
    keys=("center", "case_id", "package", "inputs"),
    columns=(
        Column(name="sequence", kind="integer", description="1 for a case's first score under this package"),
        Column(name="replaces", kind="string", description="inputs of the score that this one replaces"),
        Column(name="model", kind="string", description="registered model"),
        Column(name="version", kind="integer", description="registered version"),
        Column(name="probability", kind="float", description="probability of the positive class"),
        Column(name="threshold", kind="float", description="operating point from the training patients"),
        Column(name="positive", kind="boolean", description="probability at or above the threshold"),
        Column(name="role", kind="string", description="what the version was then: champion, challenger or standby"),
        Column(name="distance", kind="float", description="how far from the patients that the model was made from"),
        Column(name="doubts", kind="string", description="codes of why the score may not be trusted, joined by ;"),
    ),
)


def inputs_by_patient(rows: pd.DataFrame) -> pd.Series:
    """Returns, for each patient, one hash of the fingerprints of the rows that his score rests on.

    Args:
        rows: Feature rows with center, case_id and fingerprint.
    """
    own: dict[tuple[str, str], list[str]] = {}
    for center, case_id, fingerprint in zip(rows["center"], rows["case_id"], rows["fingerprint"], strict=True):
        own.setdefault((str(center), str(case_id)), []).append(str(fingerprint))
    patients = sorted(own)
    index = pd.MultiIndex.from_tuples(patients, names=["center", "case_id"])
    return pd.Series(
        [combined_digest(own[patient]) for patient in patients], index=index, name="fingerprint", dtype=str
    )


def current_scores(history: pd.DataFrame) -> pd.DataFrame:
    """Returns the latest score of each case under each package."""
    latest = history.sort_values("sequence", kind="stable").groupby(["center", "case_id", "package"], sort=True).tail(1)
    return latest.sort_values(["center", "case_id", "package"], kind="stable", ignore_index=True)


def due_patients(patients: pd.DataFrame, history: pd.DataFrame, package: str) -> pd.DataFrame:
    """Returns the patients whose current score under the package is not of their present inputs, or who have none.

    Args:
        patients: One row a patient with center, case_id and inputs.
        history: All scores so far.
        package: The package's digest.

    Returns:
        The due rows with `sequence` and `replaces` filled.
    """
    current = current_scores(history[history["package"] == package])
    known = set(zip(current["center"], current["case_id"], current["inputs"], strict=True))
    keys = list(zip(patients["center"], patients["case_id"], patients["inputs"], strict=True))
    # a list, empty where there is nobody, would name columns
    due = patients[np.array([key not in known for key in keys], dtype=bool)]
    last = current.set_index(["center", "case_id"])
    before = last.reindex(pd.MultiIndex.from_frame(due[["center", "case_id"]]))
    return due.assign(
        sequence=before["sequence"].fillna(0).astype(int).to_numpy() + 1,
        replaces=before["inputs"].fillna("").to_numpy(),
    )


def append_scores(
    root: Path,
    due: pd.DataFrame,
    probabilities: NDArray[np.float64],
    *,
    package: str,
    model: str,
    version: int,
    threshold: float,
) -> int:
    """Adds the scores of the due patients to the history, a part a center.

    Args:
        root: The history's folder.
        due: As `due_patients` returns them, with role, distance and doubts.
        probabilities: One a row of `due`, shape (n,).
        package: The package's digest.
        model: The registered model's name.
        version: The registered version.
        threshold: From here on a case counts as positive.

    Returns:
        How many were added.
    """
    scored = due.assign(
        package=package,
        model=model,
        version=version,
        threshold=threshold,
        probability=probabilities,
        positive=probabilities >= threshold,
    )
    for center, rows in scored.groupby("center", sort=True):
        append(root, str(center), rows[list(SCORES.names())].to_dict("records"), SCORES)
    return len(scored)


def read_scores(root: Path, center: str = "*") -> pd.DataFrame:
    """Returns all scores ever given to a center's cases, or to all, sorted by center, case and package.

    Scores of the time when champions alone scored, and nobody doubted them, lack the columns that tell of it.
    """
    history = read_history(root, SCORES, center)
    return history.fillna({"role": "champion", "doubts": ""})


@dataclass(frozen=True)
class ScoreBook:
    """The history of scores as a run looks at it again and again: parts never change, so each is checked once.

    Args:
        root: The history's folder.
    """

    root: Path
    _known: dict[str, tuple[tuple[str, ...], pd.DataFrame]] = field(default_factory=dict, repr=False, compare=False)

    def of(self, center: str) -> pd.DataFrame:
        """Returns all scores ever given to a center's cases."""
        parts = tuple(sorted(path.name for path in self.root.glob(f"center={center}/*.parquet")))
        if self._known.get(center, ((), None))[0] != parts:
            self._known[center] = (parts, read_scores(self.root, center))
        return self._known[center][1].copy(deep=False) if parts else read_scores(self.root, center)
