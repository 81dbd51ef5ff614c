"""Which DICOM files make which case: found by reading them, whatever their names and folders."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from featurestore.errors import CaseError
from pipelines.ingest.file_index import FileIndex, SourceFile
from pipelines.ingest.free_texts import FreeTexts, names_in
from pipelines.ingest.headers import DicomHeader
from pipelines.ingest.phases import PhaseMatcher
from pipelines.ingest.problems import DuplicatePhaseError, MaskMissingError, MixedSeriesError, TruncatedFileError
from pipelines.ingest.pseudonyms import patient_name
from pipelines.ingest.sources import (
    DuplicateSentError,
    Found,
    ImageSource,
    LocalizerError,
    MaskKind,
    MaskSource,
    MaskUnmatchedError,
    PatientUnknownError,
    PhaseAmbiguousError,
    Remark,
    SeriesIgnoredError,
    Unit,
    merged,
)


@dataclass(frozen=True, kw_only=True)
class DicomFile:
    """A file and what its header says."""

    file: SourceFile
    header: DicomHeader

    @property
    def patient_id(self) -> str:
        """Whose it is."""
        return patient_name(self.header.patient_id)


@dataclass
class Series:
    """One image series of one patient."""

    patient_id: str
    uid: str
    files: list[DicomFile] = field(default_factory=list)
    masks: list[MaskSource] = field(default_factory=list)
    problem: CaseError | None = None
    n_copies: int = 0

    @property
    def description(self) -> str:
        """What most of its files call it."""
        told = Counter(part.header.series_description for part in self.files)
        return min(told, key=lambda text: (-told[text], text))

    @property
    def delay_s(self) -> float | None:
        """Seconds from the start of contrast to its first image, where told."""
        told = [part.header.contrast_delay_s for part in self.files]
        return min((delay for delay in told if delay is not None), default=None)

    @property
    def is_localizer(self) -> bool:
        """Whether it only serves the planning of a scan."""
        return all(part.header.is_localizer for part in self.files)


def find_dicom(files: Iterable[SourceFile], index: FileIndex, matcher: PhaseMatcher, roi: str, found: Found) -> None:
    """Reads the headers of a center's files and adds its DICOM cases to what was found."""
    parts, problems = _headers(files, index, found)
    unique, copies = _unique(parts)
    cut, nameless = _cut(unique)
    problems += [(part.file, TruncatedFileError("a DICOM file ends inside its header")) for part in nameless]
    series = _series([part for part in unique if part.header.kind == "image"], cut)
    _refuse_split(series.values())
    for part in unique:
        if part.header.kind in ("rtstruct", "seg") and (part.patient_id, part.header.series_uid) in series:
            error = MixedSeriesError("a file of the series says that it is no image but a mask")
            series[part.patient_id, part.header.series_uid].problem = error
    for copy in copies:
        if copy.header.kind == "image" and (copy.patient_id, copy.header.series_uid) in series:
            series[copy.patient_id, copy.header.series_uid].n_copies += 1
    found.n_ignored += sum(part.header.kind == "other" for part in unique if not _is_cut(part.header))
    _attach_masks([part for part in unique if part.header.kind in ("rtstruct", "seg")], series, found)
    _attach_problems(problems, series, found)
    _make_units(list(series.values()), matcher, roi, found)


def mask_of(part: DicomFile, observer: str = "") -> MaskSource:
    """Returns an RTSTRUCT or SEG file as a mask."""
    kind: MaskKind = "seg" if part.header.kind == "seg" else "rtstruct"
    return MaskSource(kind=kind, file=part.file, observer=observer, names=tuple(names_in([part.header])))


def image_of(files: Sequence[DicomFile], masks: Sequence[MaskSource]) -> ImageSource:
    """Returns the files of a series as an image."""
    ordered = sorted(files, key=lambda part: part.file.sha256)
    return ImageSource(
        files=tuple(part.file for part in ordered),
        headers=tuple(part.header for part in ordered),
        masks=tuple(masks),
    )


def _headers(
    files: Iterable[SourceFile], index: FileIndex, found: Found
) -> tuple[list[DicomFile], list[tuple[SourceFile, CaseError]]]:
    parts, problems = [], []
    for file in files:
        try:
            header = index.header(file)
        except CaseError as error:
            problems.append((file, error))
            continue
        if header is None:
            found.n_ignored += 1
            continue
        parts.append(DicomFile(file=file, header=header))
        found.claim(parts[-1].patient_id, file)
        found.texts.add(header, parts[-1].patient_id)
    return parts, problems


def _unique(parts: list[DicomFile]) -> tuple[list[DicomFile], list[DicomFile]]:
    first: dict[str, DicomFile] = {}
    copies = []
    for part in parts:
        if part.file.sha256 in first:
            copies.append(part)
        else:
            first[part.file.sha256] = part
    return list(first.values()), copies


def _is_cut(header: DicomHeader) -> bool:
    """Whether a file that should be an image ends before its geometry is told."""
    if header.kind != "other" or header.rows:
        return False
    from pydicom.uid import UID

    return "Image Storage" in UID(header.sop_class).name


def _cut(parts: list[DicomFile]) -> tuple[list[DicomFile], list[DicomFile]]:
    """Returns images cut off before their geometry: those that still tell their series, and those that do not."""
    cut = [part for part in parts if _is_cut(part.header)]
    named = [part for part in cut if part.patient_id and part.header.series_uid]
    return named, [part for part in cut if part not in named]


def _series(images: list[DicomFile], cut: list[DicomFile]) -> dict[tuple[str, str], Series]:
    series: dict[tuple[str, str], Series] = {}
    for part in [*images, *cut]:
        name = (part.patient_id, part.header.series_uid)
        series.setdefault(name, Series(patient_id=name[0], uid=name[1])).files.append(part)
    for part in cut:
        error = TruncatedFileError("a file ends before its pixels do")
        series[part.patient_id, part.header.series_uid].problem = error
    return series


def _refuse_split(series: Iterable[Series]) -> None:
    """Refuses a series whose slices tell several patients: at its ends nobody would see that one is missing.

    The same images under two patients are another matter: each is whole, and ingest finds that they are twins.
    """
    by_uid = defaultdict(list)
    for one in series:
        by_uid[one.uid].append(one)
    for parts in by_uid.values():
        sop_uids = [part.header.sop_uid for one in parts for part in one.files]
        if len(parts) > 1 and len(set(sop_uids)) == len(sop_uids):
            for one in parts:
                one.problem = one.problem or MixedSeriesError(f"the slices of one series tell {len(parts)} patients")


def _attach_masks(masks: list[DicomFile], series: dict[tuple[str, str], Series], found: Found) -> None:
    by_uid = defaultdict(list)
    by_frame = defaultdict(list)
    by_instance = {}
    for one in series.values():
        by_uid[one.uid].append(one)
        by_frame[one.patient_id, one.files[0].header.frame_uid].append(one)
        by_instance.update({part.header.sop_uid: one for part in one.files})
    for part in masks:
        told = [one for uid in part.header.references for one in by_uid[uid]]
        told = told or [by_instance[uid] for uid in part.header.instances[:1] if uid in by_instance]
        same_frame = by_frame[part.patient_id, part.header.frame_uid]
        told = told or (same_frame if len(same_frame) == 1 and not part.header.references else [])
        for one in told:
            one.masks.append(mask_of(part))
            found.claim(one.patient_id, part.file)
        if not told:
            error = MaskUnmatchedError("a structure set or segmentation was made on a series that was not sent")
            found.remarks.append(
                Remark(error=error, patient_id=part.patient_id, item=part.header.sop_uid, files=(part.file,))
            )


def _attach_problems(
    problems: list[tuple[SourceFile, CaseError]], series: dict[tuple[str, str], Series], found: Found
) -> None:
    """Lays an unreadable file to the series in whose folder it lies, if there is only one; else to nobody."""
    by_folder = defaultdict(set)
    for name, one in series.items():
        for part in one.files:
            by_folder[part.file.folder].add(name)
    for file, error in problems:
        around = by_folder[file.folder]
        if len(around) == 1:
            one = series[next(iter(around))]
            one.problem = one.problem or error
            found.claim(one.patient_id, file)
        else:
            found.remarks.append(Remark(error=error, item=file.relative, files=(file,)))


def _make_units(series: list[Series], matcher: PhaseMatcher, roi: str, found: Found) -> None:
    by_phase = defaultdict(list)
    for one in series:
        phases = [] if one.is_localizer else matcher.of_series(one.description, one.delay_s)
        if len(phases) == 1 and one.patient_id:
            by_phase[one.patient_id, phases[0]].append(one)
        else:
            found.remarks.append(_aside(one, phases, found.texts))
    for (patient_id, phase), candidates in by_phase.items():
        found.units.append(_unit(patient_id, phase, roi, candidates))


def _aside(one: Series, phases: list[str], texts: FreeTexts) -> Remark:
    named = f"{texts.described(one.description)} of {len(one.files)} files"
    files = tuple(part.file for part in one.files)
    error: CaseError
    if not one.patient_id:
        error = PatientUnknownError(f"series {named} has no PatientID")
    elif phases:
        error = PhaseAmbiguousError(f"series {named} matches {' and '.join(phases)}")
    elif one.is_localizer:
        error = LocalizerError(f"series {named} is a localizer")
    else:
        error = SeriesIgnoredError(f"series {named} matches no phase")
    names = tuple(dict.fromkeys(names_in(part.header for part in one.files)))
    return Remark(error=error, patient_id=one.patient_id, item=one.uid, files=files, names=names)


def _unit(patient_id: str, phase: str, roi: str, candidates: list[Series]) -> Unit:
    images, remarks = merged([image_of(files, one.masks) for one in candidates for files in _copies(one)])
    n_copies = sum(one.n_copies for one in candidates)
    if n_copies:
        remarks.append(DuplicateSentError(f"{n_copies} files were sent again, byte for byte the same"))
    problem = next((one.problem for one in candidates if one.problem is not None), None)
    if problem is None and len(images) > 1 and len({frozenset(_shape(image)) for image in images}) > 1:
        problem = DuplicatePhaseError(f"{len(images)} different series match this phase")
    if problem is None and not any(image.masks for image in images):
        problem = MaskMissingError("no structure set or segmentation was made on this series")
    return Unit(patient_id=patient_id, phase=phase, roi=roi, images=images, remarks=tuple(remarks), problem=problem)


def _shape(image: ImageSource) -> set[tuple[object, ...]]:
    return {(header.position_mm, header.orientation, header.rows, header.columns) for header in image.headers}


def _copies(one: Series) -> list[list[DicomFile]]:
    """Splits a series that was sent twice, by folder, where that makes every instance unique; else leaves it whole."""
    if len({part.header.sop_uid for part in one.files}) == len(one.files):
        return [one.files]
    folders = defaultdict(list)
    for part in one.files:
        folders[part.file.folder].append(part)
    split = list(folders.values())
    is_clean = all(len({part.header.sop_uid for part in files}) == len(files) for files in split)
    return split if is_clean and len(split) > 1 else [one.files]
