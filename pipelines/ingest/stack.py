"""Whether slices make one evenly spaced, unsheared volume, and what is wrong where they do not."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipelines.ingest.problems import (
    GantryTiltError,
    MixedSeriesError,
    NonorthonormalDirectionError,
    NotVolumeError,
    SlicesMissingError,
    UnevenSlicesError,
    UnreadableError,
)
from pipelines.ingest.slices import Slice, place, signed

_SAME_POSITION_MM = 0.01
"""Slices closer than this lie at one position: no scanner reconstructs so densely."""

_COSINE_TOLERANCE = 1e-3
"""Direction cosines that differ by more belong to different planes; less is how their decimals were cut."""

_SPACING_TOLERANCE = 1e-3
"""Relative difference of pixel spacings that counts as another grid."""

_SHEAR_TOLERANCE_PIXELS = 0.5
"""A stack whose slices shift sideways by less, over its whole length, is straight."""

_TILT_TAG_TOLERANCE_DEG = 0.5
"""A smaller GantryDetectorTilt is how upright gantries are reported."""

_MAXIMUM_GAPS_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Slices in order along their normal, evenly spaced.

    Args:
        slices: In ascending order of their depth.
        spacing_mm: Between slices.
    """

    slices: tuple[Slice, ...]
    spacing_mm: float

    @property
    def direction(self) -> tuple[float, ...]:
        """The 3×3 direction cosines, row by row; columns are the axes x, y, z of the volume."""
        first = self.slices[0]
        axes = np.stack([first.orientation[:3], first.orientation[3:], first.normal], axis=1)
        return tuple(float(value) for value in axes.ravel())


def check_one_grid(slices: Sequence[Slice]) -> None:
    """Refuses slices of several series, orientations, sizes or pixel spacings.

    Raises:
        MixedSeriesError: They are mixed; the message counts each kind.
        NonorthonormalDirectionError: Rows and columns are not perpendicular unit vectors.
        UnreadableError: The pixel spacing is not positive.
    """
    kinds: dict[str, Callable[[Slice], Hashable]] = {
        "series": lambda part: part.header.series_uid,
        "SOP classes": lambda part: part.header.sop_class,
        "sizes": lambda part: (part.header.columns, part.header.rows),
    }
    for name, kind in kinds.items():
        _check_single(name, Counter(kind(part) for part in slices), shown=name == "sizes")
    _check_close("orientations", [tuple(part.orientation) for part in slices], _COSINE_TOLERANCE)
    if min(min(part.spacing_mm) for part in slices) <= 0:
        raise UnreadableError(f"the pixel spacing is {min(min(part.spacing_mm) for part in slices)} mm")
    largest = max(max(part.spacing_mm) for part in slices)
    _check_close("pixel spacings", [part.spacing_mm for part in slices], _SPACING_TOLERANCE * largest)
    axes = slices[0].orientation.reshape(2, 3)
    departure = float(np.abs(axes @ axes.T - np.eye(2)).max())
    if departure > _COSINE_TOLERANCE:
        raise NonorthonormalDirectionError(
            f"rows and columns depart from perpendicular unit vectors by {departure:.2g}"
        )


def by_position(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Returns the slices in ascending depth, those at one position together."""
    places: list[list[Slice]] = []
    for part in sorted(slices, key=lambda s: (s.depth_mm, s.header.sop_uid, s.frame, s.header.path)):
        if places and part.depth_mm - places[-1][0].depth_mm < _SAME_POSITION_MM:
            places[-1].append(part)
        else:
            places.append([part])
    return places


def stacked(slices: Sequence[Slice], gap_tolerance: float) -> Stack:
    """Returns the stack of slices that stand in order, one at each position.

    Args:
        slices: In ascending depth.
        gap_tolerance: Largest deviation of a slice distance from the usual one, as a share of it.

    Raises:
        NotVolumeError: There is one slice only.
        GantryTiltError: The slices are sheared.
        SlicesMissingError: Distances are multiples of the usual one.
        UnevenSlicesError: Distances differ otherwise.
    """
    if len(slices) < 2:
        raise NotVolumeError(f"the series has {len(slices)} slice at {_where(slices[0])} mm")
    _check_straight(slices)
    distances = np.diff([part.depth_mm for part in slices])
    usual = _usual(distances)
    if np.abs(distances / usual - 1).max() > gap_tolerance:
        _refuse_distances(slices, distances, usual, gap_tolerance)
    _check_told_spacing(slices, usual, gap_tolerance)
    return Stack(slices=tuple(slices), spacing_mm=(slices[-1].depth_mm - slices[0].depth_mm) / (len(slices) - 1))


def _check_single(name: str, counts: Counter[Hashable], *, shown: bool) -> None:
    if len(counts) > 1:
        kinds = [f"{n} slices{f' of {_plain(kind)}' if shown else ''}" for kind, n in counts.most_common()]
        raise MixedSeriesError(f"{len(counts)} {name} are mixed: {', '.join(kinds[:4])}")


def _check_close(name: str, values: Sequence[tuple[float, ...]], tolerance: float) -> None:
    usual = Counter(tuple(round(float(v), 4) for v in value) for value in values).most_common(1)[0][0]
    off = np.abs(np.asarray(values) - np.asarray(usual)).max(axis=1) > tolerance + 5e-5
    if off.any():
        other = values[int(off.argmax())]
        raise MixedSeriesError(
            f"{name} are mixed: {int((~off).sum())} slices of {_plain(usual)}, "
            f"{int(off.sum())} others, such as {_plain(other)}"
        )


def _check_straight(slices: Sequence[Slice]) -> None:
    first, last = slices[0], slices[-1]
    offsets = np.array([part.position_mm - first.position_mm for part in slices])
    sideways = np.linalg.norm(offsets - np.outer(offsets @ first.normal, first.normal), axis=1)
    if sideways.max() > _SHEAR_TOLERANCE_PIXELS * min(first.spacing_mm):
        angle = np.degrees(np.arctan2(sideways[-1], last.depth_mm - first.depth_mm))
        raise GantryTiltError(
            f"slices shift sideways by up to {sideways.max():.4g} mm over the stack: a tilt of {angle:.1f}°"
        )
    tilt = first.header.tilt_deg or 0.0
    is_axial = bool(np.abs(first.normal).max() > np.cos(np.radians(_TILT_TAG_TOLERANCE_DEG)))
    if abs(tilt) > _TILT_TAG_TOLERANCE_DEG and is_axial:
        raise GantryTiltError(f"the tags tell a gantry tilt of {signed(tilt)}°, and orientations that hide it")


def _usual(distances: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    smallest = float(distances.min())
    return float(np.median(distances[distances < 1.25 * smallest]))


def _refuse_distances(
    slices: Sequence[Slice], distances: np.ndarray[tuple[int], np.dtype[np.float64]], usual: float, tolerance: float
) -> None:
    multiples = distances / usual
    if np.abs(multiples - np.rint(multiples)).max() > max(tolerance, 0.1):
        worst = int(np.abs(multiples - 1).argmax())
        raise UnevenSlicesError(
            f"slice distances range from {distances.min():.4g} to {distances.max():.4g} mm; "
            f"the oddest is {distances[worst]:.4g} mm after {_where(slices[worst])} mm"
        )
    if np.rint(multiples).max() < 2:
        raise UnevenSlicesError(
            f"slice distances range from {distances.min():.4g} to {distances.max():.4g} mm, "
            f"more than {tolerance:.0%} off the usual {usual:.4g} mm"
        )
    gaps, before = [], 0
    for (low, high), steps in zip(pairwise(slices), np.rint(multiples).astype(int), strict=True):
        before += 1
        if steps > 1:
            gaps.append(_gap(before + 1, int(steps) - 1, low, high))
            before += int(steps) - 1
    more = f" and {len(gaps) - _MAXIMUM_GAPS_NAMED} more gaps" if len(gaps) > _MAXIMUM_GAPS_NAMED else ""
    raise SlicesMissingError("; ".join(gaps[:_MAXIMUM_GAPS_NAMED]) + more)


def _gap(first: int, count: int, low: Slice, high: Slice) -> str:
    which = f"slice {first}" if count == 1 else f"slices {first}–{first + count - 1}"
    axis = int(np.abs(low.normal).argmax())
    return f"{which} missing between {_where(low)} and {signed(float(high.position_mm[axis]))} mm"


def _check_told_spacing(slices: Sequence[Slice], usual: float, tolerance: float) -> None:
    told = abs(slices[0].header.slice_spacing_mm or 0.0)
    multiple = usual / told if told else 1.0
    if multiple > 1.5 and abs(multiple - round(multiple)) < max(tolerance, 0.1) * multiple:
        raise SlicesMissingError(
            f"slices lie {usual:.4g} mm apart and their tags tell {told:.4g} mm: one of {round(multiple)} is there"
        )


def _where(part: Slice) -> str:
    return place(part.position_mm, part.normal)


def _plain(kind: object) -> str:
    values = kind if isinstance(kind, tuple) else (kind,)
    if all(isinstance(value, int) for value in values):
        return "×".join(str(value) for value in values) + " pixels"
    return "(" + ", ".join(f"{float(value):.4g}" for value in values) + ")"
