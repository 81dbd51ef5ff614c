"""How large a deflated DICOM file becomes, found out before pydicom unpacks it at once."""

import zlib
from typing import BinaryIO

from pydicom.errors import InvalidDicomError
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.uid import DeflatedExplicitVRLittleEndian

from pipelines.ingest.problems import TooLargeError

LARGEST_BYTES = 1 << 30
"""No deflated file that a scanner writes unpacks to more; the syntax is for what compresses well, such as masks."""

_CHUNK_BYTES = 1 << 20


def check_inflated(handle: BinaryIO) -> None:
    """Unpacks a deflated file in pieces, keeps none, and leaves the handle at the beginning.

    Raises:
        TooLargeError: It becomes too large.
    """
    try:
        read_preamble(handle, False)
        meta = _read_file_meta_info(handle)
    except InvalidDicomError:
        handle.seek(0)
        return
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        _walk(handle)
    handle.seek(0)


def _walk(handle: BinaryIO) -> None:
    unpacker, seen = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not unpacker.eof and (packed := unpacker.unconsumed_tail or handle.read(_CHUNK_BYTES)):
        try:
            seen += len(unpacker.decompress(packed, _CHUNK_BYTES))
        except zlib.error:
            return  # pydicom says so
        if seen > LARGEST_BYTES:
            raise TooLargeError(f"a deflated file unpacks to more than {LARGEST_BYTES >> 20} MiB")
