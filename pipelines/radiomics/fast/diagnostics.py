"""PyRadiomics's `diagnostics_*`: what was given and what it became. Off the hot path, computed only on request."""

import platform
from typing import Any

import numpy as np
import pywt
import SimpleITK as sitk

from pipelines.radiomics.fast.prepare import Prepared
from pipelines.radiomics.settings import ExtractionSettings
from pipelines.record import installed

REFERENCE_VERSION = "3.1.0"
"""The PyRadiomics whose values the engine gives."""

Diagnostics = dict[str, Any]


def diagnostics_of(settings: ExtractionSettings, prepared: Prepared) -> Diagnostics:
    """Returns what PyRadiomics reports about versions, settings, image and mask, under its names.

    Args:
        settings: The settings in force.
        prepared: The case as it was measured.
    """
    image = prepared.image.image()
    mask = sitk.Cast(prepared.mask.image(), sitk.sitkUInt32)
    label = int(str(settings.effective()["label"]))
    found = {
        "Versions_PyRadiomics": REFERENCE_VERSION,
        "Versions_Radmill": installed("radmill").get("radmill", ""),
        "Versions_Numpy": np.__version__,
        "Versions_SimpleITK": sitk.Version().VersionString(),
        "Versions_PyWavelet": pywt.__version__,
        "Versions_Python": platform.python_version(),
        "Configuration_Settings": settings.effective(),
        "Configuration_EnabledImageTypes": {name: dict(keys) for name, keys in settings.image_types.items()},
        **_image("original", image),
        **_mask("original", image, mask, label, with_values=False),
    }
    if settings.resampled_spacing_mm() is not None or settings.effective()["resegmentRange"] is not None:
        found |= _measured(prepared, resampled=settings.resampled_spacing_mm() is not None)
    return {f"diagnostics_{name}": value for name, value in found.items()}


def _image(prefix: str, image: sitk.Image) -> Diagnostics:
    voxels = sitk.GetArrayFromImage(image).astype(np.float64)
    return {
        f"Image-{prefix}_Hash": sitk.Hash(image),
        f"Image-{prefix}_Dimensionality": f"{image.GetDimension()}D",
        f"Image-{prefix}_Spacing": image.GetSpacing(),
        f"Image-{prefix}_Size": image.GetSize(),
        f"Image-{prefix}_Mean": float(voxels.mean()),
        f"Image-{prefix}_Minimum": float(voxels.min()),
        f"Image-{prefix}_Maximum": float(voxels.max()),
    }


def _mask(prefix: str, image: sitk.Image, mask: sitk.Image, label: int, *, with_values: bool) -> Diagnostics:
    inside = sitk.GetArrayFromImage(mask) == label
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.Execute(mask)
    parts = sitk.ConnectedComponentImageFilter()
    parts.FullyConnectedOn()
    parts.Execute(mask == label)
    center = tuple(float(index) for index in np.argwhere(inside).mean(axis=0)[::-1])
    found: Diagnostics = {
        f"Mask-{prefix}_Hash": sitk.Hash(mask),
        f"Mask-{prefix}_Spacing": mask.GetSpacing(),
        f"Mask-{prefix}_Size": mask.GetSize(),
        f"Mask-{prefix}_BoundingBox": shapes.GetBoundingBox(label),
        f"Mask-{prefix}_VoxelNum": shapes.GetNumberOfPixels(label),
        f"Mask-{prefix}_VolumeNum": parts.GetObjectCount(),
        f"Mask-{prefix}_CenterOfMassIndex": center,
        f"Mask-{prefix}_CenterOfMass": mask.TransformContinuousIndexToPhysicalPoint(center),
    }
    if with_values:
        values = sitk.GetArrayViewFromImage(image)[inside].astype(np.float64)
        statistics = {"Mean": values.mean(), "Minimum": values.min(), "Maximum": values.max()}
        found |= {f"Mask-{prefix}_{name}": float(value) for name, value in statistics.items()}
    return found


def _measured(prepared: Prepared, *, resampled: bool) -> Diagnostics:
    """Returns the region as texture sees it, after resampling and resegmentation."""
    scene = prepared.scene
    prefix = "interpolated" if resampled else "resegmented"
    values = scene.box()[scene.inside].astype(np.float64)
    lower, size = scene.lower[::-1], scene.inside.shape[::-1]
    found: Diagnostics = {
        f"Mask-{prefix}_Spacing": scene.spacing_mm[::-1],
        f"Mask-{prefix}_Size": scene.domain[::-1],
        f"Mask-{prefix}_BoundingBox": (*lower, *size),
        f"Mask-{prefix}_VoxelNum": int(scene.inside.sum()),
        f"Mask-{prefix}_Mean": float(values.mean()),
        f"Mask-{prefix}_Minimum": float(values.min()),
        f"Mask-{prefix}_Maximum": float(values.max()),
    }
    if resampled:
        found |= {f"Image-{prefix}_Spacing": scene.spacing_mm[::-1], f"Image-{prefix}_Size": scene.domain[::-1]}
    return found
