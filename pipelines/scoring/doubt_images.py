"""Doubt from how an image was acquired and from its numbers as a whole, by phase, against what was trained on.

A rule whose reference has nothing to say (no such tag in development, too few images) is void: it doubts nothing. A
case that does not say what it was acquired with is not doubted for that.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SPACING, THICKNESS, KVP, KERNEL, MANUFACTURER, INTENSITY = (
    "spacing",
    "thickness",
    "kvp",
    "kernel",
    "manufacturer",
    "intensity",
)
BEYOND = {SPACING: 0.1, THICKNESS: 0.1, KVP: 0.05}
"""How far beyond the development's smallest and largest value a number may lie, as a share of it."""

_NUMBERS = {
    SPACING: ("spacing_x_mm", "spacing_y_mm", "spacing_z_mm"),
    THICKNESS: ("slice_thickness_mm",),
    KVP: ("kvp",),
}
_CATEGORIES = {KERNEL: "kernel", MANUFACTURER: "manufacturer"}

LEAST_IMAGES = 5
"""Of fewer development images the spread of an image's numbers is not known."""

AIR_HU = -900.0
"""An image of CT has air, near -1000 HU, or padding below; noise, and a field of view at the skin, are allowed for."""

AIR_MARGIN_HU = 100.0
SD_FACTOR = 2.0

Mask = NDArray[np.bool_]


def image_doubts(facts: pd.DataFrame, acquisition: Mapping[str, Mapping[str, Any]]) -> dict[str, pd.DataFrame]:
    """Returns, by code, `center` and `case_id` of the images that are in doubt.

    Args:
        facts: As `pipelines.training.acquisitions.image_facts` returns them.
        acquisition: What the package says of its development images.
    """
    found: dict[str, list[pd.DataFrame]] = {}
    for phase, told in acquisition.items():
        rows = facts[facts["phase"] == phase]
        if rows.empty:
            continue
        for code, rule in _RULES.items():
            outside = rule(code, rows, told)
            if outside.any():
                found.setdefault(code, []).append(rows.loc[outside, ["center", "case_id"]])
    return {code: pd.concat(parts) for code, parts in found.items()}


def _beyond(code: str, rows: pd.DataFrame, told: Mapping[str, Any]) -> Mask:
    outside = np.zeros(len(rows), dtype=bool)
    for name in _NUMBERS[code]:
        known = told["numbers"].get(name, ())
        if len(known):
            values = rows[name].to_numpy(np.float64)
            low, high = known[0] * (1 - BEYOND[code]), known[-1] * (1 + BEYOND[code])
            outside |= (values < low) | (values > high)
    return outside


def _unknown(code: str, rows: pd.DataFrame, told: Mapping[str, Any]) -> Mask:
    known = {_plain(value) for value in told["categories"].get(_CATEGORIES[code], {})} - {""}
    if not known:
        return np.zeros(len(rows), dtype=bool)
    said = rows[_CATEGORIES[code]].map(_plain)
    return np.asarray((said != "") & ~said.isin(known))


def _plain(value: object) -> str:
    return " ".join(str(value).casefold().split()) if isinstance(value, str) else ""


def _intensity(_code: str, rows: pd.DataFrame, told: Mapping[str, Any]) -> Mask:
    """Returns the images whose units or offset differ: no air where there was air, or another mean or spread."""
    numbers = told["numbers"]
    outside = np.zeros(len(rows), dtype=bool)
    if min(len(numbers.get(name, ())) for name in ("image_min", "image_mean", "image_sd")) < LEAST_IMAGES:
        return outside
    lowest, mean, sd = (np.asarray(numbers[name], np.float64) for name in ("image_min", "image_mean", "image_sd"))
    if lowest[-1] <= AIR_HU:
        outside |= rows["image_min"].to_numpy(np.float64) > lowest[-1] + AIR_MARGIN_HU
    margin = max(float(mean[-1] - mean[0]), float(np.median(sd)))
    values, spread = (rows[name].to_numpy(np.float64) for name in ("image_mean", "image_sd"))
    outside |= (values < mean[0] - margin) | (values > mean[-1] + margin)
    return outside | (spread < sd[0] / SD_FACTOR) | (spread > sd[-1] * SD_FACTOR)


_RULES: dict[str, Callable[[str, pd.DataFrame, Mapping[str, Any]], Mask]] = {
    SPACING: _beyond,
    THICKNESS: _beyond,
    KVP: _beyond,
    KERNEL: _unknown,
    MANUFACTURER: _unknown,
    INTENSITY: _intensity,
}
