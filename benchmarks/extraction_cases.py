"""What the extraction benchmark measures: CT-like volumes, regions in them and sets of features."""

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

CASES = ((100, 2_000), (100, 20_000), (250, 200_000))
"""Slices of 512×512 and voxels of the region."""
CLASSES = ("firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm", "shape")
FILTERS = {"Original": {}, "Wavelet": {}, "LoG": {"sigma": [1.0, 2.0, 3.0]}}
RESAMPLED = {"resampledPixelSpacing": [1.0, 1.0, 1.0]}
FEATURE_SETS: dict[str, dict[str, Any]] = {
    "1130": {"imageType": FILTERS, "setting": {}},
    "107": {"imageType": {"Original": {}}, "setting": {}},
    "1130 at 1 mm": {"imageType": FILTERS, "setting": RESAMPLED},
    "1130, LoG 1/3/5 mm": {"imageType": {**FILTERS, "LoG": {"sigma": [1.0, 3.0, 5.0]}}, "setting": {}},
}


def content_of(feature_set: str, engine: str) -> dict[str, Any]:
    """Returns the PyRadiomics parameters of a feature set."""
    stated = FEATURE_SETS[feature_set]
    setting = {**stated["setting"], **({"preCrop": True} if engine == "precrop" else {})}
    return {"imageType": stated["imageType"], "featureClass": dict.fromkeys(CLASSES), "setting": setting}


def images(folder: Path, n_slices: int, n_voxels: int) -> tuple[Path, Path]:
    """Returns a CT-like volume of 512×512 and the mask of a ball in it, written once."""
    spacing = (0.8, 0.8, 2.5 if n_slices == 100 else 1.25)
    image, mask = folder / f"chest-{n_slices}.nii.gz", folder / f"ball-{n_slices}-{n_voxels}.nii.gz"
    if not image.exists():
        _write(_chest(n_slices), spacing, image)
    if not mask.exists():
        center = (n_slices * 0.55, 270, 230)
        axes = np.ogrid[:n_slices, :512, :512]
        squared = sum(((axis - at) * step) ** 2 for axis, at, step in zip(axes, center, spacing[::-1], strict=True))
        limit = np.partition(np.asarray(squared).ravel(), n_voxels)[n_voxels]
        _write((squared < limit).astype(np.uint8), spacing, mask)
    return image, mask


def _chest(n_slices: int) -> np.ndarray:
    """Returns a chest of ellipses with the noise of PyRadiomics's `lung1`.

    That CT has a standard deviation of 2.4 HU in air and about 5 in fat within 7×7 pixels, neighbors correlate by
    0.8, and ITK compresses it to 0.99 bytes a voxel (0.92 to 1.03 by slice), its field of view being tighter.
    """
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(n_slices).normal(0, 1, (n_slices, 512, 512)).astype(np.float32)
    grain, tissue = gaussian_filter(noise, (0, 1.1, 1.1)), gaussian_filter(noise, (1, 2.5, 2.5))
    grain, tissue = grain / grain.std(), tissue / tissue.std()
    y, x = np.mgrid[:512, :512]

    def ellipse(center_x: float, half_y: float, half_x: float) -> np.ndarray:
        return ((y - 256) / half_y) ** 2 + ((x - center_x) / half_x) ** 2 < 1

    values = -1000 + 2.6 * grain
    lungs = ellipse(122, 130, 64) | ellipse(398, 130, 64)
    layers = ((ellipse(256, 200, 246), -100, 0, 6), (ellipse(256, 176, 222), 40, 40, 11), (lungs, -850, 45, 22))
    for where, level, of_tissue, of_grain in layers:
        values[:, where] = level + of_tissue * tissue[:, where] + of_grain * grain[:, where]
    return np.clip(np.round(values), -1024, 3071).astype(np.int16)


def _write(voxels: np.ndarray, spacing: tuple[float, ...], path: Path) -> None:
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing)
    unfinished = path.with_name(f"unfinished-{path.name}")
    sitk.WriteImage(image, str(unfinished), useCompression=True)
    unfinished.rename(path)
