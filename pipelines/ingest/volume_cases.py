"""Which NIfTI and NRRD files make which case: `<patient>/<phase>.nii.gz` with `<phase>_mask[-<observer>].nii.gz`."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from featurestore.errors import CaseError
from pipelines.ingest.file_index import SourceFile
from pipelines.ingest.observers import CONSENSUS
from pipelines.ingest.phases import PhaseMatcher
from pipelines.ingest.problems import ImageMissingError, MaskMissingError
from pipelines.ingest.pseudonyms import patient_name
from pipelines.ingest.sources import (
    Found,
    ImageSource,
    Label,
    MaskSource,
    PatientUnknownError,
    PhaseAmbiguousError,
    Remark,
    SeriesIgnoredError,
    Unit,
    merged,
)

_LONGEST_NAME = 48
"""Observers and regions are parts of the names of stored files."""

SUFFIXES = (".nii.gz", ".nii", ".nrrd")
_MASK = re.compile(r"^(?P<image>.+?)_mask(?:-(?P<observer>.+))?$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Named:
    """What a file's name says.

    Args:
        file: The file.
        stem: The name of the image it is or belongs to, in lower case.
        observer: Whose mask it is; none if it is an image.
    """

    file: SourceFile
    stem: str
    observer: str | None


def is_volume(file: SourceFile) -> bool:
    """Returns whether a file is NIfTI or NRRD, by its name."""
    return file.name.lower().endswith(SUFFIXES)


def find_volumes(files: Iterable[SourceFile], matcher: PhaseMatcher, roi: str, label: Label, found: Found) -> None:
    """Adds the cases among a center's NIfTI and NRRD files to what was found."""
    images: dict[tuple[str, str], list[ImageSource]] = defaultdict(list)
    orphans: dict[tuple[str, str], list[SourceFile]] = defaultdict(list)
    for (folder, stem), group in grouped(files).items():
        patient_id = patient_name(folder.rpartition("/")[2])
        group_files = tuple(named.file for named in group)
        found.claim(patient_id, *group_files)
        phases = matcher.of_stem(stem)
        if len(phases) != 1 or not patient_id:
            found.remarks.append(_aside(patient_id, phases, f"{folder}/{stem}", group_files))
            continue
        masks = tuple(_mask(named, label) for named in group if named.observer is not None)
        sent = [named.file for named in group if named.observer is None]
        images[patient_id, phases[0]] += [ImageSource(files=(file,), masks=masks) for file in sent]
        orphans[patient_id, phases[0]] += [] if sent else [mask.file for mask in masks]
    for name in sorted({*images, *(name for name, masks in orphans.items() if masks)}):
        found.units.append(_unit(name, images[name], roi))


def observer_name(text: str) -> str:
    """Returns an observer as a name that is safe in tables and file names."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 9]}-{sha256(name.encode()).hexdigest()[:8]}"
    return f"{name}-sent" if name in CONSENSUS else name


def grouped(files: Iterable[SourceFile]) -> dict[tuple[str, str], list[Named]]:
    """Returns images and masks that belong together, by folder and by the image's name in lower case."""
    groups = defaultdict(list)
    for file in files:
        lower = file.name.lower()
        suffix = next(suffix for suffix in SUFFIXES if lower.endswith(suffix))
        stem = file.name[: -len(suffix)]
        match = _MASK.match(stem)
        observer = observer_name(match["observer"] or "") if match else None
        image = match["image"] if match else stem
        groups[file.folder, image.casefold()].append(Named(file=file, stem=image, observer=observer))
    return dict(sorted(groups.items()))


def _mask(named: Named, label: Label) -> MaskSource:
    return MaskSource(kind="volume", file=named.file, observer=named.observer or "", label=label)


def _aside(patient_id: str, phases: list[str], item: str, files: tuple[SourceFile, ...]) -> Remark:
    error: CaseError
    if not patient_id:
        error = PatientUnknownError("an image file lies in no patient's folder")
    elif phases:
        error = PhaseAmbiguousError(f"an image file's name matches {' and '.join(phases)}")
    else:
        error = SeriesIgnoredError(f"{len(files)} files of one image are named as no phase")
    return Remark(error=error, patient_id=patient_id, item=item, files=files)


def _unit(name: tuple[str, str], sources: list[ImageSource], roi: str) -> Unit:
    images, remarks = merged(sources)
    problem: CaseError | None = None
    if not images:
        problem = ImageMissingError("there is a mask and no image")
    elif not any(image.masks for image in images):
        problem = MaskMissingError("there is an image and no mask")
    return Unit(patient_id=name[0], phase=name[1], roi=roi, images=images, remarks=tuple(remarks), problem=problem)
