"""What drift is looked for in: the features of a package, the components its estimator sees, and its scores.

Three families. Features are told as measured. Components, and their distance from the training patients, are those of
every member that sees features, after its harmonization. Scores are the package's own; a network has nothing else.

The features of a model that harmonizes are told, and ring no alarm: that they differ from hospital to hospital is what
it is there for, and what is left of it shows in its components.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from featurestore.entities import PATIENT_COLUMNS
from pipelines.models.predicting import CaseInputs, known_levels
from pipelines.scoring.drift_statistics import Scale
from registry.harmonizing import components_at_centers
from registry.parts import Part
from registry.reference import Reference, reference_of

Floats = NDArray[np.float64]
PATIENT = list(PATIENT_COLUMNS)

FEATURES, COMPONENTS, SCORES = FAMILIES = ("features", "components", "scores")
DISTANCE = "distance"
SCORE = "score"
OUT_OF_FOLD = "out_of_fold"


@dataclass(frozen=True, kw_only=True, eq=False)
class Variable:
    """One thing that can move.

    Args:
        family: features, components or scores.
        name: Its name in tables.
        scale: What development knows of it.
        rings: Whether it may ring an alarm.
    """

    family: str
    name: str
    scale: Scale = field(repr=False)
    rings: bool = True


def variables(package: Part) -> tuple[Variable, ...]:
    """Returns what drift can be looked for in; nothing where the package remembers nothing of development."""
    return (*_features(package), *_components(package), *_scores(package))


def ringing(found: Sequence[Variable]) -> tuple[str, ...]:
    """Returns the families that may ring an alarm, and share its error."""
    return tuple(family for family in FAMILIES if any(one.rings for one in found if one.family == family))


def is_harmonized(package: Part) -> bool:
    """Returns whether a package, or a member of it, harmonizes centers."""
    return any(part.is_harmonized for part in (package, *package.members))


def tabular_parts(package: Part) -> tuple[Part, ...]:
    """Returns what sees features: the package itself, or the members of a fusion that do."""
    parts = package.members if package.is_fusion else (package,)
    return tuple(part for part in parts if part.features)


def values(package: Part, inputs: CaseInputs, scores: Floats) -> Floats:
    """Returns the variables of patients, shape (n, v); NaN where one has none.

    Args:
        package: The package.
        inputs: The patients.
        scores: What the package says of them, shape (n,).
    """
    columns: dict[tuple[str, str], Floats] = {(SCORES, SCORE): scores}
    for part in tabular_parts(package):
        columns |= _of_part(package, part, inputs)
    none = np.full(len(scores), np.nan)
    told = [columns.get((one.family, one.name), none) for one in variables(package)]
    return np.column_stack(told) if told else np.empty((len(scores), 0))


def feature_rows(part: Part, inputs: CaseInputs) -> tuple[NDArray[np.bool_], Floats]:
    """Returns which patients have a part's features, shape (n,), and the features of these, shape (m, p)."""
    wide = inputs.features(part).set_index(PATIENT)[list(part.features)]
    present = np.asarray(inputs.patients.isin(wide.index))
    return present, wide.reindex(inputs.patients[present]).to_numpy(np.float64)


def _of_part(package: Part, part: Part, inputs: CaseInputs) -> dict[tuple[str, str], Floats]:
    present, X = feature_rows(part, inputs)
    found = {(FEATURES, name): _spread(present, column) for name, column in zip(part.features, X.T, strict=True)}
    reference = reference_of(part)
    if reference is None or not len(X) or not (reference.has_space or reference.components.size):
        return found
    adapters, alien = inputs.adapters(part, inputs.features(part)) if part.is_harmonized else ({}, [])
    told = ~np.isin(inputs.center[present], alien)
    Z = np.full((len(X), _width(reference)), np.nan)
    if told.any():
        Z[told] = components_at_centers(part, known_levels(part, X[told]), inputs.center[present][told], adapters)
    for number, axis in enumerate(Z.T):
        found[COMPONENTS, component_name(package, part, number)] = _spread(present, axis)
    if reference.has_space:
        distance = np.where(told, reference.distance(Z), np.nan)
        found[COMPONENTS, component_name(package, part)] = _spread(present, distance)
    return found


def component_name(package: Part, part: Part, number: int | None = None) -> str:
    """Returns what a component, or the distance, of a part is called in tables."""
    name = DISTANCE if number is None else f"component {number + 1}"
    return f"{part.name}: {name}" if package.is_fusion else name


def _width(reference: Reference) -> int:
    return len(reference.mean) or len(reference.components)


def _spread(present: NDArray[np.bool_], column: Floats) -> Floats:
    found = np.full(len(present), np.nan)
    found[present] = column
    return found


def _features(package: Part) -> Iterator[Variable]:
    kept: dict[str, Scale] = {}
    for part in tabular_parts(package):
        reference = reference_of(part)
        for name, own in reference.features.items() if reference else ():
            kept.setdefault(name, Scale.of(own, reference.counts[name]))  # type: ignore[union-attr]
    rings = not is_harmonized(package)
    for name in package.features:
        if name in kept and kept[name].n:
            yield Variable(family=FEATURES, name=name, scale=kept[name], rings=rings)


def _components(package: Part) -> Iterator[Variable]:
    for part in tabular_parts(package):
        reference = reference_of(part)
        if reference is None:
            continue
        n = int(reference.held_out.get("components", 0)) or reference.components.shape[-1]
        for number, own in enumerate(reference.components):
            yield _component(component_name(package, part, number), own, n)
        if len(reference.distances):
            n = int(reference.held_out.get("distances", 0)) or len(reference.distances)
            rings = reference.held_out.get("distance_rows") != OUT_OF_FOLD
            yield _component(component_name(package, part), reference.distances, n, rings)


def _component(name: str, kept: Floats, n: int, rings: bool = True) -> Variable:
    return Variable(family=COMPONENTS, name=name, scale=Scale.of(kept, max(n, len(kept))), rings=rings)


def _scores(package: Part) -> Iterator[Variable]:
    reference = reference_of(package)
    if reference is not None and len(reference.scores):
        told: Mapping[str, object] = reference.held_out
        n = sum(int(str(told.get(name, 0))) for name in ("negative", "positive"))
        scale = Scale.of(reference.scores, max(n, len(reference.scores)))
        yield Variable(family=SCORES, name=SCORE, scale=scale, rings=told.get("rows") != OUT_OF_FOLD)
