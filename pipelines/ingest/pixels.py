"""Decodes the pixels of slices and turns stored numbers into values."""

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.pixels import get_decoder
from pydicom.uid import UID, ImplicitVRLittleEndian

from pipelines.ingest.dicom_values import drop_cut_value, found, number, quiet, readable, stray_end, text
from pipelines.ingest.problems import (
    CompressionError,
    NonfiniteVoxelsError,
    NotGrayError,
    TooLargeError,
    TruncatedFileError,
    UnreadableError,
)
from pipelines.ingest.slices import Slice, place

LARGEST_VOXELS = 1 << 31
"""Twice a cube of 1,000 voxels: more than any scanner reconstructs, and 8 GB as single-precision numbers."""

_FEWEST_BITS = 8
"""CT and MR store 10 to 16; programs disagree on what fewer mean."""

_INT16 = np.iinfo(np.int16)


def values_of(slices: Sequence[Slice]) -> NDArray[np.int16] | NDArray[np.float32]:
    """Returns the values of slices as a volume, shape (slices, rows, columns): int16 when exact, else float32.

    A value is stored number × slope + intercept, both of the slice itself, computed in double precision.

    Raises:
        TooLargeError: There are too many.
        NotGrayError: They are colors or inverted grays.
        TruncatedFileError: A file is cut off, or its compressed pixels are damaged.
        CompressionError: No plugin decodes the pixels.
        UnreadableError: A file has no pixels, or other ones than its tags tell.
        NonfiniteVoxelsError: Voxels are no number.
    """
    shape = (len(slices), slices[0].header.rows, slices[0].header.columns)
    if math.prod(shape) > LARGEST_VOXELS:
        raise TooLargeError(f"{shape[2]}×{shape[1]}×{shape[0]} voxels; at most {LARGEST_VOXELS:,} are read")
    volume: NDArray[Any] = np.empty(shape, dtype=np.int16)
    for index, values in enumerate(_each_values(slices)):
        if volume.dtype == np.int16 and not is_int16(values):
            volume = volume.astype(np.float32)
        volume[index] = values
    if not np.isfinite(volume).all():
        raise NonfiniteVoxelsError(f"{int((~np.isfinite(volume)).sum())} voxels are no number")
    return volume


def slice_values(part: Slice) -> NDArray[np.float64]:
    """Returns the values of one slice, shape (rows, columns)."""
    return next(_each_values([part]))


def is_int16(values: NDArray[Any]) -> bool:
    """Returns whether every value is a whole number that 16 bits hold."""
    if not np.isfinite(values).all():
        return False
    return bool(values.min() >= _INT16.min and values.max() <= _INT16.max and (values == np.rint(values)).all())


def decoded_pixels(dataset: FileDataset, where: str) -> NDArray[Any]:
    """Returns the stored numbers of a data set.

    Raises:
        TruncatedFileError: They are cut off, or compressed and damaged.
        CompressionError: No plugin decodes them.
        UnreadableError: There are none.
    """
    syntax = UID(dataset.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian))
    if syntax.is_compressed:
        _check_decoder(syntax, where)
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise TruncatedFileError(f"the file at {where} ends before its pixels")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*non-conformant padding")  # pixels shifted by damaged RLE
            return dataset.pixel_array
    except (ValueError, RuntimeError, EOFError, IndexError) as error:
        fault = "compressed pixels are damaged or cut off" if syntax.is_compressed else "pixels are cut off"
        raise TruncatedFileError(f"{fault} at {where}: {_first_line(error)}") from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged file may break a decoder in any way
        raise UnreadableError(f"pixels at {where} cannot be decoded: {_first_line(error)}") from error


def _each_values(slices: Sequence[Slice]) -> Iterator[NDArray[np.float64]]:
    """Yields the values of each slice; a file is decoded once as long as its slices follow each other."""
    path, stored, slope, intercept = "", np.empty(0), 1.0, 0.0
    for part in slices:
        if part.header.path != path:
            path, (stored, slope, intercept) = part.header.path, _decoded(part)
        yield stored[part.frame].astype(np.float64) * (slope if part.slope is None else part.slope) + (
            intercept if part.intercept is None else part.intercept
        )


def _decoded(part: Slice) -> tuple[NDArray[Any], float, float]:
    """Returns the frames of the slice's file, shape (frames, rows, columns), and its rescale slope and intercept."""
    header = part.header
    with readable(f"the slice at {_where(part)}"):
        dataset = dcmread(header.path)
        stray = stray_end(dataset, os.path.getsize(header.path))
        if stray:
            raise UnreadableError(f"{stray} bytes are too many in the file at {_where(part)}")
        if drop_cut_value(dataset):
            raise UnreadableError(f"the file at {_where(part)} ends inside a value, or bytes were inserted before")
        slope, intercept = _rescale(dataset, "RescaleSlope", 1.0), _rescale(dataset, "RescaleIntercept", 0.0)
        photometric = text(dataset, "PhotometricInterpretation")
        if photometric not in ("", "MONOCHROME2"):
            raise NotGrayError(f"the pixels at {_where(part)} are not MONOCHROME2")
        if (number(dataset, "BitsStored") or _FEWEST_BITS) < _FEWEST_BITS:
            raise UnreadableError(
                f"the pixels at {_where(part)} tell fewer than {_FEWEST_BITS} bits, as no scanner stores"
            )
    with quiet():
        stored = decoded_pixels(dataset, _where(part))
    frames = stored.reshape(-1, *stored.shape[-2:])
    if frames.shape != (header.n_frames, header.rows, header.columns):
        raise UnreadableError(f"the pixels at {_where(part)} have the shape {stored.shape}, other than the tags tell")
    return frames, slope, intercept


def _rescale(dataset: FileDataset, keyword: str, default: float) -> float:
    """Returns slope or intercept; a tag that is there and no number decides values, and is not passed over."""
    value = number(dataset, keyword)
    if value is None and found(dataset, keyword) is not None:
        raise UnreadableError(f"{keyword} is no number")
    if value == 0 and keyword == "RescaleSlope":
        raise UnreadableError("RescaleSlope is 0, which would make every value the same")
    return default if value is None else value


def _check_decoder(syntax: UID, where: str) -> None:
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise CompressionError(
            f"pixels at {where} are compressed as {syntax.name}, which nothing here decodes"
        ) from error
    if not decoder.is_available:
        plugins = "; ".join(decoder.missing_dependencies)
        raise CompressionError(f"pixels at {where} are compressed as {syntax.name}; plugins: {plugins}")


def _where(part: Slice) -> str:
    return f"{place(part.position_mm, part.normal)} mm"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
