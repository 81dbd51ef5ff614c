"""One case from its files to stored volumes: read, outline, check, crop, store."""

from dataclasses import dataclass, field
from pathlib import Path

import SimpleITK as sitk

from featurestore.entities import CaseKey
from featurestore.errors import CaseError
from featurestore.fingerprints import canonical_json, digest, file_digest
from pipelines.images.cropping import Box, crop, crop_box, roi_box
from pipelines.images.files import read_case, write_image
from pipelines.images.grid import Grid
from pipelines.images.statistics import Statistics
from pipelines.images.volume import Volume
from pipelines.ingest.dicom_series import Acquisition, read_series
from pipelines.ingest.nifti import read_volume
from pipelines.ingest.observers import n_voxels
from pipelines.ingest.outlines import Outline, read_outlines
from pipelines.ingest.parts import LIBRARIES, CaseSettings, Plain
from pipelines.ingest.problems import BurntInError, DuplicatePhaseError, EmptyMaskError, RoiTooSmallError
from pipelines.ingest.pseudonyms import without_identity
from pipelines.ingest.sources import DuplicateSentError, ImageSource, MaskSource
from pipelines.ingest.views import AXES
from pipelines.record import StepRecord, installed


@dataclass(kw_only=True)
class ReadImage:
    """An image as it was read."""

    image: sitk.Image
    acquisition: Acquisition
    kind: str
    content_hash: str
    masks: list[MaskSource]
    sources: tuple[str, ...]
    warnings: list[CaseError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class CaseWork:
    """What all steps on one case need; `names` are taken out of every text that came from a file or a library."""

    key: CaseKey
    cases: Path
    settings: CaseSettings
    source: str
    names: tuple[str, ...] = ()

    def rows(self, sources: list[ImageSource]) -> list[Plain]:
        """Returns a row for every outline and region."""
        read = self.one_image([self.read(source) for source in sources])
        whole = Statistics.of(read.image)
        rows = []
        for outline in read_outlines(read.masks, read.image, self.key.roi, self.settings.ingest):
            if outline.problem is not None:
                rows.append(self.refused(outline.problem, outline, read))
                continue
            rows += [self.row(roi, mask, outline, read, whole) for roi, mask in sorted(outline.regions.items())]
        return rows

    def read(self, source: ImageSource) -> ReadImage:
        """Reads one image."""
        rules = self.settings.ingest
        notes: list[str] = []
        n_burnt_in = sum(header.is_burnt_in for header in source.headers)
        if source.headers:
            image, acquisition = read_series(source.headers, gap_tolerance=rules.slice_gap_tolerance)
            notes += acquisition.notes
        else:
            path = source.files[0].path
            image = read_volume(path, direction_tolerance=rules.direction_tolerance, notes=notes)
            acquisition = Acquisition(spacing_mm=image.GetSpacing())
        return ReadImage(
            image=image,
            acquisition=acquisition,
            kind=_kind(source),
            content_hash=Volume(image).content_hash(),
            masks=list(source.masks),
            sources=tuple(sorted(file.sha256 for file in source.files)),
            warnings=[_burnt_in(n_burnt_in, len(source.headers))] if n_burnt_in else [],
            notes=notes,
        )

    def one_image(self, images: list[ReadImage]) -> ReadImage:
        """Returns the one image that all of them are.

        Raises:
            DuplicatePhaseError: They differ.
        """
        different = {image.content_hash for image in images}
        if len(different) > 1:
            raise DuplicatePhaseError(f"{len(different)} different images match this phase")
        first = images[0]
        if len(images) > 1:
            first.warnings.append(
                DuplicateSentError(f"the image was sent {len(images)} times, voxel for voxel the same")
            )
            masks = {str(mask.identity()): mask for image in images for mask in image.masks}
            first.masks = [mask for _, mask in sorted(masks.items())]
        return first

    def row(self, roi: str, mask: sitk.Image, outline: Outline, read: ReadImage, whole: Statistics) -> Plain:
        """Checks, crops and stores one region of one outline."""
        rules, margin = self.settings.ingest, self.settings.margin
        n_inside = n_voxels(mask)
        if n_inside < rules.minimum_roi_voxels:
            error = RoiTooSmallError(f"the region has {n_inside} voxels, expected at least {rules.minimum_roi_voxels}")
            return self.refused(error if n_inside else EmptyMaskError("no voxel is inside"), outline, read, roi)
        grid = Grid.of(read.image)
        box = crop_box(grid, roi_box(mask), margin.mm, margin.voxels)
        case: Plain = {
            **self.stored(roi, outline.observer, crop(read.image, box), crop(mask, box)),
            "source_hash": self.source,
            **{f"full_size_{a}": grid.size[i] for i, a in enumerate(AXES)},
            **{f"full_origin_{a}_mm": grid.origin_mm[i] for i, a in enumerate(AXES)},
            **{f"crop_{a}": box.lower[i] for i, a in enumerate(AXES)},
            "n_voxels": n_inside,
            "volume_ml": n_inside * grid.voxel_ml,
            "image_mean": whole.mean,
            "image_sd": whole.sd,
            "image_min": whole.minimum,
            "image_max": whole.maximum,
            "is_primary": outline.is_primary,
            "steps": canonical_json([step.plain() for step in self.steps(box, outline, read)]).decode(),
        }
        warnings = [*read.warnings, *outline.warnings]
        return {
            **self.verdict(warnings, read, outline),
            **self.identity(roi, outline, read),
            "case": case,
        }

    def stored(self, roi: str, observer: str, image: sitk.Image, mask: sitk.Image) -> Plain:
        """Stores crop and mask; their hashes are of what a reader of the files gets."""
        key = CaseKey(**{**self.key.columns(), "roi": roi, "observer": observer})
        names = {kind: f"{key.center}/{key.stem()}_{kind}.nii.gz" for kind in ("image", "mask")}
        write_image(self.cases / names["image"], image)
        write_image(self.cases / names["mask"], mask)
        volume, outline = read_case(self.cases / names["image"], self.cases / names["mask"])
        grid = volume.grid
        return {
            **names,
            "image_hash": volume.content_hash(),
            "mask_hash": outline.content_hash(),
            "image_bytes_hash": file_digest(self.cases / names["image"]),
            "mask_bytes_hash": file_digest(self.cases / names["mask"]),
            **{f"size_{a}": grid.size[i] for i, a in enumerate(AXES)},
            **{f"spacing_{a}_mm": grid.spacing_mm[i] for i, a in enumerate(AXES)},
            **{f"origin_{a}_mm": grid.origin_mm[i] for i, a in enumerate(AXES)},
            "direction": canonical_json(list(grid.direction)).decode(),
        }

    def steps(self, box: Box, outline: Outline, read: ReadImage) -> list[StepRecord]:
        """Returns what was done to the case."""
        rules = self.settings.ingest.model_dump(mode="json", exclude={"clinical"})
        masks = dict.fromkeys(outline.sources)
        return [
            StepRecord(
                step="read",
                parameters=rules,
                inputs={"image": digest(list(read.sources)), "mask": digest(list(masks))},
                versions=installed(*LIBRARIES),
                notes=tuple(self.clean(note) for note in self.said([*read.warnings, *outline.warnings], read, outline)),
            ),
            StepRecord(
                step="crop",
                parameters={
                    "margin_mm": self.settings.margin.mm,
                    "margin_voxels": self.settings.margin.voxels,
                    "lower": list(box.lower),
                    "size": list(box.size),
                },
            ),
        ]

    def refused(
        self, error: CaseError, outline: Outline | None = None, read: ReadImage | None = None, roi: str = ""
    ) -> Plain:
        """Returns the row of a case that ends here."""
        message = self.clean(error.what)
        verdict = {"status": error.status, "code": error.code, "message": message, "remedy": error.remedy}
        return {**verdict, **self.identity(roi or self.key.roi, outline, read), "case": None}

    def identity(self, roi: str, outline: Outline | None, read: ReadImage | None) -> Plain:
        """Returns which region of which observer a row is about, and how its image was made."""
        return {
            "roi": roi,
            "observer": outline.observer if outline is not None else "",
            "image_content": read.content_hash if read is not None else "",
            "acquisition": self.acquisition(read, outline) if read is not None else None,
        }

    def verdict(self, warnings: list[CaseError], read: ReadImage, outline: Outline) -> Plain:
        """Returns how a case that is used ended: its first warning's code, and everything there is to say."""
        message = self.clean("; ".join(self.said(warnings, read, outline)))
        if not warnings:
            return {"status": "ok", "code": "", "message": message, "remedy": ""}
        return {"status": "warned", "code": warnings[0].code, "message": message, "remedy": warnings[0].remedy}

    def said(self, warnings: list[CaseError], read: ReadImage, outline: Outline) -> list[str]:
        """Returns warnings and notes, each once."""
        return list(dict.fromkeys([*(warning.what for warning in warnings), *read.notes, *outline.notes]))

    def acquisition(self, read: ReadImage, outline: Outline | None) -> Plain:
        """Returns how the image was made; what its tags tell in words is freed of names."""
        told = read.acquisition
        kind = "+".join([read.kind, *(outline.kinds if outline is not None else ())])
        return {
            **{name: self.clean(getattr(told, name)) or None for name in ("manufacturer", "model", "kernel")},
            "kvp": told.kvp,
            "slice_thickness_mm": told.slice_thickness_mm,
            **{f"spacing_{a}_mm": told.spacing_mm[i] for i, a in enumerate(AXES)},
            "contrast_delay_s": told.contrast_delay_s,
            "format": kind if read.kind == "dicom" else read.kind,
        }

    def clean(self, text: str) -> str:
        """Returns a text that names nobody."""
        return without_identity(text, self.names)


def _burnt_in(n_slices: int, n_all: int) -> CaseError:
    return BurntInError(f"{n_slices} of {n_all} files of the image say that text is burnt into them")


def _kind(source: ImageSource) -> str:
    if source.headers:
        return "dicom"
    return "nrrd" if source.files[0].name.lower().endswith(".nrrd") else "nifti"
