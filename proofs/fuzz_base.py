"""What the fuzzer starts from: one small patient in every format that centers send, sound in each."""

import gzip
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

SHAPE = (8, 16, 16)
SPACING_MM = (1.25, 0.75, 2.5)
ORIGIN_MM = (-20.0, 13.5, -325.0)
REGION = np.s_[2:6, 4:11, 5:12]
TILTED = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

Bytes = dict[str, bytes]
Random = np.random.Generator


@dataclass
class Place:
    """Where one bad input goes: a patient's folder within a center, and the dice it is made with.

    Args:
        folder: The patient's folder; it does not exist yet.
        name: The patient, as the clinical table calls him.
        rng: Decides everything that is drawn by chance.
        patients: Those whom the clinical table must name; the patient himself unless a generator says otherwise.
        turn: How many inputs of its kind were before.
    """

    folder: Path
    name: str
    rng: Random
    patients: list[str] = field(default_factory=list)
    turn: int = 0

    def write(self, files: Bytes) -> None:
        """Writes files below the folder."""
        for name, data in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def pick(self, options: Sequence[Any]) -> Any:
        """Returns one of several, by chance."""
        return options[int(self.rng.integers(len(options)))]


Generator = Callable[[Place], str]
"""Writes one bad input and says in a few words what is wrong with it."""


def voxels(rng: Random) -> NDArray[np.int16]:
    """Returns values like a CT's, (z, y, x)."""
    return rng.integers(-200, 300, SHAPE).astype(np.int16)


def region() -> NDArray[np.uint8]:
    """Returns the region, (z, y, x)."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[REGION] = 1
    return mask


def ct_slices(patient: str, rng: Random, orientation: Sequence[float] = AXIAL) -> list[FileDataset]:
    """Returns a CT series in the order of its slices."""
    uids = [_uid(rng) for _ in range(3)]
    normal = np.cross(orientation[:3], orientation[3:])
    series = []
    for number, plane in enumerate(voxels(rng)):
        one = _object(CTImageStorage, patient, "CT", rng)
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = uids
        one.StudyID, one.SeriesNumber, one.AcquisitionNumber = "1", 2, 1
        one.SeriesDescription = "CT venous"
        one.InstanceNumber = number + 1
        one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        one.ImagePositionPatient = [float(v) for v in np.asarray(ORIGIN_MM) + number * SPACING_MM[2] * normal]
        one.ImageOrientationPatient = list(orientation)
        one.PixelSpacing = [SPACING_MM[1], SPACING_MM[0]]
        one.SliceThickness = SPACING_MM[2]
        one.Rows, one.Columns, one.SamplesPerPixel = *plane.shape, 1
        one.PhotometricInterpretation = "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        one.RescaleSlope, one.RescaleIntercept = 1, -24
        one.PixelData = (plane + np.int16(24)).astype("<i2").tobytes()
        series.append(one)
    return series


def structure_set(patient: str, series: Sequence[Dataset], rng: Random) -> FileDataset:
    """Returns the region as contours through the outer edges of its voxels."""
    one = _object(RTStructureSetStorage, patient, "RTSTRUCT", rng)
    one.StudyInstanceUID, one.SeriesInstanceUID = series[0].StudyInstanceUID, _uid(rng)
    referenced, study, frame = Dataset(), Dataset(), Dataset()
    referenced.SeriesInstanceUID = series[0].SeriesInstanceUID
    study.RTReferencedSeriesSequence = [referenced]
    frame.FrameOfReferenceUID = series[0].FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    one.ReferencedFrameOfReferenceSequence = [frame]
    roi, contours = Dataset(), Dataset()
    roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = 1, "GTV", frame.FrameOfReferenceUID
    contours.ReferencedROINumber = 1
    contours.ContourSequence = [contour(series[z], _corners()) for z in range(REGION[0].start, REGION[0].stop)]
    one.StructureSetROISequence, one.ROIContourSequence = [roi], [contours]
    return one


def contour(plane: Dataset, corners: Sequence[tuple[float, float]]) -> Dataset:
    """Returns a closed contour on a slice; corners are (column, row) in voxels."""
    axes = np.asarray(plane.ImageOrientationPatient, float).reshape(2, 3)
    points = [
        np.asarray(plane.ImagePositionPatient, float) + axes[0] * x * SPACING_MM[0] + axes[1] * y * SPACING_MM[1]
        for x, y in corners
    ]
    one, image = Dataset(), Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = plane.SOPClassUID, plane.SOPInstanceUID
    one.ContourImageSequence = [image]
    one.ContourGeometricType = "CLOSED_PLANAR"
    one.NumberOfContourPoints = len(points)
    one.ContourData = [f"{value:.6f}" for point in points for value in point]
    return one


def segmentation(series: Sequence[Dataset]) -> Dataset:
    """Returns the region as a DICOM segmentation."""
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom.sr.codedict import codes

    for one in series:
        one.PatientName, one.PatientBirthDate, one.PatientSex, one.AccessionNumber = "A^B", "", "", ""
        one.StudyDate, one.StudyTime, one.ReferringPhysicianName = "20230101", "120000", ""
    what = SegmentDescription(
        segment_number=1,
        segment_label="GTV",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type="MANUAL",
    )
    made: Dataset = Segmentation(
        source_images=list(series),
        pixel_array=region(),
        segmentation_type="BINARY",
        segment_descriptions=[what],
        series_instance_uid=generate_uid(entropy_srcs=["seg", str(series[0].SOPInstanceUID)]),
        series_number=9,
        sop_instance_uid=generate_uid(entropy_srcs=["seg object", str(series[0].SOPInstanceUID)]),
        instance_number=1,
        manufacturer="Fictitious",
        manufacturer_model_name="Outliner",
        software_versions="1.0",
        device_serial_number="1",
    )
    made["PixelData"].VR = "OB"
    return made


def dicom_bytes(one: Dataset) -> bytes:
    """Returns a data set as the bytes of its file."""
    buffer = io.BytesIO()
    one.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def opened(data: bytes) -> FileDataset:
    """Returns the data set in the bytes of a file, to be changed."""
    return dcmread(io.BytesIO(data), force=True)


def dicom_patient(patient: str, rng: Random, mask: str = "rtstruct", orientation: Sequence[float] = AXIAL) -> Bytes:
    """Returns a patient's files: `IM0` … `IM7`, and `RS` or `SEG`."""
    series = ct_slices(patient, rng, orientation)
    files = {f"IM{n}": dicom_bytes(one) for n, one in enumerate(series)}
    if mask == "rtstruct":
        return {**files, "RS": dicom_bytes(structure_set(patient, series, rng))}
    return {**files, "SEG": dicom_bytes(segmentation(series))}


def nifti_bytes(array: NDArray[Any], *, packed: bool = True) -> bytes:
    """Returns a NIfTI file of an array (z, y, x) on the usual grid."""
    affine = np.diag([-SPACING_MM[0], -SPACING_MM[1], SPACING_MM[2], 1.0])
    affine[:3, 3] = np.asarray(ORIGIN_MM) * (-1, -1, 1)
    voxels_ = np.asarray(array).transpose(2, 1, 0)
    image = nib.Nifti1Image(voxels_, affine, dtype=voxels_.dtype)
    image.header.set_xyzt_units("mm")
    data: bytes = image.to_bytes()
    return gzip.compress(data, 1) if packed else data


def nrrd_bytes(array: NDArray[Any], scratch: Path, *, packed: bool = True) -> bytes:
    """Returns an NRRD file of an array (z, y, x) on the usual grid."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING_MM)
    image.SetOrigin(ORIGIN_MM)
    scratch.mkdir(parents=True, exist_ok=True)
    path = scratch / ".made.nrrd"
    sitk.WriteImage(image, str(path), useCompression=packed)
    data = path.read_bytes()
    path.unlink()
    return data


def nifti_patient(rng: Random, *, packed: bool = True) -> Bytes:
    """Returns a patient's image and mask."""
    suffix = ".nii.gz" if packed else ".nii"
    arrays = {"ct": voxels(rng), "ct_mask": region()}
    return {f"{name}{suffix}": nifti_bytes(array, packed=packed) for name, array in arrays.items()}


def nrrd_patient(place: Place, *, packed: bool = True) -> Bytes:
    """Returns a patient's image and mask as NRRD."""
    arrays = {"ct": voxels(place.rng), "ct_mask": region()}
    return {f"{name}.nrrd": nrrd_bytes(array, place.folder, packed=packed) for name, array in arrays.items()}


def _corners() -> list[tuple[float, float]]:
    left, right = REGION[2].start - 0.5, REGION[2].stop - 0.5
    top, bottom = REGION[1].start - 0.5, REGION[1].stop - 0.5
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _object(sop_class: str, patient: str, modality: str, rng: Random) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = sop_class, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = _uid(rng)
    one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    one.PatientID, one.PatientName, one.Modality = patient, "Fictitious^Nobody", modality
    return one


def _uid(rng: Random) -> str:
    return str(generate_uid(entropy_srcs=[str(rng.integers(2**62))]))
