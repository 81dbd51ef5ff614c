"""Writes the demo: five fictitious hospitals, as the files they would send.

What is true of them stands in `patients` (the effect of the label), `centers` (how hospitals differ) and `faults` (what
is planted); `docs/demo-data.md` says it in prose. The same arguments give the same bytes.
"""

import shutil
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

_UNFINISHED = ".unfinished-"


class DemoExistsError(InputError):
    """A center of the demo would overwrite data."""

    default_remedy = "write the demo into a new study: `radmill init DIR --demo`"


class DemoSizeError(InputError):
    """A demo without patients was asked for."""

    default_remedy = "ask for at least one patient a center"


def write_demo(
    study: Path, *, patients: int = 40, effect: float = 1.0, seed: int = 20240501, progress: Progress | None = None
) -> None:
    """Writes the raw data of the demo's centers, and their keys, below a study.

    Args:
        study: The study's folder.
        patients: Patients a center; a smaller demo has the first patients of a larger one.
        effect: Factor on the true effect; 0 for none.
        seed: Decides everything that is drawn by chance.
        progress: Is told about every patient.

    Raises:
        DemoExistsError: A center's folder is there already.
        DemoSizeError: `patients` is below 1.
    """
    if patients < 1:
        raise DemoSizeError(f"patients: {patients} a center")
    for style in CENTERS:
        if (study / style.folder).exists():
            raise DemoExistsError("the folder is there already", where=style.folder)
    write_demo_keys(study / "private" / "keys", seed)
    progress = progress or Silent()
    progress.start("demo patients", len(CENTERS) * patients)
    for style in CENTERS:
        _write_center(study / style.folder, style, list(patients_of(style, patients, seed, effect)), seed, progress)
    progress.finish()


def _write_center(folder: Path, style: CenterStyle, patients: list[Patient], seed: int, progress: Progress) -> None:
    """Writes a center under another name and moves it into place, so that half a center is never taken for one."""
    unfinished = _fresh(folder.with_name(_UNFINISHED + folder.name))
    write_clinical_table(unfinished, style, patients)
    for patient in patients:
        _write_patient(unfinished, style, patient, seed)
        progress.advance()
    unfinished.rename(folder)


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
