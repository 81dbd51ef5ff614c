"""Step records: what a step did to a case, with which parameters and versions, from which hashes."""

from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version

FEATURE_SET = "1"
"""The version of everything that decides a feature's value. `CHANGELOG.md` says what each change did."""


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One step of a case's way from raw files to a value.

    Args:
        step: The verb, such as `crop` or `resample`.
        parameters: The settings it ran with, JSON types only.
        inputs: Names of its inputs with their content hashes.
        versions: Libraries that decide its result.
        notes: What a person should know, such as a repaired direction.
    """

    step: str
    parameters: dict[str, object] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, object]:
        """Returns the record as JSON types."""
        return asdict(self)


@cache
def installed(*names: str) -> dict[str, str]:
    """Returns the installed versions of the named distributions; an absent one is `absent`."""
    return {name: _version(name) for name in names}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
