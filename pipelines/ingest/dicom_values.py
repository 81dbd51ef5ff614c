"""Values of DICOM data sets, read so that one that breaks a rule of form stops nothing."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue

CUT = (EOFError, OSError, struct.error, BytesLengthException)
"""What pydicom raises where a file ends early."""


def ends_early(error: Exception) -> bool:
    """Returns whether an error of `CUT` means that the file ended too soon, and not that the disk failed."""
    return not isinstance(error, OSError) or error.errno is None


@contextmanager
def quiet() -> Iterator[None]:
    """Lets pydicom read values that break a length or character rule, without a warning for each."""
    with disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


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
    value = found(dataset, keyword)
    parts = value if isinstance(value, MultiValue) else [value]
    return "\\".join(str(part).strip() for part in parts if part is not None)


def seconds(value: object) -> float | None:
    digits = str(value or "").strip().replace(":", "")
    try:
        return (
            int(digits[:2]) * 3600.0 + int(digits[2:4] or 0) * 60.0 + float(digits[4:].split("+")[0].split("-")[0] or 0)
        )
    except ValueError:
        return None
