"""The images that features are computed on: each image type's filter, run on the region's box."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pywt
from numpy.typing import NDArray

from pipelines.radiomics.fast.gradient import gradient_image
from pipelines.radiomics.fast.intensity import FILTERS, mapped
from pipelines.radiomics.fast.lbp2d import lbp2d_image
from pipelines.radiomics.fast.lbp3d import lbp3d_images
from pipelines.radiomics.fast.log_filter import log_image
from pipelines.radiomics.fast.scene import Scene
from pipelines.radiomics.fast.wavelet import is_tiny, wavelet_images

Named = tuple[str, NDArray[np.generic]]


def images_of(scene: Scene, image_type: str, now: dict[str, Any]) -> Iterator[Named]:
    """Yields PyRadiomics's name and the region's box of each image of a type.

    Args:
        scene: Image and region.
        image_type: PyRadiomics's image type.
        now: The settings in force for it.
    """
    if image_type == "Original":
        yield "original", scene.box()
    elif image_type in FILTERS:
        yield FILTERS[image_type][0], mapped(image_type, scene.box(), scene.largest())
    elif image_type == "Gradient":
        yield "gradient", gradient_image(scene, use_spacing=now["gradientUseSpacing"])
    elif image_type == "LBP2D":
        axis = now["force2Ddimension"]
        yield (
            "lbp-2D",
            lbp2d_image(scene, now["lbp2DRadius"], now["lbp2DSamples"], now["lbp2DMethod"], axis),
        )
    else:
        yield from _families(scene, image_type, now)


def _families(scene: Scene, image_type: str, now: dict[str, Any]) -> Iterator[Named]:
    if image_type == "LoG":
        for sigma in now["sigma"]:
            filtered = log_image(scene, float(sigma))
            if filtered is not None:
                yield f"log-sigma-{str(sigma).replace('.', '-')}-mm-3D", filtered
    elif image_type == "Wavelet":
        flat_axis = now["force2Ddimension"] if now["force2D"] else None
        if is_tiny(scene, now["wavelet"], flat_axis):
            yield from _whole_wavelet(scene, now, flat_axis)
        else:
            yield from wavelet_images(scene, now["wavelet"], now["level"], now["start_level"], flat_axis)
    else:
        yield from lbp3d_images(
            scene, now["lbp3DLevels"], now["lbp3DIcosphereRadius"], now["lbp3DIcosphereSubdivision"]
        )


def _whole_wavelet(scene: Scene, now: dict[str, Any], flat_axis: int | None) -> Iterator[Named]:
    """Yields the bands of an image shorter than the filter, from PyWavelets itself."""
    axes = [axis for axis in (2, 1, 0) if axis != flat_axis]
    data = np.pad(scene.voxels, [(0, size % 2) for size in scene.voxels.shape], "wrap")
    lower = np.subtract(scene.lower, scene.start)
    box = tuple(slice(low, low + size) for low, size in zip(lower, scene.inside.shape, strict=True))
    lowest = "a" * len(axes)
    for step in range(now["start_level"] + now["level"]):
        bands = pywt.swtn(data, now["wavelet"], level=1, start_level=0, axes=axes)[0]
        data = bands.pop(lowest)
        number = step - now["start_level"] + 1
        if number < 1:
            continue
        for name, band in bands.items():
            letters = name.replace("a", "L").replace("d", "H")
            yield f"wavelet{number if number > 1 else ''}-{letters}", band[box]
    number = now["level"]
    yield f"wavelet{number if number > 1 else ''}-{'L' * len(axes)}", data[box]
