"""One image and its mask as a person names them: NIfTI or NRRD files, a DICOM folder, an RTSTRUCT or DICOM-SEG file."""

from collections.abc import Callable
from pathlib import Path

import SimpleITK as sitk

from featurestore.errors import InputError
from pipelines.ingest.dicom_header import read_header
from pipelines.ingest.dicom_seg import read_dicom_seg
from pipelines.ingest.dicom_series import read_series
from pipelines.ingest.headers import DicomHeader
from pipelines.ingest.nifti import read_volume
from pipelines.ingest.rtstruct import read_rtstruct

READERS: dict[str, Callable[[Path, sitk.Image, str], dict[str, sitk.Image]]] = {
    "rtstruct": read_rtstruct,
    "seg": read_dicom_seg,
}


class PairError(InputError):
    """The image or the mask is not one thing that can be read."""


def read_pair(image: Path, mask: Path, roi_pattern: str) -> tuple[sitk.Image, sitk.Image]:
    """Reads an image and the mask drawn on it.

    Args:
        image: A NIfTI or NRRD file, or a folder with one DICOM series.
        mask: A NIfTI or NRRD file, an RTSTRUCT or DICOM-SEG file, or a folder that holds one.
        roi_pattern: Which ROI or segment, where the mask is DICOM.

    Raises:
        PairError: A folder holds no series or several, or no structure set.
        CaseError: A file cannot be read.
    """
    picture = _series(image) if image.is_dir() else read_volume(image)
    header = _structure(mask)
    if header is None:
        return picture, read_volume(mask)
    regions = READERS[header.kind](Path(header.path), picture, roi_pattern)
    if len(regions) > 1:
        raise PairError(
            f"several regions match: {', '.join(sorted(regions))}",
            where=mask.name,
            remedy="name one with --roi, a regular expression on its name",
        )
    return picture, next(iter(regions.values()))


def _headers(folder: Path) -> list[DicomHeader]:
    found = (read_header(path) for path in sorted(folder.rglob("*")) if path.is_file())
    return [header for header in found if header is not None]


def _series(folder: Path) -> sitk.Image:
    headers = _headers(folder)
    images = [header for header in headers if header.kind == "image"]
    series = sorted({header.series_uid for header in images})
    if any(header.kind in READERS and header.series_uid in series for header in headers):
        raise PairError(
            "a file of the series says that it is no image but a mask",
            where=folder.name,
            remedy="export the series again; its files contradict each other",
        )
    if len(series) != 1:
        raise PairError(
            f"{len(series)} DICOM series in the folder, expected one", where=folder.name, remedy="name its own folder"
        )
    return read_series(images)[0]


def _structure(mask: Path) -> DicomHeader | None:
    if mask.is_file():
        header = read_header(mask)
        return header if header is not None and header.kind in READERS else None
    found = [header for header in _headers(mask) if header.kind in READERS]
    if len(found) != 1:
        raise PairError(
            f"{len(found)} structure sets in the folder, expected one", where=mask.name, remedy="name the file itself"
        )
    return found[0]
