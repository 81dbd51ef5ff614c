"""Everything about one center that is known before an image is read: its cases, patients and who belongs."""

import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from featurestore.errors import InputError
from pipelines.ingest.clinical import ClinicalTable, Patient, read_clinical, shapes
from pipelines.ingest.discovery import discover, open_index, taken_files
from pipelines.ingest.eligibility import Rejection, on_columns, rejections_digest, verdict
from pipelines.ingest.places import IngestPlaces
from pipelines.ingest.pseudonyms import case_id, load_key, without_identity
from pipelines.ingest.sources import Found, Unit
from pipelines.params import CaseRules
from pipelines.params.data import Center


class NoPatientMatchesError(InputError):
    """No patient of the clinical table has images, and no images have a row in it."""

    default_remedy = "make patient_id in clinical.csv the same as PatientID (DICOM) or the folder's name (NIfTI)"


@dataclass(kw_only=True)
class CenterData:
    """One center before its images are read.

    Args:
        center: Its name.
        key: Its secret key.
        rules: What decides its cases.
        found: Its cases.
        clinical: Its clinical table.
        rejections: Its cases put aside by hand.
        restless: Patients some of whose files are not still yet.
        labelled: Whether labels are expected.
    """

    center: str
    key: bytes
    rules: CaseRules
    found: Found
    clinical: ClinicalTable
    rejections: list[Rejection] = field(default_factory=list)
    restless: set[str] = field(default_factory=set)
    labelled: bool = True

    def pseudonym(self, patient_id: str) -> str:
        """Returns a patient's case_id; empty for a file of nobody."""
        return case_id(self.key, patient_id) if patient_id else ""

    def is_withdrawn(self, patient_id: str) -> bool:
        """Returns whether nothing of a patient may enter any table."""
        return self.pseudonym(patient_id) in self.rules.cohort.withdrawn

    def patients(self) -> list[str]:
        """Returns everybody of whom something was sent and who may enter tables now, sorted."""
        sent = {patient_id for patient_id in (*self.found.files, *self.clinical.patients) if patient_id}
        sent |= {unit.patient_id for unit in self.found.units}
        return sorted(name for name in sent if not self.is_withdrawn(name) and name not in self.restless)

    def units(self) -> list[Unit]:
        """Returns the cases of these patients."""
        allowed = set(self.patients())
        return [unit for unit in self.found.units if unit.patient_id in allowed]

    def row(self, patient_id: str) -> Patient | None:
        """Returns a patient's clinical row, if he has one."""
        return self.clinical.patients.get(patient_id)

    def exclusion(self, patient_id: str, phase: str = "") -> str | None:
        """Returns why a patient, or his image of a phase, does not belong to the study; none if it does."""
        names = {patient_id, self.pseudonym(patient_id)} if self.rejections else set()
        for rejection in self.rejections:
            if rejection.patient_id in names and rejection.phase in ("", phase):
                return without_identity(rejection.reason, [patient_id])
        row = self.row(patient_id)
        cohort = on_columns(self.rules.cohort, set(self.rules.ingest.clinical))
        return verdict(cohort, row.values if row is not None else {})


def read_center(
    places: IngestPlaces,
    center: str,
    section: Center,
    rules: CaseRules,
    rejected: Sequence[Rejection] = (),
    *,
    labelled: bool = True,
    quiet_s: float = 0.0,
) -> CenterData | None:
    """Finds a center's cases and reads its clinical table; none while that table is not still yet.

    Raises:
        InputError: The key, the clinical table or `cases.csv` cannot be used, or no patient matches.
        FaultError: Files are not what intake took in.
    """
    key = load_key(places.keys, center, section.key_id)
    index = open_index(places, center)
    files = taken_files(places, center, key, index, rejections_digest(rejected, center))
    found, table = discover(files, center, section, rules, index)
    index.save()
    found.texts.save(places.texts(center))
    moving = _moving(places.raw[center], quiet_s)
    if "" in moving:
        return None
    clinical = read_clinical(table, center, rules.ingest.clinical, rules.label, section.clinical, labelled=labelled)
    _check_match(found, clinical, center)
    restless = {name for name, own in found.files.items() if any(file.folder in moving for file in own)}
    return CenterData(
        center=center,
        key=key,
        rules=rules,
        found=found,
        clinical=clinical,
        rejections=[rejection for rejection in rejected if rejection.center == center],
        restless=restless,
        labelled=labelled,
    )


def _check_match(found: Found, clinical: ClinicalTable, center: str) -> None:
    imaged = {patient_id for patient_id in found.files if patient_id}
    if imaged and clinical.patients and not imaged & set(clinical.patients):
        raise NoPatientMatchesError(
            f"none of {len(clinical.patients)} patient_ids in clinical.csv is among {len(imaged)} in the images: "
            f"there they look like {shapes(clinical.patients)}, here like {shapes(imaged)} (A letters, 9 digits)",
            where=f"center {center}",
        )


def _moving(root: Path, quiet_s: float) -> set[str]:
    """Returns the folders in which any file, an unfinished one too, was changed within the last `quiet_s` seconds.

    A file's time may run ahead of the clock, on another machine or after the clock was set back. By up to `quiet_s` it
    counts as young; what is dated further ahead would wait for ever, and says nothing of when it was written.
    """
    if quiet_s <= 0:
        return set()
    now = time.time()
    young = [path for path in root.rglob("*") if abs(_modified(path) - now) < quiet_s]
    return {"" if path.parent == root else path.parent.relative_to(root).as_posix() for path in young}


def _modified(path: Path) -> float:
    """Returns when a file was changed; minus infinity for a folder, and for what went away meanwhile."""
    try:
        found = path.stat()
    except OSError:
        return float("-inf")
    return found.st_mtime if stat.S_ISREG(found.st_mode) else float("-inf")
