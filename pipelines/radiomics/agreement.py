"""Whether two engines agree: the largest relative difference, feature by feature."""

import math
from collections.abc import Mapping

from featurestore.errors import FaultError

RELATIVE = 1e-9
"""Largest relative difference that counts as equal: sums in another order differ by 1e-15 to 1e-12."""

ABSOLUTE = 1e-12
"""Differences up to this count as none: near zero a relative difference says nothing."""


class NothingToCompareError(FaultError):
    """The reference has no values, or other features."""

    default_remedy = "check that the reference engine has all that its filters need"


def relative_differences(reference: Mapping[str, float], found: Mapping[str, float]) -> dict[str, float]:
    """Returns the relative difference of every feature; infinite where only one of two values is a number.

    Raises:
        NothingToCompareError: The reference is empty or the features differ: that is no agreement.
    """
    if not reference:
        raise NothingToCompareError("the reference has no features")
    if list(reference) != list(found):
        other = sorted(set(reference) ^ set(found)) or ["(only their order)"]
        raise NothingToCompareError(f"{len(other)} features differ, such as {other[0]}")
    return {name: _relative(value, found[name]) for name, value in reference.items()}


def disagreements(reference: Mapping[str, float], found: Mapping[str, float]) -> dict[str, float]:
    """Returns the features that differ by more than the tolerance, with their relative difference."""
    return {name: gap for name, gap in relative_differences(reference, found).items() if gap > RELATIVE}


def _relative(reference: float, found: float) -> float:
    if math.isnan(reference) or math.isnan(found):
        return 0.0 if math.isnan(reference) and math.isnan(found) else math.inf
    gap = abs(reference - found)
    if gap <= ABSOLUTE:
        return 0.0
    return gap / abs(reference) if reference else math.inf
