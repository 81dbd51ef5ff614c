"""What a package of any kind says of patients: the one door for evaluating and for scoring."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from featurestore.entities import PATIENT_COLUMNS
from featurestore.harmonization import Adapter
from pipelines.models.base import Floats
from registry.harmonizing import Harmonizer, predict_at_centers
from registry.parts import Part
from registry.predict import combined

PATIENT = list(PATIENT_COLUMNS)
NO_FEATURES, NO_IMAGES, NO_HARMONIZATION, NO_COVARIATE, NO_MEMBER = (
    "features_missing",
    "images_missing",
    "center_not_harmonized",
    "covariate_missing",
    "member_missing",
)
LEVEL = "="

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredCases:
    """Stored crops, and the table that says where they are.

    Args:
        folder: `data/cases/<role>`.
        rows: Rows of the view `cases`.
    """

    folder: Path
    rows: pd.DataFrame


@dataclass(frozen=True, kw_only=True, eq=False)
class CaseInputs:
    """Patients, and what can be found out of them.

    Args:
        center: Their centers, shape (n,).
        case_id: Their pseudonyms, shape (n,).
        features: Returns `center`, `case_id` and a part's features, of those patients who have what the part needs.
        adapters: Returns the shifts of centers that were not in a part's fit, and centers that have none.
        cases: Their stored images, if any.
    """

    center: NDArray[np.str_]
    case_id: NDArray[np.str_]
    features: Callable[[Part], pd.DataFrame]
    adapters: Callable[[Part, pd.DataFrame], tuple[Mapping[str, Adapter], list[str]]] = lambda part, wide: ({}, [])
    cases: StoredCases | None = None

    @property
    def patients(self) -> pd.MultiIndex:
        """Center and pseudonym of each."""
        return pd.MultiIndex.from_arrays([self.center, self.case_id], names=PATIENT)


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What a package says.

    Args:
        p: Probabilities, shape (n,); NaN where it says nothing.
        reasons: Why it says nothing, by reason: which patients, shape (n,).
        members: Of a fusion, what each member says.
    """

    p: Floats
    reasons: Mapping[str, Mask] = field(default_factory=dict)
    members: Mapping[str, Floats] = field(default_factory=dict)


def predict_cases(package: Part, inputs: CaseInputs) -> Prediction:
    """Returns the package's probabilities; each patient's has the same bits whoever else is asked about.

    Args:
        package: A package of any kind.
        inputs: The patients.
    """
    if package.is_fusion:
        return _of_fusion(package, inputs)
    return _of_network(package, inputs) if package.is_deep else _of_table(package, inputs)


def known_levels(part: Part, X: Floats) -> Floats:
    """Returns features in which a category's value that no training patient had counts as missing, shape (n, p)."""
    unseen = part.manifest["model"].get("unseen", ())
    if not unseen:
        return X
    X = X.copy()
    for name in unseen:
        place = part.features.index(name)
        category = name.partition(LEVEL)[0]
        own = np.array([other.partition(LEVEL)[0] == category for other in part.features])
        X[np.outer(X[:, place] > 0, own)] = np.nan
    return X


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownRows:
    """The patients whom a tabular part can say something of.

    Args:
        X: Their features, a category's unseen values missing, shape (m, p).
        center: Their centers, shape (m,).
        keep: Which of all patients they are, shape (n,).
        adapters: The shifts of centers that were not in the part's fit.
        reasons: Why it says nothing of the others, by reason: which patients, shape (n,).
    """

    X: Floats
    center: NDArray[np.str_]
    keep: Mask
    adapters: Mapping[str, Adapter]
    reasons: Mapping[str, Mask]


def known_rows(part: Part, inputs: CaseInputs) -> KnownRows:
    """Returns the patients who have what a tabular part needs, and whose center it can be told for."""
    wide = inputs.features(part)
    adapters, alien = inputs.adapters(part, wide) if part.is_harmonized else ({}, [])
    rows = wide.set_index(PATIENT)[list(part.features)]
    present = np.asarray(inputs.patients.isin(rows.index))
    apart = np.isin(inputs.center, alien)
    keep = present & ~apart
    X = known_levels(part, rows.reindex(inputs.patients[keep]).to_numpy(np.float64))
    reasons = {NO_FEATURES: ~present, **({NO_HARMONIZATION: present & apart} if alien else {})}
    lacking = Harmonizer(part).lacking(X) if part.is_harmonized else np.zeros(len(X), np.bool_)
    if lacking.any():
        reasons[NO_COVARIATE] = np.zeros(len(keep), np.bool_)
        reasons[NO_COVARIATE][keep] = lacking
        X, keep = X[~lacking], keep & ~reasons[NO_COVARIATE]
    return KnownRows(X=X, center=inputs.center[keep], keep=keep, adapters=adapters, reasons=reasons)


def _of_table(part: Part, inputs: CaseInputs) -> Prediction:
    known = known_rows(part, inputs)
    p = np.full(len(known.keep), np.nan)
    if known.keep.any():
        p[known.keep] = predict_at_centers(part, known.X, known.center, known.adapters)
    return Prediction(p=p, reasons=known.reasons)


def _of_network(part: Part, inputs: CaseInputs) -> Prediction:
    from pipelines.models.patches import NoPatchError, Recipe, case_patches
    from pipelines.models.resnet import network_from

    p = np.full(len(inputs.center), np.nan)
    if inputs.cases is None or inputs.cases.rows.empty or not len(p):
        return Prediction(p=p, reasons={NO_IMAGES: np.ones(len(p), dtype=bool)})
    told = part.manifest["model"]
    network = network_from(told, dict(part.arrays), part.manifest["golden"])
    recipe = Recipe.from_plain(told["network"]["recipe"])
    own = dict(list(inputs.cases.rows.groupby(PATIENT, sort=False)))
    for place, patient in enumerate(zip(inputs.center.tolist(), inputs.case_id.tolist(), strict=True)):
        if patient in own:
            try:
                p[place] = network.predict(case_patches(inputs.cases.folder, own[patient], recipe)[np.newaxis])[0]
            except NoPatchError:
                continue  # counted below
    return Prediction(p=p, reasons={NO_IMAGES: np.isnan(p)})


def _of_fusion(package: Part, inputs: CaseInputs) -> Prediction:
    found = {member.name: predict_cases(member, inputs) for member in package.members}
    members = {name: one.p for name, one in found.items()}
    p = combined(package, members)
    return Prediction(p=p, reasons={NO_MEMBER: np.isnan(p)}, members=members)
