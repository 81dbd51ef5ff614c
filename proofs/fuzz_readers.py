"""What other readers make of an image: GDCM (in SimpleITK) for DICOM, nibabel for NIfTI, pynrrd for NRRD."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

_TO_LPS = np.diag([-1.0, -1.0, 1.0])
_UNITS_MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
SPACING_SHARE, POSITION_MM, COSINE, VALUE_SHARE = 1e-4, 2e-3, 1.5e-3, 1e-6
"""How far two readers may differ: positions and cosines are told with few decimals, and NIfTI's in single precision."""


class NoOtherReaderError(Exception):
    """The independent reader does not take the file."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """An image as one reader sees it: voxels (z, y, x), the grid in LPS, axes as columns; none if untold."""

    reader: str
    voxels: NDArray[Any]
    spacing_mm: NDArray[np.float64]
    origin_mm: NDArray[np.float64] | None
    axes: NDArray[np.float64] | None


def seen_by_others(folder: Path) -> Seen:
    """Returns the image in a patient's folder as the independent reader of its kind sees it.

    Raises:
        NoOtherReaderError: That reader refuses it.
    """
    for name in ("ct.nii.gz", "ct.nii", "ct.nrrd"):
        if (folder / name).is_file():
            return seen_volume(folder / name)
    return _gdcm(folder)


def seen_volume(path: Path) -> Seen:
    """Returns a NIfTI or NRRD file as nibabel or pynrrd sees it."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return _nrrd(path) if path.suffix == ".nrrd" else _nifti(path)
    except Exception as error:
        raise NoOtherReaderError(f"{type(error).__name__}: {error}") from error


def differences(seen: Seen, voxels: NDArray[Any], spacing: Any, origin: Any, direction: Any) -> list[str]:
    """Returns in what another reader sees another image than the one given, of which `voxels` may be all."""
    found = []
    if seen.voxels.shape != voxels.shape:
        return [f"shape {voxels.shape}, others see {seen.voxels.shape}"]
    if not np.allclose(spacing, seen.spacing_mm, rtol=SPACING_SHARE, atol=0):
        found.append(f"spacing {spacing}, others see {seen.spacing_mm}")
    if seen.origin_mm is not None and not np.allclose(origin, seen.origin_mm, rtol=1e-6, atol=POSITION_MM):
        found.append(f"origin {origin}, others see {seen.origin_mm}")
    if seen.axes is not None and np.abs(np.reshape(direction, (3, 3)) - seen.axes).max() > COSINE:
        found.append(f"direction {direction}, others see {seen.axes.ravel()}")
    with np.errstate(all="ignore"):
        off = np.abs(voxels.astype(np.float64) - seen.voxels.astype(np.float64))
        allowed = VALUE_SHARE * np.maximum(np.abs(seen.voxels.astype(np.float64)), 1.0)
    same = (off <= allowed) | (voxels == seen.voxels) | (np.isnan(voxels) & np.isnan(seen.voxels))
    if not same.all():
        found.append(f"{int((~same).sum())} voxels differ by up to {np.nanmax(off):.6g}")
    return found


def _nifti(path: Path) -> Seen:
    image = nib.Nifti1Image.from_bytes(_plain(path))
    header = image.header
    scale = _UNITS_MM.get(str(header.get_xyzt_units()[0]), 1.0)
    data = np.asanyarray(image.dataobj)
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    affine = image.affine
    has_form = int(header["qform_code"]) > 0 or int(header["sform_code"]) > 0
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return Seen(
        reader="nibabel",
        voxels=data.transpose(2, 1, 0),
        spacing_mm=spacing * scale,
        origin_mm=_TO_LPS @ affine[:3, 3] * scale if has_form else None,
        axes=_TO_LPS @ affine[:3, :3] / spacing if has_form else None,
    )


def _plain(path: Path) -> bytes:
    import gzip

    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def _nrrd(path: Path) -> Seen:
    data, header = nrrd.read(str(path))
    turn = {"right-anterior-superior": _TO_LPS, "ras": _TO_LPS}.get(str(header.get("space", "")).lower(), np.eye(3))
    vectors = header.get("space directions")
    if vectors is None:
        return Seen(reader="pynrrd", voxels=data.transpose(2, 1, 0), origin_mm=None, axes=None,
                    spacing_mm=np.asarray(header["spacings"], float))  # fmt: skip
    columns = turn @ np.asarray(vectors, float).T
    spacing = np.linalg.norm(columns, axis=0)
    origin = header.get("space origin")
    return Seen(
        reader="pynrrd",
        voxels=data.transpose(2, 1, 0),
        spacing_mm=spacing,
        origin_mm=None if origin is None else turn @ np.asarray(origin, float),
        axes=columns / spacing,
    )


def _gdcm(folder: Path) -> Seen:
    """Returns the largest series in a folder; of slices at one place only the first counts."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    names: list[str] = []
    try:
        for series in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
            files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series)
            names = max(names, [name for name in files if not _name(name).startswith(("RS", "SEG"))], key=len)
        names = _one_a_place(names)
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(names)
        reader.SetOutputPixelType(sitk.sitkFloat64)  # it would else cut every slice to the type of the first
        image = reader.Execute()
    except RuntimeError as error:
        raise NoOtherReaderError(str(error).strip().splitlines()[-1]) from error
    voxels = sitk.GetArrayFromImage(image)
    if voxels.ndim != 3:
        raise NoOtherReaderError(f"{voxels.ndim} dimensions")
    return Seen(
        reader="GDCM",
        voxels=voxels,
        spacing_mm=np.asarray(image.GetSpacing()),
        origin_mm=np.asarray(image.GetOrigin()),
        axes=np.reshape(image.GetDirection(), (3, 3)),
    )


def _one_a_place(names: list[str]) -> list[str]:
    first: dict[str, str] = {}
    for name in names:
        reader = sitk.ImageFileReader()
        reader.SetFileName(name)
        reader.ReadImageInformation()
        if "LOCALIZER" not in _metadata(reader, "0008|0008"):
            first.setdefault(_metadata(reader, "0020|0032"), name)
    return list(first.values())


def _metadata(reader: sitk.ImageFileReader, key: str) -> str:
    return reader.GetMetaData(key) if reader.HasMetaDataKey(key) else ""


def _name(path: str) -> str:
    return path.rsplit("/", maxsplit=1)[-1]
