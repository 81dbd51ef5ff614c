"""What is kept of one DICOM file, so that nothing unchanged is parsed again; needs no DICOM library."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

Kind = Literal["image", "rtstruct", "seg", "other"]

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
        contrast_start_s: ContrastBolusStartTime in seconds of the day.
        is_truncated: The file ends early.
        is_burnt_in: It says that text is burnt into its pixels.
        regions: Number and name of each ROI or segment.
        references: Series that an RTSTRUCT or SEG was made on.
        instances: Images that an RTSTRUCT or SEG was made on.
        names: What it names people and their visits by; kept so that messages can be freed of it.
    """

    path: str
    kind: Kind
    sop_class: str = ""
    modality: str = ""
    patient_id: str = ""
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
    contrast_start_s: float | None = None
    is_truncated: bool = False
    is_burnt_in: bool = False
    regions: tuple[tuple[int, str], ...] = ()
    references: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

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


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if isinstance(value, list | tuple) else value
