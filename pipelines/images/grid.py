"""The grid of an image: where its voxels lie in the patient.

Axis order is SimpleITK's (x, y, z) for `size`, `spacing_mm` and `origin_mm`; arrays are indexed (z, y, x).
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Size, spacing, origin and direction of an image.

    Args:
        size: Voxels along x, y, z.
        spacing_mm: Distance of voxel centers along x, y, z.
        origin_mm: Position of the first voxel's center in the patient (LPS).
        direction: The 3×3 direction cosines, row by row; columns are the axes.
    """

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: sitk.Image) -> "Grid":
        """Returns the grid of a 3D image."""
        x, y, z = image.GetSize()
        return cls(
            size=(x, y, z),
            spacing_mm=image.GetSpacing(),
            origin_mm=image.GetOrigin(),
            direction=image.GetDirection(),
        )

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in milliliters."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    def matrix(self) -> NDArray[np.float64]:
        """Returns the direction cosines as a 3×3 array; columns are the axes."""
        return np.asarray(self.direction, dtype=np.float64).reshape(3, 3)

    def position_mm(self, index: tuple[float, float, float]) -> NDArray[np.float64]:
        """Returns the position in the patient of a voxel index (x, y, z)."""
        offset = np.asarray(index, dtype=np.float64) * np.asarray(self.spacing_mm)
        return np.asarray(self.origin_mm) + self.matrix() @ offset

    def plain(self) -> dict[str, object]:
        """Returns the grid as JSON types."""
        return {
            "size": list(self.size),
            "spacing_mm": list(self.spacing_mm),
            "origin_mm": list(self.origin_mm),
            "direction": list(self.direction),
        }
