"""PyRadiomics's `diagnostics_*`: what was given and what it became. Off the hot path, computed only on request."""

import platform
from typing import Any

import numpy as np
import pywt
import SimpleITK as sitk

from pipelines.radiomics.fast.prepare import Prepared
from pipelines.radiomics.fast.scene import Scene
from pipelines.radiomics.settings import ExtractionSettings
from pipelines.record import installed

REFERENCE_VERSION = "v3.1.4"
"""What the PyRadiomics whose values the engine gives calls itself (`pyradiomics-bhklab` 3.1.4)."""

STATED = (
    *("minimumROIDimensions", "minimumROISize", "normalize", "normalizeScale", "removeOutliers"),
    *("resampledPixelSpacing", "interpolator", "preCrop", "padDistance", "distances", "force2D", "force2Ddimension"),
    *("resegmentRange", "label", "additionalInfo"),
)
"""The settings that PyRadiomics reports whether or not somebody set them."""

Diagnostics = dict[str, Any]


def diagnostics_of(settings: ExtractionSettings, prepared: Prepared) -> Diagnostics:
    """Returns what PyRadiomics reports about versions, settings, image and mask, under its names and in its order.

    Args:
        settings: The settings in force.
        prepared: The case as it was measured.
    """
    now: dict[str, Any] = settings.effective()
    found = {
        "Versions_PyRadiomics": REFERENCE_VERSION,
        "Versions_Numpy": np.__version__,
        "Versions_SimpleITK": sitk.Version().VersionString(),
        "Versions_PyWavelet": pywt.__version__,
        "Versions_Python": platform.python_version(),
        "Configuration_Settings": {key: now[key] for key in dict.fromkeys((*STATED, *settings.setting))},
        "Configuration_EnabledImageTypes": {name: dict(keys) for name, keys in settings.image_types.items()},
        **_given_image(prepared.image.image()),
        **_given_mask(sitk.Cast(prepared.mask.image(), sitk.sitkUInt32), now["label"]),
    }
    before = prepared.unsegmented
    if settings.resampled_spacing_mm() is not None:
        found |= _image("interpolated", before) | _mask("interpolated", before)
    elif prepared.is_corrected and not now["preCrop"]:
        found |= _mask("corrected", before)
    if now["resegmentRange"] is not None:
        found |= _mask("resegmented", prepared.scene)
    found["Versions_Radmill"] = installed("radmill").get("radmill", "")
    return {f"diagnostics_{name}": value for name, value in found.items()}


def _given_image(image: sitk.Image) -> Diagnostics:
    return {
        "Image-original_Hash": sitk.Hash(image),
        "Image-original_Dimensionality": f"{image.GetDimension()}D",
        "Image-original_Spacing": image.GetSpacing(),
        "Image-original_Size": image.GetSize(),
        **_range("Image-original", sitk.GetArrayViewFromImage(image)),
    }


def _given_mask(mask: sitk.Image, label: int) -> Diagnostics:
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.Execute(mask)
    inside = sitk.GetArrayViewFromImage(mask) == label
    return {
        "Mask-original_Hash": sitk.Hash(mask),
        "Mask-original_Spacing": mask.GetSpacing(),
        "Mask-original_Size": mask.GetSize(),
        "Mask-original_BoundingBox": shapes.GetBoundingBox(label),
        **_region("Mask-original", inside, (0, 0, 0), mask),
    }


def _image(kind: str, scene: Scene) -> Diagnostics:
    return {
        f"Image-{kind}_Spacing": scene.spacing_mm[::-1],
        f"Image-{kind}_Size": scene.domain[::-1],
        **_range(f"Image-{kind}", scene.voxels),
    }


def _mask(kind: str, scene: Scene) -> Diagnostics:
    assert scene.place is not None
    name = f"Mask-{kind}"
    return {
        f"{name}_Spacing": scene.spacing_mm[::-1],
        f"{name}_Size": scene.domain[::-1],
        f"{name}_BoundingBox": (*scene.lower[::-1], *scene.inside.shape[::-1]),
        **_region(name, scene.inside, scene.lower, scene.place),
        **_range(name, scene.box()[scene.inside]),
    }


def _region(
    name: str, inside: np.ndarray[Any, np.dtype[np.bool_]], lower: tuple[int, int, int], place: sitk.Image
) -> Diagnostics:
    """Returns number of voxels and parts, and the center, of a region whose box begins at `lower` (z, y, x)."""
    parts = sitk.ConnectedComponentImageFilter()
    parts.FullyConnectedOn()
    parts.Execute(sitk.GetImageFromArray(inside.astype(np.uint8)))
    center = tuple(float(index) for index in (np.argwhere(inside) + np.array(lower)).mean(axis=0)[::-1])
    return {
        f"{name}_VoxelNum": int(np.count_nonzero(inside)),
        f"{name}_VolumeNum": parts.GetObjectCount(),
        f"{name}_CenterOfMassIndex": center,
        f"{name}_CenterOfMass": place.TransformContinuousIndexToPhysicalPoint(center),
    }


def _range(name: str, values: np.ndarray[Any, np.dtype[Any]]) -> Diagnostics:
    values = values.astype(np.float64)
    return {
        f"{name}_Mean": float(values.mean()),
        f"{name}_Minimum": float(values.min()),
        f"{name}_Maximum": float(values.max()),
    }
