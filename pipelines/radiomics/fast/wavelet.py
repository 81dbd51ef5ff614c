"""Undecimated wavelet bands of the region's box, bit-equal to filtering the whole image.

A high band of a constant region is zero up to rounding, and zero is a bin edge, so taps are summed in the order of
PyWavelets' stationary transform and in the image's own precision.
"""

from collections.abc import Iterator

import numpy as np
import pywt
from numba import njit
from numpy.typing import NDArray

from pipelines.radiomics.fast.lanes import LANES, everywhere, load, store
from pipelines.radiomics.fast.scene import Scene


def wavelet_images(
    scene: Scene, wavelet: str, level: int, start_level: int, flat_axis: int | None
) -> Iterator[tuple[str, NDArray[np.floating]]]:
    """Yields PyRadiomics's name of each band and its values in the region's box, gone when the next one comes.

    Args:
        scene: Image and region.
        wavelet: Name of a discrete wavelet.
        level: Number of levels.
        start_level: Levels that are only passed through.
        flat_axis: Axis that is not filtered (force2D), or None.
    """
    bank = pywt.Wavelet(wavelet)
    axes = [axis for axis in (2, 1, 0) if axis != flat_axis]
    n_levels = start_level + level
    half = bank.dec_len // 2
    reach = (bank.dec_len - 1 - half, half)
    margins = np.zeros((2, 3), dtype=np.int64)
    margins[:, axes] = n_levels * np.array(reach)[:, None]
    part = scene.wrapped(margins[0], margins[1])
    kind = np.float32 if part.dtype == np.float32 else np.float64
    data: NDArray[np.floating] = np.ascontiguousarray(part, dtype=kind)
    taps = _taps(bank, data.dtype)
    lowest = "L" * len(axes)
    for step in range(n_levels):
        rest = n_levels - 1 - step
        n_wrapped = [_n_wrapped(scene, axis, rest, bank.dec_len) for axis in range(3)]
        for name, band in _bands(data, axes, taps, n_wrapped):
            if name == lowest:
                data = band
            elif step >= start_level:
                yield _name(step - start_level + 1, name), _inner(band, axes, rest, reach)
    yield _name(level, lowest), data


def is_tiny(scene: Scene, wavelet: str, flat_axis: int | None) -> bool:
    """Returns whether the image is shorter than the filter, so that its taps wrap more than once."""
    length = pywt.Wavelet(wavelet).dec_len
    return any(size + size % 2 < length for axis, size in enumerate(scene.domain) if axis != flat_axis)


def _taps(bank: pywt.Wavelet, dtype: np.dtype) -> dict[str, NDArray[np.floating]]:
    # Asked from the transform itself: its single-precision taps are not the rounded double ones.
    length = bank.dec_len
    impulse = np.zeros(2 * length, dtype=dtype)
    impulse[0] = 1
    low, high = pywt.swt(impulse, bank, level=1)[0]
    order = (np.arange(length) - length // 2) % len(impulse)
    return {"L": low[order], "H": high[order]}


def _n_wrapped(scene: Scene, axis: int, rest: int, length: int) -> NDArray[np.int64]:
    """Returns how many taps of each output lie beyond the line's end: they wrap, and are summed first and backwards."""
    size = scene.domain[axis] + scene.domain[axis] % 2
    half = length // 2
    first = scene.lower[axis] - rest * (length - 1 - half)
    places = np.arange(first, scene.lower[axis] + scene.inside.shape[axis] + rest * half) % size
    return np.maximum(places + half - size + 1, 0)


def _name(number: int, band: str) -> str:
    return f"wavelet{number if number > 1 else ''}-{band}"


def _inner(band: NDArray[np.floating], axes: list[int], rest: int, reach: tuple[int, int]) -> NDArray[np.floating]:
    cut = [slice(None)] * 3
    for axis in axes:
        cut[axis] = slice(rest * reach[0], band.shape[axis] - rest * reach[1])
    return band[tuple(cut)]


def _bands(
    data: NDArray[np.floating],
    axes: list[int],
    taps: dict[str, NDArray[np.floating]],
    n_wrapped: list[NDArray[np.int64]],
) -> Iterator[tuple[str, NDArray[np.floating]]]:
    """Yields each band by the letters of its axes; all but the first share memory."""
    if not axes:
        yield "", data
        return
    axis, *others = axes
    halved = None
    for letter in "LH":
        # The lowest band is needed for the next level.
        keeps = letter == "H" and bool(others)
        halved = _convolve(data, axis, taps[letter], n_wrapped[axis], halved if keeps else None)
        for name, band in _bands(halved, others, taps, n_wrapped):
            yield letter + name, band


def _convolve(
    data: NDArray[np.floating],
    axis: int,
    taps: NDArray[np.floating],
    n_wrapped: NDArray[np.int64],
    target: NDArray[np.floating] | None,
) -> NDArray[np.floating]:
    n_before = int(np.prod(data.shape[:axis], dtype=np.int64))
    n_after = int(np.prod(data.shape[axis + 1 :], dtype=np.int64))
    shape = list(data.shape)
    shape[axis] -= len(taps) - 1
    filtered: NDArray[np.floating] = np.empty(shape, dtype=data.dtype) if target is None else target
    flat = data.reshape(n_before, data.shape[axis], n_after)
    out = filtered.reshape(n_before, shape[axis], n_after)
    width = shape[axis] if n_after == 1 else n_after
    if data.dtype == np.float64 and width >= LANES and not n_wrapped.any():
        _in_lanes(data.reshape(-1), out.reshape(-1), taps, (n_before, data.shape[axis], n_after))
    elif n_after == 1:
        _along_rows(flat[:, :, 0], out[:, :, 0], taps, n_wrapped)
    else:
        _across_rows(flat, out, taps, n_wrapped)
    return filtered


@njit(cache=True, nogil=True)
def _in_lanes(data, out, taps, shape):  # type: ignore[no-untyped-def]
    """Filters along the middle of three axes; without the last one, lanes run along the middle one."""
    n_before, length, n_after = shape
    n_taps = len(taps)
    kept = length - n_taps + 1
    n_lines, width = (1, kept) if n_after == 1 else (kept, n_after)
    for b in range(n_before):
        for i in range(n_lines):
            place, target = (b * length + i) * n_after, (b * n_lines + i) * width
            for group in range(0, width, LANES):
                lane = min(group, width - LANES)
                total = everywhere(0.0)
                for j in range(n_taps):
                    total = total + everywhere(taps[j]) * load(data, place + lane + (n_taps - 1 - j) * n_after)
                store(out, target + lane, total)


@njit(cache=True, nogil=True)
def _across_rows(data, out, taps, n_wrapped):  # type: ignore[no-untyped-def]
    n_taps = len(taps)
    for b in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[b, i] = 0
            for step in range(n_taps):
                j = step if step >= n_wrapped[i] else n_wrapped[i] - 1 - step
                tap = taps[j]
                for k in range(out.shape[2]):
                    out[b, i, k] += tap * data[b, i + n_taps - 1 - j, k]


@njit(cache=True, nogil=True)
def _along_rows(data, out, taps, n_wrapped):  # type: ignore[no-untyped-def]
    n_taps = len(taps)
    for b in range(out.shape[0]):
        out[b] = 0
        for j in range(n_taps):
            tap = taps[j]
            for i in range(out.shape[1]):
                out[b, i] += tap * data[b, i + n_taps - 1 - j]
    for i in range(out.shape[1]):
        if n_wrapped[i] == 0:
            continue
        for b in range(out.shape[0]):
            out[b, i] = 0
            for step in range(n_taps):
                j = step if step >= n_wrapped[i] else n_wrapped[i] - 1 - step
                out[b, i] += taps[j] * data[b, i + n_taps - 1 - j]
