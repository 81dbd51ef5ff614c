"""Doubt about the cases that are being scored, from what the package remembers of its development.

What is written beside a score depends on package and case alone. What depends on settings, or on labels that come
later, is told when scores are shown; see `pipelines.scoring.doubt`.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from featurestore.entities import PATIENT_COLUMNS
from pipelines.models.base import Floats
from pipelines.models.predicting import CaseInputs, known_rows
from pipelines.scoring.conformal import p_values
from pipelines.scoring.doubt_images import image_doubts
from pipelines.scoring.doubt_regions import SHAPE, SWAPPED, strange_shapes, swapped_phases
from pipelines.training.acquisitions import OF_CASES
from registry.harmonizing import components_at_centers
from registry.parts import Part
from registry.reference import reference_of

PATIENT = list(PATIENT_COLUMNS)
BETWEEN = ";"


def doubted(package: Part, inputs: CaseInputs, facts: pd.DataFrame) -> pd.DataFrame:
    """Returns one row a patient of `inputs`, in their order: `distance`, and `doubts`, codes joined by semicolons.

    Args:
        package: The package.
        inputs: The patients, as for prediction.
        facts: Of their images, as `pipelines.training.acquisitions.image_facts` returns them.
    """
    codes: dict[str, set[int]] = {}
    place = {patient: number for number, patient in enumerate(inputs.patients)}
    reference = reference_of(package)
    acquisition = {} if reference is None else reference.acquisition
    for code, patients in image_doubts(facts, acquisition).items():
        told = zip(patients["center"], patients["case_id"], strict=True)
        codes[code] = {place[patient] for patient in told if patient in place}
    values, known = _values(package, inputs, facts)
    for code, rule in ((SHAPE, strange_shapes), (SWAPPED, swapped_phases)):
        codes[code] = set(np.flatnonzero(rule(values, known)).tolist())
    by_patient = [BETWEEN.join(sorted(code for code, own in codes.items() if n in own)) for n in range(len(place))]
    return pd.DataFrame({"distance": distances(package, inputs), "doubts": by_patient})


def distances(package: Part, inputs: CaseInputs) -> Floats:
    """Returns each patient's distance from the training patients, shape (n,); NaN where it cannot be told.

    Of a tabular package it is Mahalanobis' in the space of components. Of a fusion it is -log10 of its members'
    smallest conformal p-value, times their number: its members' spaces have nothing in common.
    """
    if not package.is_fusion:
        return np.full(len(inputs.center), np.nan) if package.is_deep else _own_distances(package, inputs)
    found = [_own_p_values(member, inputs) for member in package.members if not member.is_deep]
    if not found:
        return np.full(len(inputs.center), np.nan)
    smallest = np.fmin.reduce(found)
    return np.asarray(-np.log10(np.minimum(1.0, smallest * len(found))))


def _own_p_values(part: Part, inputs: CaseInputs) -> Floats:
    reference = reference_of(part)
    none = np.empty(0)
    return p_values(_own_distances(part, inputs), none if reference is None else reference.distances)


def _own_distances(part: Part, inputs: CaseInputs) -> Floats:
    found, reference = np.full(len(inputs.center), np.nan), reference_of(part)
    if reference is None or not reference.has_space:
        return found
    known = known_rows(part, inputs)
    if known.keep.any():
        found[known.keep] = reference.distance(components_at_centers(part, known.X, known.center, known.adapters))
    return found


def _values(package: Part, inputs: CaseInputs, facts: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Floats]]:
    """Returns features and image numbers of the patients, one row each, and the development's, by the same names."""
    columns, known = [_image_numbers(inputs, facts)], _known_images(package)
    for part in _tabular(package):
        reference = reference_of(part)
        if reference is None:
            continue
        known |= dict(reference.features)
        rows = inputs.features(part).set_index(PATIENT)[list(part.features)]
        columns.append(rows.reindex(inputs.patients))
    values = pd.concat(columns, axis=1)
    return values.loc[:, ~values.columns.duplicated()], known


def _tabular(package: Part) -> Iterator[Part]:
    if package.is_fusion:
        yield from (member for member in package.members if not member.is_deep)
    elif not package.is_deep:
        yield package


def _known_images(package: Part) -> dict[str, Floats]:
    reference = reference_of(package)
    acquisition = {} if reference is None else reference.acquisition
    return {
        f"{phase}.{name}": np.asarray(told["numbers"][name], dtype=np.float64)
        for phase, told in acquisition.items()
        for name in OF_CASES
        if name in told["numbers"]
    }


def _image_numbers(inputs: CaseInputs, facts: pd.DataFrame) -> pd.DataFrame:
    """Returns one row a patient, `<phase>.<number>`; the largest of several regions where a patient has several."""
    if facts.empty:
        return pd.DataFrame(index=inputs.patients)
    largest = facts.groupby([*PATIENT, "phase"], sort=True)[list(OF_CASES)].max().reset_index()
    found = []
    for phase, rows in largest.groupby("phase", sort=True):
        renamed = {name: f"{phase}.{name}" for name in OF_CASES}
        found.append(rows.set_index(PATIENT)[list(OF_CASES)].rename(columns=renamed).reindex(inputs.patients))
    return pd.concat(found, axis=1)
