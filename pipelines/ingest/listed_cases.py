"""Cases that a center lists in `cases.csv`, for files whose names and tags say nothing.

Where the file is there it is the whole list: nothing else is looked for.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from featurestore.errors import CaseError, InputError
from pipelines.ingest.dicom_cases import DicomFile, image_of, mask_of
from pipelines.ingest.file_index import FileIndex, SourceFile
from pipelines.ingest.problems import MaskMissingError, UnreadableError
from pipelines.ingest.pseudonyms import patient_name
from pipelines.ingest.sources import FileMissingError, Found, ImageSource, Label, MaskSource, Unit, merged
from pipelines.ingest.volume_cases import is_volume, observer_name

NEEDED = ("patient_id", "phase", "image", "mask")


class CasesTableError(InputError):
    """A center's `cases.csv` cannot be used."""

    default_remedy = "it needs the columns patient_id, phase, image, mask, and may have roi, label, observer"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One row: an image and one mask on it, as paths below the center's folder."""

    patient_id: str
    phase: str
    roi: str
    image: str
    mask: str
    observer: str
    label: Label


def read_cases(file: SourceFile, center: str, phases: Sequence[str], roi: str, label: Label) -> list[Listed]:
    """Reads a center's `cases.csv`.

    Args:
        file: The file.
        center: For messages.
        phases: The declared phases.
        roi: The region of rows that name none.
        label: The label of rows that name none.

    Raises:
        CasesTableError: A column is missing, or a row has no patient, image or declared phase, or a strange label.
    """
    where = f"cases.csv of center {center}"
    try:
        text = file.path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CasesTableError("it is not UTF-8", where=where) from error
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        missing = [name for name in NEEDED if name not in [n.strip() for n in reader.fieldnames or ()]]
        if missing:
            raise CasesTableError(f"column {', '.join(missing)} is missing", where=where)
        rows = [{str(k).strip(): str(v or "").strip() for k, v in row.items()} for row in reader]
    except csv.Error as error:
        raise CasesTableError(f"it is no table ({error})", where=where) from error
    _check(rows, phases, where)
    return [
        Listed(
            patient_id=patient_name(row["patient_id"]),
            phase=row["phase"].casefold(),
            roi=observer_name(row.get("roi", "")) or roi,
            image=_relative(row["image"]),
            mask=_relative(row["mask"]),
            observer=observer_name(row.get("observer", "")),
            label=_label(row.get("label", "")) or label,
        )
        for row in rows
    ]


def find_listed(listed: Sequence[Listed], files: Sequence[SourceFile], index: FileIndex, found: Found) -> None:
    """Adds the listed cases to what was found; the other files are counted as ignored."""
    by_name = {file.relative.casefold(): file for file in files}
    used: set[str] = set()
    cases = defaultdict(list)
    for row in listed:
        cases[row.patient_id, row.phase, row.roi].append(row)
    for (patient_id, phase, roi), rows in sorted(cases.items()):
        unit = _unit((patient_id, phase, roi), rows, by_name, index)
        found.units.append(unit)
        found.claim(patient_id, *unit.files())
        used |= {file.relative for file in unit.files()}
    found.n_ignored += sum(file.relative not in used for file in files)


def _check(rows: list[dict[str, str]], phases: Sequence[str], where: str) -> None:
    complaints = []
    for number, row in enumerate(rows, start=2):
        empty = [name for name in ("patient_id", "image") if not row[name]]
        complaints += [f"row {number} has no {name}" for name in empty]
        if row["phase"].casefold() not in phases:
            complaints.append(f"row {number} has a phase that is not declared (there are {', '.join(phases)})")
        if row.get("label", "") and not _label(row["label"]):
            complaints.append(f"row {number} has a label that is neither a whole number above 0 nor auto")
    if complaints:
        raise CasesTableError("; ".join(complaints[:10]), where=where)


def _unit(
    name: tuple[str, str, str], rows: Sequence[Listed], by_name: Mapping[str, SourceFile], index: FileIndex
) -> Unit:
    patient_id, phase, roi = name
    problem: CaseError | None = None
    images: list[ImageSource] = []
    remarks: list[CaseError] = []
    try:
        for image in dict.fromkeys(row.image for row in rows):
            of_image = [row for row in rows if row.image == image and row.mask]
            masks = [_mask(row, by_name, index) for row in of_image]
            images.append(_image(image, masks, by_name, index))
        if not any(image.masks for image in images):
            problem = MaskMissingError("cases.csv names an image and no mask")
    except CaseError as error:
        problem = error
    unique, remarks = merged(images)
    return Unit(patient_id=patient_id, phase=phase, roi=roi, images=unique, remarks=tuple(remarks), problem=problem)


def _image(name: str, masks: list[MaskSource], by_name: Mapping[str, SourceFile], index: FileIndex) -> ImageSource:
    single = by_name.get(name.casefold())
    if single is not None and is_volume(single):
        return ImageSource(files=(single,), masks=tuple(masks))
    folder = name.casefold().rstrip("/") + "/"
    inside = [single] if single is not None else [file for path, file in by_name.items() if path.startswith(folder)]
    parts = _dicom(inside, index, lambda kind: kind == "image")
    if not parts:
        raise FileMissingError("the image that cases.csv names was not sent, or is no image")
    return image_of(parts, masks)


def _mask(row: Listed, by_name: Mapping[str, SourceFile], index: FileIndex) -> MaskSource:
    file = by_name.get(row.mask.casefold())
    if file is None:
        raise FileMissingError("the mask that cases.csv names was not sent")
    if is_volume(file):
        return MaskSource(kind="volume", file=file, observer=row.observer, label=row.label)
    parts = _dicom([file], index, lambda kind: kind in ("rtstruct", "seg"))
    if not parts:
        raise UnreadableError("the mask is neither NIfTI, NRRD, RTSTRUCT nor DICOM-SEG")
    return mask_of(parts[0], row.observer)


def _dicom(files: Sequence[SourceFile], index: FileIndex, wanted: Callable[[str], bool]) -> list[DicomFile]:
    headers = [(file, index.header(file)) for file in files]
    return [DicomFile(file=file, header=header) for file, header in headers if header and wanted(header.kind)]


def _relative(text: str) -> str:
    return PurePosixPath(text.replace("\\", "/")).as_posix() if text else ""


def _label(text: str) -> Label | None:
    if text.casefold() == "auto":
        return "auto"
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0 else None
