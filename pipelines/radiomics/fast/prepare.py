"""From files to a scene: region found, checked, normalized, resampled and resegmented in PyRadiomics's order."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pywt
import SimpleITK as sitk
from numpy.typing import NDArray

from pipelines.images.statistics import Statistics
from pipelines.radiomics.base import WholeImage
from pipelines.radiomics.fast.masks import BoxedRegion, check_size, find_region, match_grid, open_mask
from pipelines.radiomics.fast.normalizing import Normalization
from pipelines.radiomics.fast.picture import Index, Picture, as_index, header_of, picture_of
from pipelines.radiomics.fast.placing import placed_image, placed_mask
from pipelines.radiomics.fast.problems import FlatImageError, NotFiniteError, RegionTooSmallError
from pipelines.radiomics.fast.reading import open_picture
from pipelines.radiomics.fast.resampling import new_spacing, resample, target_grid
from pipelines.radiomics.fast.scene import Scene
from pipelines.radiomics.fast.wavelet import is_tiny
from pipelines.radiomics.settings import (
    LBP3D_REACH_VOXELS,
    LOG_REACH_SIGMA,
    LOG_SHORTEST_VOXELS,
    ExtractionSettings,
)

Source: TypeAlias = sitk.Image | Path | str
Voxels: TypeAlias = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What is measured.

    Args:
        scene: Image and region for everything but shape.
        outline: The region whose shape is measured, shape (z, y, x).
        unsegmented: Image and region before resegmentation.
        image: The image as it was read.
        mask: The mask as it was read.
        is_corrected: Whether the mask was brought onto the image's grid.
    """

    scene: Scene
    outline: NDArray[np.bool_]
    unsegmented: Scene
    image: Picture
    mask: Picture
    is_corrected: bool


def prepare(image: Source, mask: Source, settings: ExtractionSettings, whole: WholeImage | None) -> Prepared:
    """Reads image and mask and brings them to where filters begin.

    Raises:
        CaseError: The case cannot be measured; the subclass says why.
    """
    now: dict[str, Any] = settings.effective()
    picture = given = open_picture(image, "image")
    outline = read = open_mask(mask, now["label_channel"])
    if whole is not None:
        picture, outline = placed_image(picture, whole), placed_mask(outline, whole)
    matched = outline
    if settings.resampled_spacing_mm() is not None:
        region = find_region(outline, now["label"])
        scene, found = _resampled(picture, outline, region, settings, whole)
    else:
        tolerance, is_free = now["geometryTolerance"], now["correctMask"]
        matched = match_grid(picture, outline, now["label"], tolerance, correct=is_free)
        found = find_region(matched, now["label"])
        scene = _cut(picture, found, settings, whole)
    check_size(found, now["minimumROIDimensions"], now["minimumROISize"])
    _check_finite(scene)
    scene = _without_gaps(scene)
    kept, shape = _resegmented(scene, found, now)
    return Prepared(
        scene=kept, outline=shape, unsegmented=scene, image=given, mask=read, is_corrected=matched is not outline
    )


def reach_voxels(settings: ExtractionSettings, spacing_mm: tuple[float, float, float]) -> NDArray[np.int64]:
    """Returns how far filters look beyond the region's box, in voxels along (z, y, x)."""
    reach = np.zeros(3, dtype=np.int64)
    for image_type in settings.image_types:
        now: dict[str, Any] = settings.effective(image_type)
        if image_type == "LoG":
            widest = max(now["sigma"], default=0.0)
            needed = [max(LOG_SHORTEST_VOXELS, math.ceil(LOG_REACH_SIGMA * widest / step)) for step in spacing_mm]
            reach = np.maximum(reach, needed)
        elif image_type == "Wavelet":
            reach = np.maximum(reach, _wavelet_reach(now))
        elif image_type == "Gradient":
            reach = np.maximum(reach, 1)
        elif image_type == "LBP2D":
            reach = np.maximum(reach, math.ceil(now["lbp2DRadius"]) + 1)
        elif image_type == "LBP3D":
            reach = np.maximum(reach, math.ceil(now["lbp3DIcosphereRadius"]) + LBP3D_REACH_VOXELS)
    return reach


def _wavelet_reach(now: Mapping[str, Any]) -> int:
    return int((now["level"] + now["start_level"]) * (pywt.Wavelet(now["wavelet"]).dec_len // 2))


def _cut(picture: Picture, region: BoxedRegion, settings: ExtractionSettings, whole: WholeImage | None) -> Scene:
    now: dict[str, Any] = settings.effective()
    statistics = _statistics(picture, settings, whole)
    normalization = _normalization(statistics, now)
    scene = Scene(
        voxels=np.empty((0, 0, 0)),
        start=(0, 0, 0),
        domain=picture.shape,
        spacing_mm=picture.spacing_mm,
        inside=region.inside,
        lower=region.lower,
        place=picture.header,
    )
    if now["preCrop"]:
        return _limited(scene, picture, now["padDistance"], normalization)
    first, last = _held(scene, settings)
    part = picture.load(first, last)
    return replace(
        scene,
        voxels=part if normalization is None else normalization.apply(part),
        start=first,
        max_abs=_largest(statistics, normalization),
    )


def _held(scene: Scene, settings: ExtractionSettings) -> tuple[Index, Index]:
    """Returns first and last (excluded) index of what must be held along (z, y, x)."""
    reach = reach_voxels(settings, scene.spacing_mm)
    first = np.array(scene.lower) - reach
    last = np.array(scene.lower) + np.array(scene.inside.shape) + reach
    domain = np.array(scene.domain)
    if "Wavelet" in settings.image_types:
        # Near an edge the transform takes up what lies at the other end.
        now: dict[str, Any] = settings.effective("Wavelet")
        flat_axis = now["force2Ddimension"] if now["force2D"] else None
        lower, taps = np.array(scene.lower), _wavelet_reach(now)
        is_near = (lower < taps) | (lower + scene.inside.shape + taps > domain)
        if is_tiny(scene, now["wavelet"], flat_axis):
            is_near |= domain < pywt.Wavelet(now["wavelet"]).dec_len
        first, last = np.where(is_near, 0, first), np.where(is_near, domain, last)
    first, last = np.maximum(first, 0), np.minimum(last, domain)
    return as_index(first), as_index(last)


def _limited(scene: Scene, picture: Picture, pad: int, normalization: Normalization | None) -> Scene:
    """Returns the scene as if the image ended a few voxels beyond the region's box."""
    first = np.maximum(np.array(scene.lower) - pad, 0)
    last = np.minimum(np.array(scene.lower) + scene.inside.shape + pad, scene.domain)
    part = picture.load(as_index(first), as_index(last))
    return replace(
        scene,
        voxels=part if normalization is None else normalization.apply(part),
        domain=part.shape,
        lower=as_index(np.array(scene.lower) - first),
        place=picture.begun_at(as_index(first)),
    )


def _normalization(statistics: Statistics | None, now: Mapping[str, Any]) -> Normalization | None:
    if statistics is None or not now["normalize"]:
        return None
    if not statistics.sd > 0:
        raise FlatImageError(f"the standard deviation of the image is {statistics.sd:g}")
    return Normalization(
        mean=statistics.mean, sd=statistics.sd, scale=now["normalizeScale"], outliers=now["removeOutliers"]
    )


def _statistics(picture: Picture, settings: ExtractionSettings, whole: WholeImage | None) -> Statistics | None:
    """Returns the numbers of the whole image where something needs them."""
    now = settings.effective()
    is_cut = now["preCrop"] or settings.resampled_spacing_mm() is not None  # filters then scale by what is left
    if not (now["normalize"] or (settings.whole_image_keys() and not is_cut)):
        return None
    if whole is not None:
        return Statistics(mean=whole.mean, sd=whole.sd, minimum=whole.minimum, maximum=whole.maximum)
    return Statistics.of(picture.image())


def _largest(statistics: Statistics | None, normalization: Normalization | None) -> float | None:
    """Returns the largest magnitude in the image that is filtered: normalization keeps the order of gray values."""
    if statistics is None:
        return None
    ends = np.array([statistics.minimum, statistics.maximum])
    return float(np.abs(ends if normalization is None else normalization.apply(ends)).max())


def _resampled(
    picture: Picture, mask: Picture, region: BoxedRegion, settings: ExtractionSettings, whole: WholeImage | None
) -> tuple[Scene, BoxedRegion]:
    now: dict[str, Any] = settings.effective()
    spacing = new_spacing(mask, region, now["resampledPixelSpacing"])
    normalization = _normalization(_statistics(picture, settings, whole), now)
    if np.allclose(picture.header.GetSpacing(), spacing):
        matched = match_grid(picture, mask, now["label"], now["geometryTolerance"], correct=True)
        region = find_region(matched, now["label"])
        empty = Scene(
            voxels=np.empty((0, 0, 0)),
            start=(0, 0, 0),
            domain=picture.shape,
            spacing_mm=picture.spacing_mm,
            inside=region.inside,
            lower=region.lower,
            place=picture.header,
        )
        return _limited(empty, picture, now["padDistance"], normalization), region
    target = target_grid(mask, region, spacing, now["padDistance"])
    source = picture if normalization is None else _normalized(picture, normalization)
    image, outline = resample(source, mask, region, target, now["interpolator"])
    region = find_region(picture_of(outline), now["label"])
    voxels = sitk.GetArrayFromImage(image)
    x, y, z = image.GetSpacing()
    scene = Scene(
        voxels=voxels,
        start=(0, 0, 0),
        domain=voxels.shape,
        spacing_mm=(z, y, x),
        inside=region.inside,
        lower=region.lower,
        place=header_of(image),
    )
    return scene, region


def _normalized(picture: Picture, normalization: Normalization) -> Picture:
    def load(first: Index, last: Index) -> NDArray[np.generic]:
        return normalization.apply(picture.load(first, last))

    return replace(picture, load=load, source=None)


def _check_finite(scene: Scene) -> None:
    values = scene.box()[scene.inside]
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        n_bad = int((~np.isfinite(values)).sum())
        raise NotFiniteError(f"{n_bad} of {values.size} voxels of the region are NaN or infinite")


def _without_gaps(scene: Scene) -> Scene:
    """Returns the scene with 0 where the image has no finite value, which is what ITK reads from such a file."""
    if scene.voxels.dtype.kind != "f":
        return scene
    finite = np.isfinite(scene.voxels)
    return scene if finite.all() else replace(scene, voxels=np.where(finite, scene.voxels, scene.voxels.dtype.type(0)))


def _resegmented(scene: Scene, region: BoxedRegion, now: Mapping[str, Any]) -> tuple[Scene, NDArray[np.bool_]]:
    """Returns the scene with the region between thresholds, and the region whose shape counts."""
    if now["resegmentRange"] is None:
        return scene, scene.inside
    values = scene.box()
    keep = _within(values, values[scene.inside], now["resegmentRange"], now["resegmentMode"])
    n_kept = int((scene.inside & keep).sum())
    if n_kept <= 1:
        raise RegionTooSmallError(f"resegmentRange leaves {n_kept} voxels of the region")
    whole = BoxedRegion(scene.inside, (0, 0, 0))
    part = whole.kept(keep)
    check_size(part, now["minimumROIDimensions"], now["minimumROISize"])
    cut = tuple(slice(low, high) for low, high in zip(part.lower, part.upper, strict=True))
    z, y, x = (low + offset for low, offset in zip(scene.lower, part.lower, strict=True))
    changed = replace(scene, inside=part.inside, lower=(z, y, x))
    # Without resegmentShape, PyRadiomics cuts the original region to the box of the resegmented one.
    return changed, part.inside if now["resegmentShape"] else np.ascontiguousarray(scene.inside[cut])


def _within(box: Voxels, values: Voxels, limits: list[float], mode: str) -> NDArray[np.bool_]:
    ordered = sorted(limits)
    if mode == "relative":
        ordered = [values.max() * limit for limit in ordered]
    elif mode == "sigma":
        mean, sd = np.mean(values), np.std(values)
        ordered = [float(mean + sd * limit) for limit in ordered]
    keep: NDArray[np.bool_] = box >= ordered[0]
    return keep & (box <= ordered[1]) if len(ordered) == 2 else keep
