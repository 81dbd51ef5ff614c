"""The search spaces: which hyperparameters an estimator has, in which range, and where the search begins."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from featurestore.errors import InputError
from pipelines.models.base import Values

Choice = float | int | str


class SpaceError(InputError):
    """A search range in `params.yaml` is not one."""

    default_remedy = "correct models.<name>.space; nothing was changed"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One hyperparameter.

    Args:
        name: Its name.
        kind: A number in a range, a whole number in a range, or one of several choices.
        default: Where the search begins.
        low: The range's lower end.
        high: The range's upper end.
        log: Whether the range is searched on a logarithmic scale.
        choices: What can be chosen.
    """

    name: str
    kind: Literal["float", "integer", "choice"]
    default: Choice
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Choice, ...] = ()


COMPONENTS = "components"
FEATURES = "features"
MINIMUM_COMPONENTS = 2
SCORES = "scores"

SPACES: dict[str, tuple[Parameter, ...]] = {
    "lr": (
        Parameter(name="C", kind="float", default=0.1, low=1e-4, high=1e2, log=True),
        Parameter(name=SCORES, kind="choice", default="scaled", choices=("scaled", "whitened")),
    ),
    "rf": (
        Parameter(name="trees", kind="choice", default=100, choices=(100,)),
        Parameter(name="max_depth", kind="integer", default=4, low=1, high=8),
        Parameter(name="min_leaf", kind="integer", default=3, low=1, high=12),
        Parameter(name="max_features", kind="float", default=0.3, low=0.1, high=1.0),
    ),
    "mlp": (
        Parameter(name="hidden", kind="choice", default="16", choices=("4", "8", "16", "32", "16-8")),
        Parameter(name="alpha", kind="float", default=1.0, low=1e-3, high=1e2, log=True),
        Parameter(name="iterations", kind="integer", default=60, low=10, high=200, log=True),
        Parameter(name="activation", kind="choice", default="tanh", choices=("tanh", "relu")),
        Parameter(name=SCORES, kind="choice", default="scaled", choices=("scaled", "whitened")),
    ),
}
"""Ranges that hold for 50 to 1,000 patients. `scores` says how components reach the estimator: all divided by the
first one's standard deviation, or each by its own. `trees` is not searched: more of them is never worse."""


def space(
    estimator: str, n_components: int, own: Mapping[str, object] | None = None, *, searched: str = COMPONENTS
) -> tuple[Parameter, ...]:
    """Returns the parameters to search, the number of components or of single features first.

    Single features have one scale, so how components are scaled is no question then.

    Args:
        estimator: `lr`, `rf` or `mlp`.
        n_components: The largest number of components there can be.
        own: Ranges of `params.yaml` that replace default ones: a list of choices, or `{low, high, log}`.
        searched: `components` or `features`: what the search chooses the number of; empty where a rule decides it.

    Raises:
        SpaceError: A name is unknown or a range is empty.
    """
    low = min(MINIMUM_COMPONENTS, n_components)
    components = Parameter(
        name=searched, kind="integer", default=min(10, n_components), low=low, high=n_components, log=True
    )
    others = [p for p in SPACES[estimator] if not (p.name == SCORES and searched == FEATURES)]
    known = {p.name: p for p in ([components, *others] if searched else others)}
    for name, ranges in (own or {}).items():
        if name not in known:
            raise SpaceError(f"unknown parameter {name!r}; {estimator} has {', '.join(known)}", where="space")
        known[name] = _replaced(known[name], ranges)
    return tuple(known.values())


def defaults(parameters: tuple[Parameter, ...]) -> Values:
    """Returns the values that the search begins with."""
    return {parameter.name: parameter.default for parameter in parameters}


def _replaced(parameter: Parameter, ranges: object) -> Parameter:
    if isinstance(ranges, list) and ranges:
        default = parameter.default if parameter.default in ranges else ranges[0]
        return replace(parameter, kind="choice", choices=tuple(ranges), default=default)
    if not isinstance(ranges, Mapping) or not {"low", "high"} <= set(ranges) <= {"low", "high", "log"}:
        raise SpaceError(f"{ranges!r} is neither a list of choices nor {{low, high, log}}", where=parameter.name)
    if parameter.kind == "choice" and not isinstance(parameter.default, int | float):
        raise SpaceError("takes a list of choices", where=f"space.{parameter.name}")
    return _ranged(parameter, float(ranges["low"]), float(ranges["high"]), bool(ranges.get("log", False)))


def _ranged(parameter: Parameter, low: float, high: float, log: bool) -> Parameter:
    if not low <= high or (log and low <= 0):
        raise SpaceError(
            f"from {low:g} to {high:g}{' on a log scale' if log else ''} is no range", where=parameter.name
        )
    default = min(max(float(parameter.default), low), high)
    if parameter.kind == "float":
        return replace(parameter, low=low, high=high, log=log, default=default)
    return replace(parameter, kind="integer", low=low, high=high, log=log, default=int(default), choices=())
