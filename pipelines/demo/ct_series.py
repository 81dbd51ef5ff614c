"""CT series as DICOM data sets, one a slice."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from pipelines.demo.centers import CenterStyle
from pipelines.demo.patients import Patient
from pipelines.images.grid import Grid

_WRITER = "1.2.826.0.1.3680043.8.498.1"
_PIXEL_DATA = 0x7FE00010
_CONTRAST_START_S = 34200
"""Half past nine in the morning; all times of the demo are fixed."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """One examination of one patient, as one export of it names things.

    Args:
        style: The center.
        patient: The patient.
        seed: The demo's seed, which decides the UIDs.
        copy: 0, or the number of a repeated export under new UIDs.
    """

    style: CenterStyle
    patient: Patient
    seed: int
    copy: int = 0

    def uid(self, *parts: object) -> UID:
        """Returns the UID of a thing in this export; the same thing always has the same."""
        return generate_uid(
            entropy_srcs=[str(p) for p in (self.seed, self.patient.center, self.patient.index, self.copy, *parts)]
        )


@dataclass(frozen=True, kw_only=True)
class SeriesPlan:
    """What sets a series apart from the others of its study.

    Args:
        number: SeriesNumber.
        description: SeriesDescription.
        delay_s: Seconds from contrast start; none without contrast.
        kernel: ConvolutionKernel.
        image_type: ImageType.
        acquisition: AcquisitionNumber.
        uid_of: The number of the series whose SeriesInstanceUID it goes under; its own if none.
    """

    number: int
    description: str
    delay_s: int | None
    kernel: str
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    acquisition: int = 1
    uid_of: int | None = None


def ct_series(study: Study, plan: SeriesPlan, grid: Grid, hu: NDArray[np.int16]) -> list[Dataset]:
    """Returns the slices of a CT series, in the order of the volume's slices.

    Args:
        study: The examination.
        plan: The series.
        grid: Where the voxels lie.
        hu: Voxels in HU, (z, y, x).
    """
    return list(_slices(study, plan, grid, hu))


def patient_and_study(study: Study) -> Dataset:
    """Returns the tags that all objects of an examination share."""
    patient, date = study.patient, study.patient.study_date
    shared = Dataset()
    shared.SpecificCharacterSet = "ISO_IR 100"
    shared.StudyDate = date
    shared.StudyTime = clock(_CONTRAST_START_S - 900)
    shared.AccessionNumber = f"A{study.style.number}{patient.index:05d}{study.copy}"
    shared.Manufacturer = study.style.scanner.manufacturer
    shared.InstitutionName = f"{patient.center.title()} Hospital (fictitious)"
    shared.ReferringPhysicianName = ""
    shared.StudyDescription = "CT abdomen and pelvis"
    shared.ManufacturerModelName = study.style.scanner.model
    shared.PatientName = patient.name
    shared.PatientID = patient.patient_id
    shared.PatientBirthDate = patient.birth_date
    shared.PatientSex = patient.sex
    shared.PatientAge = f"{patient.age_years:03d}Y"
    shared.StudyInstanceUID = study.uid("study")
    shared.StudyID = f"{study.copy + 1}"
    shared.FrameOfReferenceUID = study.uid("frame of reference")
    shared.PositionReferenceIndicator = ""
    return shared


def file_meta(sop_class: UID, sop_uid: UID, *, is_implicit: bool = False) -> FileMetaDataset:
    """Returns the file meta information of an object."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = sop_uid
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if is_implicit else ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(_WRITER)
    meta.ImplementationVersionName = "RADMILL_DEMO"
    return meta


def decimals(values: object) -> list[str]:
    """Returns numbers as DICOM decimal strings, to a thousandth."""
    return [f"{value:.3f}" for value in np.ravel(np.asarray(values, dtype=np.float64)).tolist()]


def clock(seconds: int) -> str:
    """Returns seconds of the day as a DICOM time."""
    return f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"


def _slices(study: Study, plan: SeriesPlan, grid: Grid, hu: NDArray[np.int16]) -> Iterator[Dataset]:
    template = _series_template(study, plan, grid)
    scanner = study.style.scanner
    stored = (hu.astype(np.int32) - scanner.intercept).astype(np.int16 if scanner.signed else np.uint16)
    for number, pixels in enumerate(stored):
        one = Dataset()
        one.update(template)
        one.SOPInstanceUID = study.uid("image", plan.number, number)
        position = grid.position_mm((0, 0, number))
        one.InstanceNumber = number + 1
        one.ImagePositionPatient = decimals(position)
        one.SliceLocation = decimals(position[2])[0]
        one.add_new(_PIXEL_DATA, "OW", pixels.tobytes())
        one.file_meta = file_meta(CTImageStorage, one.SOPInstanceUID, is_implicit=scanner.implicit)
        yield one


def _series_template(study: Study, plan: SeriesPlan, grid: Grid) -> Dataset:
    """Returns the tags that all slices of a series share."""
    ct = patient_and_study(study)
    start_s = _CONTRAST_START_S + (plan.delay_s if plan.delay_s is not None else -600)
    ct.SOPClassUID = CTImageStorage
    ct.ImageType = list(plan.image_type)
    ct.SeriesDate = ct.AcquisitionDate = ct.ContentDate = study.patient.study_date
    ct.SeriesTime = ct.AcquisitionTime = ct.ContentTime = clock(start_s)
    ct.Modality = "CT"
    ct.SeriesDescription = plan.description
    ct.BodyPartExamined = "PELVIS"
    ct.ScanOptions = "HELICAL MODE"
    ct.ProtocolName = "Urography"
    ct.PatientPosition = "HFS" if study.style.rows[0] > 0 else "HFP"
    ct.SeriesInstanceUID = study.uid("series", plan.number if plan.uid_of is None else plan.uid_of)
    ct.SeriesNumber = plan.number if plan.uid_of is None else plan.uid_of
    ct.AcquisitionNumber = plan.acquisition
    if plan.delay_s is not None:
        ct.ContrastBolusAgent = "Iodinated contrast"
        ct.ContrastBolusRoute = "IV"
        ct.ContrastBolusStartTime = clock(_CONTRAST_START_S)
    _add_exposure(ct, study, plan)
    _add_pixels(ct, study, grid)
    return ct


def _add_exposure(ct: Dataset, study: Study, plan: SeriesPlan) -> None:
    ct.KVP = study.style.scanner.kvp
    ct.XRayTubeCurrent = 180 + 5 * (study.patient.index % 9)
    ct.GantryDetectorTilt = 0
    ct.ConvolutionKernel = plan.kernel


def _add_pixels(ct: Dataset, study: Study, grid: Grid) -> None:
    matrix = grid.matrix()
    ct.SliceThickness = f"{grid.spacing_mm[2]:g}"
    ct.SpacingBetweenSlices = f"{grid.spacing_mm[2]:g}"
    ct.ImageOrientationPatient = [f"{value:g}" for value in (*matrix[:, 0], *matrix[:, 1])]
    ct.PixelSpacing = [f"{grid.spacing_mm[1]:g}", f"{grid.spacing_mm[0]:g}"]
    ct.SamplesPerPixel = 1
    ct.PhotometricInterpretation = "MONOCHROME2"
    ct.Columns, ct.Rows = grid.size[:2]
    ct.BitsAllocated = 16
    ct.BitsStored = 16
    ct.HighBit = 15
    ct.PixelRepresentation = int(study.style.scanner.signed)
    ct.RescaleIntercept = study.style.scanner.intercept
    ct.RescaleSlope = 1
    ct.RescaleType = "HU"
    ct.WindowCenter = 50
    ct.WindowWidth = 350
