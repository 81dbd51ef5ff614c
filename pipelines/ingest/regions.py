"""Which of the named regions in a structure set or segmentation the rules mean."""

import re
from collections import Counter
from collections.abc import Sequence

from pipelines.ingest.problems import RoiNotFoundError

Region = tuple[int, str]
"""Number and name, as the file tells them."""


def chosen(regions: Sequence[Region], pattern: str, number: int | None, kind: str) -> dict[int, str]:
    """Returns the regions that the rules name, by number; a name that occurs twice gets its number added.

    Args:
        regions: Those in the file.
        pattern: A regular expression searched in names; not asked when `number` is given.
        number: The number wanted.
        kind: How messages call a region, such as `ROI`.

    Raises:
        RoiNotFoundError: None is meant; the message lists those there are.
    """
    names = Counter(name for _, name in regions)
    unique = {n: name if names[name] == 1 else f"{name} ({n})" for n, name in regions}
    if number is not None:
        found = {n: name for n, name in unique.items() if n == number}
        wanted = f"number {number}"
    else:
        found = {n: unique[n] for n, name in regions if re.search(pattern, name)}
        wanted = f"a name that matches {pattern!r}"
    if not found:
        there = ", ".join(f"{n} {name!r}" for n, name in regions) or "none"
        raise RoiNotFoundError(f"{kind}s found: {there}; expected: {wanted}")
    return found
