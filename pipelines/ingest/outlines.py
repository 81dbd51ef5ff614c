"""Reads the outlines of an image: every observer's regions, on the image's grid."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import SimpleITK as sitk

from featurestore.errors import CaseError
from pipelines.images.geometry import compare_grids, largest_shift_mm
from pipelines.images.grid import Grid
from pipelines.images.resampling import pasted, resample_mask
from pipelines.images.volume import Mask
from pipelines.ingest.dicom_seg import read_dicom_seg
from pipelines.ingest.nifti import read_mask
from pipelines.ingest.observers import CONSENSUS, consensus, lesions, united
from pipelines.ingest.outline_gaps import check_gaps
from pipelines.ingest.problems import GridMismatchError, ObserverMissingError, RoiNotFoundError
from pipelines.ingest.rtstruct import read_rtstruct
from pipelines.ingest.sources import MaskSource
from pipelines.params.data import IngestSection

Regions = dict[str, sitk.Image]


class MasksAmbiguousError(CaseError):
    """Two different outlines of one region were sent without saying whose they are."""

    code = "masks_ambiguous"
    default_remedy = "remove one of them, or name their observers in cases.csv"


class ConsensusIncompleteError(CaseError):
    """One of the observers' masks was refused, so that there is no consensus of all."""

    code = "consensus_incomplete"
    default_remedy = "send that observer's mask again, or name one observer in ingest.observer_policy"


class MaskResampledError(CaseError):
    """The mask lay on another grid and was brought onto the image's, within the stated bound."""

    code = "mask_resampled"
    status = "warned"
    default_remedy = "nothing; the bound is ingest.resample_mask_within_mm"


@dataclass(kw_only=True)
class Outline:
    """One observer's outline, or why there is none.

    Args:
        observer: Whose; empty when only one was sent.
        is_primary: Whether features come from it.
        regions: Masks (uint8, 1 inside) on the image's grid by region.
        problem: Why it is refused.
        warnings: What was done that must be known.
        notes: What a person should know.
        sources: The mask files' hashes.
        kinds: What the files were.
    """

    observer: str
    is_primary: bool = False
    regions: Regions = field(default_factory=dict)
    problem: CaseError | None = None
    warnings: list[CaseError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sources: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


def read_outlines(masks: list[MaskSource], image: sitk.Image, roi: str, rules: IngestSection) -> list[Outline]:
    """Returns every observer's outline, and the consensus where the policy asks for one.

    Args:
        masks: The mask files of the image.
        image: The image they were made on.
        roi: What radmill calls the region.
        rules: The policies and tolerances.
    """
    by_observer: dict[str, list[MaskSource]] = {}
    for mask in masks:
        by_observer.setdefault(mask.observer, []).append(mask)
    outlines = [_outline(name, files, image, rules) for name, files in sorted(by_observer.items())]
    outlines += _chosen(outlines, rules.observer_policy)
    for outline in outlines:
        if outline.problem is None:
            outline.regions = lesions(outline.regions, rules.roi_policy, roi)
    return outlines


def on_image(mask: sitk.Image, image: sitk.Image, rules: IngestSection, warnings: list[CaseError]) -> sitk.Image:
    """Returns a mask on exactly the image's grid.

    Raises:
        GridMismatchError: It lies on another grid, farther away than may be resampled; the message says in what.
    """
    own, wanted = Grid.of(mask), Grid.of(image)
    differences = compare_grids(wanted, own, rules.grid_tolerance_mm)
    if not differences:
        return pasted(mask, image)
    if largest_shift_mm(wanted, own) > rules.resample_mask_within_mm:
        raise GridMismatchError(f"the mask has {'; '.join(differences)}")
    warnings.append(MaskResampledError(f"resampled to the image's grid: the mask had {'; '.join(differences)}"))
    return resample_mask(mask, image)


def _outline(name: str, files: list[MaskSource], image: sitk.Image, rules: IngestSection) -> Outline:
    outline = Outline(
        observer=name,
        sources=tuple(sorted(file.file.sha256 for file in files)),
        kinds=tuple(sorted({file.kind for file in files})),
    )
    try:
        outline.regions = _regions(files, image, rules, outline)
    except CaseError as error:
        outline.problem = error
    return outline


def _regions(files: list[MaskSource], image: sitk.Image, rules: IngestSection, outline: Outline) -> Regions:
    regions: Regions = {}
    not_found: CaseError | None = None
    for file in sorted(files, key=lambda mask: mask.file.sha256):
        try:
            read = _read(file, image, rules, outline.notes)
        except RoiNotFoundError as error:
            not_found = error
            continue
        for name, mask in read.items():
            placed = on_image(mask, image, rules, outline.warnings)
            check_gaps(placed, name, outline.warnings)
            _add(regions, name, placed)
    if not regions:
        raise not_found or RoiNotFoundError("no region in the masks")
    return regions


def _add(regions: Regions, name: str, mask: sitk.Image) -> None:
    if name in regions and Mask(regions[name]).content_hash() != Mask(mask).content_hash():
        raise MasksAmbiguousError("two files outline the same region differently")
    regions[name] = mask


def _read(mask: MaskSource, image: sitk.Image, rules: IngestSection, notes: list[str]) -> Mapping[str, sitk.Image]:
    path, roi = mask.file.path, rules.roi
    if mask.kind == "rtstruct":
        return read_rtstruct(path, image, roi.pattern, roi.number, notes)
    if mask.kind == "seg":
        return read_dicom_seg(path, image, roi.pattern, roi.number, rules.fractional_threshold, notes)
    tolerance = rules.direction_tolerance
    return {"": read_mask(path, label=mask.label, direction_tolerance=tolerance, notes=notes)}


def _chosen(outlines: list[Outline], policy: str) -> list[Outline]:
    """Marks whose outline features come from; returns what must be added for that."""
    by_name = {outline.observer: outline for outline in outlines}
    if len(outlines) == 1 and (policy in CONSENSUS or outlines[0].observer in ("", policy)):
        outlines[0].observer = ""
        outlines[0].is_primary = True
        return []
    if policy in CONSENSUS:
        return [_consensus(outlines, policy)]
    chosen = by_name.get(policy) or by_name.get("")
    if chosen is None:
        error = ObserverMissingError(f"masks of {', '.join(sorted(by_name))}, none of {policy}")
        return [Outline(observer=policy, is_primary=True, problem=error)]
    chosen.is_primary = True
    return []


def _consensus(outlines: list[Outline], policy: str) -> Outline:
    sources = tuple(source for outline in outlines for source in outline.sources)
    kinds = tuple(sorted({kind for outline in outlines for kind in outline.kinds}))
    joint = Outline(observer=policy, is_primary=True, sources=sources, kinds=kinds)
    refused = [outline.observer or "(unnamed)" for outline in outlines if outline.problem is not None]
    if refused:
        joint.problem = ConsensusIncompleteError(f"the mask of {', '.join(refused)} was refused")
        return joint
    joint.regions = {"": consensus([united(list(o.regions.values())) for o in outlines], policy)}
    return joint
