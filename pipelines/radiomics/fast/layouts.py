"""Where the voxels of a NIfTI or NRRD file lie in its bytes."""

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.images.nifti_bytes import nifti_contradiction
from pipelines.radiomics.fast.problems import UnreadableError
from pipelines.radiomics.fast.streams import damage_named

NIFTI_HEADER_BYTES = 348
_NIFTI_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
_SMALLEST_SLOPE = 1e-6
_PEEK_BYTES = 1 << 14
_NRRD_MAGIC = b"NRRD000"
_NRRD_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_NRRD_TYPE_OF = {spelling: kind for kind, spellings in _NRRD_TYPES.items() for spelling in spellings}
# Whatever stands for another order, place or number of the voxels is left to ITK.
_NRRD_STRANGE = ("line skip", "byte skip", "lineskip", "byteskip", "data file", "datafile", "old min", "oldmin")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where voxels are and what type they have.

    Args:
        dtype: Type of a voxel as it is stored.
        offset: Bytes of the file before what may be compressed.
        start: Decoded bytes between there and the first voxel.
        is_compressed: Whether the voxels are.
        header: A NIfTI file's header, decoded; empty for other files.
        note: What a NIfTI header says in its free description.
    """

    dtype: np.dtype[np.generic]
    offset: int
    start: int
    is_compressed: bool
    header: bytes = b""
    note: str = ""


def layout_of(path: Path) -> Layout | None:
    """Returns the layout of a 3D file in one piece whose voxels need no rescaling; None for others.

    Raises:
        UnreadableError: It is damaged.
    """
    if path.name.endswith((".nii", ".nii.gz")):
        return _nifti(path)
    return _nrrd(path) if path.name.endswith(".nrrd") else None


def _nifti(path: Path) -> Layout | None:
    with damage_named(path):
        with path.open("rb") as handle:
            begin = handle.read(_PEEK_BYTES)
        packed = begin.startswith(b"\x1f\x8b")
        # A decoder of the standard library takes what wrapping there is.
        header = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(begin, NIFTI_HEADER_BYTES) if packed else begin
    header = header[:NIFTI_HEADER_BYTES]
    told = nifti_contradiction(header) if len(header) == NIFTI_HEADER_BYTES else ""
    if told:
        raise UnreadableError(f"its header cannot be: {told}", where=path.name)
    if len(header) < NIFTI_HEADER_BYTES or struct.unpack_from("<i", header)[0] != NIFTI_HEADER_BYTES:
        return None
    n_dimensions = struct.unpack_from("<h", header, 40)[0]
    code = struct.unpack_from("<h", header, 70)[0]
    start, slope, intercept = struct.unpack_from("<3f", header, 108)
    if slope != 0 and not _SMALLEST_SLOPE < abs(slope) < math.inf:
        raise UnreadableError(f"its values are scaled by {slope:g}, which SimpleITK passes over", where=path.name)
    is_plain = slope in (0.0, 1.0) and intercept == 0.0
    if n_dimensions != 3 or code not in _NIFTI_TYPES or not is_plain or header[344:347] != b"n+1":
        return None
    note = header[148:228].split(b"\0")[0].decode("ascii", "replace")
    dtype = np.dtype(f"<{_NIFTI_TYPES[code]}")
    return Layout(dtype=dtype, offset=0, start=int(start), is_compressed=packed, header=header, note=note)


def _nrrd(path: Path) -> Layout | None:
    with path.open("rb") as handle:
        begin = handle.read(_PEEK_BYTES)
    end = begin.find(b"\n\n")
    if not begin.startswith(_NRRD_MAGIC) or end < 0:
        return None
    fields = {}
    for line in begin[:end].decode("latin-1").splitlines()[1:]:
        name, colon, value = line.partition(": ")
        if colon and not line.startswith("#"):
            fields[name.strip().lower()] = value.strip()
    kind = _NRRD_TYPE_OF.get(fields.get("type", "").lower(), "")
    encoding = fields.get("encoding", "").lower()
    is_little = kind.endswith("1") or fields.get("endian", "").lower() == "little"
    is_known = kind and is_little and encoding in ("raw", "gzip", "gz") and fields.get("dimension") == "3"
    if not is_known or any(name in fields for name in _NRRD_STRANGE):
        return None
    offset = end + 2
    dtype = np.dtype(f"<{kind}")
    n_bytes = math.prod(map(int, fields["sizes"].split())) * dtype.itemsize
    behind = path.stat().st_size - offset - n_bytes
    if encoding == "raw" and behind < 0:
        return None  # ITK says what is missing
    if encoding == "raw" and behind > 0:
        raise UnreadableError(f"{behind} bytes more than its voxels have, as if some were inserted", where=path.name)
    return Layout(dtype=dtype, offset=offset, start=0, is_compressed=encoding != "raw")
