"""What every extraction engine is: image and mask in, named numbers out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import SimpleITK as sitk

from featurestore.errors import CaseError, InputError
from pipelines.images.files import DamagedImageError, read_image

Features = dict[str, float]
"""Values under PyRadiomics's names and in its order; NaN where a feature is not defined for the region."""


class EngineError(InputError):
    """An engine cannot do what the settings ask, or is not installed."""


class ExtractionError(CaseError):
    """Features of this one region cannot be computed."""

    code = "extraction_refused"
    default_remedy = "look at the region in a viewer; correct the mask, or put the case aside"


class UnreadableError(ExtractionError):
    """The file is no image."""

    code = "unreadable"
    default_remedy = "open it in a viewer; a stored case is made anew by `radmill ingest`"


@dataclass(frozen=True, kw_only=True)
class WholeImage:
    """What a stored crop does not show of the image it was cut from.

    Args:
        mean: The mean of all its voxels.
        sd: Their standard deviation as ITK computes it (divisor n − 1).
        minimum: The smallest of them.
        maximum: The largest of them.
        size: Its size in voxels along x, y, z.
        lower: The index in it of the crop's first voxel.
        origin_mm: Where its first voxel lies in the patient; computed from the crop's it would be rounded.
        beyond: What a filter sees that looks beyond the crop into the image: `refuse` says that more should have been
            stored; `repeat` is the crop's edge again, for a region that was moved or grown after it was stored.
    """

    mean: float
    sd: float
    minimum: float
    maximum: float
    size: tuple[int, int, int]
    lower: tuple[int, int, int]
    origin_mm: tuple[float, float, float]
    beyond: Literal["refuse", "repeat"] = "refuse"


class Extractor(Protocol):
    """An extraction engine, made from settings."""

    def names(self) -> tuple[str, ...]:
        """Returns the features it computes, in order, without an image."""
        ...

    def execute(self, image: sitk.Image | Path, mask: sitk.Image | Path, whole: WholeImage | None = None) -> Features:
        """Computes the features of one region.

        Args:
            image: A 3D image, or the path of its file.
            mask: Its mask; the region has the value `label` of the settings.
            whole: What it was cut from, when it is a crop.

        Raises:
            ExtractionError: The region cannot be measured.
        """
        ...


def as_image(source: sitk.Image | Path | str) -> sitk.Image:
    """Returns the image itself, or the one in the file.

    A stored case gets its grid in double precision; other formats are read as ITK reads them.

    Raises:
        UnreadableError: The file is missing or no image.
    """
    if isinstance(source, sitk.Image):
        return source
    path = Path(source)
    try:
        return read_image(path) if path.name.endswith((".nii", ".nii.gz")) else _read_other(path)
    except DamagedImageError as error:
        raise UnreadableError(error.what, where=error.where) from error


def _read_other(path: Path) -> sitk.Image:
    if not path.is_file():
        raise UnreadableError("there is no such file", where=path.name)
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].rsplit("ITK ERROR: ", maxsplit=1)[-1]
        raise UnreadableError(reason.replace(f"{path.parent}/", ""), where=path.name) from error
