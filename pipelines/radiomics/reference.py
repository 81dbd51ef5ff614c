"""PyRadiomics itself, as an engine: the values everything else is compared with.

It is run without its whole-volume diagnostics and without its log, and its process-wide tolerances are put back.
"""

import importlib
import importlib.util
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from radiomics.featureextractor import RadiomicsFeatureExtractor

from pipelines.images.geometry import compare_grids
from pipelines.images.grid import Grid
from pipelines.radiomics.base import EngineError, ExtractionError, Features, WholeImage, as_image
from pipelines.radiomics.catalog import names
from pipelines.radiomics.settings import ExtractionSettings

_QUIET = logging.CRITICAL + 1
"""What PyRadiomics has to say comes back as values or errors, and not 31 times in a log."""

_ITK_TOLERANCE = 1e-6
"""ITK's own default for coordinates and directions."""


class LabelAbsentError(ExtractionError):
    """The mask has no voxel with the label."""

    code = "label_absent"
    default_remedy = "set setting.label to a label that is there, or correct the mask"


class EmptyMaskError(ExtractionError):
    """The mask outlines nothing."""

    code = "empty_mask"
    default_remedy = "outline the region again; a mask stored as fractions below 1 counts as empty too"


class NotVolumeError(ExtractionError):
    """Image or mask has not three dimensions with one number a voxel."""

    code = "not_3d"
    default_remedy = "give one 3D volume, such as one time point of a 4D image"


class GridMismatchError(ExtractionError):
    """Image and mask do not lie on one grid."""

    code = "grid_mismatch"
    default_remedy = "outline on this image, or set setting.correctMask to resample the mask onto it"


class NonfiniteVoxelsError(ExtractionError):
    """The region has voxels that are no number."""

    code = "nonfinite_voxels"
    default_remedy = "export the image again; infinite or missing voxels inside a region have no texture"


class RegionRefusedError(ExtractionError):
    """PyRadiomics refuses the region."""

    code = "region_refused"


class PyRadiomicsEngine:
    """PyRadiomics under radmill's settings.

    Args:
        settings: What is computed.

    Raises:
        EngineError: A filter's library is missing or too new for PyRadiomics, which would then silently skip it.
    """

    def __init__(self, settings: ExtractionSettings | Mapping[str, object] | str | Path) -> None:
        self.settings = ExtractionSettings.read(settings)
        _check_filters(self.settings)
        self._extractor = _extractor(self.settings)

    def names(self) -> tuple[str, ...]:
        """Returns the features it computes, in order."""
        return names(self.settings)

    def execute(
        self, image: sitk.Image | Path | str, mask: sitk.Image | Path | str, whole: WholeImage | None = None
    ) -> Features:
        """Computes the features of one region.

        Args:
            image: A 3D image, or the path of its file.
            mask: Its mask.
            whole: What it was cut from, when it is a crop.

        Raises:
            EngineError: The settings need numbers of the whole image, which PyRadiomics takes from what it is given.
            ExtractionError: The region cannot be measured.
        """
        self._check_whole(whole)
        picture, outline = as_image(image), as_image(mask)
        self._check_input(picture, outline)
        if whole is not None and self.settings.resampled_spacing_mm() is not None:
            picture, outline = _from_first_voxel(picture, whole), _from_first_voxel(outline, whole)
        with _quiet(self.settings):
            try:
                values = self._extractor.execute(picture, outline)
            except (ValueError, RuntimeError, AssertionError, IndexError) as error:
                raise _refusal(error, picture, outline) from error
        return {name: _number(value) for name, value in values.items()}

    def _check_whole(self, whole: WholeImage | None) -> None:
        keys = self.settings.whole_image_keys()
        if whole is not None and keys:
            raise EngineError(
                f"PyRadiomics cannot compute {', '.join(keys)} on a crop",
                remedy="use the engine fast, or give it the whole image",
            )

    def _check_input(self, image: sitk.Image, mask: sitk.Image) -> None:
        for what, volume in (("image", image), ("mask", mask)):
            if volume.GetDimension() != 3:
                raise NotVolumeError(f"the {what} has {volume.GetDimension()} dimensions")
        if image.GetNumberOfComponentsPerPixel() != 1:
            raise NotVolumeError(f"the image has {image.GetNumberOfComponentsPerPixel()} numbers a voxel")
        if mask.GetNumberOfComponentsPerPixel() == 1:
            inside = _inside(mask, int(str(self.settings.effective()["label"])))
            if inside.shape == image.GetSize()[::-1]:
                _check_finite(sitk.GetArrayViewFromImage(image)[inside])


def _inside(mask: sitk.Image, label: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    voxels = sitk.GetArrayFromImage(sitk.Cast(mask, sitk.sitkUInt32))
    inside: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = voxels == label
    if not inside.any():
        present = [int(value) for value in np.unique(voxels) if value]
        if not present:
            raise EmptyMaskError("no voxel of the mask is outlined")
        shown = ", ".join(str(value) for value in present[:10])
        raise LabelAbsentError(f"label {label} is not in the mask; it has {shown}")
    return inside


def _check_finite(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> None:
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise NonfiniteVoxelsError(f"{bad} of {values.size} voxels of the region are NaN or infinite")


def _extractor(settings: ExtractionSettings) -> RadiomicsFeatureExtractor:
    with _silent():
        made = RadiomicsFeatureExtractor(additionalInfo=False)
    stated = {key: value for key, value in settings.setting.items() if key != "enableCExtensions"}
    made.settings.update({**stated, "additionalInfo": False, "geometryTolerance": None})
    made.enabledImagetypes = {name: dict(keys) for name, keys in settings.image_types.items()}
    made.enabledFeatures = {
        family: list(features)
        for family, features in settings.feature_classes.items()
        if _is_possible(family, settings)
    }
    return made


def _is_possible(family: str, settings: ExtractionSettings) -> bool:
    return family != "shape2D" or settings.effective()["force2D"] is True


@contextmanager
def _quiet(settings: ExtractionSettings) -> Iterator[None]:
    """Silences PyRadiomics, and gives ITK the settings' tolerance and one thread, while the block runs."""
    tolerance = settings.effective()["geometryTolerance"]
    process = sitk.ProcessObject
    before = process.GetGlobalDefaultCoordinateTolerance(), process.GetGlobalDefaultDirectionTolerance()
    now = _ITK_TOLERANCE if tolerance is None else float(str(tolerance))
    n_threads = process.GetGlobalDefaultNumberOfThreads()
    process.SetGlobalDefaultCoordinateTolerance(now)
    process.SetGlobalDefaultDirectionTolerance(now)
    process.SetGlobalDefaultNumberOfThreads(1)  # sums over threads would depend on how many there are
    try:
        with _silent(), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        process.SetGlobalDefaultCoordinateTolerance(before[0])
        process.SetGlobalDefaultDirectionTolerance(before[1])
        process.SetGlobalDefaultNumberOfThreads(n_threads)


@contextmanager
def _silent() -> Iterator[None]:
    log = logging.getLogger("radiomics")
    level = log.level
    log.setLevel(_QUIET)
    try:
        yield
    finally:
        log.setLevel(level)


def _from_first_voxel(crop: sitk.Image, whole: WholeImage) -> sitk.Image:
    """Returns the crop with zeros in front, so that its first voxel is the whole image's.

    PyRadiomics lays its resampling grid from the first voxel of what it is given. Where that grid meets the image's
    own, an integer image comes back exactly but for the last bit, and ITK then cuts off the fraction and does not
    round: there a value of the whole image may differ by one unit from that of a crop, as it does between platforms.
    """
    padded = sitk.ConstantPad(crop, whole.lower, (0, 0, 0), 0)
    padded.SetOrigin(whole.origin_mm)
    return padded


def _refusal(error: Exception, image: sitk.Image, mask: sitk.Image) -> ExtractionError:
    if "mismatch" in str(error) or "physical space" in str(error):
        differences = compare_grids(Grid.of(image), Grid.of(mask), 0.0)
        return GridMismatchError(f"the mask's grid differs: {'; '.join(differences) or error}")
    reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    return RegionRefusedError(f"PyRadiomics: {reason}")


def _number(value: object) -> float:
    return float(np.real(np.asarray(value).item()))


def _check_filters(settings: ExtractionSettings) -> None:
    if "LBP2D" in settings.image_types and importlib.util.find_spec("skimage") is None:
        raise EngineError("LBP2D of PyRadiomics needs scikit-image", remedy="pip install scikit-image")
    if "LBP3D" in settings.image_types and not _has_lbp3d():
        raise EngineError(
            "LBP3D of PyRadiomics needs trimesh and a scipy below 1.17; with others it silently returns nothing",
            remedy="remove LBP3D, use the engine fast, or install these in an environment of their own",
        )


def _has_lbp3d() -> bool:
    """Returns whether what PyRadiomics itself tries to import is there."""
    needed = {
        "scipy.ndimage.interpolation": "map_coordinates",
        "scipy.special": "sph_harm",
        "trimesh.creation": "icosphere",
    }
    try:
        return all(hasattr(importlib.import_module(module), name) for module, name in needed.items())
    except ImportError:
        return False
