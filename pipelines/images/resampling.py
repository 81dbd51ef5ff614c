"""Bringing a mask onto the grid of its image."""

import SimpleITK as sitk


def resample_mask(mask: sitk.Image, image: sitk.Image) -> sitk.Image:
    """Returns the mask on the image's grid: each voxel takes the value of the nearest mask voxel, 0 outside.

    Args:
        mask: A mask of integers on its own grid.
        image: The image whose grid is wanted; its voxels play no part.
    """
    return sitk.Resample(mask, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0, mask.GetPixelID())


def pasted(mask: sitk.Image, image: sitk.Image) -> sitk.Image:
    """Returns the mask with exactly the image's spacing, origin and direction.

    For grids that were found to be the same within a tolerance, so that the last digits agree too.
    """
    same = sitk.Image(mask)
    same.CopyInformation(image)
    return same
