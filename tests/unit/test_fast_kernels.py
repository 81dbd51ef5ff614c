"""The vectorized kernels count what plain loops count, and filter to ITK's last bit, whatever the types and shapes."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import label

from pipelines.radiomics.fast.graylevels import gray_levels
from pipelines.radiomics.fast.log_filter import log_image
from pipelines.radiomics.fast.neighbors import neighbor_sums
from pipelines.radiomics.fast.pairs import pair_counts
from pipelines.radiomics.fast.region import Region
from pipelines.radiomics.fast.scene import Scene
from pipelines.radiomics.fast.sweep import sweep

SHAPES = [(4, 9, 11), (3, 5, 70), (2, 66, 64), (3, 300, 3), (3, 3, 300), (1, 20, 20)]


def region_of(shape: tuple[int, int, int], n_levels: int) -> tuple[Region, NDArray[np.int64]]:
    """Returns a region with holes and its gray levels, 0 outside."""
    rng = np.random.default_rng(sum(shape) + n_levels)
    inside = rng.random(shape) < 0.8
    inside[0, 0, 0] = inside[-1, -1, -1] = True
    levels = np.where(inside, rng.integers(1, n_levels + 1, shape), 0)
    return Region(inside, (2.0, 1.0, 1.0), (1,), None), levels


@pytest.mark.parametrize(("shape", "n_levels"), product(SHAPES, [2, 30, 300]))
def test_matrices_equal_plain_counts(shape: tuple[int, int, int], n_levels: int) -> None:
    region, levels = region_of(shape, n_levels)
    gray = gray_levels(levels[region.inside].astype(float), np.arange(1, n_levels + 2.0))
    box = region.spread(gray.ranks, len(gray.levels))
    swept = sweep(region, gray, box)
    pairs = pair_counts(region, gray, box)
    rank_of = {int(level): rank for rank, level in enumerate(gray.levels)}
    padded = np.pad(levels, 1)
    points = np.argwhere(padded)
    equal = np.zeros(padded.shape, dtype=int)
    for at, offset in enumerate(region.near_offsets):
        here, there = padded[tuple(points.T)], padded[tuple((points + offset).T)]
        expected = Counter((int(a), int(b)) for a, b in zip(here, there, strict=True) if b)
        found = {(int(gray.levels[i]), int(gray.levels[j])): int(pairs[at, i, j]) for i, j in np.argwhere(pairs[at])}
        assert found == dict(expected)
        for way in (offset, -offset):
            np.add.at(equal, tuple(points.T), here == padded[tuple((points + way).T)])
        assert {(i, n + 1): int(swept.runs[at, i, n]) for i, n in np.argwhere(swept.runs[at])} == {
            (rank_of[level], length): count for (level, length), count in _runs(padded, offset).items()
        } or not region.lines_repeat[at]
    dependence = Counter((rank_of[int(padded[tuple(p)])], int(equal[tuple(p)])) for p in points)
    assert {(int(i), int(n)): int(swept.dependence[i, n]) for i, n in np.argwhere(swept.dependence)} == dict(dependence)
    zones = Counter(zip(swept.zone_ranks.tolist(), swept.zone_sizes.tolist(), strict=True))
    assert zones == _zones(levels, rank_of)


def _runs(padded: NDArray[np.int64], offset: NDArray[np.int64]) -> Counter[tuple[int, int]]:
    found: Counter[tuple[int, int]] = Counter()
    for point in np.argwhere(padded):
        level = padded[tuple(point)]
        if padded[tuple(point - offset)] != level:
            length = 1
            while padded[tuple(point + length * offset)] == level:
                length += 1
            found[int(level), length] += 1
    return found


def _zones(levels: NDArray[np.int64], rank_of: dict[int, int]) -> Counter[tuple[int, int]]:
    found: Counter[tuple[int, int]] = Counter()
    for level, rank in rank_of.items():
        zones, _ = label(levels == level, np.ones((3, 3, 3)))
        found.update((rank + 1, int(size)) for size in np.bincount(zones.ravel())[1:])
    return found


@pytest.mark.parametrize(("shape", "n_levels"), product(SHAPES, [30, 2000]))
def test_differences_from_surroundings_equal_plain_sums(shape: tuple[int, int, int], n_levels: int) -> None:
    region, levels = region_of(shape, n_levels)
    gray = gray_levels(levels[region.inside].astype(float), np.arange(1, n_levels + 2.0))
    found = neighbor_sums(region, gray, region.spread(gray.ranks, len(gray.levels)))
    padded = np.pad(levels, 1)
    expected = Counter(dict.fromkeys(gray.levels.tolist(), 0.0))
    for z, y, x in np.argwhere(padded):
        around = padded[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2]
        n = np.count_nonzero(around) - 1
        if n:
            expected[int(padded[z, y, x])] += abs(padded[z, y, x] - (around.sum() - padded[z, y, x]) / n)
    np.testing.assert_allclose(found, [expected[int(level)] for level in gray.levels], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["int16", "uint8", "int32", "float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 6, 7), (8, 40, 50), (30, 33, 45)])
def test_filters_equal_itk_to_the_last_bit(kind: str, shape: tuple[int, int, int]) -> None:
    voxels = np.random.default_rng(5).normal(120, 60, shape).clip(0, 250).astype(kind)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.8, 0.9, 2.5))
    inside = np.ones([size - 3 for size in shape], dtype=np.bool_)
    scene = Scene(
        voxels=voxels, start=(0, 0, 0), domain=shape, spacing_mm=(2.5, 0.9, 0.8), inside=inside, lower=(1, 2, 1)
    )
    filtered = sitk.GetArrayFromImage(sitk.LaplacianRecursiveGaussian(image, 1.5, True))
    box = tuple(slice(low, low + size) for low, size in zip(scene.lower, inside.shape, strict=True))
    found = log_image(scene, 1.5)
    assert found is not None
    np.testing.assert_array_equal(found, filtered[box])
