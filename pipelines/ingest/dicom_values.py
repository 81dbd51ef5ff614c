"""Values of DICOM data sets, read so that one that breaks a rule of form stops nothing."""

import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from featurestore.errors import CaseError
from pipelines.ingest.problems import TruncatedFileError, UnreadableError

_UNDEFINED_LENGTH = 0xFFFFFFFF
_ELEMENT_BYTES = 8
"""Tag and length, with which every value begins."""

CUT = (EOFError, OSError, struct.error, BytesLengthException)
"""What pydicom raises where a file ends early."""


def ends_early(error: Exception) -> bool:
    """Returns whether an error of `CUT` means that the file ended too soon, and not that the disk failed."""
    return not isinstance(error, OSError) or error.errno is None


def read_whole(path: Path, what: str) -> FileDataset:
    """Reads all of a DICOM file.

    Args:
        path: The file.
        what: How messages call it.

    Raises:
        TruncatedFileError: It ends early.
        UnreadableError: It is no DICOM file.
    """
    with readable(f"the {what}"):
        try:
            dataset = dcmread(path)
        except InvalidDicomError as error:
            raise UnreadableError(f"the {what} is no DICOM file") from error
        except CUT as error:
            if not ends_early(error):
                raise
            raise TruncatedFileError(f"the {what} ends early") from error
        if drop_cut_value(dataset):
            raise TruncatedFileError(f"the {what} ends inside a value")
        return dataset


def drop_cut_value(dataset: FileDataset) -> bool:
    """Returns whether the file ended inside the last value, which pydicom then hands out short; and removes it."""
    last = dataset.get_item(max(dataset.keys(), default=BaseTag(0))) if dataset else None
    if (
        not isinstance(last, RawDataElement)
        or last.length == _UNDEFINED_LENGTH
        or len(last.value or b"") >= last.length
    ):
        return False
    del dataset[last.tag]
    return True


def stray_end(dataset: FileDataset, n_bytes: int) -> int:
    """Returns how many bytes follow the last value and begin none: then some were inserted before, and all is shifted.

    Args:
        dataset: A file of whose values none was looked at.
        n_bytes: Its size.
    """
    last = dataset.get_item(max(dataset.keys(), default=BaseTag(0))) if dataset else None
    if not isinstance(last, RawDataElement) or last.length == _UNDEFINED_LENGTH:
        return 0
    if dataset.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian and dataset.buffer is not None:
        n_bytes = dataset.buffer.seek(0, os.SEEK_END)  # it counts in what was unpacked
    behind = n_bytes - last.value_tell - last.length
    return behind if 0 < behind < _ELEMENT_BYTES else 0


@contextmanager
def quiet() -> Iterator[None]:
    """Lets pydicom read values that break a length or character rule, without a warning for each."""
    with disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Reads quietly, and lays whatever pydicom raises to the file: a damaged one may break it in any way.

    Raises:
        UnreadableError: pydicom broke.
    """
    with quiet():
        try:
            yield
        except CaseError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and not ends_early(error):
                raise
            raise UnreadableError(f"{what} cannot be read ({type(error).__name__})") from error


def number(dataset: Dataset, keyword: str) -> float | None:
    """Returns a numeric value of the data set or its shared functional groups; none if absent or no number."""
    value = found(dataset, keyword)
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...] | None:
    """Returns a multi-valued number of the data set or its shared functional groups; none if absent or no numbers."""
    value = found(dataset, keyword)
    try:
        return None if value is None else tuple(float(part) for part in value)
    except (TypeError, ValueError):
        return None


def found(dataset: Dataset, keyword: str) -> Any:
    """Returns a value from the top of the data set, else from its shared functional groups, else none."""
    value = dataset.get(keyword)
    if value not in (None, ""):
        return value
    for group in dataset.get("SharedFunctionalGroupsSequence") or ():
        for element in group:
            inner = element.value[0] if element.VR == "SQ" and element.value else {}
            if inner.get(keyword) not in (None, ""):
                return inner.get(keyword)
    return None


def text(dataset: Dataset, keyword: str) -> str:
    """Returns a value as stripped text, several joined by a backslash as DICOM writes them; empty if absent."""
    value = found(dataset, keyword)
    parts = value if isinstance(value, MultiValue) else [value]
    return "\\".join(str(part).strip() for part in parts if part is not None)


def seconds(value: object) -> float | None:
    """Returns a time of day (TM, such as `145427.5`) in seconds; none if it is no time."""
    digits = str(value or "").strip().replace(":", "")
    try:
        return (
            int(digits[:2]) * 3600.0 + int(digits[2:4] or 0) * 60.0 + float(digits[4:].split("+")[0].split("-")[0] or 0)
        )
    except ValueError:
        return None
