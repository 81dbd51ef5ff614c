"""Image and region as filters see them: the part of the image that is held, and what the whole of it would be."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

Index = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The image that PyRadiomics would filter, of which only a part around the region need be held.

    Args:
        voxels: The part that is held, shape (z, y, x), in the image's own type.
        start: Index of its first voxel in the image that would be filtered, (z, y, x).
        domain: Size of that image, (z, y, x).
        spacing_mm: Voxel spacing (z, y, x).
        inside: Box of the region, True inside, shape (z, y, x).
        lower: Index of the box in the image that would be filtered, (z, y, x).
        max_abs: Largest magnitude in that image; None to look for it in what is held.
        place: An image of one voxel that stands where that image begins, with its spacing and direction.
    """

    voxels: NDArray[np.generic]
    start: Index
    domain: Index
    spacing_mm: tuple[float, float, float]
    inside: NDArray[np.bool_]
    lower: Index
    max_abs: float | None = None
    place: sitk.Image | None = None

    def box(self, margin: int = 0) -> NDArray[np.generic]:
        """Returns the voxels of the region's box, with a margin where there is one."""
        return self.around(np.full(3, margin))[0]

    def around(self, reach: NDArray[np.int64]) -> tuple[NDArray[np.generic], NDArray[np.int64], NDArray[np.int64]]:
        """Returns the voxels within reach of the box and where the box begins and ends among them.

        Args:
            reach: Voxels beyond the box along (z, y, x), clipped to what is held.
        """
        lower = np.array(self.lower) - np.array(self.start)
        upper = lower + np.array(self.inside.shape)
        first = np.maximum(lower - reach, 0)
        last = np.minimum(upper + reach, self.voxels.shape)
        part = self.voxels[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
        return part, lower - first, upper - first

    def wrapped(self, before: NDArray[np.int64], after: NDArray[np.int64]) -> NDArray[np.generic]:
        """Returns the voxels around the box where an image that is made even in size goes on periodically.

        Args:
            before: Voxels in front of the box along (z, y, x).
            after: Voxels behind it.
        """
        places = []
        for axis, size in enumerate(self.domain):
            index = np.arange(self.lower[axis] - before[axis], self.lower[axis] + self.inside.shape[axis] + after[axis])
            index %= size + size % 2
            index[index == size] = 0  # the voxel that makes an odd size even repeats the first
            places.append(index - self.start[axis])
        if all(place[-1] - place[0] == len(place) - 1 for place in places):  # nothing wraps
            return self.voxels[tuple(slice(place[0], place[-1] + 1) for place in places)]
        return self.voxels[np.ix_(*places)]

    def largest(self) -> float:
        """Returns the largest magnitude in the image that would be filtered."""
        if self.max_abs is not None:
            return self.max_abs
        return max(abs(float(self.voxels.max())), abs(float(self.voxels.min())))
