"""Perturbed images and masks: what another scan or another reader might have given, for features' stability.

Rotation, translation, noise, growth and shrinkage, and contours redrawn along supervoxels. The same case, perturbation
and seed give the same result.

Source: Zwanenburg et al. 2019, Sci Rep 9:614, Methods. The supervoxels are a k-means on place and intensity around the
contour, where the paper uses SLIC of the whole image.
"""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from featurestore.errors import InputError
from featurestore.fingerprints import bytes_digest

Kind = Literal["rotate", "translate", "noise", "volume", "contour"]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

VERSION = "1"
"""Of everything here that decides a voxel."""

DEFAULTS = ("rotate:5", "translate:0.5", "noise:1", "volume:0.15", "volume:-0.15", "contour:1")
"""One of each kind, of the size of what two readers or two scans differ by."""

SUPERVOXEL_ML = 0.5
"""Of the paper, for tumors of many ml; a small region has at least so many supervoxels:"""
SUPERVOXELS = 20

ALWAYS, NEVER = 0.9, 0.2
"""A supervoxel of which more is inside always belongs to the redrawn region, of which less is inside never."""

REACH_MM = 10.0
"""How far around the region contours may be redrawn."""

SMOOTHING_VOXELS = 1.0
"""Supervoxels follow edges, not single noisy voxels."""

_STEPS = 5
_MAD_TO_SD = 0.6745
_NAME = re.compile(r"(rotate|translate|noise|volume|contour):(-?\d+(?:\.\d+)?)")


class PerturbationError(InputError):
    """A perturbation is not one."""

    default_remedy = f"write it as kind:amount, such as {', '.join(DEFAULTS)}"


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """One way to perturb a case.

    Args:
        kind: What is done.
        amount: Degrees about the z axis; a share of a voxel along x, y and z; noise in multiples of the image's own;
            the share of volume to add (or take); the number of the redrawn contour.
    """

    kind: Kind
    amount: float

    @classmethod
    def parse(cls, name: str) -> "Perturbation":
        """Reads `kind:amount`.

        Raises:
            PerturbationError: It is no such text, or takes away the whole region.
        """
        match = _NAME.fullmatch(name)
        if match is None or (match[1] == "volume" and float(match[2]) <= -1):
            raise PerturbationError(f"{name!r} is no perturbation")
        return cls(kind=match[1], amount=float(match[2]))  # type: ignore[arg-type]

    @property
    def name(self) -> str:
        """Its name in tables."""
        return f"{self.kind}:{self.amount:g}"


def perturbed(image: sitk.Image, mask: sitk.Image, how: Perturbation, seed: str) -> tuple[sitk.Image, sitk.Image]:
    """Returns the perturbed image and mask, on the same grid.

    Args:
        image: The image.
        mask: Its mask, 1 inside, with the same grid.
        how: What is done.
        seed: Decides what is random, together with the perturbation; such as the hashes of image and mask.
    """
    if how.kind in ("rotate", "translate"):
        transform = _rotation(mask, how.amount) if how.kind == "rotate" else _translation(image, how.amount)
        return _moved(image, transform, sitk.sitkLinear), _moved_mask(mask, transform)
    rng = np.random.default_rng(int(bytes_digest(f"{seed} {how.name}".encode())[:16], 16))
    if how.kind == "noise":
        return _noisy(image, how.amount, rng), mask
    inside = sitk.GetArrayFromImage(mask) > 0
    drawn = _resized(mask, inside, how.amount) if how.kind == "volume" else _redrawn(image, inside, rng)
    return image, _like(drawn.astype(np.uint8), mask)


def _rotation(mask: sitk.Image, degrees: float) -> sitk.Transform:
    place = np.argwhere(sitk.GetArrayViewFromImage(mask) > 0).mean(axis=0)[::-1]
    middle = mask.TransformContinuousIndexToPhysicalPoint([float(x) for x in place])
    transform = sitk.Euler3DTransform()
    transform.SetCenter(middle)
    transform.SetRotation(0.0, 0.0, float(np.deg2rad(degrees)))
    return transform


def _translation(image: sitk.Image, share: float) -> sitk.Transform:
    return sitk.TranslationTransform(3, [share * step for step in image.GetSpacing()])


def _moved(image: sitk.Image, transform: sitk.Transform, interpolator: int) -> sitk.Image:
    resampler = sitk.ResampleImageFilter()
    resampler.SetReferenceImage(image)
    resampler.SetTransform(transform)
    resampler.SetInterpolator(interpolator)
    resampler.SetUseNearestNeighborExtrapolator(True)
    return resampler.Execute(image)


def _moved_mask(mask: sitk.Image, transform: sitk.Transform) -> sitk.Image:
    moved = _moved(sitk.Cast(mask > 0, sitk.sitkFloat64), transform, sitk.sitkLinear)
    return sitk.Cast(moved >= 0.5, mask.GetPixelID())


def _noisy(image: sitk.Image, times: float, rng: np.random.Generator) -> sitk.Image:
    values = sitk.GetArrayFromImage(image)
    noise = rng.normal(scale=times * noise_sd(values.astype(np.float64)), size=values.shape)
    drawn = values + noise
    return _like(
        np.round(drawn).astype(values.dtype) if values.dtype.kind in "iu" else drawn.astype(values.dtype), image
    )


def noise_sd(values: Floats) -> float:
    """Returns the standard deviation of an image's noise.

    Source: Donoho and Johnstone 1994, Biometrika 81:425, from the finest diagonal wavelet coefficients, with the
    coiflet of Zwanenburg et al. 2019.
    """
    import pywt

    padded = np.pad(values, [(0, n % 2) for n in values.shape], mode="edge")
    finest = pywt.dwtn(padded, "coif1", mode="symmetric")["d" * values.ndim]
    return float(np.median(np.abs(finest)) / _MAD_TO_SD)


def _resized(mask: sitk.Image, inside: Mask, share: float) -> Mask:
    """Returns the region grown or shrunk along the distance from its contour to the wanted number of voxels."""
    distance = sitk.GetArrayFromImage(
        sitk.SignedMaurerDistanceMap(mask > 0, squaredDistance=False, useImageSpacing=True)
    ).ravel()
    wanted = max(1, min(round(inside.sum() * (1 + share)), inside.size))
    drawn = np.zeros(inside.size, np.bool_)
    drawn[np.argsort(distance, kind="stable")[:wanted]] = True
    return drawn.reshape(inside.shape)


def _redrawn(image: sitk.Image, inside: Mask, rng: np.random.Generator) -> Mask:
    """Returns the region made of supervoxels, each taken with the chance of its share inside."""
    spacing = np.array(image.GetSpacing()[::-1])
    box = _box(inside, np.ceil(REACH_MM / spacing).astype(int))
    part = inside[box]
    labels = _supervoxels(sitk.GetArrayViewFromImage(image)[box].astype(np.float64), part, spacing)
    share = np.bincount(labels.ravel(), part.ravel()) / np.maximum(np.bincount(labels.ravel()), 1)
    taken = (rng.random(len(share)) < share) & (share >= NEVER) | (share >= ALWAYS)
    drawn = np.zeros_like(inside)
    drawn[box] = taken[labels]
    return drawn if drawn.any() else inside


def _supervoxels(values: Floats, part: Mask, spacing_mm: Floats) -> NDArray[np.int64]:
    """Returns the number of the supervoxel that each voxel belongs to, shape of `values`.

    A k-means in place and intensity, begun on a regular grid: a step of the grid weighs as much as the spread of
    intensities in the region.
    """
    from scipy.ndimage import gaussian_filter
    from scipy.spatial import cKDTree

    smooth = gaussian_filter(values, SMOOTHING_VOXELS)
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    size_ml = min(SUPERVOXEL_ML, part.sum() * voxel_ml / SUPERVOXELS)
    step_mm = max((size_ml * 1000) ** (1 / 3), float(spacing_mm.max()))
    place = np.indices(values.shape).reshape(3, -1).T * spacing_mm / step_mm
    spread = max(float(smooth[part].std()), 1e-12)
    points = np.column_stack([place, smooth.ravel() / spread])
    cell = np.floor(place).astype(np.int64)
    labels: NDArray[np.int64] = np.unique(cell, axis=0, return_inverse=True)[1].ravel()
    for _ in range(_STEPS):
        count = np.bincount(labels)
        centers = np.column_stack([np.bincount(labels, column) for column in points.T])[count > 0]
        labels = cKDTree(centers / count[count > 0, None]).query(points)[1].astype(np.int64)
    return labels.reshape(values.shape)


def _box(inside: Mask, reach: NDArray[np.int64]) -> tuple[slice, ...]:
    found = np.argwhere(inside)
    low, high = np.maximum(found.min(axis=0) - reach, 0), np.minimum(found.max(axis=0) + reach + 1, inside.shape)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def _like(values: NDArray[np.generic], image: sitk.Image) -> sitk.Image:
    made = sitk.GetImageFromArray(values)
    made.CopyInformation(image)
    return made
