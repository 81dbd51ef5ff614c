"""The fast engine: PyRadiomics's features from no more voxels than they depend on."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.radiomics.base import Features, WholeImage
from pipelines.radiomics.catalog import names
from pipelines.radiomics.fast.images import images_of
from pipelines.radiomics.fast.prepare import Prepared, Source, prepare
from pipelines.radiomics.fast.problems import NotFlatError
from pipelines.radiomics.fast.region import Region
from pipelines.radiomics.fast.shape import shape_features
from pipelines.radiomics.fast.shape2d import shape2d_features
from pipelines.radiomics.fast.textures import TextureClasses
from pipelines.radiomics.settings import ExtractionSettings


class FastEngine:
    """Computes PyRadiomics's features, with its names, in its order.

    Args:
        settings: What is computed: a PyRadiomics parameter file, its mapping, or settings.

    Raises:
        SettingsError: A setting is unknown or not legal; none is ignored.
    """

    def __init__(self, settings: ExtractionSettings | Mapping[str, object] | str | Path) -> None:
        self.settings = ExtractionSettings.read(settings)
        self._effective = {name: self.settings.effective(name) for name in ("", *self.settings.image_types)}
        self._textures = [family for family in self.settings.feature_classes if not family.startswith("shape")]

    def names(self) -> tuple[str, ...]:
        """Returns the features it computes, in order."""
        return names(self.settings)

    def execute(
        self,
        image: Source,
        mask: Source,
        whole: WholeImage | None = None,
        *,
        label: int | None = None,
        diagnostics: bool = False,
    ) -> Features:
        """Computes the features of one region.

        Args:
            image: A 3D image, or the path of its file.
            mask: Its mask.
            whole: What it was cut from, when it is a crop.
            label: The region's value in the mask; that of the settings when left out.
            diagnostics: Add PyRadiomics's `diagnostics_*` in front.

        Raises:
            CaseError: The region cannot be measured; the subclass names the cause.
            EngineError: The settings need the whole image, and it is a crop.
        """
        if label is not None:
            return self._labelled(label).execute(image, mask, whole, diagnostics=diagnostics)
        prepared = prepare(image, mask, self.settings, whole)
        features = dict(self._measured(prepared))
        if not diagnostics:
            return features
        from pipelines.radiomics.fast.diagnostics import diagnostics_of

        return {**diagnostics_of(self.settings, prepared), **features}

    def _labelled(self, label: int) -> "FastEngine":
        setting = ExtractionSettings.from_mapping({"setting": {"label": label}}).setting
        return FastEngine(replace(self.settings, setting={**self.settings.setting, **setting}))

    def _measured(self, prepared: Prepared) -> Iterator[tuple[str, float]]:
        yield from self._shapes(prepared)
        region_of = functools.cache(functools.partial(_region, prepared))
        for image_type in self.settings.image_types:
            now: dict[str, Any] = self._effective[image_type]
            flat_axis = now["force2Ddimension"] if now["force2D"] else None
            region = region_of(tuple(now["distances"]), flat_axis)
            for name, box in images_of(prepared.scene, image_type, now):
                yield from self._image_features(name, box, region, now)

    def _image_features(
        self, name: str, box: NDArray[np.generic], region: Region, now: dict[str, Any]
    ) -> Iterator[tuple[str, float]]:
        by_class = TextureClasses(region, region.values(box), now).features(self._textures)
        for family, values in by_class.items():
            for feature in self.settings.feature_classes[family]:
                if feature in values:
                    yield f"{name}_{family}_{feature}", values[feature]

    def _shapes(self, prepared: Prepared) -> Iterator[tuple[str, float]]:
        now: dict[str, Any] = self._effective[""]
        outline, spacing_mm = prepared.outline, prepared.scene.spacing_mm
        if "shape" in self.settings.feature_classes:
            found = shape_features(outline, spacing_mm)
            yield from self._chosen("shape", found)
        axis = now["force2Ddimension"]
        if "shape2D" in self.settings.feature_classes and now["force2D"]:
            yield from self._chosen("shape2D", _flat_shape(outline, spacing_mm, axis))

    def _chosen(self, family: str, found: dict[str, float]) -> Iterator[tuple[str, float]]:
        for feature in self.settings.feature_classes[family]:
            if feature in found:
                yield f"original_{family}_{feature}", found[feature]


def _region(prepared: Prepared, distances: tuple[int, ...], flat_axis: int | None) -> Region:
    return Region(prepared.scene.inside, prepared.scene.spacing_mm, distances, flat_axis)


def _flat_shape(outline: NDArray[np.bool_], spacing_mm: tuple[float, float, float], axis: int) -> dict[str, float]:
    # PyRadiomics asks the axis of this number counted the other way round (x, y, z) whether there is anything.
    if outline.shape[::-1][axis] <= 1:
        return {}
    if outline.shape[axis] > 1:
        raise NotFlatError(
            f"shape2D needs one slice across force2Ddimension {axis}; the region has {outline.shape[axis]}"
        )
    first, second = (spacing_mm[other] for other in range(3) if other != axis)
    return shape2d_features(np.ascontiguousarray(outline.take(0, axis=axis)), (first, second))
