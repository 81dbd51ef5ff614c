"""What is needed of one DICOM file to decide what it is, without its pixels."""

import math
import re
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from pipelines.ingest.dicom_inflation import check_inflated
from pipelines.ingest.dicom_values import (
    CUT,
    drop_cut_value,
    ends_early,
    found,
    number,
    numbers,
    readable,
    seconds,
    text,
)
from pipelines.ingest.headers import DicomHeader, Kind
from pipelines.ingest.problems import TruncatedFileError

_RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
_SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_NAMELESS = "a DICOM file ends before it says what and whose it is"
_DICOMDIR = "1.2.840.10008.1.3.10"
_VOLUME_CLASSES = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{ending}"
    for ending in ("2", "2.1", "2.2", "4", "4.1", "4.4", "128", "128.1", "130")  # CT, MR and PET, enhanced and legacy
)
_NAMING = (
    "PatientName", "PatientBirthDate", "PatientBirthName", "PatientMotherBirthName", "OtherPatientNames",
    "OtherPatientIDs", "ResponsiblePerson", "PatientAddress", "PatientTelephoneNumbers", "AccessionNumber", "StudyID",
    "ReferringPhysicianName", "PerformingPhysicianName", "NameOfPhysiciansReadingStudy", "PhysiciansOfRecord",
    "RequestingPhysician", "OperatorsName", "InstitutionName", "StationName", "ReviewerName", "ContentCreatorName",
)  # fmt: skip
_WORDS = re.compile(r"[^\s^=,;]+")
_LAST_IDENTITY_TAG = 0x0020000E  # SeriesInstanceUID: who, what, and which series stand before


def read_header(path: Path) -> DicomHeader | None:
    """Reads what is needed of a DICOM file; none if it is no DICOM file.

    A file cut off after its identity gives a header with `is_truncated`, so that its patient is known.

    Raises:
        TruncatedFileError: The file is DICOM and ends before it says what and whose it is.
    """
    with readable("a DICOM header"), path.open("rb") as handle:
        try:
            check_inflated(handle)
            dataset, is_whole = _read_to_pixels(handle)
        except InvalidDicomError:
            return None
        except CUT as error:
            if not ends_early(error):
                raise
            raise TruncatedFileError(_NAMELESS) from error
        available = path.stat().st_size - handle.tell() if is_whole else 0
        if text(dataset.file_meta, "MediaStorageSOPClassUID") == _DICOMDIR:
            return None
        header = _header(path, dataset, available, is_whole) if "SOPClassUID" in dataset else None
    if header is None or (header.is_truncated and not header.series_uid):
        raise TruncatedFileError(_NAMELESS)
    return header


def _read_to_pixels(handle: BinaryIO) -> tuple[FileDataset, bool]:
    """Returns the data set up to its pixels, or up to its identity if the file ends early; and whether it is whole."""
    try:
        dataset = dcmread(handle, stop_before_pixels=True)
        return dataset, not drop_cut_value(dataset)
    except CUT as error:
        if not ends_early(error):
            raise
    handle.seek(0)
    dataset = read_partial(handle, stop_when=lambda tag, _, __: tag > _LAST_IDENTITY_TAG)
    drop_cut_value(dataset)
    return dataset, False


def _header(path: Path, dataset: FileDataset, available: int, is_whole: bool) -> DicomHeader:
    kind = _kind(dataset)
    return DicomHeader(
        path=str(path),
        kind=kind,
        sop_class=text(dataset, "SOPClassUID"),
        modality=text(dataset, "Modality"),
        patient_id=text(dataset, "PatientID"),
        series_uid=text(dataset, "SeriesInstanceUID"),
        sop_uid=text(dataset, "SOPInstanceUID"),
        frame_uid=_frame_uid(dataset),
        series_description=text(dataset, "SeriesDescription"),
        image_type=tuple(part for part in text(dataset, "ImageType").split("\\") if part),
        is_truncated=not is_whole or _ends_before_pixels(dataset, kind, available),
        is_burnt_in=text(dataset, "BurnedInAnnotation").upper() == "YES",
        regions=_regions(dataset),
        references=_references(dataset),
        instances=_instances(dataset),
        names=_names(dataset),
        **_geometry(dataset),
        **_acquisition(dataset),
    )


def _geometry(dataset: Dataset) -> dict[str, Any]:
    return {
        "position_mm": numbers(dataset, "ImagePositionPatient"),
        "orientation": numbers(dataset, "ImageOrientationPatient"),
        "spacing_mm": numbers(dataset, "PixelSpacing"),
        "slice_spacing_mm": number(dataset, "SpacingBetweenSlices"),
        "thickness_mm": number(dataset, "SliceThickness"),
        "tilt_deg": number(dataset, "GantryDetectorTilt"),
        "rows": int(number(dataset, "Rows") or 0),
        "columns": int(number(dataset, "Columns") or 0),
        "n_frames": int(number(dataset, "NumberOfFrames") or 1),
    }


def _acquisition(dataset: Dataset) -> dict[str, Any]:
    instance, acquisition = number(dataset, "InstanceNumber"), number(dataset, "AcquisitionNumber")
    time = found(dataset, "AcquisitionTime") or str(found(dataset, "AcquisitionDateTime") or "")[8:]
    return {
        "instance": None if instance is None else int(instance),
        "acquisition": None if acquisition is None else int(acquisition),
        "kernel": text(dataset, "ConvolutionKernel"),
        "kvp": number(dataset, "KVP"),
        "manufacturer": text(dataset, "Manufacturer"),
        "model": text(dataset, "ManufacturerModelName"),
        "units": text(dataset, "Units"),
        "acquisition_time_s": seconds(time or dataset.get("ContentTime")),
        "contrast_start_s": seconds(found(dataset, "ContrastBolusStartTime")),
    }


def _kind(dataset: Dataset) -> Kind:
    sop_class = str(dataset.SOPClassUID)
    if sop_class == _RTSTRUCT:
        return "rtstruct"
    if sop_class in _SEGMENTATIONS:
        return "seg"
    if sop_class in _VOLUME_CLASSES:
        return "image"
    return "image" if "Rows" in dataset and number(dataset, "SamplesPerPixel") == 1 else "other"


def _ends_before_pixels(dataset: FileDataset, kind: Kind, available: int) -> bool:
    """Returns whether fewer bytes are left than the pixels need, or none where there should be some."""
    if kind not in ("image", "seg"):
        return False
    syntax = UID(dataset.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian))
    if "Rows" not in dataset or syntax == DeflatedExplicitVRLittleEndian:
        return "Rows" not in dataset
    names = ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "BitsAllocated")
    bits = math.prod(number(dataset, name) or 1 for name in names)
    return available <= 0 if syntax.is_compressed else available < bits / 8


def _names(dataset: Dataset) -> tuple[str, ...]:
    """Returns names and numbers whole, and those of persons also in words; a hospital's may be words of a message."""
    told: list[str] = []
    for keyword in (keyword for keyword in _NAMING if keyword in dataset):
        name = text(dataset, keyword)
        told += [name, *(_WORDS.findall(name) if dataset[keyword].VR == "PN" else ())]
    return tuple(dict.fromkeys(name for name in told if name))


def _frame_uid(dataset: Dataset) -> str:
    frames = dataset.get("ReferencedFrameOfReferenceSequence") or ()
    return text(dataset, "FrameOfReferenceUID") or next((text(item, "FrameOfReferenceUID") for item in frames), "")


def _regions(dataset: Dataset) -> tuple[tuple[int, str], ...]:
    rois = [(item.get("ROINumber"), item.get("ROIName")) for item in dataset.get("StructureSetROISequence") or ()]
    segments = [(item.get("SegmentNumber"), item.get("SegmentLabel")) for item in dataset.get("SegmentSequence") or ()]
    return tuple((int(n), str(name or "").strip()) for n, name in [*rois, *segments] if n is not None)


def _references(dataset: Dataset) -> tuple[str, ...]:
    items = [*(dataset.get("ReferencedSeriesSequence") or ()), *_rt_series(dataset)]
    return tuple(dict.fromkeys(text(item, "SeriesInstanceUID") for item in items))


def _instances(dataset: Dataset) -> tuple[str, ...]:
    items = [
        *(dataset.get("SourceImageSequence") or ()),
        *(i for s in dataset.get("ReferencedSeriesSequence") or () for i in s.get("ReferencedInstanceSequence") or ()),
        *(image for series in _rt_series(dataset) for image in series.get("ContourImageSequence") or ()),
    ]
    return tuple(dict.fromkeys(text(item, "ReferencedSOPInstanceUID") for item in items))


def _rt_series(dataset: Dataset) -> list[Dataset]:
    return [
        series
        for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ()
        for study in frame.get("RTReferencedStudySequence") or ()
        for series in study.get("RTReferencedSeriesSequence") or ()
    ]
