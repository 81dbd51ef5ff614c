"""The same region with its voxels dealt anew: its size, shape and histogram stay, its texture goes.

A negative control: what a model still finds in such regions needs no texture.
"""

import numpy as np
import SimpleITK as sitk

from featurestore.fingerprints import bytes_digest

SHUFFLED = "shuffled"
"""What such voxels are called, in tables and fingerprints."""

VERSION = "1"
"""Of all that decides a voxel here."""


def shuffled(image: sitk.Image, mask: sitk.Image, seed: str) -> sitk.Image:
    """Returns the image with the voxels inside the mask dealt anew; all others stay.

    Args:
        image: The image.
        mask: Its mask, 1 inside, with the same grid.
        seed: Decides who goes where; such as the hashes of image and mask.
    """
    values = sitk.GetArrayFromImage(image)
    inside = sitk.GetArrayViewFromImage(mask) > 0
    rng = np.random.default_rng(int(bytes_digest(f"{seed} {SHUFFLED} {VERSION}".encode())[:16], 16))
    values[inside] = rng.permutation(values[inside])
    made = sitk.GetImageFromArray(values)
    made.CopyInformation(image)
    return made
