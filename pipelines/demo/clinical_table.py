"""Each hospital's `clinical.csv`, in its own words and encoding."""

import csv
from collections.abc import Iterable
from io import StringIO
from pathlib import Path

from pipelines.demo.centers import CenterStyle
from pipelines.demo.faults import has_fault
from pipelines.demo.patients import Patient

_BLANK_EVERY = 17
"""In every so many patients the node status was not recorded."""


def write_clinical_table(folder: Path, style: CenterStyle, patients: Iterable[Patient]) -> None:
    """Writes the table of a center's patients, ordered by their numbers."""
    rows = [_row(style, patient) for patient in sorted(patients, key=lambda patient: patient.patient_id)]
    text = StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    (folder / "clinical.csv").write_bytes(text.getvalue().encode(style.encoding))


def _row(style: CenterStyle, patient: Patient) -> dict[str, str]:
    row = {"patient_id": patient.patient_id, "age": _age(patient), "sex": _sex(patient)}
    if style.labelled:
        row["ihc"] = "" if has_fault(style.name, patient.patient_id, "no_label") else patient.ihc
    for sign in ("sessile", "hydronephrosis", "pelvic_pain"):
        row[sign] = style.words[0] if patient.signs[sign] else style.words[1]
    row["node_status"] = _node_status(patient)
    row["remarks"] = "Zystoskopie bestätigt" if style.encoding == "latin-1" else ""
    return row


def _age(patient: Patient) -> str:
    return "17" if has_fault(patient.center, patient.patient_id, "minor") else str(patient.age_years)


def _sex(patient: Patient) -> str:
    return "male" if has_fault(patient.center, patient.patient_id, "typing_error") else patient.sex


def _node_status(patient: Patient) -> str:
    if patient.index % _BLANK_EVERY == _BLANK_EVERY - 1:
        return ""
    return "N+" if patient.signs["node_positive"] else "N0"
