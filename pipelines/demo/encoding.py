"""Encoding of many DICOM data sets that share most of their elements, each shared element encoded once."""

from io import BytesIO
from typing import TypeAlias

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_data_element, write_file_meta_info

_PREAMBLE = b"\x00" * 128 + b"DICM"

Element: TypeAlias = DataElement | RawDataElement


class Encoder:
    """Encodes data sets as DICOM files; pydicom would encode the 60 equal elements of each slice anew.

    Args:
        is_implicit: Whether the files are in Implicit VR Little Endian, else explicit.
    """

    def __init__(self, *, is_implicit: bool) -> None:
        self._is_implicit = is_implicit
        self._known: dict[int, tuple[Element, bytes]] = {}

    def file_bytes(self, dataset: Dataset) -> bytes:
        """Returns the whole file; an element that is the same object as in an earlier data set is not encoded again."""
        elements: list[Element] = sorted(dataset.values(), key=_tag)
        return _PREAMBLE + _meta_bytes(dataset.file_meta) + b"".join(map(self._element_bytes, elements))

    def _element_bytes(self, element: Element) -> bytes:
        known = self._known.get(id(element))
        if known is None:  # the element is kept with its bytes, so that its id stays its own
            buffer = _buffer(is_implicit=self._is_implicit)
            write_data_element(buffer, element)
            known = self._known[id(element)] = (element, buffer.parent.getvalue())
        return known[1]


def _meta_bytes(meta: FileMetaDataset) -> bytes:
    buffer = _buffer(is_implicit=False)
    write_file_meta_info(buffer, meta, enforce_standard=True)
    content: bytes = buffer.parent.getvalue()
    return content


def _buffer(*, is_implicit: bool) -> DicomIO:
    buffer = DicomIO(BytesIO())
    buffer.is_little_endian = True
    buffer.is_implicit_VR = is_implicit
    return buffer


def _tag(element: Element) -> int:
    return int(element.tag)
