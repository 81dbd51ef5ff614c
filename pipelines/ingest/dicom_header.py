"""What is needed of one DICOM file to decide what it is, without its pixels."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.uid import UID, ImplicitVRLittleEndian

from pipelines.ingest.problems import TruncatedFileError

Kind = Literal["image", "rtstruct", "seg", "other"]

_RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
_SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_DAY_S = 86400.0


@dataclass(frozen=True, kw_only=True)
class DicomHeader:
    """One DICOM file without its pixels; `plain` and `from_plain` let it be cached.

    Args:
        path: Where the file is; not part of what it says.
        kind: What it can serve as.
        sop_class: Its SOPClassUID.
        modality: CT, MR, PT, RTSTRUCT, SEG …
        patient_id: The PatientID, stripped.
        study_uid: Its study.
        series_uid: Its series.
        sop_uid: Itself.
        frame_uid: Its frame of reference.
        series_description: What the scanner or the reader called the series.
        image_type: The values of ImageType.
        position_mm: The center of the first pixel (LPS), of classic single-frame images.
        orientation: Direction cosines of rows and columns.
        spacing_mm: PixelSpacing: between rows, between columns.
        slice_spacing_mm: SpacingBetweenSlices.
        thickness_mm: SliceThickness.
        tilt_deg: GantryDetectorTilt.
        rows: Rows.
        columns: Columns.
        n_frames: Frames; 1 for classic images.
        instance: InstanceNumber.
        acquisition: AcquisitionNumber.
        kernel: ConvolutionKernel.
        kvp: Tube voltage in kV.
        manufacturer: Manufacturer.
        model: ManufacturerModelName.
        units: Units of a PET image.
        acquisition_time_s: AcquisitionTime, else ContentTime, in seconds of the day.
        contrast_agent: ContrastBolusAgent.
        contrast_start_s: ContrastBolusStartTime in seconds of the day.
        is_truncated: The file ends before its uncompressed pixels do.
        regions: Number and name of each ROI or segment.
        references: Series that an RTSTRUCT or SEG was made on.
        instances: Images that an RTSTRUCT or SEG was made on.
    """

    path: str
    kind: Kind
    sop_class: str = ""
    modality: str = ""
    patient_id: str = ""
    study_uid: str = ""
    series_uid: str = ""
    sop_uid: str = ""
    frame_uid: str = ""
    series_description: str = ""
    image_type: tuple[str, ...] = ()
    position_mm: tuple[float, ...] | None = None
    orientation: tuple[float, ...] | None = None
    spacing_mm: tuple[float, ...] | None = None
    slice_spacing_mm: float | None = None
    thickness_mm: float | None = None
    tilt_deg: float | None = None
    rows: int = 0
    columns: int = 0
    n_frames: int = 1
    instance: int | None = None
    acquisition: int | None = None
    kernel: str = ""
    kvp: float | None = None
    manufacturer: str = ""
    model: str = ""
    units: str = ""
    acquisition_time_s: float | None = None
    contrast_agent: str = ""
    contrast_start_s: float | None = None
    is_truncated: bool = False
    regions: tuple[tuple[int, str], ...] = ()
    references: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()

    @property
    def contrast_delay_s(self) -> float | None:
        """Seconds from the start of contrast to this image, where both times are told."""
        if self.contrast_start_s is None or self.acquisition_time_s is None:
            return None
        return (self.acquisition_time_s - self.contrast_start_s) % _DAY_S

    @property
    def is_localizer(self) -> bool:
        """Whether it is a scout view for planning a scan."""
        return "LOCALIZER" in self.image_type

    def plain(self) -> dict[str, Any]:
        """Returns the header as JSON types."""
        return asdict(self)

    @classmethod
    def from_plain(cls, content: dict[str, Any]) -> "DicomHeader":
        """Returns the header that `plain` gave, also after a way through JSON."""
        known = {field.name for field in fields(cls)}
        values = {name: _tuples(value) for name, value in content.items() if name in known}
        return cls(**values)


def read_header(path: Path) -> DicomHeader | None:
    """Reads what is needed of a DICOM file; none if it is no DICOM file.

    Raises:
        TruncatedFileError: The file is DICOM and ends inside its header.
    """
    with quiet(), path.open("rb") as handle:
        try:
            dataset = dcmread(handle, stop_before_pixels=True)
        except InvalidDicomError:
            return None
        except EOFError as error:
            raise TruncatedFileError("a DICOM file ends inside its header") from error
        available = path.stat().st_size - handle.tell()
        if "SOPClassUID" not in dataset:
            return None
        return _header(path, dataset, available)


@contextmanager
def quiet() -> Iterator[None]:
    """Lets pydicom read values that break a length or character rule, without a warning for each."""
    with disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def number(dataset: Dataset, keyword: str) -> float | None:
    """Returns a numeric value of the data set or its shared functional groups; none if absent or no number."""
    value = found(dataset, keyword)
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...] | None:
    """Returns a multi-valued number of the data set or its shared functional groups; none if absent or no numbers."""
    value = found(dataset, keyword)
    try:
        return None if value is None else tuple(float(part) for part in value)
    except (TypeError, ValueError):
        return None


def found(dataset: Dataset, keyword: str) -> Any:
    """Returns a value from the top of the data set, else from its shared functional groups, else none."""
    value = dataset.get(keyword)
    if value not in (None, ""):
        return value
    for group in dataset.get("SharedFunctionalGroupsSequence") or ():
        for element in group:
            inner = element.value[0] if element.VR == "SQ" and element.value else {}
            if inner.get(keyword) not in (None, ""):
                return inner.get(keyword)
    return None


def _header(path: Path, dataset: FileDataset, available: int) -> DicomHeader:
    kind = _kind(dataset)
    return DicomHeader(
        path=str(path),
        kind=kind,
        sop_class=_text(dataset, "SOPClassUID"),
        modality=_text(dataset, "Modality"),
        patient_id=_text(dataset, "PatientID"),
        study_uid=_text(dataset, "StudyInstanceUID"),
        series_uid=_text(dataset, "SeriesInstanceUID"),
        sop_uid=_text(dataset, "SOPInstanceUID"),
        frame_uid=_frame_uid(dataset),
        series_description=_text(dataset, "SeriesDescription"),
        image_type=tuple(str(part) for part in dataset.get("ImageType") or ()),
        is_truncated=_is_truncated(dataset, available),
        regions=_regions(dataset),
        references=_references(dataset),
        instances=_instances(dataset),
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
        "kernel": _text(dataset, "ConvolutionKernel"),
        "kvp": number(dataset, "KVP"),
        "manufacturer": _text(dataset, "Manufacturer"),
        "model": _text(dataset, "ManufacturerModelName"),
        "units": _text(dataset, "Units"),
        "acquisition_time_s": _seconds(time or dataset.get("ContentTime")),
        "contrast_agent": _text(dataset, "ContrastBolusAgent"),
        "contrast_start_s": _seconds(found(dataset, "ContrastBolusStartTime")),
    }


def _kind(dataset: Dataset) -> Kind:
    sop_class = str(dataset.SOPClassUID)
    if sop_class == _RTSTRUCT:
        return "rtstruct"
    if sop_class in _SEGMENTATIONS:
        return "seg"
    return "image" if "Rows" in dataset and number(dataset, "SamplesPerPixel") == 1 else "other"


def _is_truncated(dataset: FileDataset, available: int) -> bool:
    syntax = UID(dataset.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian))
    if "Rows" not in dataset or syntax.is_compressed:
        return False
    bits = [number(dataset, name) or 1 for name in ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames")]
    bits.append(number(dataset, "BitsAllocated") or 0)
    return available < math.prod(bits) / 8


def _frame_uid(dataset: Dataset) -> str:
    frames = dataset.get("ReferencedFrameOfReferenceSequence") or ()
    return _text(dataset, "FrameOfReferenceUID") or next((_text(item, "FrameOfReferenceUID") for item in frames), "")


def _regions(dataset: Dataset) -> tuple[tuple[int, str], ...]:
    rois = [(item.get("ROINumber"), item.get("ROIName")) for item in dataset.get("StructureSetROISequence") or ()]
    segments = [(item.get("SegmentNumber"), item.get("SegmentLabel")) for item in dataset.get("SegmentSequence") or ()]
    return tuple((int(n), str(name or "").strip()) for n, name in [*rois, *segments] if n is not None)


def _references(dataset: Dataset) -> tuple[str, ...]:
    items = [*(dataset.get("ReferencedSeriesSequence") or ()), *_rt_series(dataset)]
    return tuple(dict.fromkeys(_text(item, "SeriesInstanceUID") for item in items))


def _instances(dataset: Dataset) -> tuple[str, ...]:
    items = [
        *(dataset.get("SourceImageSequence") or ()),
        *(i for s in dataset.get("ReferencedSeriesSequence") or () for i in s.get("ReferencedInstanceSequence") or ()),
        *(image for series in _rt_series(dataset) for image in series.get("ContourImageSequence") or ()),
    ]
    return tuple(dict.fromkeys(_text(item, "ReferencedSOPInstanceUID") for item in items))


def _rt_series(dataset: Dataset) -> list[Dataset]:
    return [
        series
        for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ()
        for study in frame.get("RTReferencedStudySequence") or ()
        for series in study.get("RTReferencedSeriesSequence") or ()
    ]


def _text(dataset: Dataset, keyword: str) -> str:
    value = found(dataset, keyword)
    parts = value if isinstance(value, MultiValue) else [value]
    return "\\".join(str(part).strip() for part in parts if part is not None)


def _seconds(value: object) -> float | None:
    text = str(value or "").strip().replace(":", "")
    try:
        return int(text[:2]) * 3600.0 + int(text[2:4] or 0) * 60.0 + float(text[4:].split("+")[0].split("-")[0] or 0)
    except ValueError:
        return None


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if isinstance(value, list | tuple) else value
