"""What an NRRD file's bytes tell before ITK hides it.

ITK reads an NRRD with bytes too many or with a wrong checksum, passes over units, and opens whatever other file the
header names as that of the voxels. Each would pass unseen into features.
"""

import gzip
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

from pipelines.images.nifti_bytes import LARGEST_BYTES, VolumeBytes

_MAGIC = b"NRRD000"
_LONGEST_HEADER_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20
_FARTHEST = 1e8
_MILLIMETERS = frozenset(("", "mm", "millimeter", "millimeters", "millimetre", "millimetres"))
_ENCODINGS = frozenset(("raw", "gzip", "gz"))
_TYPE_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t"), 4),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "signed long long int"), 8),
    **dict.fromkeys(("int64", "int64_t", "ulonglong", "unsigned long long", "unsigned long long int"), 8),
    **dict.fromkeys(("uint64", "uint64_t"), 8),
    "float": 4,
    "double": 8,
}
_OTHER_PLACES = {
    "datafile": "its voxels lie in another file",
    "lineskip": "it skips lines",
    "byteskip": "it skips bytes",
}


def inspect_nrrd(path: Path) -> VolumeBytes | None:
    """Reads an NRRD file through once, compressed or not; none when it is another kind of file."""
    with path.open("rb") as handle:
        fields, contradiction = _header(handle)
        if fields is None:
            return None
        contradiction = contradiction or nrrd_contradiction(fields)
        if contradiction:
            return VolumeBytes(contradiction=contradiction)
        wanted = math.prod(_sizes(fields)) * _TYPE_BYTES[fields["type"].lower()]
        if wanted > LARGEST_BYTES:
            return VolumeBytes(n_bytes=wanted)
        is_packed = fields["encoding"].lower() != "raw"
        try:
            seen = _length(cast(BinaryIO, gzip.GzipFile(fileobj=handle)) if is_packed else handle, wanted)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            return VolumeBytes(damage=str(error), n_bytes=wanted)
    if seen > wanted:
        return VolumeBytes(contradiction="more bytes follow than its voxels have, as if some were inserted")
    return VolumeBytes(missing=wanted - seen, n_bytes=wanted)


def nrrd_contradiction(fields: Mapping[str, str]) -> str:
    """Returns what a header says that cannot be or that ITK would pass over, or empty.

    Args:
        fields: Its fields, by their names in lower case without blanks.
    """
    elsewhere = [told for name, told in _OTHER_PLACES.items() if fields.get(name, "0") != "0"]
    return (elsewhere or [""])[0] or _contents(fields) or _lengths(fields)


def _header(handle: BinaryIO) -> tuple[dict[str, str] | None, str]:
    """Returns the fields and what is wrong with how they stand there; the handle is then at the voxels."""
    if handle.readline(16)[: len(_MAGIC)] != _MAGIC:
        return None, ""
    fields: dict[str, str] = {}
    while handle.tell() < _LONGEST_HEADER_BYTES:
        line = handle.readline(_LONGEST_HEADER_BYTES)
        if not line.endswith(b"\n"):
            break
        text = line.decode("latin-1").strip()
        if not text:
            return fields, ""
        name, colon, value = text.partition(": ")
        name = name.replace(" ", "").lower()
        if text.startswith("#") or not colon or ":=" in name:
            continue
        if name in fields:
            return fields, f"it tells {name!r} twice" if name.isalpha() and len(name) < 20 else "it tells a field twice"
        fields[name] = value.strip()
    return fields, "it does not end"


def _contents(fields: Mapping[str, str]) -> str:
    n_bytes = _TYPE_BYTES.get(fields.get("type", "").lower())
    if n_bytes is None:
        return "its voxels are of no type that is read"
    if fields.get("encoding", "").lower() not in _ENCODINGS:
        return "its voxels are neither raw nor compressed as gzip"
    if n_bytes > 1 and fields.get("endian", "").lower() not in ("little", "big"):
        return "it does not tell the order of bytes"
    sizes = _sizes(fields)
    if not sizes or min(sizes) < 1 or fields.get("dimension") != str(len(sizes)):
        return "its sizes are none, or not as many as its dimensions"
    return "its values stand for others (old min, old max)" if {"oldmin", "oldmax"} & set(fields) else ""


def _lengths(fields: Mapping[str, str]) -> str:
    if {"spacings", "spacedirections"} <= set(fields):
        return "it tells both spacings and directions"
    units = [unit.strip().lower() for name in ("spaceunits", "units") for unit in fields.get(name, "").split('"')]
    if not set(units) <= _MILLIMETERS:
        return "its lengths are not in millimeters"
    told = " ".join(fields.get(name, "") for name in ("spacedirections", "spaceorigin", "spacings"))
    numbers = [word for word in told.translate(str.maketrans("(),", "   ")).split() if word != "none"]
    try:
        is_placed = all(abs(float(word)) < _FARTHEST for word in numbers)
    except ValueError:
        is_placed = False
    return "" if is_placed else "it lies nowhere in space"


def _sizes(fields: Mapping[str, str]) -> list[int]:
    words = fields.get("sizes", "").split()
    return (
        [int(word) for word in words]
        if all(word.isascii() and word.isdigit() and len(word) < 10 for word in words)
        else []
    )


def _length(handle: BinaryIO, wanted: int) -> int:
    """Returns how many bytes follow; of more than wanted no more than is needed to know it."""
    seen = 0
    while seen <= wanted and (chunk := handle.read(_CHUNK_BYTES)):
        seen += len(chunk)
    return seen
