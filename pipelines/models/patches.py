"""Patches: what a network sees of a case, cut from the stored volumes around the region.

All phases lie in the same frame: image axes turned to the patient's (columns to the left, rows to the back, slices to
the head), the center of each phase's own region in the middle. So phases are registered by the region itself, and a
patient who was scanned prone looks as one who was not.

| dims | patch | what it holds |
|---|---|---|
| 25d | (c, size, size) | the slice where the region's area is largest, and neighbors; channels: phases × slices |
| 3d | (c, size, size, size), z first | a cube around the middle of the region's box; channels: phases |

With `roi: channel` each phase's region follows its slices as 0 and 1; with `masked` nothing but the region (and
`roi_margin_mm` around it) is left.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from featurestore.errors import CaseError, InputError
from pipelines.images.files import read_case

Patch = NDArray[np.float32]
Voxels = NDArray[np.float64]

FRAME = "LPS"
SMOOTHING_SD = 0.42
"""Standard deviation, in target pixels, of the Gaussian that a much finer image is smoothed with before it is sampled:
its width at half height is one target pixel. An image of the same spacing is not smoothed."""

SMOOTHING_REACH = 2.0
"""In target pixels; the Gaussian is cut off at four of its standard deviations."""


class PatchReachError(InputError):
    """The stored margin is smaller than what a patch shows, so a crop would give another patch than its image."""


class NoPatchError(CaseError):
    """A case is not stored as the patch needs it."""

    code = "phase_missing"
    default_remedy = "send the phase and its outline, or leave the patient out of this model"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides a patch besides the stored case.

    Args:
        dims: `25d` or `3d`.
        size: Pixels along each side.
        spacing_mm: Their distance, in the plane for 25d.
        phases: The phases in the order of channels.
        slices: Slices of a 25d patch, an odd number; they are those of the image.
        windows: By phase, the values that become -1 and 1, beyond which values are cut off; a phase without is scaled
            to mean 0 and standard deviation 1 over its patch.
        roi: Whether the region is a channel of its own, all that is left, or not marked.
        roi_margin_mm: How far `masked` sees beyond the region.
    """

    dims: Literal["25d", "3d"]
    size: int
    spacing_mm: float
    phases: tuple[str, ...]
    slices: int = 1
    windows: Mapping[str, tuple[float, float]]
    roi: Literal["channel", "masked", "none"] = "channel"
    roi_margin_mm: float = 0.0

    def plain(self) -> dict[str, Any]:
        """Returns the recipe as JSON types."""
        windows = {phase: list(self.windows[phase]) for phase in sorted(self.windows)}
        return {**asdict(self), "phases": list(self.phases), "windows": windows}

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> "Recipe":
        """Builds the recipe that `plain` described."""
        windows = {phase: (float(low), float(high)) for phase, (low, high) in content["windows"].items()}
        return cls(**{**content, "phases": tuple(content["phases"]), "windows": windows})

    @property
    def spatial_dims(self) -> Literal[2, 3]:
        """Spatial dimensions of the network that sees the patch."""
        return 2 if self.dims == "25d" else 3

    @property
    def channels(self) -> tuple[str, ...]:
        """What each channel shows."""
        steps = range(-(self.slices // 2), self.slices // 2 + 1) if self.dims == "25d" else (0,)
        kinds = ("", " region") if self.roi == "channel" else ("",)
        return tuple(f"{phase}{kind} {step:+d}" for phase in self.phases for kind in kinds for step in steps)

    @property
    def image_channels(self) -> tuple[int, ...]:
        """The channels that hold intensities, not regions."""
        return tuple(i for i, name in enumerate(self.channels) if " region " not in name)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a patch."""
        return (len(self.channels), *(self.size,) * self.spatial_dims)

    @property
    def reach(self) -> tuple[float, int]:
        """How far from the region's middle a patch sees at most: in mm, and in slices."""
        slices = self.slices // 2 if self.dims == "25d" else 0
        return (self.size / 2 + SMOOTHING_REACH) * self.spacing_mm, slices


def check_margin(recipe: Recipe, margin_mm: float, margin_voxels: int, where: str) -> None:
    """Checks that what is stored around regions covers the patch, however small the region is.

    Raises:
        PatchReachError: It does not; the remedy names the numbers to set.
    """
    mm, voxels = recipe.reach
    if mm > margin_mm or voxels > margin_voxels:
        raise PatchReachError(
            f"patches reach farther than margin.mm {margin_mm:g} and margin.voxels {margin_voxels}",
            where=where,
            remedy=f"set margin.mm to {max(mm, margin_mm):g} and margin.voxels to {max(voxels, margin_voxels)} or more "
            "and run ingest again, or lower size or spacing_mm",
        )


def cohort_patches(
    cases_folder: Path, cases: pd.DataFrame, patients: Sequence[tuple[str, str]], recipe: Recipe
) -> NDArray[np.float32]:
    """Returns the patches of patients in the given order, shape (n, c, …).

    Args:
        cases_folder: The stored crops, `data/cases/<role>`.
        cases: Rows of the view `cases`.
        patients: Center and case_id of each.
        recipe: What is seen.

    Raises:
        NoPatchError: A patient lacks a phase.
        PatchReachError: A crop is smaller than the patch.
    """
    own = dict(list(cases.groupby(["center", "case_id"], sort=False)))
    found = np.empty((len(patients), *recipe.shape), np.float32)
    for row, patient in enumerate(patients):
        if patient not in own:
            raise NoPatchError("no stored case", where=f"{patient[0]} {patient[1]}")
        found[row] = case_patches(cases_folder, own[patient], recipe)
    return found


def case_patches(cases_folder: Path, rows: pd.DataFrame, recipe: Recipe) -> Patch:
    """Returns the patch of one patient, shape (c, size, size) or (c, size, size, size).

    Args:
        cases_folder: The stored crops, `data/cases/<role>`.
        rows: The patient's rows of the view `cases`, of all phases.
        recipe: What is seen.

    Raises:
        NoPatchError: A phase is missing.
        PatchReachError: The crop is smaller than the patch.
        DamagedImageError: A stored file is damaged.
    """
    parts = []
    for phase in recipe.phases:
        own = rows[(rows["phase"] == phase) & rows["is_primary"].astype(bool)]
        if own.empty:
            raise NoPatchError(f"no stored case of phase {phase}", where=_name(rows))
        # where regions are kept apart, the largest stands for the patient
        row = own.sort_values(["n_voxels", "roi"], ascending=[False, True], kind="stable").iloc[0]
        parts.append(_phase_patch(cases_folder, row, recipe, phase))
    return np.concatenate(parts)


def _phase_patch(cases_folder: Path, row: "pd.Series[Any]", recipe: Recipe, phase: str) -> Patch:
    volume, mask = read_case(cases_folder / str(row["image"]), cases_folder / str(row["mask"]))
    frame = sitk.DICOMOrientImageFilter()
    frame.SetDesiredCoordinateOrientation(FRAME)
    image = frame.Execute(volume.image)
    order, flips = frame.GetPermuteOrder(), frame.GetFlipAxes()
    region = sitk.GetArrayFromImage(frame.Execute(mask.image)) > 0
    spacing = np.asarray(image.GetSpacing(), dtype=np.float64)[::-1]
    voxels = sitk.GetArrayFromImage(image).astype(np.float64)
    cut = _cut_sides(row, order, flips)
    if phase in recipe.windows:
        voxels = np.clip(voxels, *recipe.windows[phase])
    if recipe.dims == "3d":
        grid = _Grid.around(_middle(region), spacing, recipe)
        grid.check(voxels.shape, cut, recipe, _name(row))
        shown, roi, inside = grid.values(voxels), grid.region(region), grid.inside(voxels.shape)
        return _channels(shown[np.newaxis], roi[np.newaxis], inside[np.newaxis], recipe, phase)
    shown, roi, inside = _slices(voxels, region, spacing, cut, recipe, _name(row))
    return _channels(shown, roi, inside, recipe, phase)


def _slices(
    voxels: Voxels, region: NDArray[np.bool_], spacing: Voxels, cut: NDArray[np.bool_], recipe: Recipe, name: str
) -> tuple[Voxels, NDArray[np.bool_], NDArray[np.bool_]]:
    """Returns values, region and what lies in the image, of the largest slice and its neighbors."""
    largest = int(region.sum(axis=(1, 2)).argmax())
    grid = _Grid.around(_middle(region[largest]), spacing[1:], recipe)
    grid.check(voxels.shape[1:], cut[1:], recipe, name)
    shape = (recipe.slices, recipe.size, recipe.size)
    shown, roi, inside = np.zeros(shape), np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    for place, number in enumerate(range(largest - recipe.slices // 2, largest + recipe.slices // 2 + 1)):
        if 0 <= number < len(voxels):
            shown[place], roi[place] = grid.values(voxels[number]), grid.region(region[number])
            inside[place] = grid.inside(voxels.shape[1:])
        elif cut[0, int(number >= len(voxels))]:
            raise _too_small(recipe, name)
    return shown, roi, inside


def _channels(
    shown: Voxels, roi: NDArray[np.bool_], inside: NDArray[np.bool_], recipe: Recipe, phase: str
) -> NDArray[np.float32]:
    """Scales values, and blanks what is outside the image or, if asked, the region; shapes (slices or 1, …)."""
    if phase in recipe.windows:
        low, high = recipe.windows[phase]
        shown = (shown - low) / (high - low) * 2 - 1
    else:
        shown = (shown - shown[inside].mean()) / max(float(shown[inside].std()), 1e-6)
    visible = inside
    if recipe.roi == "masked":
        steps = (recipe.spacing_mm,) * recipe.spatial_dims
        visible = inside & np.stack([_grown(part, recipe.roi_margin_mm, steps) for part in roi])
    image = np.where(visible, shown, 0.0).astype(np.float32)
    return np.concatenate([image, roi.astype(np.float32)]) if recipe.roi == "channel" else image


def _grown(region: NDArray[np.bool_], margin_mm: float, spacing: Sequence[float]) -> NDArray[np.bool_]:
    if margin_mm <= 0 or not region.any():
        return region
    return np.asarray(ndimage.distance_transform_edt(~region, sampling=spacing) <= margin_mm)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Grid:
    """Where the pixels of a patch lie in an array of voxels.

    Args:
        start: Index of the first pixel in the array, one an axis.
        step: Distance of pixels in voxels, one an axis.
        size: Pixels along each axis.
    """

    start: Voxels
    step: Voxels
    size: int

    @classmethod
    def around(cls, middle: Voxels, spacing: Voxels, recipe: Recipe) -> "_Grid":
        step = recipe.spacing_mm / spacing
        return cls(start=middle - (recipe.size - 1) / 2 * step, step=step, size=recipe.size)

    def values(self, voxels: Voxels) -> Voxels:
        # a coarser image is interpolated, a finer one smoothed first so that its noise does not alias
        sd = SMOOTHING_SD * np.sqrt(np.maximum(self.step**2 - 1, 0))
        smooth = ndimage.gaussian_filter(voxels, sd, mode="nearest", truncate=4.0) if (sd > 0).any() else voxels
        return self._sampled(smooth)

    def region(self, region: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.asarray(self._sampled(region.astype(np.float64)) >= 0.5) & self.inside(region.shape)

    def inside(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        found = np.ones((self.size,) * len(shape), np.bool_)
        for axis, length in enumerate(shape):
            index = self.start[axis] + self.step[axis] * np.arange(self.size)
            held = (index >= -0.5) & (index <= length - 0.5)
            found &= held.reshape([-1 if a == axis else 1 for a in range(len(shape))])
        return found

    def check(self, shape: tuple[int, ...], cut: NDArray[np.bool_], recipe: Recipe, name: str) -> None:
        """Checks that the crop ends only where its image does, shape of `cut` (axes, 2)."""
        end = self.start + self.step * (self.size - 1)
        short = np.column_stack([self.start < -1e-6, end > np.asarray(shape) - 1 + 1e-6])
        if (short & cut).any():
            raise _too_small(recipe, name)

    def _sampled(self, values: Voxels) -> Voxels:
        shape = (self.size,) * values.ndim
        return np.asarray(
            ndimage.affine_transform(values, self.step, self.start, output_shape=shape, order=1, mode="nearest")
        )


def _middle(region: NDArray[np.bool_]) -> Voxels:
    """Returns the middle of the box around what is inside, as an index."""
    at = np.argwhere(region)
    return np.asarray((at.min(axis=0) + at.max(axis=0)) / 2.0)


def _cut_sides(row: "pd.Series[Any]", order: Iterable[int], flips: Iterable[bool]) -> NDArray[np.bool_]:
    """Returns for each axis of the turned array, z first, whether the image goes on below and above the crop."""
    cut = np.array([[row[f"crop_{a}"] > 0, row[f"crop_{a}"] + row[f"size_{a}"] < row[f"full_size_{a}"]] for a in "xyz"])
    turned = [cut[axis][::-1] if is_flipped else cut[axis] for axis, is_flipped in zip(order, flips, strict=True)]
    return np.array(turned[::-1])


def _too_small(recipe: Recipe, name: str) -> PatchReachError:
    mm, voxels = recipe.reach
    return PatchReachError(
        "the stored crop ends before the patch does",
        where=name,
        remedy=f"set margin.mm to {mm:g} and margin.voxels to {voxels} or more, and run ingest again",
    )


def _name(rows: "pd.DataFrame | pd.Series[Any]") -> str:
    row = rows.iloc[0] if isinstance(rows, pd.DataFrame) else rows
    return f"{row['center']} {row['case_id']}"
