"""Which version a person means: an alias, a number, the beginning of a digest, or a model's name."""

import re

from registry.errors import UnknownVersionError
from registry.states import RETIRED, ModelVersion, RegistryState

SHORTEST_DIGEST = 6
"""Fewer hexadecimal digits than these are taken for a number or a name."""

_NUMBER = re.compile(r"v?(\d{1,5})")
_DIGEST = re.compile(rf"[0-9a-f]{{{SHORTEST_DIGEST},64}}")


def select(state: RegistryState, selector: str) -> ModelVersion:
    """Returns the version that `selector` means.

    A model's name means its latest version that is not retired.

    Raises:
        UnknownVersionError: No version answers, or a digest's beginning fits several.
    """
    versions = list(state.versions.values())
    found = _by_alias(versions, selector) or _by_name(versions, selector) or _by_number(versions, selector)
    found = found or _by_digest(versions, selector)
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"v{v.number} {v.model}" for v in versions[-5:]) or "none"
    what = f"{len(found)} versions begin with" if found else "no registered version is called"
    raise UnknownVersionError(f"{what} {selector!r} (registered: {known})")


def _by_alias(versions: list[ModelVersion], selector: str) -> list[ModelVersion]:
    return [version for version in versions if selector in version.aliases]


def _by_name(versions: list[ModelVersion], selector: str) -> list[ModelVersion]:
    return [version for version in versions if version.model == selector and version.state != RETIRED][-1:]


def _by_number(versions: list[ModelVersion], selector: str) -> list[ModelVersion]:
    match = _NUMBER.fullmatch(selector)
    return [version for version in versions if match and version.number == int(match[1])]


def _by_digest(versions: list[ModelVersion], selector: str) -> list[ModelVersion]:
    is_digest = _DIGEST.fullmatch(selector) is not None
    return [version for version in versions if is_digest and version.digest.startswith(selector)]
