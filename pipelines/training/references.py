"""What a candidate's package remembers of its development patients: made from those who were held out.

Held-out patients are the internal ones, who trained nothing. Where they are too few, cross-validation's held-out
patients of the training side stand in for them; the manifest's `reference` says which it was, and how many:

| key | means |
|---|---|
| `patients` | development patients behind the features' values |
| `rows`, `negative`, `positive` | `internal` or `out_of_fold`, and how many by class, behind scores |
| `distance_rows`, `distances` | the same of distances |
| `components` | internal patients behind the components |

What is told of internal patients is exact; with `out_of_fold` it is that of models which each lack a fold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from featurestore.statistics import order_statistics
from featurestore.training_sets import INTERNAL, TRAINING, TrainingSet
from pipelines.models.base import Arrays, Floats, Labels
from pipelines.models.predicting import CaseInputs, known_levels, predict_cases
from pipelines.training.crossval import OutOfFold
from pipelines.training.out_of_fold import Judged
from pipelines.training.results import Fused
from pipelines.training.spaces import Space, held_out_distances
from registry.harmonizing import Harmonizer, components_at_centers, predict_at_centers
from registry.parts import Part
from registry.reference import (
    COMPONENTS,
    CONFORMAL,
    COUNT,
    DISTANCES,
    MAX_HELD_OUT,
    MAX_VALUES,
    MEAN,
    SCORES,
    START,
    VALUES,
    WHITEN,
)

OUT_OF_FOLD = "out_of_fold"
LEAST_OF_CLASS = 19
"""Patients of a class that a conformal set at 95 % needs; with fewer internal ones cross-validation's are taken."""

LEAST_DISTANCES = 19
"""Held-out distances below which none is larger than 95 % of them by the rule of conformal p-values."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What goes into a package: arrays, and words for the manifest."""

    arrays: Arrays
    manifest: Mapping[str, Any]


def tabular_reference(part: Part, whole: TrainingSet, judged: Judged) -> Told:
    """Returns the reference of a model on features.

    Args:
        part: The model's manifest and arrays.
        whole: The training set, both sides.
        judged: What cross-validation says.
    """
    internal, training = _known(part, whole.part(INTERNAL)), _known(part, whole.part(TRAINING))
    p = predict_at_centers(part, known_levels(part, internal.X), internal.center) if len(internal.y) else np.empty(0)
    scores = score_reference(internal.y, p, judged)
    arrays, distances = _space(part, internal, training, judged.nested)
    features = _features(whole)
    told = {**scores.manifest["reference"], **distances, "patients": len(whole.y)}
    return Told(
        arrays={**features, **arrays, **scores.arrays},
        manifest={"reference": told, "acquisition": whole.record.get("acquisition", {})},
    )


def stack_reference(part: Part, whole: TrainingSet, fused: Fused) -> Told:
    """Returns the reference of a late fusion: its own scores; its members' features lie under their prefix.

    A network's images of internal patients are not at hand here: with one among the members scores are out of fold.

    Args:
        part: The fusion's manifest and arrays.
        whole: Its training set.
        fused: The fusion.
    """
    rows = whole.part(INTERNAL)
    inputs = CaseInputs(
        center=rows.center,
        case_id=rows.case_id,
        features=lambda member: _of_member(fused, member),
        adapters=lambda member, _wide: ({}, _alien(member, rows.center)),
    )
    is_blind = not len(rows.y) or any(member.is_deep for member in part.members)
    p = np.full(len(rows.y), np.nan) if is_blind else predict_cases(part, inputs).p
    found = score_reference(rows.y, p, fused)
    return Told(arrays=found.arrays, manifest={**found.manifest, "acquisition": whole.record["acquisition"]})


def _of_member(fused: Fused, member: Part) -> pd.DataFrame:
    own = next(one.training for one in fused.members if one.name == member.name)
    frame = pd.DataFrame(own.X, columns=own.names).assign(center=own.center, case_id=own.case_id)
    if not member.is_harmonized:
        return frame
    return frame[~Harmonizer(member).lacking(own.X)]


def _alien(member: Part, centers: NDArray[np.str_]) -> list[str]:
    return sorted(set(centers.tolist()) - set(member.manifest["harmonization"]["centers"]))


def acquisition_of_phases(whole: TrainingSet, phases: Sequence[str]) -> dict[str, Any]:
    """Returns how a training set's images of some phases were acquired."""
    return {phase: told for phase, told in whole.record.get("acquisition", {}).items() if phase in phases}


def score_reference(y: Labels, p: Floats, judged: Judged) -> Told:
    """Returns held-out scores and conformal values: the internal patients', or cross-validation's where these lack one.

    Args:
        y: Labels of internal patients, shape (n,).
        p: What the model says of them, shape (n,); NaN where nothing.
        judged: What cross-validation says.
    """
    said = np.isfinite(p)
    y, p, rows = y[said], p[said], INTERNAL
    if _smallest_class(y) < min(LEAST_OF_CLASS, _smallest_class(judged.nested.y)):
        y, p, rows = judged.nested.y, judged.nested.mean, OUT_OF_FOLD
    arrays: Arrays = {
        SCORES: order_statistics(p, MAX_HELD_OUT),
        CONFORMAL[0]: order_statistics(p[y == 0], MAX_HELD_OUT),
        CONFORMAL[1]: order_statistics(1 - p[y == 1], MAX_HELD_OUT),
    }
    told = {"rows": rows, "negative": int((y == 0).sum()), "positive": int((y == 1).sum())}
    return Told(arrays=arrays, manifest={"reference": told})


def _smallest_class(y: NDArray[np.generic]) -> int:
    return min(int((y == 0).sum()), int((y == 1).sum()))


def _known(part: Part, rows: TrainingSet) -> TrainingSet:
    """Returns the rows that the model can say something of: none of a center that no training patient is from."""
    if not part.is_harmonized:
        return rows
    known = np.isin(rows.center, part.manifest["harmonization"]["centers"])
    return rows.rows(known & ~Harmonizer(part).lacking(rows.X))


def _features(whole: TrainingSet) -> Arrays:
    kept = [order_statistics(column, MAX_VALUES) for column in whole.X.T]
    return {
        START: np.cumsum([0, *(len(values) for values in kept)]).astype(np.int64),
        COUNT: np.isfinite(whole.X).sum(axis=0).astype(np.int64),
        VALUES: np.concatenate(kept),
    }


def _space(
    part: Part, internal: TrainingSet, training: TrainingSet, oof: OutOfFold
) -> tuple[Arrays, dict[str, object]]:
    Z, own = (components_at_centers(part, known_levels(part, one.X), one.center) for one in (training, internal))
    space = Space.fit(Z)
    if space is None:
        return {}, {"components": 0, "distance_rows": "none", "distances": 0}
    distances, rows = space.distance(own), INTERNAL
    if len(distances) < LEAST_DISTANCES and len(training.y) == len(oof.y):
        distances, rows = held_out_distances(part, training, oof.fold[:, 0]), OUT_OF_FOLD
    kept: Arrays = (
        {} if not len(own) else {COMPONENTS: np.array([order_statistics(axis, MAX_VALUES) for axis in own.T])}
    )
    arrays: Arrays = {
        MEAN: space.mean,
        WHITEN: space.whiten,
        DISTANCES: order_statistics(distances, MAX_HELD_OUT),
        **kept,
    }
    return arrays, {"components": len(own), "distance_rows": rows, "distances": len(distances)}
