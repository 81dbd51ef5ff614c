"""Gradient magnitude, from ITK itself on the region's box and one voxel around it."""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pipelines.radiomics.fast.scene import Scene


def gradient_image(scene: Scene, *, use_spacing: bool) -> NDArray[np.generic]:
    """Returns the gradient magnitude in the region's box.

    Args:
        scene: Image and region.
        use_spacing: Measure per mm instead of per voxel.
    """
    part, lower, upper = scene.around(np.ones(3, dtype=np.int64))
    image = sitk.GetImageFromArray(np.ascontiguousarray(part))
    image.SetSpacing(scene.spacing_mm[::-1])
    found = sitk.GetArrayFromImage(sitk.GradientMagnitude(image, use_spacing))
    return found[tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))]
