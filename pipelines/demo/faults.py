"""The faults planted in the demo, and what each must be called by whoever reads it.

Faults stand in development, external and incoming centers, so that the study's stages and scoring each meet some.
"""

from dataclasses import dataclass
from typing import Literal

from pipelines.demo.centers import CENTERS
from pipelines.demo.patients import patient_id

Fault = Literal[
    "missing_slice",
    "truncated_file",
    "second_series",
    "stray_slices",
    "sent_twice",
    "empty_mask",
    "other_grid",
    "wrong_label_value",
    "phase_not_sent",
    "no_label",
    "minor",
    "typing_error",
]


@dataclass(frozen=True, kw_only=True)
class Planted:
    """One planted fault.

    Args:
        center: Where it stands.
        patient: The hospital's number of the patient.
        phase: The phase it is in; empty when it is about the whole patient.
        fault: What was done.
        code: The code of the `qc` row it must become.
    """

    center: str
    patient: str
    phase: str
    fault: Fault
    code: str


_FAULTS: tuple[tuple[str, int, str, Fault, str], ...] = (
    ("north", 1, "nephrographic", "missing_slice", "slices_missing"),
    ("north", 2, "excretory", "truncated_file", "truncated_file"),
    ("north", 3, "corticomedullary", "second_series", "duplicate_phase"),
    ("north", 4, "", "minor", "excluded"),
    ("east", 1, "", "sent_twice", "duplicate_sent"),
    ("east", 2, "", "no_label", "label_missing"),
    ("east", 3, "corticomedullary", "stray_slices", "mixed_series"),
    ("south", 1, "excretory", "empty_mask", "empty_mask"),
    ("south", 2, "nephrographic", "other_grid", "grid_mismatch"),
    ("south", 3, "corticomedullary", "wrong_label_value", "label_absent"),
    ("south", 4, "", "typing_error", "clinical_value"),
    ("west", 1, "nephrographic", "phase_not_sent", "phase_missing"),
    ("west", 2, "corticomedullary", "missing_slice", "slices_missing"),
    ("west", 3, "excretory", "empty_mask", "empty_mask"),
    ("west", 4, "", "no_label", "label_missing"),
    ("harbor", 1, "excretory", "truncated_file", "truncated_file"),
    ("harbor", 2, "corticomedullary", "phase_not_sent", "phase_missing"),
    ("harbor", 3, "nephrographic", "other_grid", "grid_mismatch"),
)

_STYLES = {style.name: style for style in CENTERS}

PLANTED: tuple[Planted, ...] = tuple(
    Planted(center=center, patient=patient_id(_STYLES[center], index), phase=phase, fault=fault, code=code)
    for center, index, phase, fault, code in _FAULTS
)
"""Every planted fault; a demo of fewer patients than six lacks some of them."""


def has_fault(center: str, patient: str, fault: Fault, phase: str = "") -> bool:
    """Whether this fault is planted there."""
    return any((p.center, p.patient, p.phase, p.fault) == (center, patient, phase, fault) for p in PLANTED)
