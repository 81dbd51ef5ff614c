"""What discovery finds: the files of each case, and what it has to say about the others."""

from dataclasses import dataclass, field
from typing import Literal

from featurestore.errors import CaseError
from featurestore.fingerprints import digest
from pipelines.ingest.file_index import SourceFile
from pipelines.ingest.free_texts import FreeTexts
from pipelines.ingest.headers import DicomHeader

MaskKind = Literal["rtstruct", "seg", "volume"]
Label = int | Literal["auto"]


class SeriesIgnoredError(CaseError):
    """A series or image that no phase asks for."""

    code = "series_ignored"
    status = "warned"
    default_remedy = (
        "nothing, if it is not needed; else widen phases.<phase>.series_description "
        "(private/texts/ lists what series are called)"
    )


class LocalizerError(CaseError):
    """A scout view for planning a scan; it is expected beside the phases and set aside."""

    code = "localizer"
    status = "ok"
    default_remedy = ""


class PhaseAmbiguousError(CaseError):
    """A series matches several phases."""

    code = "phase_ambiguous"
    default_remedy = "narrow phases.<phase>.series_description, or tell them apart by phases.<phase>.delay_s"


class PatientUnknownError(CaseError):
    """A file does not say whose it is."""

    code = "patient_unknown"
    default_remedy = "send NIfTI and NRRD in a folder per patient and DICOM with PatientID, or name it in cases.csv"


class MaskUnmatchedError(CaseError):
    """A mask belongs to no image that was sent."""

    code = "mask_unmatched"
    status = "warned"
    default_remedy = "send the image that it was made on, or name both in cases.csv"


class DuplicateSentError(CaseError):
    """The same content was sent more than once; it is used once."""

    code = "duplicate_sent"
    status = "warned"
    default_remedy = "nothing; one copy can be removed"


class FileMissingError(CaseError):
    """`cases.csv` names a file that was not sent."""

    code = "file_missing"
    default_remedy = "send the file, or correct the row of cases.csv"


@dataclass(frozen=True, kw_only=True)
class MaskSource:
    """A file with an outline; `names` is what it names people and regions by."""

    kind: MaskKind
    file: SourceFile
    observer: str = ""
    label: Label = "auto"
    names: tuple[str, ...] = ()

    def identity(self) -> list[object]:
        """Returns what decides its voxels."""
        return [self.kind, self.file.sha256, self.observer, self.label]


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """The files of one image, and the masks made on it.

    Args:
        files: One file, or the files of a DICOM series.
        headers: The DICOM headers, in the order of `files`; empty for NIfTI and NRRD.
        masks: The masks made on it.
    """

    files: tuple[SourceFile, ...]
    headers: tuple[DicomHeader, ...] = ()
    masks: tuple[MaskSource, ...] = ()

    def content(self) -> str:
        """Returns a hash of the image's bytes, whatever the files are called."""
        return digest(sorted(file.sha256 for file in self.files))

    def identity(self) -> list[object]:
        """Returns what decides image and masks."""
        return [self.content(), sorted(str(mask.identity()) for mask in self.masks)]


@dataclass(frozen=True, kw_only=True)
class Remark:
    """Something to say in `qc` about a patient, or about a file of nobody.

    Args:
        error: What.
        patient_id: Whom it concerns; empty for a file of nobody.
        phase: Which phase, if one.
        item: What names the file or series; it enters as a pseudonym.
        files: The files concerned.
        names: What these name people by.
    """

    error: CaseError
    patient_id: str = ""
    phase: str = ""
    item: str = ""
    files: tuple[SourceFile, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Unit:
    """All that was sent for one region of one phase of one patient.

    Args:
        patient_id: Who.
        phase: Which phase.
        roi: Which region.
        images: One image, or several that must turn out to be the same.
        remarks: What discovery noticed.
        problem: Why it is refused before it is read.
    """

    patient_id: str
    phase: str
    roi: str
    images: tuple[ImageSource, ...]
    remarks: tuple[CaseError, ...] = ()
    problem: CaseError | None = None

    def files(self) -> list[SourceFile]:
        """Returns every file it is made of."""
        return [file for image in self.images for file in (*image.files, *(mask.file for mask in image.masks))]


@dataclass
class Found:
    """What discovery made of a center's files.

    Args:
        units: The cases.
        remarks: What concerns no case.
        n_ignored: Files that are neither image nor table.
        files: The files of each patient, those no case needs included.
        texts: What DICOM files call series and regions.
    """

    units: list[Unit] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    n_ignored: int = 0
    files: dict[str, list[SourceFile]] = field(default_factory=dict)
    texts: FreeTexts = field(default_factory=FreeTexts)

    def claim(self, patient_id: str, *files: SourceFile) -> None:
        """Notes whose the files are."""
        self.files.setdefault(patient_id, []).extend(files)


def merged(images: list[ImageSource]) -> tuple[tuple[ImageSource, ...], list[CaseError]]:
    """Joins images that are the same byte for byte, with the masks of all copies, and remarks it."""
    by_content: dict[str, ImageSource] = {}
    n_copies = 0
    for image in images:
        first = by_content.get(image.content())
        n_copies += first is not None
        by_content[image.content()] = image if first is None else _joined(first, image)
    remarks: list[CaseError] = []
    if n_copies:
        remarks.append(DuplicateSentError(f"the image was sent {n_copies + 1} times, byte for byte the same"))
    return tuple(image for _, image in sorted(by_content.items())), remarks


def _joined(first: ImageSource, second: ImageSource) -> ImageSource:
    masks = {str(mask.identity()): mask for mask in (*second.masks, *first.masks)}
    return ImageSource(files=first.files, headers=first.headers, masks=tuple(mask for _, mask in sorted(masks.items())))
