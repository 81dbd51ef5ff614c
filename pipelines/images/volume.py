"""Images and masks as SimpleITK holds them, with the hashes that decide features."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from featurestore.fingerprints import array_digest, digest
from pipelines.images.grid import Grid


@dataclass(frozen=True)
class Volume:
    """A 3D image, in HU for CT."""

    image: sitk.Image

    @property
    def grid(self) -> Grid:
        """Where its voxels lie."""
        return Grid.of(self.image)

    def array(self) -> NDArray[np.generic]:
        """Returns a copy of the voxels, indexed (z, y, x)."""
        return sitk.GetArrayFromImage(self.image)

    def content_hash(self) -> str:
        """Returns the hash of voxels and grid."""
        return digest({"voxels": array_digest(self.array()), "grid": self.grid.plain()})


@dataclass(frozen=True)
class Mask:
    """A 3D mask: 1 inside the region, 0 outside, 8 bits."""

    image: sitk.Image

    @property
    def grid(self) -> Grid:
        """Where its voxels lie."""
        return Grid.of(self.image)

    def array(self) -> NDArray[np.uint8]:
        """Returns a copy of the voxels, indexed (z, y, x)."""
        return sitk.GetArrayFromImage(self.image).astype(np.uint8, copy=False)

    def content_hash(self) -> str:
        """Returns the hash of voxels and grid."""
        return digest({"voxels": array_digest(self.array()), "grid": self.grid.plain()})
