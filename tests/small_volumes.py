"""Images and masks of a few hundred voxels, the same on every machine: made from a hash, not from a random generator.

Only numpy and SimpleITK are needed, so that PyRadiomics can be asked in an environment of its own.
"""

import hashlib
from collections.abc import Callable

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

Shape = tuple[int, int, int]
Arrays = tuple[NDArray[np.generic], NDArray[np.uint8], tuple[float, float, float]]


def noise(name: str, shape: Shape) -> NDArray[np.int16]:
    """Returns whole numbers from 0 to 255, shape (z, y, x)."""
    digest = hashlib.shake_256(name.encode()).digest(int(np.prod(shape)))
    return np.frombuffer(digest, np.uint8).reshape(shape).astype(np.int16)


def torn() -> Arrays:
    """Noise in a region full of holes, whose box begins and ends inside the image; another label beside it."""
    shape = (8, 9, 10)
    mask = np.zeros(shape, np.uint8)
    mask[1:7, 1:8, 2:9] = np.where(noise("torn mask", (6, 7, 7)) < 150, 1, 2)
    return noise("torn", shape) - 90, mask, (2.5, 0.9, 0.7)


def smooth() -> Arrays:
    """A ball with a hollow in a slowly changing image of floats, off the image's middle."""
    shape = (9, 11, 12)
    z, y, x = (axis.astype(np.float64) for axis in np.indices(shape))
    voxels = 40 * z + 7 * y * y - 11 * x * z + 0.25 * noise("smooth", shape)
    square = ((z - 4) / 3.2) ** 2 + ((y - 5) / 4) ** 2 + ((x - 6) / 4.3) ** 2
    return voxels.astype(np.float32), ((square <= 1) & (square >= 0.05)).astype(np.uint8), (1.7, 0.8, 0.9)


def wide() -> Arrays:
    """Rows longer than a word of 64 voxels: whole runs, runs across the border of words, and an empty row."""
    shape = (2, 4, 150)
    voxels = noise("wide", shape) // 100
    voxels[0, 1], voxels[0, 0, 20:95], voxels[1, 3, :64], voxels[1, 2, 130:] = 1, 2, 0, 1
    mask = (noise("wide mask", shape) < 235).astype(np.uint8)
    mask[0, :2], mask[1, 1], mask[1, 2, 130:] = 1, 0, 1
    return voxels, mask, (3.0, 1.0, 1.0)


def many() -> Arrays:
    """More gray levels than a byte counts, and zones of neighboring ranks."""
    shape = (7, 7, 8)
    ranks = (np.arange(392) * 197 % 392).reshape(shape).astype(np.int32)
    ranks[::2, ::3] //= 4
    return ranks, np.ones(shape, np.uint8), (1.0, 1.0, 2.0)


def flat() -> Arrays:
    """One gray value everywhere."""
    return np.full((4, 5, 6), 7.0), (noise("flat mask", (4, 5, 6)) < 200).astype(np.uint8), (1.0, 2.0, 3.0)


def pair() -> Arrays:
    """Two voxels that touch at a corner."""
    mask = np.zeros((5, 5, 5), np.uint8)
    mask[1, 2, 2] = mask[2, 3, 1] = 1
    return noise("pair", (5, 5, 5)), mask, (1.0, 1.0, 1.0)


def apart() -> Arrays:
    """Three voxels of which none touches another, two of one gray value."""
    voxels, mask = noise("apart", (5, 6, 7)), np.zeros((5, 6, 7), np.uint8)
    mask[0, 0, 0] = mask[4, 5, 6] = mask[2, 2, 6] = 1
    voxels[0, 0, 0] = voxels[4, 5, 6] = 30
    return voxels, mask, (1.0, 1.0, 1.5)


def slice_of(axis: int) -> Callable[[], Arrays]:
    """Returns a region in one slice across an axis, torn and with squares joined at corners."""

    def made() -> Arrays:
        voxels, mask, spacing_mm = torn()
        one = np.zeros_like(mask)
        cut = tuple(slice(4, 5) if other == axis else slice(None) for other in range(3))
        one[cut] = mask[cut] == 1
        return voxels, one, spacing_mm

    return made


def diagonal() -> Arrays:
    """A region that is thin in a direction along no axis."""
    shape = (10, 10, 8)
    z, y, x = np.indices(shape)
    return noise("diagonal", shape), (abs(z - y) + x % 3 == 1).astype(np.uint8), (1.1, 0.8, 2.0)


def late() -> Arrays:
    """A region far from the image's first voxel, which grids are laid from."""
    shape = (14, 13, 34)
    mask = np.zeros(shape, np.uint8)
    mask[9:13, 6:11, 22:30] = noise("late mask", (4, 5, 8)) < 200
    return noise("late", shape), mask, (2.5, 0.9, 0.7)


VOLUMES: dict[str, Callable[[], Arrays]] = {
    **{made.__name__: made for made in (torn, smooth, wide, many, flat, pair, apart, diagonal, late)},
    **{f"slice {axis}": slice_of(axis) for axis in range(3)},
}


def volume(name: str) -> tuple[sitk.Image, sitk.Image]:
    """Returns an image and its mask."""
    voxels, mask, spacing_mm = VOLUMES[name]()
    pair = sitk.GetImageFromArray(voxels), sitk.GetImageFromArray(mask)
    for image in pair:
        image.SetSpacing(spacing_mm[::-1])
        image.SetOrigin((-20.0, 31.5, 7.25))
    return pair
