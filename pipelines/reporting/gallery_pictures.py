"""One picture a case: the slice where the region is largest, with every observer's outline on it.

The slice is a small gray WebP; outlines are vector paths along voxel edges, so that a page can switch them off and
they stay sharp at any size. Nothing of the patient but voxels around the region is in it.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.images.files import read_case
from pipelines.images.grid import Grid

AROUND_MM = 24.0
"""How much is shown around the region: enough to judge the outline by what lies beside it."""

LONGEST_PX = 192
WEBP_QUALITY = 60
CT_WINDOW_HU = (-160.0, 240.0)
"""The usual soft-tissue window (center 40, width 400)."""

HEAD_TO_FEET = 2

PERCENTILES = (1.0, 99.0)
"""Shown range of images without a fixed unit; the rest is clipped."""

Slice = NDArray[np.float64]
Flags = NDArray[np.bool_]
Row = Mapping[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A slice and the outlines on it, in pixels of the slice.

    Args:
        data: The slice as a data URI.
        width: Width in stored pixels, which outlines are drawn in.
        height: Height in stored pixels.
        aspect: Width over height in millimeters.
        outline: SVG path of the outline that features come from.
        others: SVG paths of further observers' outlines, by observer.
        slice_number: Which slice of the image as sent, counted from 1.
        n_slices: How many slices the image has.
        area_cm2: Area of the region in the slice.
    """

    data: str
    width: int
    height: int
    aspect: float
    outline: str
    others: dict[str, str]
    slice_number: int
    n_slices: int
    area_cm2: float


def case_picture(cases: Path, rows: Sequence[Row], *, is_ct: bool) -> Picture:
    """Draws one case.

    Args:
        cases: The folder of stored cases.
        rows: Its rows of the view `cases`, one an observer; the first is the one that features come from.
        is_ct: Whether voxels are HU, which have a fixed window.

    Raises:
        DamagedImageError: A stored file is missing or damaged.
    """
    first = rows[0]
    volume, mask = read_case(cases / first["image"], cases / first["mask"])
    inside = mask.array() > 0
    z = int(inside.sum(axis=(1, 2)).argmax())
    others = {str(row["observer"]): _same_slice(cases, row, first, z, inside.shape[1:]) for row in rows[1:]}
    flips = _flips(volume.grid)
    window = _window(inside[z], volume.grid)
    shown, region = _turned(volume.array()[z].astype(np.float64)[window], flips), inside[z][window]
    spacing = volume.grid.spacing_mm
    height, width = shown.shape
    return Picture(
        data=_webp(_gray(shown, CT_WINDOW_HU if is_ct else _range(shown))),
        width=width,
        height=height,
        aspect=width * spacing[0] / (height * spacing[1]),
        outline=edge_path(_turned(region, flips)),
        others={name: edge_path(_turned(other[window], flips)) for name, other in others.items()},
        slice_number=int(first["crop_z"]) + z + 1,
        n_slices=int(first["full_size_z"]),
        area_cm2=float(region.sum()) * spacing[0] * spacing[1] / 100,
    )


def edge_path(inside: Flags) -> str:
    """Returns the outline of a region along voxel edges as an SVG path, one command a straight run.

    Args:
        inside: The region, shape (height, width).
    """
    padded = np.pad(inside.astype(np.int8), 1)
    across = [f"M{x} {y}h{n}" for y, x, n in _runs(np.diff(padded, axis=0)[:, 1:-1])]
    down = [f"M{x} {y}v{n}" for x, y, n in _runs(np.diff(padded, axis=1)[1:-1].T)]
    return "".join(across + down)


def _runs(edges: NDArray[np.int8]) -> list[tuple[int, int, int]]:
    """Returns line, start and length of each straight run of edges with the region on the same side."""
    found = []
    for line, row in enumerate(edges):
        changes = np.flatnonzero(np.diff(row, prepend=0, append=0))
        found += [(line, int(start), int(end - start)) for start, end in pairwise(changes) if row[start]]
    return found


def _same_slice(cases: Path, row: Row, first: Row, z: int, shape: tuple[int, ...]) -> Flags:
    """Returns another observer's region in the first one's slice; both were cropped from the same image."""
    _, mask = read_case(cases / row["image"], cases / row["mask"])
    inside = mask.array() > 0
    dx, dy, dz = (int(row[f"crop_{axis}"]) - int(first[f"crop_{axis}"]) for axis in "xyz")
    found = np.zeros(shape, dtype=np.bool_)
    if 0 <= z - dz < inside.shape[0]:
        ys, xs = np.nonzero(inside[z - dz])
        fits = (ys + dy >= 0) & (ys + dy < shape[0]) & (xs + dx >= 0) & (xs + dx < shape[1])
        found[ys[fits] + dy, xs[fits] + dx] = True
    return found


def _window(inside: Flags, grid: Grid) -> tuple[slice, slice]:
    """Returns rows and columns of the region and what lies around it."""
    found = []
    for axis, spacing in ((1, grid.spacing_mm[1]), (0, grid.spacing_mm[0])):
        at = np.flatnonzero(inside.any(axis=axis))
        pad = round(AROUND_MM / spacing)
        found.append(slice(max(int(at[0]) - pad, 0), int(at[-1]) + 1 + pad))
    return found[0], found[1]


def _flips(grid: Grid) -> tuple[bool, bool]:
    """Returns whether rows and columns must be turned round to show the patient as radiologists do.

    Left of the patient is right in the picture, back or feet are down.
    """
    columns, rows = (grid.matrix()[:, axis] for axis in (0, 1))
    return _points_away(rows), _points_away(columns)


def _points_away(axis: NDArray[np.float64]) -> bool:
    """Returns whether an axis runs to the right, to the front or to the head (LPS: against x or y, or along z)."""
    main = int(np.abs(axis).argmax())
    return bool(axis[main] > 0) if main == HEAD_TO_FEET else bool(axis[main] < 0)


def _turned(values: NDArray[Any], flips: tuple[bool, bool]) -> NDArray[Any]:
    return values[:: -1 if flips[0] else 1, :: -1 if flips[1] else 1]


def _range(values: Slice) -> tuple[float, float]:
    low, high = np.percentile(values, PERCENTILES)
    return float(low), float(high)


def _gray(values: Slice, window: tuple[float, float]) -> NDArray[np.uint8]:
    low, high = window
    share = (values - low) / (high - low) if high > low else np.full_like(values, 0.5)
    return np.round(255 * np.clip(share, 0, 1)).astype(np.uint8)


def _webp(gray: NDArray[np.uint8]) -> str:
    from PIL import Image

    image = Image.fromarray(gray)
    scale = LONGEST_PX / max(image.size)
    if scale < 1:
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=WEBP_QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
