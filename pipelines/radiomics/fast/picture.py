"""An image whose voxels are read when, and only as far as, they are needed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pipelines.images.grid import Grid

Index = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A scalar 3D image.

    Args:
        header: An image of one voxel that has the spacing, origin and direction.
        size: Size along x, y, z.
        load: Reads the box from one index up to another (excluded), both (z, y, x).
        walk: Yields one slice (y, x) after the other; a slice may be gone when the next one comes.
        source: The image itself where it is in memory as a whole.
        start: Index of the first voxel that `walk` comes to, (z, y, x).
    """

    header: sitk.Image
    size: tuple[int, int, int]
    load: Callable[[Index, Index], NDArray[np.generic]]
    walk: Callable[[], Iterator[NDArray[np.generic]]]
    source: sitk.Image | None = None
    start: Index = (0, 0, 0)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size along z, y, x."""
        x, y, z = self.size
        return z, y, x

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel spacing along z, y, x."""
        x, y, z = self.header.GetSpacing()
        return z, y, x

    @property
    def grid(self) -> Grid:
        """Where its voxels lie."""
        return Grid(
            size=self.size,
            spacing_mm=self.header.GetSpacing(),
            origin_mm=self.header.GetOrigin(),
            direction=self.header.GetDirection(),
        )

    def voxels(self) -> NDArray[np.generic]:
        """Returns all voxels, (z, y, x)."""
        return self.load((0, 0, 0), self.shape)

    def image(self) -> sitk.Image:
        """Returns it as a SimpleITK image."""
        return self.source if self.source is not None else self.part(self.voxels(), (0, 0, 0))

    def begun_at(self, first: Index) -> sitk.Image:
        """Returns an image of one voxel that stands at an index (z, y, x) of this one."""
        header = sitk.Image(self.header)
        header.SetOrigin(self.header.TransformIndexToPhysicalPoint([int(index) for index in first[::-1]]))
        return header

    def part(self, voxels: NDArray[np.generic], first: tuple[int, ...]) -> sitk.Image:
        """Returns an image of a part of it.

        Args:
            voxels: The part, (z, y, x).
            first: Index of its first voxel, (z, y, x).
        """
        made = sitk.GetImageFromArray(voxels)
        made.SetSpacing(self.header.GetSpacing())
        made.SetDirection(self.header.GetDirection())
        made.SetOrigin(self.header.TransformIndexToPhysicalPoint([int(index) for index in first[::-1]]))
        return made


def picture_of(image: sitk.Image) -> Picture:
    """Returns an image in memory as a picture, without copying its voxels."""
    voxels = sitk.GetArrayViewFromImage(image)
    x, y, z = image.GetSize()

    def load(first: Index, last: Index) -> NDArray[np.generic]:
        return voxels[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]

    return Picture(header=header_of(image), size=(x, y, z), load=load, walk=lambda: iter(voxels), source=image)


def as_index(values: NDArray[np.generic]) -> Index:
    """Returns three numbers as an index."""
    z, y, x = (int(value) for value in values)
    return z, y, x


def header_of(image: sitk.Image | sitk.ImageFileReader) -> sitk.Image:
    """Returns an image of one voxel with the same spacing, origin and direction."""
    header = sitk.Image([1, 1, 1], sitk.sitkUInt8)
    header.SetSpacing(image.GetSpacing())
    header.SetOrigin(image.GetOrigin())
    header.SetDirection(image.GetDirection())
    return header
