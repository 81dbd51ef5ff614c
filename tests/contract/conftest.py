"""A tiny cohort on disk, as hospitals send it, with the study that reads it."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import yaml
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from featurestore.tables import read_frame
from pipelines.ingest.ingest import ingest
from pipelines.ingest.intake import IntakeSummary, intake
from pipelines.ingest.summary import IngestSummary
from pipelines.params import Params, load_params
from pipelines.runner import CaseOutcome, CaseTask, SerialRunner
from pipelines.workspace import Role, Workspace
from tests.ct_settings import ct_settings

SHAPE = (12, 20, 24)  # z, y, x
SPACING = (1.0, 1.0, 2.0)  # x, y, z
LABELS = ("0", "3+")


@dataclass
class SpyRunner:
    """Runs cases one after another and remembers which."""

    names: list[str] = field(default_factory=list)

    def run(self, work: Any, tasks: Any) -> Iterator[CaseOutcome]:
        done: list[CaseTask] = list(tasks)
        self.names += [task.name for task in done]
        yield from SerialRunner().run(work, done)


@dataclass
class Cohort:
    """A study in `root` and verbs to fill it."""

    root: Path
    settings: dict[str, Any]
    clinical: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.root)

    @property
    def params(self) -> Params:
        return load_params(self.root / "params.yaml")

    def save(self) -> None:
        """Writes params.yaml, with the key ids that are there already."""
        path = self.root / "params.yaml"
        old = yaml.safe_load(path.read_text()) if path.exists() else {}
        for role, centers in self.settings["centers"].items():
            for center, section in centers.items():
                known = (old.get("centers", {}).get(role, {}).get(center) or {}).get("key_id")
                if known and "key_id" not in section:
                    section["key_id"] = known
        path.write_text(yaml.safe_dump(self.settings, sort_keys=False))
        (self.root / "dvc.yaml").write_text("stages: {}\n")

    def folder(self, center: str, patient: str) -> Path:
        path = self.root / "data" / "raw" / center / patient
        path.mkdir(parents=True, exist_ok=True)
        return path

    def nifti(self, center: str, patient: str, phases: tuple[str, ...] = ("ct", "mr"), **changes: Any) -> Path:
        """Adds a patient as NIfTI, with a clinical row."""
        folder = self.folder(center, patient)
        for phase in phases:
            image, mask = pixels(f"{center} {changes.get('seed', patient)} {phase}")
            write_volume(folder / f"{phase}.nii.gz", image)
            write_volume(folder / f"{phase}_mask.nii.gz", mask)
        self.row(center, patient)
        return folder

    def dicom(self, center: str, patient: str, description: str = "CT venous", **changes: Any) -> Path:
        """Adds a patient as a DICOM series with a structure set, with a clinical row."""
        folder = self.folder(center, changes.get("folder", patient)) / description.replace(" ", "")
        folder.mkdir(exist_ok=True)
        image, _ = pixels(f"{center} {patient} {description}{changes.get('pixels', '')}")
        series = ct_series(patient, description, image)
        for number, one in enumerate(series):
            one.save_as(folder / f"IM{number:04d}", enforce_file_format=True)
        structure_set(patient, series).save_as(folder / "RS", enforce_file_format=True)
        self.row(center, patient)
        return folder

    def write_volume(self, path: Path, array: np.ndarray, spacing: tuple[float, float, float] = SPACING) -> None:
        write_volume(path, array, spacing)

    def row(self, center: str, patient: str, **values: str) -> None:
        rows = self.clinical.setdefault(center, {})
        label = LABELS[len(rows) % 2]
        rows[patient] = {
            "age": "61",
            "sex": "F",
            "ihc": label,
            "surname": "Hrdlicka",
            **rows.get(patient, {}),
            **values,
        }
        self.write_clinical(center)

    def write_clinical(self, center: str, drop: tuple[str, ...] = ()) -> None:
        rows = [{"patient_id": name, **values} for name, values in self.clinical[center].items()]
        table = pd.DataFrame(rows).drop(columns=list(drop))
        (self.root / "data" / "raw" / center).mkdir(parents=True, exist_ok=True)
        table.to_csv(self.root / "data" / "raw" / center / "clinical.csv", index=False)

    def take_in(self) -> IntakeSummary:
        return intake(self.workspace, self.params)

    def read(self, role: Role = "development", runner: Any = None) -> IngestSummary:
        return ingest(self.workspace, self.params, role, runner or SerialRunner())

    def run(self, runner: Any = None) -> IngestSummary:
        """Intake and ingest of the development centers."""
        self.take_in()
        return self.read(runner=runner)

    def table(self, name: str, role: Role = "development") -> pd.DataFrame:
        root = self.workspace.outcomes(role) if name == "outcomes" else self.workspace.view(role, name)
        return read_frame(root)

    def codes(self, role: Role = "development") -> set[str]:
        return set(self.table("qc", role)["code"]) - {""}

    def snapshot(self) -> dict[str, bytes]:
        """Returns every output of intake and ingest."""
        data = self.root / "data"
        paths = [path for path in data.rglob("*") if path.is_file() and "raw" not in path.relative_to(data).parts]
        return {path.relative_to(data).as_posix(): path.read_bytes() for path in sorted(paths)}

    def rebuilt(self) -> dict[str, bytes]:
        """Returns the outputs of a run from nothing but raw data, settings and keys."""
        for path in (self.root / "data").glob("*"):
            if path.name != "raw":
                shutil.rmtree(path)
        shutil.rmtree(self.root / "private" / "index")
        self.run()
        return self.snapshot()


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """An empty study with one development center `alpha`."""
    settings = ct_settings()
    settings["centers"] = {"development": {"alpha": {}}, "external": {}}
    settings["phases"]["mr"] = {"series_description": "(?i)mr", "required": False}
    settings["cohort"] = {"include": [{"column": "age", "minimum": 18, "reason": "adults"}]}
    made = Cohort(root=tmp_path / "study", settings=settings)
    made.root.mkdir()
    made.save()
    return made


@pytest.fixture
def sound(cohort):
    """A cohort with one sound patient, so that every test sees that he is processed."""
    cohort.nifti("alpha", "P-0001", ("ct",))
    return cohort


@pytest.fixture
def spy() -> SpyRunner:
    """A runner that remembers which cases it ran."""
    return SpyRunner()


def pixels(seed: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns image (int16) and mask (uint8), indexed (z, y, x)."""
    rng = np.random.default_rng(list(seed.encode()))
    mask = np.zeros(SHAPE, np.uint8)
    mask[4:8, 8:14, 9:15] = 1
    return rng.integers(-100, 200, SHAPE).astype(np.int16), mask


def write_volume(path: Path, array: np.ndarray, spacing: tuple[float, float, float] = SPACING) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path))


def ct_series(patient: str, description: str, image: np.ndarray) -> list[Dataset]:
    series_uid, frame_uid, study_uid = generate_uid(), generate_uid(), generate_uid()
    series = []
    for index, plane in enumerate(image):
        one = _object(CTImageStorage, patient, "CT")
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study_uid, series_uid, frame_uid
        one.SeriesDescription = description
        one.InstanceNumber = index + 1
        one.ImagePositionPatient = [0.0, 0.0, SPACING[2] * index]
        one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        one.PixelSpacing = [SPACING[1], SPACING[0]]
        one.SliceThickness = SPACING[2]
        one.Rows, one.Columns, one.SamplesPerPixel = *plane.shape, 1
        one.PhotometricInterpretation = "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        one.RescaleSlope, one.RescaleIntercept = 1, 0
        one.PixelData = plane.astype("<i2").tobytes()
        series.append(one)
    return series


def structure_set(patient: str, series: list[Dataset], names: tuple[str, ...] = ("GTV",)) -> Dataset:
    """Returns a square contour on slices 4 to 7, the same region as the NIfTI mask."""
    one = _object(RTStructureSetStorage, patient, "RTSTRUCT")
    one.StudyInstanceUID, one.SeriesInstanceUID = series[0].StudyInstanceUID, generate_uid()
    reference = Dataset()
    reference.SeriesInstanceUID = series[0].SeriesInstanceUID
    study, frame = Dataset(), Dataset()
    study.RTReferencedSeriesSequence = [reference]
    frame.FrameOfReferenceUID = series[0].FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    one.ReferencedFrameOfReferenceSequence = [frame]
    one.StructureSetROISequence, one.ROIContourSequence = [], []
    for number, name in enumerate(names, start=1):
        roi, contours = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, frame.FrameOfReferenceUID
        contours.ReferencedROINumber = number
        contours.ContourSequence = [_square(series[index]) for index in range(4, 8)]
        one.StructureSetROISequence.append(roi)
        one.ROIContourSequence.append(contours)
    return one


def _square(plane: Dataset) -> Dataset:
    z = float(plane.ImagePositionPatient[2])
    contour, image = Dataset(), Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = plane.SOPClassUID, plane.SOPInstanceUID
    contour.ContourImageSequence = [image]
    contour.ContourGeometricType = "CLOSED_PLANAR"
    contour.NumberOfContourPoints = 4
    corners = [(8.5, 7.5), (14.5, 7.5), (14.5, 13.5), (8.5, 13.5)]
    contour.ContourData = [value for x, y in corners for value in (x, y, z)]
    return contour


def _object(sop_class: str, patient: str, modality: str) -> Dataset:
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPClassUID, one.SOPInstanceUID = sop_class, generate_uid()
    one.file_meta.MediaStorageSOPClassUID, one.file_meta.MediaStorageSOPInstanceUID = sop_class, one.SOPInstanceUID
    one.PatientID, one.PatientName, one.PatientBirthDate = patient, "Hrdlicka^Jana", "19580417"
    one.Modality = modality
    return one


@pytest.fixture
def own_tolerance(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """PyRadiomics sets ITK's tolerance for the whole process, and its log's level with it."""
    module = pytest.importorskip("radiomics.featureextractor", reason="PyRadiomics is not installed")
    process, log = sitk.ProcessObject, logging.getLogger("radiomics")
    before = process.GetGlobalDefaultCoordinateTolerance(), process.GetGlobalDefaultDirectionTolerance(), log.level
    monkeypatch.setattr(module, "geometryTolerance", None)
    log.setLevel(logging.CRITICAL + 1)
    yield
    process.SetGlobalDefaultCoordinateTolerance(before[0])
    process.SetGlobalDefaultDirectionTolerance(before[1])
    log.setLevel(before[2])
