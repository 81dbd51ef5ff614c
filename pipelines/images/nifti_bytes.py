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
_CHUNK_BYTES = 1 << 20
_FLOATS = {16: "f4", 64: "f8"}
"""NIfTI's codes of single and double precision."""


@dataclass(frozen=True, kw_only=True)
class NiftiBytes:
    """What was found in the bytes of a NIfTI file.

    Args:
        missing: How many bytes of the voxels are not there.
        damage: What is wrong with the compression, or empty.
        n_nonfinite: How many voxels are no number.
        shear: How far the axes of the affine depart from perpendicular: the largest cosine between two of them, 0 when
            no affine is in use.
    """

    missing: int = 0
    damage: str = ""
    n_nonfinite: int = 0
    shear: float = 0.0

    @property
    def fault(self) -> str:
        """What stops it from being read, or empty."""
        if self.damage:
            return f"its compressed bytes are damaged: {self.damage}"
        return f"it ends {self.missing} bytes early" if self.missing > 0 else ""


def inspect_nifti(path: Path) -> NiftiBytes | None:
    """Reads a NIfTI-1 file through once, compressed or not; none when it is another kind of file."""
    if not path.name.endswith((".nii", ".nii.gz")):
        return None
    with path.open("rb") as plain:
        is_zipped = plain.read(2) == b"\x1f\x8b"
    with cast(BinaryIO, gzip.open(path)) if is_zipped else path.open("rb") as handle:
        try:
            return _inspected(handle)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            return NiftiBytes(damage=str(error))


def _inspected(handle: BinaryIO) -> NiftiBytes | None:
    header = handle.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        return None
    order = next((order for order in "<>" if struct.unpack_from(f"{order}i", header)[0] == _HEADER_BYTES), "")
    if not order:
        return None
    n_dimensions, *lengths = struct.unpack_from(f"{order}8h", header, 40)
    code, bits = struct.unpack_from(f"{order}2h", header, 70)
    start = int(struct.unpack_from(f"{order}f", header, 108)[0])
    handle.read(max(start - _HEADER_BYTES, 0))
    wanted = math.prod(lengths[: max(n_dimensions, 0)]) * bits // 8
    seen, n_nonfinite = _walk(handle, f"{order}{_FLOATS[code]}" if code in _FLOATS else "")
    return NiftiBytes(missing=max(wanted - seen, 0), n_nonfinite=n_nonfinite, shear=_shear(header, order))


def _walk(handle: BinaryIO, kind: str) -> tuple[int, int]:
    """Returns how many bytes follow, and how many numbers of the floating-point `kind` in them are not finite."""
    seen = n_nonfinite = 0
    while chunk := handle.read(_CHUNK_BYTES):
        seen += len(chunk)
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
