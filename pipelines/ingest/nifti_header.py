"""The axes that a NIfTI header tells, before ITK repairs, drops or refuses them.

ITK silently prefers the quaternion when the affine is sheared, so that a shear of 10 % would pass unseen.
"""

import gzip
import struct
from pathlib import Path

import numpy as np

_HEADER_BYTES = 348
_SFORM_CODE = 254
_SFORM_ROWS = 280


def sform_departure(path: Path) -> float:
    """Returns how far the axes of the affine depart from perpendicular: the largest cosine between two of them.

    Returns:
        0 for files that are no NIfTI-1, or whose affine is not in use.
    """
    header = _header(path)
    order = next(
        (order for order in "<>" if header and struct.unpack_from(f"{order}i", header)[0] == _HEADER_BYTES), ""
    )
    if not order or struct.unpack_from(f"{order}h", header, _SFORM_CODE)[0] <= 0:
        return 0.0
    rows = np.array(struct.unpack_from(f"{order}12f", header, _SFORM_ROWS)).reshape(3, 4)[:, :3]
    lengths = np.linalg.norm(rows, axis=0)
    if not np.isfinite(rows).all() or (lengths == 0).any():
        return float("inf")
    axes = rows / lengths
    return float(np.abs(axes.T @ axes - np.eye(3)).max())


def _header(path: Path) -> bytes:
    if not path.name.endswith((".nii", ".nii.gz", ".hdr")):
        return b""
    try:
        with path.open("rb") as plain:
            is_zipped = plain.read(2) == b"\x1f\x8b"
        with gzip.open(path) if is_zipped else path.open("rb") as handle:
            header = handle.read(_HEADER_BYTES)
    except (OSError, EOFError):
        return b""
    return header if len(header) == _HEADER_BYTES else b""
