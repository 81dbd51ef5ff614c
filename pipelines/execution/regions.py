"""The regions to measure: stored cases with their settings, and the fingerprint of all that decides their features."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import ceil, prod
from pathlib import Path
from typing import Any

from featurestore.entities import KEY_COLUMNS, CaseKey
from featurestore.errors import InputError
from featurestore.fingerprints import digest
from featurestore.tables import centers_of, read_table
from pipelines.images.perturbation import VERSION as PERTURBATIONS
from pipelines.images.shuffling import SHUFFLED
from pipelines.images.shuffling import VERSION as SHUFFLES
from pipelines.params.data import Margin
from pipelines.radiomics.base import WholeImage
from pipelines.radiomics.catalog import names
from pipelines.radiomics.engines import check_crops, engine_versions
from pipelines.radiomics.settings import ExtractionSettings

_BYTES_A_VOXEL = 130.0
"""Eight wavelet bands, their inputs and the filters' copies, all in double precision."""


class MarginTooSmallError(InputError):
    """The stored margin is smaller than what the filters reach, so a crop would give other values than its image."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """One outlined region as ingest stored it.

    Args:
        key: Whose it is.
        is_primary: Whether features of the patient come from it; the others serve agreement between observers.
        image: The stored image, relative to the cases folder.
        mask: The stored mask, relative to the cases folder.
        hashes: Of voxels and of bytes, as ingest wrote them.
        whole: What it was cut from; nothing when it is the whole image.
        spacing_mm: Distance of voxel centers along x, y, z.
        n_voxels: Voxels of the stored image.
        perturbation: How image and mask are perturbed before they are measured, or that voxels are shuffled; empty
            when they are as stored.
    """

    key: CaseKey
    is_primary: bool
    image: str
    mask: str
    hashes: dict[str, str]
    whole: WholeImage | None
    spacing_mm: tuple[float, float, float]
    n_voxels: int
    perturbation: str = ""

    def perturbed(self, name: str) -> "Region":
        """Returns the region as a perturbation shows it; its name stands for the observer."""
        return replace(self, key=replace(self.key, observer=name), is_primary=False, perturbation=name)

    def shuffled(self) -> "Region":
        """Returns the region with its voxels dealt anew."""
        return replace(self, perturbation=SHUFFLED)

    @property
    def is_perturbed(self) -> bool:
        """Whether it is seen as another scan or another reader might see it."""
        return self.perturbation not in ("", SHUFFLED)

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "Region":
        """Returns the region that a row of the view `cases` describes."""
        size = _triple(row, "size_{}", int)
        whole = WholeImage(
            mean=row["image_mean"],
            sd=row["image_sd"],
            minimum=row["image_min"],
            maximum=row["image_max"],
            size=_triple(row, "full_size_{}", int),
            lower=_triple(row, "crop_{}", int),
            origin_mm=_triple(row, "full_origin_{}_mm", float),
        )
        return cls(
            key=CaseKey(**{name: row[name] for name in KEY_COLUMNS}),
            is_primary=bool(row["is_primary"]),
            image=row["image"],
            mask=row["mask"],
            hashes={name: row[name] for name in ("image_hash", "mask_hash", "image_bytes_hash", "mask_bytes_hash")},
            whole=None if whole.size == size else whole,
            spacing_mm=_triple(row, "spacing_{}_mm", float),
            n_voxels=size[0] * size[1] * size[2],
        )

    def memory_mb(self, settings: ExtractionSettings) -> float:
        """Returns the memory that measuring it is expected to need, at the spacing it is measured at."""
        target = settings.resampled_spacing_mm() or (0.0, 0.0, 0.0)
        finer = prod(own / to for own, to in zip(self.spacing_mm, target, strict=True) if to)
        return self.n_voxels * max(finer, 1.0) * _BYTES_A_VOXEL / 1e6


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides features besides the region.

    Args:
        by_phase: The settings of each phase.
        engine: Which engine computes.
        feature_set: The version of radmill's own part.
    """

    by_phase: Mapping[str, ExtractionSettings]
    engine: str
    feature_set: str

    def fingerprint(self, region: Region) -> str:
        """Returns the hash of all that decides a region's features; no voxel is read for it."""
        settings, needs_whole = self._deciding[region.key.phase]
        return digest(
            {
                "image": region.hashes["image_hash"],
                "mask": region.hashes["mask_hash"],
                "whole": asdict(region.whole) if region.whole is not None and needs_whole else None,
                "settings": settings,
                "engine": self.engine,
                "versions": self._versions,
                "feature_set": self.feature_set,
                **({"perturbation": [region.perturbation, PERTURBATIONS]} if region.is_perturbed else {}),
                **({"voxels": [SHUFFLED, SHUFFLES]} if region.perturbation == SHUFFLED else {}),
            }
        )

    @cached_property
    def names(self) -> dict[str, tuple[str, ...]]:
        """The features of each phase by alphabet, an order that no spelling of the settings changes."""
        return {phase: tuple(sorted(names(settings))) for phase, settings in self.by_phase.items()}

    @cached_property
    def _deciding(self) -> dict[str, tuple[str, bool]]:
        """By phase the settings' hash, and whether numbers of the whole image enter; the same for all its regions."""
        return {
            phase: (one.fingerprint(), bool(one.whole_image_keys()) or one.resampled_spacing_mm() is not None)
            for phase, one in self.by_phase.items()
        }

    @cached_property
    def _versions(self) -> dict[str, str]:
        return engine_versions(self.engine)

    def check_crops(self, regions: Iterable[Region]) -> None:
        """Checks that the engine is exact on the crops among the regions.

        Raises:
            EngineError: It would need the whole image.
        """
        for phase in sorted({region.key.phase for region in regions if region.whole is not None}):
            check_crops(self.engine, self.by_phase[phase])


def stored_settings(settings: ExtractionSettings) -> ExtractionSettings:
    """Returns the settings as they hold for stored masks.

    These are 1 inside: which label the region had in the center's file is the matter of `ingest.roi.label`.
    """
    return replace(settings, setting={**settings.setting, "label": 1, "label_channel": 0})


def read_regions(cases: Path, center: str, phases: Container[str]) -> list[Region]:
    """Returns the regions of a center in the view `cases`, those of phases without settings left out.

    Args:
        cases: The view's folder.
        center: Whose.
        phases: The phases that have settings.
    """
    rows = read_table(cases, centers=[center]).to_pylist()
    return [Region.of_row(row) for row in rows if row["phase"] in phases]


def spacings(cases: Path, phases: Container[str]) -> dict[str, set[tuple[float, float, float]]]:
    """Returns the spacings in mm that each phase's stored images have, over all centers."""
    columns = ["phase", *(f"spacing_{axis}_mm" for axis in "xyz")]
    found: dict[str, set[tuple[float, float, float]]] = {}
    for center in centers_of(cases):
        table = read_table(cases, centers=[center], columns=columns)
        for phase, *spacing in set(zip(*(table[name].to_pylist() for name in columns), strict=True)):
            if phase in phases:
                found.setdefault(phase, set()).add((spacing[0], spacing[1], spacing[2]))
    return found


def check_margins(
    grids: Mapping[str, Iterable[tuple[float, float, float]]],
    by_phase: Mapping[str, ExtractionSettings],
    margin: Margin,
) -> None:
    """Checks that what is stored around regions covers what the settings' filters reach.

    Args:
        grids: By phase the spacings of stored images.
        by_phase: The settings of each phase.
        margin: What is stored around regions.

    Raises:
        MarginTooSmallError: It does not; the remedy names the numbers to set.
    """
    mm, voxels, who = margin.mm, margin.voxels, set()
    for phase, settings in by_phase.items():
        need_mm, need_voxels = settings.required_margin()
        if settings.resampled_spacing_mm() is not None:
            lacking = (_lacking(settings, grid, margin) for grid in grids.get(phase, ()))
            need_mm, need_voxels = 0.0, max(lacking, default=0)
        if need_mm > margin.mm or need_voxels > margin.voxels:
            who.add(phase)
        mm, voxels = max(mm, need_mm), max(voxels, need_voxels)
    if who:
        raise MarginTooSmallError(
            f"filters reach farther than margin.mm {margin.mm:g} and margin.voxels {margin.voxels}",
            where=f"extraction of {', '.join(sorted(who))}",
            remedy=f"set margin.mm to {mm:g} and margin.voxels to {voxels} or more, and run ingest again",
        )


def _lacking(settings: ExtractionSettings, spacing_mm: tuple[float, float, float], margin: Margin) -> int:
    """Returns the voxels needed on the axis where the margin falls short, 0 when it covers all axes."""
    reach = settings.reach_voxels(spacing_mm)
    stored = [max(ceil(margin.mm / step - 1e-9), margin.voxels) for step in spacing_mm]
    return max((need for need, have in zip(reach, stored, strict=True) if need > have), default=0)


def _triple(row: Mapping[str, Any], name: str, kind: type) -> tuple[Any, Any, Any]:
    x, y, z = (kind(row[name.format(axis)]) for axis in ("x", "y", "z"))
    return x, y, z
