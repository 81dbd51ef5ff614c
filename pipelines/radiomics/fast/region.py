"""The region of interest as the texture kernels see it: a padded box and the flat places of its voxels."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.radiomics.fast.offsets import forward_offsets
from pipelines.radiomics.fast.words import WORD


@dataclass(frozen=True)
class Region:
    """The voxels of a region inside its bounding box.

    Args:
        inside: Box of the region, True inside, shape (z, y, x).
        spacing_mm: Voxel spacing (z, y, x).
        distances: Chebyshev distances of GLCM, GLDM and NGTDM, in voxels.
        flat_axis: Axis that texture does not cross (force2D), or None.
    """

    inside: NDArray[np.bool_]
    spacing_mm: tuple[float, float, float]
    distances: tuple[int, ...]
    flat_axis: int | None

    @cached_property
    def reach(self) -> int:
        """Voxels of padding around the box, so that no neighbor is looked up outside memory."""
        return max(*self.distances, 1)

    @cached_property
    def padded_shape(self) -> tuple[int, int, int]:
        """Shape of the padded box, (z, y, x); rows are so long that words of neighbors in y do not overlap."""
        z, y, x = (size + 2 * self.reach for size in self.inside.shape)
        return z, y, max(x, WORD + 2)

    @cached_property
    def n_cells(self) -> int:
        """Cells of the flat padded box, with room behind it for the last word."""
        return int(np.prod(self.padded_shape)) + WORD

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """Flat index of each region voxel in the padded box, ascending, shape (n,)."""
        padded = np.zeros(self.padded_shape, dtype=np.bool_)
        padded[tuple(slice(self.reach, self.reach + size) for size in self.inside.shape)] = self.inside
        return np.flatnonzero(padded)

    @cached_property
    def inner_places(self) -> NDArray[np.int64]:
        """Flat index of each region voxel in the box itself, ascending, shape (n,)."""
        return np.flatnonzero(self.inside)

    @cached_property
    def near_offsets(self) -> NDArray[np.int64]:
        """Forward offsets at distance 1, shape (n, 3): those of runs and zones."""
        return forward_offsets(self._shape, (1,), self.flat_axis)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Forward offsets at the distances asked for, shape (n, 3)."""
        return forward_offsets(self._shape, self.distances, self.flat_axis)

    @property
    def _shape(self) -> tuple[int, int, int]:
        z, y, x = self.inside.shape
        return z, y, x

    def flat(self, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns offsets as steps in the flat padded box."""
        _, y, x = self.padded_shape
        return np.asarray(offsets[:, 0] * y * x + offsets[:, 1] * x + offsets[:, 2], dtype=np.int64)

    def spread(self, ranks: NDArray[np.int32], highest: int) -> NDArray[np.unsignedinteger]:
        """Returns ranks of the region's voxels as a flat padded box with 0 outside, in the smallest type they fit."""
        box: NDArray[np.unsignedinteger] = np.zeros(self.n_cells, dtype=_narrowest(highest))
        _fill(box, self.places, ranks)
        return box

    @cached_property
    def run_buffer(self) -> NDArray[np.unsignedinteger]:
        """Working memory for run lengths in the padded box."""
        longest = max(self.inside.shape)
        kind = np.uint8 if longest <= np.iinfo(np.uint8).max else np.uint16
        return np.empty(self.n_cells, dtype=kind)

    @cached_property
    def label_buffer(self) -> NDArray[np.int32]:
        """Working memory for zone labels of the padded box."""
        return np.empty(self.n_cells, dtype=np.int32)

    @cached_property
    def n_neighbors(self) -> NDArray[np.int32]:
        """Region voxels around each voxel at the distances asked for, shape (n,)."""
        steps = self.flat(self.offsets)
        found = np.zeros(self.places[-1] + 1 - self.places[0], dtype=_narrowest(2 * len(steps)))
        _count_neighbors(self._filled, np.concatenate([steps, -steps]), self.places[0], found)
        return found[self.places - self.places[0]].astype(np.int32)

    def values(self, box: NDArray[np.generic]) -> NDArray[np.generic]:
        """Returns the values of the region's voxels in an image of its box, shape (n,)."""
        return _taken(np.ascontiguousarray(box).reshape(-1), self.inner_places)

    @cached_property
    def _filled(self) -> NDArray[np.unsignedinteger]:
        return self.spread(np.ones(len(self.places), dtype=np.int32), 1)

    @cached_property
    def lines_repeat(self) -> NDArray[np.bool_]:
        """Whether some line along each near offset meets the region twice, shape (n,)."""
        touching = [_touches(self._filled, step, self.places) for step in self.flat(self.near_offsets)]
        if all(touching):
            return np.array(touching, dtype=np.bool_)
        points = np.argwhere(self.inside)
        repeats = [
            close or _meets_twice(points, offset) for close, offset in zip(touching, self.near_offsets, strict=True)
        ]
        return np.array(repeats, dtype=np.bool_)


@njit(cache=True, nogil=True)
def _fill(box, places, ranks):  # type: ignore[no-untyped-def]
    for k in range(len(places)):
        box[np.uint64(places[k])] = ranks[k]


def _narrowest(highest: int) -> type[np.unsignedinteger]:
    return np.uint8 if highest <= np.iinfo(np.uint8).max else np.uint32


@njit(cache=True, nogil=True)
def _taken(values, places):  # type: ignore[no-untyped-def]
    taken = np.empty(len(places), values.dtype)
    for k in range(len(places)):
        taken[k] = values[np.uint64(places[k])]
    return taken


@njit(cache=True, nogil=True)
def _count_neighbors(filled, steps, first, found):  # type: ignore[no-untyped-def]
    for step in steps:
        near = filled[first + step : first + step + len(found)]
        for i in range(len(found)):
            found[i] += near[i]


@njit(cache=True, nogil=True)
def _touches(filled, step, places):  # type: ignore[no-untyped-def]
    k = 0
    while k < len(places) and not filled[places[k] + step]:
        k += 1
    return k < len(places)


def _meets_twice(points: NDArray[np.int64], offset: NDArray[np.int64]) -> bool:
    axis = int(np.flatnonzero(offset)[0])
    # Every offset moves by one step along its first axis, so this names the line through a point.
    lines = points - points[:, axis : axis + 1] * offset * offset[axis]
    keys = lines - lines.min(axis=0)
    size = keys.max(axis=0) + 1
    flat = (keys[:, 0] * size[1] + keys[:, 1]) * size[2] + keys[:, 2]
    return len(np.unique(flat)) < len(flat)
