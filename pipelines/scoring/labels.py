"""Labels of new hospitals, taken in after scoring: no score, no input and no fingerprint ever sees one.

A label that comes late, or is corrected, changes the outcomes and the performance, and no score.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from featurestore.tables import read_frame, write_center
from pipelines.ingest.clinical import CLINICAL_FILE, Patient, read_labels
from pipelines.ingest.places import IngestPlaces
from pipelines.ingest.pseudonyms import case_id, load_key
from pipelines.ingest.views import outcomes_schema
from pipelines.params import CaseRules
from pipelines.params.data import Center


@dataclass(frozen=True, kw_only=True)
class TakenLabels:
    """What is known of a hospital's outcomes now.

    Args:
        labels: `case_id` and `label` (1 or 0) of every patient whose label is known.
        n_undeclared: Patients whose label has a value that the rules do not declare.
    """

    labels: pd.DataFrame
    n_undeclared: int = 0


def take_labels(
    places: IngestPlaces, center: str, section: Center, rules: CaseRules, quiet_s: float = 0.0
) -> TakenLabels:
    """Reads the label column of the hospital's clinical table into the outcomes; nothing is written without a change.

    Args:
        places: The hospital's folders under the package's rules.
        center: The hospital.
        section: Its key and the names it has for columns.
        rules: The package's case rules, with who withdrew by now.
        quiet_s: A table that was touched within so many seconds is left for the next run.

    Raises:
        ClinicalTableError: The table cannot be read, or a patient has two labels; the outcomes stay as they were.
        KeyMissingError: The key that the scores were given under is not here.
    """
    path = clinical_table(places.raw[center])
    if path is not None and quiet_s > 0 and path.stat().st_mtime > time.time() - quiet_s:
        return TakenLabels(labels=known_labels(places.outcomes, center))
    table = read_labels(path, center, rules.label, section.clinical) if path is not None else None
    patients = list(table.patients.values()) if table is not None else []
    rows = _rows(patients, load_key(places.keys, center, section.key_id) if patients else b"", rules)
    _write(places.outcomes, center, rows, rules)
    undeclared = sum(any(one.code == "label_undeclared" for one in patient.complaints) for patient in patients)
    return TakenLabels(labels=_plain(rows), n_undeclared=undeclared)


def known_labels(outcomes: Path, center: str) -> pd.DataFrame:
    """Returns `case_id` and `label` of the patients of a hospital whose label was taken in."""
    rows = read_frame(outcomes, centers=[center])
    return _plain(rows if len(rows.columns) else pd.DataFrame(columns=["case_id", "label"]))


def clinical_table(folder: Path) -> Path | None:
    """Returns where a hospital's clinical table lies, however its name is written; none if it sent none."""
    found = [path for path in sorted(folder.glob("*")) if path.name.lower() == CLINICAL_FILE and path.is_file()]
    return found[0] if found else None


def _rows(patients: list[Patient], key: bytes, rules: CaseRules) -> pd.DataFrame:
    known = [
        {"case_id": case_id(key, patient.patient_id), "label": patient.label, "value": patient.label_value}
        for patient in patients
        if patient.label is not None
    ]
    rows = pd.DataFrame(known, columns=["case_id", "label", "value"])
    return rows[~rows["case_id"].isin(rules.cohort.withdrawn)].sort_values("case_id", ignore_index=True)


def _write(root: Path, center: str, rows: pd.DataFrame, rules: CaseRules) -> None:
    before = read_frame(root, centers=[center])
    columns = ["case_id", "label", "value"]
    if rows.empty and before.empty:
        return
    is_same = len(before) == len(rows) and (before[columns].astype(str) == rows[columns].astype(str)).all(axis=None)
    if not is_same:
        write_center(root, center, rows, outcomes_schema(rules.label))


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    known = rows.dropna(subset=["label"])[["case_id", "label"]]
    return known.astype({"case_id": str, "label": "int8"}).reset_index(drop=True)
