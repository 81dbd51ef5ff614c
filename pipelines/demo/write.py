"""Writes the demo: five fictitious hospitals, as the files they would send.

What is true of them stands in `patients` (the effect of the label), `centers` (how hospitals differ) and `faults` (what
is planted); `docs/demo-data.md` says it in prose. The same arguments give the same bytes.
"""

import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from featurestore.errors import InputError
from pipelines.demo.centers import CENTERS, CenterStyle
from pipelines.demo.clinical_table import write_clinical_table
from pipelines.demo.ct_series import Study
from pipelines.demo.dicom_patient import write_dicom_patient
from pipelines.demo.keys import write_demo_keys
from pipelines.demo.nifti_patient import write_nifti_patient
from pipelines.demo.patients import Patient, patients_of
from pipelines.demo.scene import draw
from pipelines.runner import Progress, Silent

SECOND_LESION = 0
"""The patient of each center who has a second lesion."""

HOLLOW = 5
"""The patient of each center whose tumor has a necrotic core, left out by the readers: a hole in one contour."""

DELIVERIES = "deliveries"
"""Where a new hospital's files lie that arrive bit by bit: a folder for each delivery, to be copied to `incoming`."""

LABELS = "labels"
"""The last delivery: the clinical table with the labels."""

_UNFINISHED = ".unfinished-"


class DemoExistsError(InputError):
    """A center of the demo would overwrite data."""

    default_remedy = "write the demo into a new study: `radmill init DIR --demo`"


class DemoSizeError(InputError):
    """A demo without patients was asked for."""

    default_remedy = "ask for at least one patient a center, and for one in each delivery"


def write_demo(
    study: Path,
    *,
    patients: int = 40,
    effect: float = 1.0,
    seed: int = 20240501,
    deliveries: int = 1,
    progress: Progress | None = None,
) -> None:
    """Writes the raw data of the demo's centers, and their keys, below a study.

    Args:
        study: The study's folder.
        patients: Patients a center; a smaller demo has the first patients of a larger one.
        effect: Factor on the true effect; 0 for none.
        seed: Decides everything that is drawn by chance.
        deliveries: In how many deliveries the new hospital's files come. With one they are in `incoming` at once; with
            more they lie in `deliveries/<center>/1`, `2` … and, with the labels, `labels`, to be copied there.
        progress: Is told about every patient.

    Raises:
        DemoExistsError: A center's folder is there already.
        DemoSizeError: `patients` is below 1, or below `deliveries`.
    """
    if not 1 <= deliveries <= patients:
        raise DemoSizeError(f"patients: {patients} a center, in {deliveries} deliveries")
    for style in CENTERS:
        if (study / style.folder).exists():
            raise DemoExistsError("the folder is there already", where=style.folder)
    write_demo_keys(study / "private" / "keys", seed)
    progress = progress or Silent()
    progress.start("demo patients", len(CENTERS) * patients)
    for style in CENTERS:
        own = list(patients_of(style, patients, seed, effect))
        if style.labelled or deliveries == 1:
            _write_center(study / style.folder, style, own, seed, progress)
        else:
            _write_deliveries(study / DELIVERIES / style.name, style, own, seed, progress, deliveries)
    progress.finish()


def _write_center(folder: Path, style: CenterStyle, patients: list[Patient], seed: int, progress: Progress) -> None:
    """Writes a center under another name and moves it into place, so that half a center is never taken for one."""
    unfinished = _fresh(folder.with_name(_UNFINISHED + folder.name))
    write_clinical_table(unfinished, style, patients)
    _write_patients(unfinished, style, patients, seed, progress)
    unfinished.rename(folder)


def _write_deliveries(
    folder: Path, style: CenterStyle, patients: list[Patient], seed: int, progress: Progress, n: int
) -> None:
    """Writes what a hospital sends bit by bit; each delivery has the clinical table of all patients so far."""
    unfinished = _fresh(folder.with_name(_UNFINISHED + folder.name))
    ends = [len(patients) * number // n for number in range(n + 1)]
    for number, (begin, end) in enumerate(pairwise(ends), start=1):
        part = _fresh(unfinished / str(number))
        write_clinical_table(part, style, patients[:end])
        _write_patients(part, style, patients[begin:end], seed, progress)
    write_clinical_table(_fresh(unfinished / LABELS), replace(style, labelled=True), patients)
    unfinished.rename(folder)


def _write_patients(folder: Path, style: CenterStyle, patients: list[Patient], seed: int, progress: Progress) -> None:
    for patient in patients:
        _write_patient(folder, style, patient, seed)
        progress.advance()


def _write_patient(folder: Path, style: CenterStyle, patient: Patient, seed: int) -> None:
    is_hollow, has_second = patient.index == HOLLOW, patient.index == SECOND_LESION
    scenes = draw(style, patient, seed, is_hollow=is_hollow, has_second=has_second)
    if style.is_dicom:
        write_dicom_patient(folder, Study(style=style, patient=patient, seed=seed), scenes)
    else:
        write_nifti_patient(folder, style, patient, scenes, seed)


def _fresh(folder: Path) -> Path:
    """Returns the folder, new and empty; what a killed run left there is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
