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

from pipelines.radiomics.base import EngineError, WholeImage
from pipelines.radiomics.fast.log_filter import REACH_SIGMA, SHORTEST_LINE
from pipelines.radiomics.fast.masks import BoxedRegion, check_size, find_region, match_grid, open_mask
from pipelines.radiomics.fast.normalizing import Normalization, mean_and_sd
from pipelines.radiomics.fast.picture import Index, Picture, as_index, picture_of
from pipelines.radiomics.fast.problems import FlatImageError, NotFiniteError, RegionTooSmallError
from pipelines.radiomics.fast.reading import open_picture
from pipelines.radiomics.fast.resampling import Origin, new_spacing, resample, target_grid
from pipelines.radiomics.fast.scene import Scene
from pipelines.radiomics.fast.wavelet import is_tiny
from pipelines.radiomics.settings import ExtractionSettings

Source: TypeAlias = sitk.Image | Path | str
Voxels: TypeAlias = NDArray[Any]
# The spline behind LBP3D is compared with a voxel: its last digit must be that of the whole image.
LBP3D_REACH = 48


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What is measured.

    Args:
        scene: Image and region for everything but shape.
        outline: The region whose shape is measured, shape (z, y, x).
        image: The image as it was read.
        mask: The mask on the image's grid.
        region: The region in it, before resampling.
    """

    scene: Scene
    outline: NDArray[np.bool_]
    image: Picture
    mask: Picture
    region: BoxedRegion


def prepare(image: Source, mask: Source, settings: ExtractionSettings, whole: WholeImage | None) -> Prepared:
    """Reads image and mask and brings them to where filters begin.

    Raises:
        CaseError: The case cannot be measured; the subclass says why.
    """
    now: dict[str, Any] = settings.effective()
    picture = open_picture(image, "image")
    outline = open_mask(mask, now["label_channel"])
    if settings.resampled_spacing_mm() is not None:
        region = find_region(outline, now["label"])
        scene, found = _resampled(picture, outline, region, settings, whole)
    else:
        outline = _on_grid(picture, outline, now)
        region = find_region(outline, now["label"])
        scene, found = _cut(picture, region, settings, whole), region
    check_size(found, now["minimumROIDimensions"], now["minimumROISize"])
    _check_finite(scene)
    scene = _without_gaps(scene)
    scene, shape = _resegmented(scene, found, now)
    return Prepared(scene=scene, outline=shape, image=picture, mask=outline, region=region)


def _on_grid(picture: Picture, outline: Picture, now: Mapping[str, Any]) -> Picture:
    matched = match_grid(picture, outline, now["label"], now["geometryTolerance"], correct=now["correctMask"])
    return matched


def reach_voxels(settings: ExtractionSettings, spacing_mm: tuple[float, float, float]) -> NDArray[np.int64]:
    """Returns how far filters look beyond the region's box, in voxels along (z, y, x)."""
    reach = np.zeros(3, dtype=np.int64)
    for image_type in settings.image_types:
        now: dict[str, Any] = settings.effective(image_type)
        if image_type == "LoG":
            widest = max(now["sigma"], default=0.0)
            reach = np.maximum(reach, [max(SHORTEST_LINE, math.ceil(REACH_SIGMA * widest / s)) for s in spacing_mm])
        elif image_type == "Wavelet":
            reach = np.maximum(reach, (now["level"] + now["start_level"]) * (pywt.Wavelet(now["wavelet"]).dec_len // 2))
        elif image_type == "Gradient":
            reach = np.maximum(reach, 1)
        elif image_type == "LBP2D":
            reach = np.maximum(reach, math.ceil(now["lbp2DRadius"]) + 1)
        elif image_type == "LBP3D":
            reach = np.maximum(reach, math.ceil(now["lbp3DIcosphereRadius"]) + LBP3D_REACH)
    return reach


def _cut(picture: Picture, region: BoxedRegion, settings: ExtractionSettings, whole: WholeImage | None) -> Scene:
    now: dict[str, Any] = settings.effective()
    normalization = _normalization(picture, settings, whole)
    scene = Scene(
        voxels=np.empty((0, 0, 0)),
        start=(0, 0, 0),
        domain=picture.shape,
        spacing_mm=picture.spacing_mm,
        inside=region.inside,
        lower=region.lower,
    )
    if now["preCrop"]:
        return _limited(scene, picture, now["padDistance"], normalization)
    first, last = _held(scene, settings)
    part = picture.load(first, last)
    return replace(
        scene,
        voxels=part if normalization is None else normalization.apply(part),
        start=first,
        max_abs=_largest(picture, settings, whole, normalization),
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
        wraps = (first < 0) | (last > domain) | is_tiny(scene, now["wavelet"], flat_axis)
        first, last = np.where(wraps, 0, first), np.where(wraps, domain, last)
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
    )


def _normalization(picture: Picture, settings: ExtractionSettings, whole: WholeImage | None) -> Normalization | None:
    now: dict[str, Any] = settings.effective()
    if not now["normalize"]:
        return None
    if whole is not None:
        mean, sd = whole.mean, whole.sd
    else:
        mean, sd = mean_and_sd(picture.image())
    if not sd > 0:
        raise FlatImageError(f"the standard deviation of the image is {sd:g}")
    return Normalization(mean=mean, sd=sd, scale=now["normalizeScale"], outliers=now["removeOutliers"])


def _largest(
    picture: Picture, settings: ExtractionSettings, whole: WholeImage | None, normalization: Normalization | None
) -> float | None:
    keys = [key for key in settings.whole_image_keys() if key.startswith("imageType.")]
    if not keys:
        return None
    if whole is not None:
        if normalization is not None:
            raise EngineError(
                f"{', '.join(keys)} after normalization need the whole image, and this is a crop of it",
                remedy="leave normalize or these image types out, or give the whole image",
            )
        return whole.max_abs
    voxels = picture.voxels()
    ends = np.array([voxels.min(), voxels.max()])
    return float(np.abs(ends.astype(np.float64) if normalization is None else normalization.apply(ends)).max())


def _resampled(
    picture: Picture, mask: Picture, region: BoxedRegion, settings: ExtractionSettings, whole: WholeImage | None
) -> tuple[Scene, BoxedRegion]:
    now: dict[str, Any] = settings.effective()
    spacing = new_spacing(mask, region, now["resampledPixelSpacing"])
    normalization = _normalization(picture, settings, whole)
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
        )
        return _limited(empty, picture, now["padDistance"], normalization), region
    size = np.array(whole.size if whole else mask.size)
    origin = Origin(size=size, lower=np.array(whole.lower if whole else (0, 0, 0)))
    target = target_grid(mask, region, spacing, now["padDistance"], origin)
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
