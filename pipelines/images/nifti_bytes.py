"""What a NIfTI file's bytes tell before ITK hides it.

ITK reads a NIfTI that is cut off, plain or compressed, and fills the rest with rubbish; it turns voxels that are no
number into 0; and it prefers the quaternion when the affine is sheared. All three would pass unseen into features.
"""

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

_HEADER_BYTES = 348
_MAGIC = b"n+1\0"
_CHUNK_BYTES = 1 << 20
_BITS = {2: 8, 4: 16, 8: 32, 16: 32, 32: 64, 64: 64, 128: 24, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64}
"""Bits of a voxel by NIfTI's code of its type, of those that ITK reads."""

LARGEST_BYTES = 1 << 33
"""Voxels beyond it are not read: 1,600 x 1,600 x 1,600 of 16 bits."""

_FARTHEST = 1e8
"""In the header's unit, which may be a thousandth of a millimeter."""

_SAME_SPACING = 1e-3
"""Largest relative difference of the two spacings that the header tells: readers take the one or the other."""

_SMALLEST_SLOPE = 1e-6
"""ITK takes a smaller one for none, without a word."""

_UNIT_BITS, _LAST_UNIT = 7, 3
"""The bits of the unit of length, and the last there is: meters, millimeters, micrometers."""

_LONGER_QUATERNION = 1e-6
"""Rounding to single precision; ITK makes a longer one fit, without a word."""

_MOST_BEFORE = 1 << 26
_MOST_BEHIND = 1 << 26
"""What may lie before and behind the voxels, such as extensions; a compressed file of zeros has gigabytes."""

_FLOATS = {16: "f4", 64: "f8"}
"""NIfTI's codes of single and double precision."""


@dataclass(frozen=True, kw_only=True)
class VolumeBytes:
    """What was found in the bytes of a file.

    Args:
        missing: How many bytes of the voxels are not there.
        contradiction: What the header says that cannot be, or empty.
        n_bytes: How many bytes the voxels have.
        damage: What is wrong with the compression, or empty.
        n_nonfinite: How many voxels are no number.
        shear: How far the axes of the affine depart from perpendicular: the largest cosine between two of them, 0 when
            no affine is in use.
    """

    missing: int = 0
    contradiction: str = ""
    n_bytes: int = 0
    damage: str = ""
    n_nonfinite: int = 0
    shear: float = 0.0

    @property
    def fault(self) -> str:
        """What stops it from being read, or empty."""
        if self.contradiction:
            return f"its header contradicts itself: {self.contradiction}"
        if self.damage:
            return f"its compressed bytes are damaged: {self.damage}"
        return f"it ends {self.missing} bytes early" if self.missing > 0 else ""


def inspect_nifti(path: Path) -> VolumeBytes | None:
    """Reads a NIfTI-1 file through once, compressed or not; none when it is another kind of file."""
    if not path.name.endswith((".nii", ".nii.gz")):
        return None
    with path.open("rb") as plain:
        is_zipped = plain.read(2) == b"\x1f\x8b"
    with cast(BinaryIO, gzip.open(path)) if is_zipped else path.open("rb") as handle:
        try:
            return _inspected(handle)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            return VolumeBytes(damage=str(error))


def _inspected(handle: BinaryIO) -> VolumeBytes | None:
    header = handle.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        return None
    told = nifti_contradiction(header)
    if told:
        return VolumeBytes(contradiction=told)
    order = _order(header)
    n_dimensions, *lengths = struct.unpack_from(f"{order}8h", header, 40)
    code, bits = struct.unpack_from(f"{order}2h", header, 70)
    offset = struct.unpack_from(f"{order}f", header, 108)[0]
    wanted = math.prod(lengths[:n_dimensions]) * bits // 8
    if wanted > LARGEST_BYTES:
        return VolumeBytes(n_bytes=wanted)
    handle.read(max(int(offset) - _HEADER_BYTES, 0))
    seen, n_nonfinite = _walk(handle, f"{order}{_FLOATS[code]}" if code in _FLOATS else "", wanted)
    if seen > wanted + _MOST_BEHIND:
        return VolumeBytes(contradiction="far more follows than its voxels")
    return VolumeBytes(
        missing=max(wanted - seen, 0), n_bytes=wanted, n_nonfinite=n_nonfinite, shear=_shear(header, order)
    )


def nifti_contradiction(header: bytes) -> str:
    """Returns what a header of 348 bytes says that cannot be or that readers take for different things, or empty."""
    order = _order(header)
    if not order or header[344:348] != _MAGIC:
        return "it is no NIfTI-1 in one file"
    n_dimensions, *lengths = struct.unpack_from(f"{order}8h", header, 40)
    code, bits = struct.unpack_from(f"{order}2h", header, 70)
    return _contradiction(n_dimensions, lengths, code, bits) or _misplaced(header, order)


def _order(header: bytes) -> str:
    return next((order for order in "<>" if struct.unpack_from(f"{order}i", header)[0] == _HEADER_BYTES), "")


def _contradiction(n_dimensions: int, lengths: list[int], code: int, bits: int) -> str:
    if not 1 <= n_dimensions <= len(lengths) or min(lengths[:n_dimensions]) < 1:
        return f"{n_dimensions} dimensions of {', '.join(str(n) for n in lengths[: max(n_dimensions, 0)])} voxels"
    if bits != _BITS.get(code, bits):
        return f"{bits} bits a voxel for a type of {_BITS[code]}"
    return ""


def _misplaced(header: bytes, order: str) -> str:
    """Returns which numbers of the header that place voxels in the file or in space are none, or empty."""
    offset, slope, intercept = struct.unpack_from(f"{order}3f", header, 108)
    if not _HEADER_BYTES + 4 <= offset <= _MOST_BEFORE:
        return f"voxels begin at byte {offset:g}"
    if slope != 0 and not (_SMALLEST_SLOPE < abs(slope) < math.inf and math.isfinite(intercept)):
        return f"values are scaled by {slope:g} and shifted by {intercept:g}"
    if header[123] & _UNIT_BITS > _LAST_UNIT:
        return "its unit of length is none"
    spacing = struct.unpack_from(f"{order}3f", header, 80)
    has_quaternion, has_affine = struct.unpack_from(f"{order}2h", header, 252)
    turn = struct.unpack_from(f"{order}3f", header, 256)
    if has_quaternion > 0 >= has_affine and sum(part**2 for part in turn) > 1 + _LONGER_QUATERNION:
        return "its quaternion is longer than 1 and turns nothing"
    if not all(math.isfinite(mm) and 0 < mm < _FARTHEST for mm in spacing):
        return f"voxels are {', '.join(f'{mm:g}' for mm in spacing)} apart"
    if has_affine > 0 and _shear(header, order) < _SAME_SPACING:
        axes = np.array(struct.unpack_from(f"{order}12f", header, 280)).reshape(3, 4)[:, :3]
        lengths = np.linalg.norm(axes, axis=0)
        if np.abs(lengths / spacing - 1).max() > _SAME_SPACING:
            told = ", ".join(f"{mm:.6g}" for mm in lengths)
            return f"its affine places voxels {told} apart, its pixdim {', '.join(f'{mm:.6g}' for mm in spacing)}"
    places = struct.unpack_from(f"{order}6f", header, 256) if has_quaternion > 0 else ()
    shifts = [struct.unpack_from(f"{order}f", header, 292 + 16 * n)[0] for n in range(3)] if has_affine > 0 else []
    if not all(math.isfinite(value) and abs(value) < _FARTHEST for value in (*places, *shifts)):
        return "it lies nowhere in space"
    return ""


def _walk(handle: BinaryIO, kind: str, wanted: int) -> tuple[int, int]:
    """Returns how many bytes follow, and how many numbers of the floating-point `kind` in the wanted are not finite."""
    seen = n_nonfinite = 0
    while seen <= wanted + _MOST_BEHIND and (chunk := handle.read(_CHUNK_BYTES)):
        seen += len(chunk)
        chunk = chunk[: max(len(chunk) - max(seen - wanted, 0), 0)]
        if kind:
            whole = len(chunk) - len(chunk) % np.dtype(kind).itemsize
            n_nonfinite += int((~np.isfinite(np.frombuffer(chunk[:whole], dtype=kind))).sum())
    return seen, n_nonfinite


def _shear(header: bytes, order: str) -> float:
    if struct.unpack_from(f"{order}h", header, 254)[0] <= 0:
        return 0.0
    axes = np.array(struct.unpack_from(f"{order}12f", header, 280)).reshape(3, 4)[:, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if not np.isfinite(axes).all() or (lengths == 0).any():
        return math.inf
    cosines = (axes / lengths).T @ (axes / lengths)
    return float(np.abs(cosines - np.eye(3)).max())
