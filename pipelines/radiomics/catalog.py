"""The catalogue of features: names for given settings, without an image, and what each one is.

Names and their order are PyRadiomics's: shape first, then image by image, class by class.
"""

import itertools
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pipelines.radiomics.definitions import FeatureDefinition, feature_definitions
from pipelines.radiomics.settings import ExtractionSettings

if TYPE_CHECKING:
    from featurestore.schemas import Column

FAMILIES = {
    "shape": "shape",
    "shape2D": "shape in the plane",
    "firstorder": "first-order statistics",
    "glcm": "gray-level co-occurrence matrix",
    "gldm": "gray-level dependence matrix",
    "glrlm": "gray-level run-length matrix",
    "glszm": "gray-level size-zone matrix",
    "ngtdm": "neighboring gray-tone difference matrix",
}

FORMULA_CLASSES = {
    "shape": "radiomics.shape.RadiomicsShape",
    "shape2D": "radiomics.shape2D.RadiomicsShape2D",
    "firstorder": "radiomics.firstorder.RadiomicsFirstOrder",
    "glcm": "radiomics.glcm.RadiomicsGLCM",
    "gldm": "radiomics.gldm.RadiomicsGLDM",
    "glrlm": "radiomics.glrlm.RadiomicsGLRLM",
    "glszm": "radiomics.glszm.RadiomicsGLSZM",
    "ngtdm": "radiomics.ngtdm.RadiomicsNGTDM",
}
"""Where PyRadiomics documents each formula (https://pyradiomics.readthedocs.io/en/latest/features.html)."""

_NOTES = {
    ("glcm", "MCC"): "; with PyRadiomics's epsilon in the denominator, up to 4e-8 beside the true value",
    ("firstorder", "Kurtosis"): "; not reduced by 3",
}

_PLAIN_IMAGES = {
    "Original": ("original", "original image"),
    "Square": ("square", "squared image"),
    "SquareRoot": ("squareroot", "image of square roots"),
    "Logarithm": ("logarithm", "image of logarithms"),
    "Exponential": ("exponential", "image of exponentials"),
    "Gradient": ("gradient", "image of gradient magnitudes"),
    "LBP2D": ("lbp-2D", "image of local binary patterns in slices"),
}

_ABBREVIATIONS = {
    "Id": "inverse difference",
    "Idn": "normalized inverse difference",
    "Idm": "inverse difference moment",
    "Idmn": "normalized inverse difference moment",
    "Imc1": "first informational measure of correlation",
    "Imc2": "second informational measure of correlation",
    "MCC": "maximal correlation coefficient",
}


def images(settings: ExtractionSettings) -> dict[str, str]:
    """Returns the images that features are computed on, in order: PyRadiomics's name and what it is in words."""
    named: dict[str, str] = {}
    for image_type in settings.image_types:
        named |= _images_of(image_type, settings.effective(image_type))
    return named


def names(settings: ExtractionSettings) -> tuple[str, ...]:
    """Returns the names of all features under these settings, in PyRadiomics's order.

    A region or image that is too small for a filter has no value for its features.
    """
    return tuple(_definitions(settings))


def columns(settings: ExtractionSettings) -> "tuple[Column, ...]":
    """Returns the features as declared columns with unit, description and IBSI code."""
    words = images(settings)
    return tuple(_column(name, definition, words) for name, definition in _definitions(settings).items())


def columns_of_phases(by_phase: Iterable[ExtractionSettings]) -> "tuple[Column, ...]":
    """Returns the union of the columns of several settings, in the order in which they first occur."""
    united: dict[str, Column] = {}
    for settings in by_phase:
        united |= {column.name: column for column in columns(settings) if column.name not in united}
    return tuple(united.values())


def _definitions(settings: ExtractionSettings) -> dict[str, FeatureDefinition]:
    shapes = [family for family in ("shape", "shape2D") if _has(settings, family)]
    textures = [family for family in settings.feature_classes if not family.startswith("shape")]
    pairs = [("original", family) for family in shapes]
    pairs += list(itertools.product(images(settings), textures))
    known = feature_definitions()
    return {
        f"{image}_{family}_{feature}": known[family, feature]
        for image, family in pairs
        for feature in settings.feature_classes[family]
        if known[family, feature].status != "removed"
    }


def _has(settings: ExtractionSettings, family: str) -> bool:
    enabled = family in settings.feature_classes
    return enabled and (family != "shape2D" or settings.effective()["force2D"] is True)


def _images_of(image_type: str, now: dict[str, object]) -> dict[str, str]:
    if image_type in _PLAIN_IMAGES:
        name, words = _PLAIN_IMAGES[image_type]
        return {name: words}
    return {"LoG": _log_images, "Wavelet": _wavelet_images, "LBP3D": _lbp3d_images}[image_type](now)


def _log_images(now: dict[str, object]) -> dict[str, str]:
    sigmas = now["sigma"]
    assert isinstance(sigmas, list)
    return {
        f"log-sigma-{str(sigma).replace('.', '-')}-mm-3D": f"Laplacian of Gaussian ({sigma:g} mm) image"
        for sigma in sigmas
    }


def _wavelet_images(now: dict[str, object]) -> dict[str, str]:
    n_axes = 2 if now["force2D"] else 3
    bands = ["".join(letters) for letters in itertools.product("LH", repeat=n_axes)]
    low, *details = bands
    levels = int(str(now["level"]))
    named = [(level, band) for level in range(1, levels + 1) for band in details] + [(levels, low)]
    return {
        f"wavelet{level if level > 1 else ''}-{band}": f"wavelet ({now['wavelet']}, level {level}, {band}) image"
        for level, band in named
    }


def _lbp3d_images(now: dict[str, object]) -> dict[str, str]:
    levels = range(1, int(str(now["lbp3DLevels"])) + 1)
    named = {f"lbp-3D-m{level}": f"image of local binary patterns in 3D, harmonic level {level}" for level in levels}
    return {**named, "lbp-3D-k": "image of local binary patterns in 3D, kurtosis"}


def _column(name: str, definition: FeatureDefinition, words: dict[str, str]) -> "Column":
    # Arrow takes memory and time to load: who only extracts needs names, and no columns.
    from featurestore.schemas import Column

    image = name.split("_", 1)[0]
    what = f"{_spelled(definition.feature)} ({FAMILIES[definition.family]})"
    place = "of the region" if definition.family.startswith("shape") else f"on the {words[image]}"
    note = _NOTES.get((definition.family, definition.feature), "")
    return Column(
        name=name,
        unit=definition.unit,
        description=f"{what} {place}{note}",
        code=definition.ibsi,
        source=f"PyRadiomics {FORMULA_CLASSES[definition.family]}.get{definition.feature}FeatureValue",
    )


def _spelled(feature: str) -> str:
    if feature in _ABBREVIATIONS:
        return _ABBREVIATIONS[feature]
    percentile = re.fullmatch(r"(\d+)Percentile", feature)
    if percentile:
        return f"{percentile[1]}th percentile"
    words = re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=D)(?=D[a-z])", " ", feature).lower()
    return words.replace("2d", "2D").replace("3d", "3D")
