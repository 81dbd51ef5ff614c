"""What protects against a mask on the wrong grid: each difference is named with its amount."""

from dataclasses import replace

import numpy as np
import SimpleITK as sitk

from pipelines.images.geometry import compare_grids, largest_shift_mm
from pipelines.images.grid import Grid
from pipelines.images.resampling import pasted, resample_mask

IMAGE = Grid(
    size=(100, 90, 40), spacing_mm=(0.7, 0.7, 2.5), origin_mm=(-10, 20, -30), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)
)


def test_each_difference_is_named_with_its_amount() -> None:
    cosine, sine = np.cos(np.radians(3)), np.sin(np.radians(3))
    other = Grid(
        size=(100, 90, 39),
        spacing_mm=(0.7, 0.7, 5.0),
        origin_mm=(-10, 23, -26),
        direction=(cosine, -sine, 0, sine, cosine, 0, 0, 0, 1),
    )
    assert compare_grids(IMAGE, other, 0.01) == [
        "size 100×90×39 instead of 100×90×40 voxels",
        "spacing 0.7, 0.7, 5 instead of 0.7, 0.7, 2.5 mm",
        "origin 5 mm away (+0, +3, +4)",
        "direction turned by 3°",
    ]


def test_grid_rounded_to_single_precision_is_the_same() -> None:
    rounded = replace(
        IMAGE,
        spacing_mm=tuple(float(np.float32(value)) for value in IMAGE.spacing_mm),
        origin_mm=tuple(float(np.float32(value) + np.float32(1e-5)) for value in IMAGE.origin_mm),
    )
    assert compare_grids(IMAGE, rounded, 0.01) == []
    assert compare_grids(IMAGE, IMAGE, 0.01) == []


def test_small_spacing_error_counts_where_it_moves_the_far_corner() -> None:
    """0.001 mm a voxel is 0.1 mm at the hundredth."""
    (found,) = compare_grids(IMAGE, replace(IMAGE, spacing_mm=(0.701, 0.7, 2.5)), 0.01)
    assert found.startswith("spacing 0.701")


def test_flipped_axis_is_a_direction_of_180_degrees() -> None:
    flipped = replace(IMAGE, direction=(-1, 0, 0, 0, 1, 0, 0, 0, 1))
    assert compare_grids(IMAGE, flipped, 0.01) == ["direction turned by 180°"]


def test_shift_of_the_same_extent_in_other_voxels_is_none() -> None:
    halved = replace(IMAGE, size=(200, 90, 40), spacing_mm=(0.35, 0.7, 2.5), origin_mm=(-10.175, 20, -30))
    assert largest_shift_mm(IMAGE, halved) < 1e-9
    assert abs(largest_shift_mm(IMAGE, replace(IMAGE, origin_mm=(-10, 20, -28))) - 2) < 1e-9


def test_mask_resampled_to_nearest_voxel_and_pasted_grid() -> None:
    voxels = np.zeros((4, 4, 4), dtype=np.uint8)
    voxels[1, 2, 3] = 1
    mask = sitk.GetImageFromArray(voxels)
    image = sitk.Image((8, 4, 4), sitk.sitkInt16)
    image.SetSpacing((0.5, 1, 1))
    image.SetOrigin((-0.25, 0, 0))
    resampled = resample_mask(mask, image)
    assert sorted(zip(*np.nonzero(sitk.GetArrayFromImage(resampled)), strict=True)) == [(1, 2, 6), (1, 2, 7)]
    assert Grid.of(resampled) == Grid.of(image)
    mask.SetOrigin((1e-7, 0, 0))
    assert pasted(mask, sitk.GetImageFromArray(voxels)).GetOrigin() == (0, 0, 0)
