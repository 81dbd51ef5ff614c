"""What PyRadiomics defines: feature classes with their features, image types, and the legal values of every key.

Legality is a table and is checked once, in `settings`. The tables were written down from PyRadiomics 3.1.0's
parameter schema and documentation (https://pyradiomics.readthedocs.io/en/latest/customization.html).
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

FEATURE_CLASSES = ("firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm", "shape", "shape2D")
"""In the order in which PyRadiomics computes them when nothing is said."""


@dataclass(frozen=True, kw_only=True)
class FeatureDefinition:
    """One feature of PyRadiomics.

    Args:
        family: Its feature class.
        feature: Its name there.
        status: `deprecated` features are computed only when named; `removed` ones give no value any more.
        unit: Its unit; empty where it has none; `intensity` is the unit of the image.
        ibsi: Its code in the reference manual of the Image Biomarker Standardisation Initiative.
        same_as: The feature that a removed one equals.
    """

    family: str
    feature: str
    status: Literal["current", "deprecated", "removed"]
    unit: str
    ibsi: str
    same_as: str


@cache
def feature_definitions() -> dict[tuple[str, str], FeatureDefinition]:
    """Returns every feature by class and name, in PyRadiomics's order within a class.

    Source: the codes are those of PyRadiomics's own map (`labs/pyradiomics-dcm`), its slips in the names of size-zone
    features corrected.
    """
    text = files("pipelines.radiomics").joinpath("features.csv").read_text(encoding="utf-8")
    rows = [FeatureDefinition(**row) for row in csv.DictReader(text.splitlines())]  # type: ignore[arg-type]
    return {(row.family, row.feature): row for row in rows}


def feature_names(family: str, *, status: tuple[str, ...] = ("current",)) -> tuple[str, ...]:
    """Returns the features of a class with one of the given statuses."""
    return tuple(row.feature for row in feature_definitions().values() if row.family == family and row.status in status)


@dataclass(frozen=True, kw_only=True)
class Legal:
    """What a key may hold.

    Args:
        kind: The type of the value, or of each item of a list.
        default: What PyRadiomics takes when the key is left out.
        minimum: The smallest value allowed.
        above: The value must be larger than this.
        maximum: The largest value allowed.
        choices: The only values allowed.
        lengths: For a list, how many items it may have; empty for a single value.
        optional: Whether null is allowed.
        decides: Whether the key can change a feature's value.
    """

    kind: type
    default: object = None
    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    choices: tuple[object, ...] = ()
    lengths: tuple[int, ...] = ()
    optional: bool = False
    decides: bool = True

    def allowed(self) -> str:
        """Returns what is allowed, in words."""
        if self.choices:
            words = "one of " + ", ".join(str(choice) for choice in self.choices)
        else:
            limits = {"at least": self.minimum, "above": self.above, "at most": self.maximum}
            stated = [f"{word} {limit:g}" for word, limit in limits.items() if limit is not None]
            words = " ".join([{bool: "true or false", int: "a whole number", float: "a number"}[self.kind], *stated])
        if self.lengths:
            counts = "one or more" if self.lengths == ANY_LENGTH else " or ".join(str(n) for n in self.lengths)
            words = f"a list of {counts}, each {words}"
        return f"{words}, or null" if self.optional else words


ANY_LENGTH = tuple(range(1, 65))

INTERPOLATORS = (
    "sitkNearestNeighbor",
    "sitkLinear",
    "sitkBSpline",
    "sitkGaussian",
    "sitkLabelGaussian",
    "sitkHammingWindowedSinc",
    "sitkCosineWindowedSinc",
    "sitkWelchWindowedSinc",
    "sitkLanczosWindowedSinc",
    "sitkBlackmanWindowedSinc",
    *range(1, 11),
)

LOADING: Mapping[str, Legal] = {
    "label": Legal(kind=int, default=1, above=0),
    "label_channel": Legal(kind=int, default=0, minimum=0),
    "geometryTolerance": Legal(kind=float, above=0, optional=True),
    "correctMask": Legal(kind=bool, default=False),
    "minimumROIDimensions": Legal(kind=int, default=2, minimum=1, maximum=3),
    "minimumROISize": Legal(kind=int, above=0, optional=True),
    "normalize": Legal(kind=bool, default=False),
    "normalizeScale": Legal(kind=float, default=1.0, above=0),
    "removeOutliers": Legal(kind=float, above=0, optional=True),
    "resampledPixelSpacing": Legal(kind=float, minimum=0, lengths=(3,), optional=True),
    "interpolator": Legal(kind=object, default="sitkBSpline", choices=INTERPOLATORS, optional=True),
    "padDistance": Legal(kind=int, default=5, minimum=0),
    "preCrop": Legal(kind=bool, default=False),
    "resegmentRange": Legal(kind=float, lengths=(1, 2), optional=True),
    "resegmentMode": Legal(kind=str, default="absolute", choices=("absolute", "relative", "sigma")),
    "resegmentShape": Legal(kind=bool, default=False),
    "additionalInfo": Legal(kind=bool, default=True, decides=False),
    "enableCExtensions": Legal(kind=bool, default=True, decides=False),
}
"""Keys that act before any filter; under an image type they would do nothing."""

FEATURES: Mapping[str, Legal] = {
    "binWidth": Legal(kind=float, default=25.0, above=0),
    "binCount": Legal(kind=int, above=0, optional=True),
    "force2D": Legal(kind=bool, default=False),
    "force2Ddimension": Legal(kind=int, default=0, minimum=0, maximum=2),
    "distances": Legal(kind=int, default=[1], above=0, lengths=ANY_LENGTH),
    "weightingNorm": Legal(kind=str, choices=("euclidean", "manhattan", "infinity", "no_weighting"), optional=True),
    "symmetricalGLCM": Legal(kind=bool, default=True),
    "gldm_a": Legal(kind=int, default=0, minimum=0),
    "voxelArrayShift": Legal(kind=int, default=0),
}
"""Keys that feature classes read; an image type may override them."""

FILTERS: Mapping[str, Mapping[str, Legal]] = {
    "Original": {},
    "LoG": {"sigma": Legal(kind=float, default=[], above=0, lengths=ANY_LENGTH)},
    "Wavelet": {
        "wavelet": Legal(kind=str, default="coif1"),
        "level": Legal(kind=int, default=1, above=0),
        "start_level": Legal(kind=int, default=0, minimum=0),
    },
    "Square": {},
    "SquareRoot": {},
    "Logarithm": {},
    "Exponential": {},
    "Gradient": {"gradientUseSpacing": Legal(kind=bool, default=True)},
    "LBP2D": {
        "lbp2DRadius": Legal(kind=float, default=1.0, above=0),
        "lbp2DSamples": Legal(kind=int, default=8, minimum=1),
        "lbp2DMethod": Legal(kind=str, default="uniform", choices=("default", "ror", "uniform", "var")),
    },
    "LBP3D": {
        "lbp3DLevels": Legal(kind=int, default=2, minimum=1),
        "lbp3DIcosphereRadius": Legal(kind=float, default=1.0, above=0),
        "lbp3DIcosphereSubdivision": Legal(kind=int, default=1, minimum=0),
    },
}
"""Image types, each with the keys of its filter."""

WHOLE_IMAGE_FILTERS = ("Square", "SquareRoot", "Logarithm", "Exponential")
"""Filters that scale by the largest magnitude in the whole image."""

SETTINGS: Mapping[str, Legal] = {
    **LOADING,
    **FEATURES,
    **{key: legal for keys in FILTERS.values() for key, legal in keys.items()},
}
"""All keys that `setting` may hold."""


def override_keys(image_type: str) -> Mapping[str, Legal]:
    """Returns the keys that may stand under an image type."""
    return {**FILTERS[image_type], **FEATURES}
