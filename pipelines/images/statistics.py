"""Numbers of a whole image that normalization and some filters need, computed as ITK computes them."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Numbers over all voxels of an image; one that is not finite counts as 0, which is what ITK reads from NIfTI.

    Args:
        mean: Their mean.
        sd: Their standard deviation, with divisor n - 1.
        minimum: The smallest.
        maximum: The largest.
    """

    mean: float
    sd: float
    minimum: float
    maximum: float

    @classmethod
    def of(cls, image: sitk.Image) -> "Statistics":
        """Returns the numbers of an image; summed by one thread, so that they are the same everywhere."""
        found = sitk.StatisticsImageFilter()
        found.SetNumberOfThreads(1)
        found.SetNumberOfWorkUnits(1)
        found.Execute(_finite(image))
        return cls(mean=found.GetMean(), sd=found.GetSigma(), minimum=found.GetMinimum(), maximum=found.GetMaximum())


def _finite(image: sitk.Image) -> sitk.Image:
    voxels = sitk.GetArrayViewFromImage(image)
    if voxels.dtype.kind != "f" or np.isfinite(voxels).all():
        return image
    return sitk.GetImageFromArray(np.nan_to_num(voxels, nan=0.0, posinf=0.0, neginf=0.0))
