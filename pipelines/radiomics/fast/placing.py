"""A stored crop, put back where it was in the image it was cut from.

Positions, edges and sizes are then those of the whole image to the last bit; only what was not stored is missing, and
asking for it is an error.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pipelines.radiomics.base import EngineError, WholeImage
from pipelines.radiomics.fast.picture import Index, Picture, as_index


class CropTooSmallError(EngineError):
    """Less was stored around the region than the filters look at."""


def placed_image(crop: Picture, whole: WholeImage) -> Picture:
    """Returns the whole image, of which only the crop can be read.

    Args:
        crop: What was cut out.
        whole: What it was cut from.
    """
    lower = np.array(whole.lower[::-1])

    def load(first: Index, last: Index) -> NDArray[np.generic]:
        begin, end = np.array(first) - lower, np.array(last) - lower
        if whole.beyond == "repeat":
            return _repeated(crop, begin, end)
        if (begin < 0).any() or (end > np.array(crop.shape)).any():
            raise CropTooSmallError(
                f"voxels {first[::-1]} to {last[::-1]} of the image are needed, and its crop begins at "
                f"{whole.lower} with {crop.size} voxels",
                remedy="raise margin.mm and margin.voxels and run ingest again, or give the whole image",
            )
        return crop.load(as_index(begin), as_index(end))

    return _placed(crop, whole, load)


def _repeated(crop: Picture, begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.generic]:
    last = np.array(crop.shape) - 1
    low, high = np.clip(begin, 0, last), np.clip(end, 1, last + 1)
    places = [np.clip(np.arange(a, b), c, d - 1) - c for a, b, c, d in zip(begin, end, low, high, strict=True)]
    return crop.load(as_index(low), as_index(high))[np.ix_(*places)]


def placed_mask(crop: Picture, whole: WholeImage) -> Picture:
    """Returns the whole mask, empty outside the crop."""
    lower = np.array(whole.lower[::-1])

    def load(first: Index, last: Index) -> NDArray[np.generic]:
        begin = np.clip(np.array(first), lower, lower + crop.shape)
        end = np.clip(np.array(last), begin, lower + crop.shape)
        held = crop.load(as_index(begin - lower), as_index(end - lower))
        if held.shape == tuple(np.subtract(last, first)):
            return held
        box = np.zeros(np.subtract(last, first), dtype=held.dtype)
        box[tuple(slice(a, b) for a, b in zip(begin - first, end - first, strict=True))] = held
        return box

    return _placed(crop, whole, load)


def _placed(crop: Picture, whole: WholeImage, load: Callable[[Index, Index], NDArray[np.generic]]) -> Picture:
    header = sitk.Image(crop.header)
    header.SetOrigin(whole.origin_mm)
    return replace(
        crop, header=header, size=whole.size, load=load, source=None, start=as_index(np.array(whole.lower[::-1]))
    )
