"""A patch shows the right slice, in the right channel, at the right place and spacing, whatever the center's grid."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from pipelines.images.cropping import Box, crop, crop_box, roi_box
from pipelines.images.files import write_image
from pipelines.images.grid import Grid
from pipelines.models.patches import (
    NoPatchError,
    PatchReachError,
    Recipe,
    case_patches,
    check_margin,
    cohort_patches,
)

PRONE = (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0)
SUPINE = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
WIDE = (-1000.0, 1000.0)
FLAT = Recipe(
    dims="25d", size=16, spacing_mm=1.0, phases=("early", "late"), slices=3, windows={"early": WIDE, "late": WIDE}
)
CUBE = replace(FLAT, dims="3d", slices=1)


class Hospital:
    """Stores cases as ingest does: cropped to the region and a margin, with the row that says so."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.rows = folder, list[dict[str, Any]]()

    def store(self, phase: str, image: sitk.Image, mask: sitk.Image, box: Box | None = None, **row: Any) -> None:
        box = box or Box(lower=(0, 0, 0), upper=image.GetSize())
        names = {kind: f"alpha/p1_{phase}_{kind}{len(self.rows)}.nii.gz" for kind in ("image", "mask")}
        write_image(self.folder / names["image"], crop(image, box))
        write_image(self.folder / names["mask"], crop(mask, box))
        own = {"center": "alpha", "case_id": "p1", "phase": phase, "roi": "tumor", "is_primary": True, **names}
        own["n_voxels"] = int(sitk.GetArrayViewFromImage(mask).sum())
        for axis, letter in enumerate("xyz"):
            own[f"crop_{letter}"], own[f"size_{letter}"] = box.lower[axis], box.size[axis]
            own[f"full_size_{letter}"] = image.GetSize()[axis]
        self.rows.append(own | row)

    def patch(self, recipe: Recipe) -> np.ndarray:
        return case_patches(self.folder, pd.DataFrame(self.rows), recipe)


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    return Hospital(tmp_path)


def image_of(
    voxels: np.ndarray, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), direction: tuple[float, ...] = SUPINE
) -> sitk.Image:
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing)
    image.SetDirection(direction)
    # the middle of every image lies at the same place, whichever way its axes run
    image.SetOrigin(
        tuple(-d * s * (n - 1) / 2 for d, s, n in zip(direction[::4], spacing, image.GetSize(), strict=True))
    )
    return image


def ramp(
    spacing: tuple[float, float, float], direction: tuple[float, ...], axis: int, extent_mm: float = 40
) -> sitk.Image:
    """An image whose values are 10 × the position in the patient along an axis, in mm."""
    size = [int(extent_mm / s) for s in spacing]
    image = image_of(np.zeros(size[::-1], np.int16), spacing, direction)
    grid = Grid.of(image)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), axis=-1).reshape(-1, 3)
    place = grid.origin_mm + (index * grid.spacing_mm) @ grid.matrix().T
    values = np.rint(10 * place[:, axis]).reshape(size).transpose(2, 1, 0).astype(np.int16)
    filled = sitk.GetImageFromArray(values)
    filled.CopyInformation(image)
    return filled


def ball(image: sitk.Image, middle: tuple[float, float, float] = (0, 0, 0), radius: float = 4.0) -> sitk.Image:
    grid = Grid.of(image)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.size), indexing="ij"), axis=-1).reshape(-1, 3)
    place = grid.origin_mm + (index * grid.spacing_mm) @ grid.matrix().T
    inside = ((place - np.asarray(middle)) ** 2).sum(axis=1) <= radius**2
    mask = sitk.GetImageFromArray(inside.reshape(grid.size).transpose(2, 1, 0).astype(np.uint8))
    mask.CopyInformation(image)
    return mask


@pytest.mark.parametrize("direction", [SUPINE, PRONE], ids=["supine", "prone"])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 2.0), (1.6, 1.6, 4.0)], ids=str)
def test_pixels_lie_where_they_should_in_the_patient(
    hospital: Hospital, direction: tuple[float, ...], spacing: tuple[float, float, float]
) -> None:
    """Columns go to the left, rows to the back, slices to the head, one spacing_mm apart, whatever the scanner did."""
    for axis, along in ((0, -1), (1, -2), (2, -3)):
        here = Hospital(hospital.folder / str(axis))
        image = ramp(spacing, direction, axis)
        here.store("early", image, ball(image))
        cube = here.patch(replace(CUBE, phases=("early",), roi="none", spacing_mm=1.5))[0] * 100
        assert cube.shape == (16, 16, 16)
        steps = np.diff(cube, axis=along)
        assert np.median(steps) == pytest.approx(1.5, abs=0.02)
        # the region's middle lies between the two middle pixels, up to half a voxel of the region's own box
        assert abs(np.take(cube, [7, 8], axis=along).mean()) <= max(spacing) / 2 + 0.05


def test_the_largest_slice_and_its_neighbors_are_the_channels_of_each_phase(hospital: Hospital) -> None:
    for number, (phase, largest) in enumerate({"early": 12, "late": 5}.items(), start=1):
        levels = np.arange(20)[:, None, None] * np.ones((20, 30, 30), int)
        image = image_of((100 * number + levels).astype(np.int16), (1.0, 1.0, 3.0))
        region = np.zeros((20, 30, 30), np.uint8)
        region[largest - 3 : largest + 4, 12:16, 12:16] = 1
        region[largest, 10:20, 10:20] = 1
        mask = sitk.GetImageFromArray(region)
        mask.CopyInformation(image)
        hospital.store(phase, image, mask)
    patch = hospital.patch(replace(FLAT, roi="channel"))
    assert patch.shape == (12, 16, 16)
    assert FLAT.channels[:4] == ("early -1", "early +0", "early +1", "early region -1")
    shown = [patch[FLAT.channels.index(name), 8, 8] * 1000 for name in FLAT.channels if "region" not in name]
    np.testing.assert_allclose(shown, [111, 112, 113, 204, 205, 206], atol=1e-3)
    areas = {name: int(patch[FLAT.channels.index(name)].sum()) for name in FLAT.channels if "region" in name}
    assert areas == {
        f"{phase} region {step}": n for phase in ("early", "late") for step, n in (("-1", 16), ("+0", 100), ("+1", 16))
    }


def test_phases_are_registered_by_their_own_region(hospital: Hospital) -> None:
    """A patient breathes and moves between phases; the tumor stays in the middle."""
    for phase, middle in {"early": (0.5, 0.5, 0.5), "late": (6.5, -4.5, 3.5)}.items():
        image = ramp((1.0, 1.0, 1.0), SUPINE, 0)
        hospital.store(phase, image, ball(image, middle))
    cube = hospital.patch(replace(CUBE, roi="channel"))
    np.testing.assert_array_equal(cube[1], cube[3])
    np.testing.assert_allclose((cube[2] - cube[0]) * 100, 6.0, atol=0.01)


@pytest.mark.parametrize(
    "recipe", [FLAT, CUBE, replace(CUBE, roi="masked", roi_margin_mm=2.0)], ids=["25d", "3d", "masked"]
)
@pytest.mark.parametrize("direction", [SUPINE, PRONE], ids=["supine", "prone"])
def test_a_crop_gives_the_patch_of_its_image(
    hospital: Hospital, tmp_path: Path, recipe: Recipe, direction: tuple[float, ...]
) -> None:
    whole = Hospital(tmp_path / "whole")
    mm, voxels = recipe.reach
    for phase in recipe.phases:
        noise = np.random.default_rng(len(phase)).integers(-200, 200, (40, 90, 90)).astype(np.int16)
        image = image_of(noise, (0.6, 0.6, 2.5), direction)
        mask = ball(image, (3.0, -2.0, 4.0), 3.0)
        hospital.store(phase, image, mask, crop_box(Grid.of(image), roi_box(mask), mm, voxels))
        whole.store(phase, image, mask)
    assert hospital.rows[0]["size_x"] < 90
    np.testing.assert_array_equal(hospital.patch(recipe), whole.patch(recipe))


@pytest.mark.parametrize("recipe", [FLAT, CUBE], ids=["25d", "3d"])
def test_a_crop_that_ends_before_the_patch_is_refused(hospital: Hospital, recipe: Recipe) -> None:
    for phase in recipe.phases:
        image = image_of(np.zeros((60, 60, 60), np.int16))
        mask = ball(image)
        hospital.store(phase, image, mask, crop_box(Grid.of(image), roi_box(mask), 2.0, 2))
    with pytest.raises(PatchReachError, match=r"set margin\.mm to 10 and margin\.voxels to"):
        hospital.patch(recipe)


def test_beyond_the_image_there_is_nothing(hospital: Hospital) -> None:
    image = image_of(np.full((20, 20, 20), 500, np.int16))
    for phase in FLAT.phases:
        hospital.store(phase, image, ball(image, (-7.5, 0.5, 0.5), 2.0))
    patch = hospital.patch(FLAT)[1]
    assert (patch[:, :5] == 0).all()
    assert (patch[:, 6:] == 0.5).all()


def test_masked_leaves_the_region_and_its_margin_alone(hospital: Hospital) -> None:
    image = image_of(np.full((40, 40, 40), 500, np.int16))
    for phase in FLAT.phases:
        hospital.store(phase, image, ball(image, (0.5, 0.5, 0.5), 3.0))
    sizes = []
    for margin in (0.0, 2.0):
        cube = hospital.patch(replace(CUBE, roi="masked", roi_margin_mm=margin))
        assert set(np.unique(cube)) == {0.0, 0.5}
        sizes.append(np.cbrt((cube[0] > 0).sum() / (4 / 3 * np.pi)))
    assert sizes[1] - sizes[0] == pytest.approx(2.0, abs=0.5)


def test_a_phase_without_window_is_standardized(hospital: Hospital) -> None:
    image = image_of(np.random.default_rng(3).normal(300, 40, (40, 40, 40)).astype(np.float32))
    for phase in FLAT.phases:
        hospital.store(phase, image, ball(image))
    cube = hospital.patch(replace(CUBE, windows={"early": (300.0, 340.0)}, roi="none"))
    assert (cube[0].min(), cube[0].max()) == (-1.0, 1.0)
    assert cube[1].mean() == pytest.approx(0, abs=1e-6)
    assert cube[1].std() == pytest.approx(1, abs=1e-5)


def test_the_largest_region_stands_for_the_patient_and_other_observers_do_not(hospital: Hospital) -> None:
    image = ramp((1.0, 1.0, 1.0), SUPINE, 0)
    large, small, other = ball(image, (5.5, 0.5, 0.5), 4.0), ball(image, (-8.5, 0.5, 0.5), 2.0), ball(image, radius=6.0)
    for phase in FLAT.phases:
        hospital.store(phase, image, small, roi="a")
        hospital.store(phase, image, large, roi="b")
        hospital.store(phase, image, other, observer="b", is_primary=False)
    assert hospital.patch(replace(CUBE, roi="none"))[0, 8, 8, 7:9].mean() * 100 == pytest.approx(5.5, abs=0.1)


def test_a_missing_phase_is_named(hospital: Hospital) -> None:
    image = image_of(np.zeros((20, 20, 20), np.int16))
    hospital.store("early", image, ball(image))
    with pytest.raises(NoPatchError, match="alpha p1: no stored case of phase late"):
        hospital.patch(FLAT)
    rows = pd.DataFrame(hospital.rows)
    with pytest.raises(NoPatchError, match="alpha p2: no stored case"):
        cohort_patches(hospital.folder, rows, [("alpha", "p2")], FLAT)


def test_the_margin_is_checked_before_anything_is_read() -> None:
    check_margin(FLAT, 10.0, 1, where="deep.x")
    with pytest.raises(PatchReachError, match=r"deep\.x.*\n.*margin\.mm to 10 and margin\.voxels to 3"):
        check_margin(FLAT, 9.9, 3, where="deep.x")
    with pytest.raises(PatchReachError, match=r"margin\.voxels to 1 or more"):
        check_margin(FLAT, 48.0, 0, where="deep.x")


def test_a_recipe_survives_a_manifest() -> None:
    assert Recipe.from_plain(FLAT.plain()) == FLAT
