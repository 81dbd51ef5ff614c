"""Labels that lie in a center's `clinical.csv` beside a table of features, joined to its rows by identifier."""

from pathlib import Path

import pandas as pd

from pipelines.ingest.clinical import read_labels
from pipelines.ingest.pseudonyms import patient_name
from pipelines.params.data import LabelSection


def with_outcomes(
    frame: pd.DataFrame, id_column: str, clinical: Path, center: str, label: LabelSection
) -> pd.DataFrame:
    """Returns the table with the label's column as the clinical table has it, empty where that does not know one.

    Args:
        frame: The table as read.
        id_column: The column that names patients.
        clinical: The center's `clinical.csv`.
        center: For messages.
        label: The declared outcome.

    Raises:
        ClinicalTableError: The clinical table cannot be read, or a patient has two labels.
    """
    table = read_labels(clinical, center, label)
    patients = table.patients if table is not None else {}
    names = frame[id_column].astype(str).map(patient_name)
    told = {name: one.label_value or "" for name, one in patients.items()}
    others = frame.drop(columns=[name for name in frame if name == label.column])
    return pd.concat([others, pd.DataFrame({label.column: names.map(told).fillna("")}, index=frame.index)], axis=1)
