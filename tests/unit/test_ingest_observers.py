"""Lesions and consensus of observers."""

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import label

from pipelines.ingest.observers import components, consensus, lesions, n_voxels


def mask(*blocks: tuple[int, int]) -> sitk.Image:
    array = np.zeros((4, 6, 30), np.uint8)
    for lower, upper in blocks:
        array[1:3, 2:4, lower:upper] = 1
    return sitk.GetImageFromArray(array)


def test_components_are_those_of_scipy() -> None:
    """Connected over faces, edges and corners, the largest first."""
    rng = np.random.default_rng(3)
    array = (rng.random((12, 14, 16)) > 0.85).astype(np.uint8)
    labels, n = label(array, np.ones((3, 3, 3)))
    wanted = sorted(np.bincount(labels.ravel())[1:], reverse=True)
    found = components(sitk.GetImageFromArray(array))
    assert len(found) == n
    assert [n_voxels(part) for part in found] == wanted


def test_named_regions_are_the_lesions() -> None:
    regions = {"GTV 1": mask((1, 3), (20, 21)), "GTV 2": mask((8, 16))}
    assert {name: n_voxels(part) for name, part in lesions(regions, "each", "tumor").items()} == {
        "tumor-1": 32,
        "tumor-2": 12,
    }
    assert n_voxels(lesions(regions, "largest", "tumor")["tumor"]) == 32
    assert n_voxels(lesions(regions, "union", "tumor")["tumor"]) == 44


def test_majority_of_two_is_what_both_say() -> None:
    assert n_voxels(consensus([mask((1, 5)), mask((3, 9))], "majority")) == 8
    assert n_voxels(consensus([mask((1, 5)), mask((3, 9)), mask((4, 9))], "majority")) == 4 * 6


def test_staple_follows_those_who_agree() -> None:
    outlier, agreed = mask((20, 29)), mask((3, 9))
    joint = consensus([agreed, agreed, outlier, agreed], "staple")
    assert np.array_equal(sitk.GetArrayFromImage(joint), sitk.GetArrayFromImage(agreed))
