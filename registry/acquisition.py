"""What a package says of how its development images were acquired, by phase, and of its held-out patients: the form.

`acquisition` is `{phase: {"n": images, "numbers": {name: [rising values]}, "categories": {name: {value: count}}}}`.
Numbers are all values when few, else evenly spaced order statistics; a value that is not known is in neither. An empty
category value stands for images that do not say.
"""

from itertools import pairwise
from typing import Any

MAX_PHASES = 64
MAX_NAMES = 64
MAX_NUMBERS = 201
MAX_LEVELS = 1_000
MAX_TEXT = 256
MAX_COUNT = 1 << 40
LARGEST = 1e15


def is_acquisition(value: Any) -> bool:
    """Returns whether a manifest's `acquisition` has the form above, within bounds."""
    return (
        isinstance(value, dict)
        and len(value) <= MAX_PHASES
        and all(_is_short(phase) and _is_phase(one) for phase, one in value.items())
    )


def is_held_out(value: Any) -> bool:
    """Returns whether a manifest's `reference` is a few counts and words."""
    if not isinstance(value, dict) or len(value) > MAX_NAMES:
        return False
    return all(_is_short(name) and (_is_short(one) or _is_count(one)) for name, one in value.items())


def _is_phase(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) != {"n", "numbers", "categories"} or not _is_count(value["n"]):
        return False
    numbers, categories = value["numbers"], value["categories"]
    if not isinstance(numbers, dict) or not isinstance(categories, dict):
        return False
    if len(numbers) > MAX_NAMES or len(categories) > MAX_NAMES or not all(map(_is_short, (*numbers, *categories))):
        return False
    return all(map(_is_rising, numbers.values())) and all(map(_is_counts, categories.values()))


def _is_rising(value: Any) -> bool:
    if not isinstance(value, list) or len(value) > MAX_NUMBERS or not all(map(_is_number, value)):
        return False
    return all(before <= after for before, after in pairwise(value))


def _is_counts(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= MAX_LEVELS
        and all(_is_short(name) and _is_count(n) for name, n in value.items())
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -LARGEST <= value <= LARGEST  # which NaN is not


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_COUNT


def _is_short(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT
