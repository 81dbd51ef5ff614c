"""What a package remembers of its development patients, so that doubt and drift can be told later; no patient's row.

Every array is sorted by itself, so that no row can be put together from them.

| array | rule |
|---|---|
| `reference.features.start` | int64 (p+1,), from 0, never falling: where the values of each feature begin and end |
| `reference.features.n` | int64 (p,): development patients with a value |
| `reference.features` | float64: the values of each feature, rising; all when few, else evenly spaced ones |
| `reference.mean`, `reference.whiten` | float64 (k,), (r, k): what makes components into a Mahalanobis distance |
| `reference.distances` | float64, at least 0, rising: the distances of patients who were held out |
| `reference.components` | float64 (k, m), may be absent: components of patients held out, each row rising |
| `reference.scores` | float64, 0 to 1, rising: what the model says of patients who were held out |
| `reference.conformal.0`, `reference.conformal.1` | float64, 0 to 1, rising: by class, how strange they are to it |

Features, the space (mean, whiten, distances) and scores (with both conformal arrays) may each be absent as a whole. A
fusion's members have their own under their prefix.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from registry.arrays import ArrayRuleError, Arrays
from registry.parts import Part

Floats = NDArray[np.float64]

PREFIX = "reference."
MAX_VALUES = 201
"""Of a feature or a component: enough for a Kolmogorov-Smirnov distance, and few in a large cohort."""

MAX_HELD_OUT = 10_000
"""Of distances, scores and conformal values, whose tails decide."""

MAX_PATIENTS = 1 << 40
MAX_MAGNITUDE = 1e300
"""Larger numbers would overflow in sums and are nobody's feature."""

START, COUNT, VALUES = "reference.features.start", "reference.features.n", "reference.features"
MEAN, WHITEN, DISTANCES, COMPONENTS = (
    "reference.mean",
    "reference.whiten",
    "reference.distances",
    "reference.components",
)
SCORES = "reference.scores"
CONFORMAL = {0: "reference.conformal.0", 1: "reference.conformal.1"}

NAMES = (START, COUNT, VALUES, MEAN, WHITEN, DISTANCES, COMPONENTS, SCORES, *CONFORMAL.values())
_WHOLE = ((START, COUNT, VALUES), (MEAN, WHITEN, DISTANCES), (SCORES, *CONFORMAL.values()))


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """What was seen in development.

    Args:
        features: By feature, values of development patients, rising, shape (at most 201,): all of them when few, else
            evenly spaced order statistics, the smallest and largest among them. As measured: before any harmonization.
        counts: By feature, how many development patients had a value.
        components: Of held-out patients, shape (k, m), each row rising; (0, 0) where none were kept.
        mean: The training patients' mean in the space of components, shape (k,).
        whiten: Makes components into independent ones of variance 1, shape (r, k); r may be smaller than k.
        distances: Mahalanobis distances of held-out patients, rising, shape (m,).
        scores: The model's probabilities of held-out patients, rising, shape (m,).
        conformal: By class, nonconformity of held-out patients (p of negative, 1 - p of positive ones), rising.
        held_out: What the held-out rows were, and how many; see `pipelines.training.references`.
        acquisition: By phase, what images were acquired with; see `pipelines.training.acquisitions`.
    """

    features: Mapping[str, Floats] = field(repr=False)
    counts: Mapping[str, int] = field(repr=False)
    components: Floats = field(repr=False)
    mean: Floats = field(repr=False)
    whiten: Floats = field(repr=False)
    distances: Floats = field(repr=False)
    scores: Floats = field(repr=False)
    conformal: Mapping[int, Floats] = field(repr=False)
    held_out: Mapping[str, Any]
    acquisition: Mapping[str, Mapping[str, Any]] = field(repr=False)

    @property
    def has_space(self) -> bool:
        """Whether distances can be told."""
        return len(self.mean) > 0

    def distance(self, components: Floats) -> Floats:
        """Returns the Mahalanobis distance from the training patients, shape (n,), of components, shape (n, k).

        Each row is computed as if it came alone.
        """
        with np.errstate(all="ignore"):
            moved = np.matmul(np.ascontiguousarray(components - self.mean)[:, None, :], self.whiten.T)[:, 0, :]
            found = np.sqrt((moved**2).sum(axis=1))
        return np.where(np.isnan(found), np.inf, found)


def reference_of(part: Part) -> Reference | None:
    """Returns what a package, or a fusion's member, remembers; nothing where it remembers nothing.

    Args:
        part: A loaded package, whose arrays were checked, or a member of one.
    """
    own = {name: part.arrays[name] for name in NAMES if name in part.arrays}
    if not own and "acquisition" not in part.manifest:
        return None
    none = np.empty(0)
    features, counts = _features(own, part.features)
    return Reference(
        features=features,
        counts=counts,
        components=own.get(COMPONENTS, np.empty((0, 0))),
        mean=own.get(MEAN, none),
        whiten=own.get(WHITEN, np.empty((0, 0))),
        distances=own.get(DISTANCES, none),
        scores=own.get(SCORES, none),
        conformal={label: own.get(name, none) for label, name in CONFORMAL.items()},
        held_out=part.manifest.get("reference", {}),
        acquisition=part.manifest.get("acquisition", {}),
    )


def _features(own: Arrays, names: tuple[str, ...]) -> tuple[dict[str, Floats], dict[str, int]]:
    if VALUES not in own:
        return {}, {}
    start, values = own[START].tolist(), own[VALUES]
    found = {name: values[first:last] for name, first, last in zip(names, start[:-1], start[1:], strict=True)}
    return found, dict(zip(names, own[COUNT].tolist(), strict=True))


def without_reference(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Returns the arrays that predict."""
    return {name: array for name, array in arrays.items() if not name.startswith(PREFIX)}


def check_reference(arrays: Arrays, n_features: int, n_components: int) -> None:
    """Checks names, types, shapes, order and ranges of all arrays of a reference.

    Args:
        arrays: The arrays of a package or a member; those that are no reference's are not looked at.
        n_features: How many features it has.
        n_components: How many values reach its estimator; 0 where there is no such space.

    Raises:
        ArrayRuleError: The first rule that is broken.
    """
    own = {name: array for name, array in arrays.items() if name.startswith(PREFIX)}
    unknown = sorted(set(own) - set(NAMES))
    _require(not unknown, f"unknown arrays {unknown[:5]}")
    for whole in _WHOLE:
        there = [name for name in whole if name in own]
        _require(len(there) in (0, len(whole)), f"{', '.join(there)} without the others of {', '.join(whole)}")
    for name, array in own.items():
        _check_values(name, array)
    if VALUES in own:
        _check_features(own, n_features)
    if MEAN in own or COMPONENTS in own:
        _check_space(own, n_components)
    for name in (SCORES, *CONFORMAL.values()):
        if name in own:
            _check_rising(name, own[name], MAX_HELD_OUT)
            _require(bool(((own[name] >= 0) & (own[name] <= 1)).all()), f"{name} leaves 0..1")


def _check_values(name: str, array: NDArray[Any]) -> None:
    wanted = np.int64 if name in (START, COUNT) else np.float64
    _require(array.dtype == wanted, f"{name} is {array.dtype}, not {np.dtype(wanted)}")
    if wanted is np.float64:
        is_fit = array.size == 0 or (array.min() >= -MAX_MAGNITUDE and array.max() <= MAX_MAGNITUDE)  # NaN is not
        _require(bool(is_fit), f"{name} has values that are not finite, or too large")


def _check_rising(name: str, array: NDArray[Any], limit: int) -> None:
    _require(array.ndim == 1 and array.size <= limit, f"{name} has shape {array.shape}; at most {limit} are kept")
    _require(bool((array[1:] >= array[:-1]).all()), f"{name} does not rise")


def _check_features(own: Arrays, n_features: int) -> None:
    start, counts, values = own[START], own[COUNT], own[VALUES]
    _require(n_features > 0 and start.shape == (n_features + 1,), f"{START} has shape {start.shape}")
    _require(counts.shape == (n_features,), f"{COUNT} has shape {counts.shape}")
    _require(values.ndim == 1, f"{VALUES} has shape {values.shape}")
    limit = n_features * MAX_VALUES
    _require(values.size <= limit and start[0] == 0 and start[-1] == values.size, f"{START} is not about {VALUES}")
    _require(bool((start[1:] >= start[:-1]).all()), f"{START} falls")
    length = np.diff(start)
    _require(bool((length <= MAX_VALUES).all()), f"{VALUES} keeps more than {MAX_VALUES} of a feature")
    _require(bool(((counts >= length) & (counts <= MAX_PATIENTS)).all()), f"{COUNT} is less than the values kept")
    is_first = np.zeros(values.size, dtype=bool)
    is_first[start[:-1][start[:-1] < values.size]] = True
    _require(bool((is_first[1:] | (values[1:] >= values[:-1])).all()), f"{VALUES} of a feature do not rise")


def _check_space(own: Arrays, n_components: int) -> None:
    _require(MEAN in own and n_components > 0, f"{COMPONENTS} or {MEAN} without a space")
    mean, whiten = own[MEAN], own[WHITEN]
    _require(mean.shape == (n_components,), f"{MEAN} has shape {mean.shape}, not ({n_components},)")
    fits = whiten.ndim == 2 and 0 < whiten.shape[0] <= n_components and whiten.shape[1] == n_components
    _require(fits, f"{WHITEN} has shape {whiten.shape}, not (r, {n_components})")
    _check_rising(DISTANCES, own[DISTANCES], MAX_HELD_OUT)
    _require(bool((own[DISTANCES] >= 0).all()), f"{DISTANCES} are below 0")
    if COMPONENTS in own:
        components = own[COMPONENTS]
        fits = components.ndim == 2 and components.shape[0] == n_components and components.shape[1] <= MAX_VALUES
        _require(fits, f"{COMPONENTS} has shape {components.shape}, not ({n_components}, m)")
        _require(bool((components[:, 1:] >= components[:, :-1]).all()), f"{COMPONENTS} do not rise")


def _require(holds: bool, complaint: str) -> None:
    if not holds:
        raise ArrayRuleError(complaint)
