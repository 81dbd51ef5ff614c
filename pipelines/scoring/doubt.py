"""What is shown of a score that should not be trusted: folded from the history, under the settings in force.

The history has what depends on package and case alone: `distance` and `doubts`. The error rate, the policy and the
hospital's own labelled cases come in here, so that changing them changes no score.
"""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from pipelines.models.base import Floats
from pipelines.params.operation import DoubtSection
from pipelines.scoring.conformal import ConformalAdapter, Reference, is_void, p_values, prediction_sets
from pipelines.scoring.doubting import BETWEEN
from registry.parts import Part
from registry.reference import reference_of

FAR = "far_from_training"
OTHER_DATA, OTHER_ACQUISITION = "other_data", "other_acquisition"
LEAST_CASES = 10
"""Of fewer cases nobody can say that more than half of a hospital's are in doubt."""

WORDS = {
    "spacing": "voxels of a size that was not trained on",
    "thickness": "slices thicker or thinner than any trained on",
    "kvp": "tube voltage that was not trained on",
    "kernel": "reconstruction kernel that was not trained on",
    "manufacturer": "scanner maker that was not trained on",
    "intensity": "image values unlike those trained on: other units or offset, or no air",
    "shape": "outline of a shape no development outline had: another organ?",
    "phases_swapped": "phases look like each other's: swapped?",
    FAR: "features far from all held-out development cases",
}
"""What each code means, in a few words; docs/concepts/doubt.md says what to do."""

ACQUIRED = frozenset({"spacing", "thickness", "kvp", "kernel", "manufacturer"})
"""A new hospital may well have another scanner; that is no sign of another study's data."""


def shown(
    rows: pd.DataFrame, package: Part, settings: DoubtSection, adapter: ConformalAdapter | None = None
) -> pd.DataFrame:
    """Returns scores as the policy lets them be seen, with `doubt` in words and `prediction_set`.

    Args:
        rows: Rows of the history under the package: probability, positive, distance, doubts.
        package: The package.
        settings: The policy and the error rate.
        adapter: The hospital's own calibration of prediction sets, if it has one.
    """
    codes = doubt_codes(rows, package, settings.alpha)
    if settings.policy == "score":
        return rows
    p = rows["probability"].to_numpy(np.float64)
    sets = prediction_sets(p, set_reference(package, adapter), settings.alpha)
    told = rows.assign(doubt=["; ".join(WORDS.get(code, code) for code in own) for own in codes], prediction_set=sets)
    if settings.policy == "withhold":
        doubted = np.array([bool(own) for own in codes], dtype=bool)
        blank = {name: told[name].astype(object).mask(doubted, None) for name in ("probability", "positive")}
        told = told.assign(**blank, prediction_set=told["prediction_set"].mask(doubted, ""))
    return told


def doubt_codes(rows: pd.DataFrame, package: Part, alpha: float) -> list[list[str]]:
    """Returns the codes of each row: what the history has, and whether its features are far from training."""
    far = far_p_values(rows["distance"].to_numpy(np.float64), package) <= alpha
    found = [[code for code in str(told).split(BETWEEN) if code] for told in rows["doubts"].fillna("")]
    return [sorted([*own, FAR]) if is_far else own for own, is_far in zip(found, far.tolist(), strict=True)]


def far_p_values(distance: Floats, package: Part) -> Floats:
    """Returns how often a held-out case lies at least as far from training, shape (n,); NaN where nothing is known.

    Below `1 / alpha - 1` held-out cases no case is far: the rule is void.
    """
    if package.is_fusion:
        return np.asarray(10.0**-distance)
    reference = reference_of(package)
    if reference is None or not len(reference.distances):
        return np.full(len(distance), np.nan)
    return p_values(distance, reference.distances)


def set_reference(package: Part, adapter: ConformalAdapter | None = None) -> Reference:
    """Returns what prediction sets rest on: the hospital's own cases, or else the development's held-out ones."""
    if adapter is not None:
        return adapter.reference
    reference = reference_of(package)
    return {0: np.empty(0), 1: np.empty(0)} if reference is None else reference.conformal


def standing(package: Part, alpha: float, adapter: ConformalAdapter | None = None) -> str:
    """Returns in words what prediction sets rest on and promise at a hospital."""
    reference = set_reference(package, adapter)
    n = f"{len(reference[0])} negative and {len(reference[1])} positive"
    if is_void(reference, alpha):
        return f"no prediction sets: {n} held-out cases are too few for an error rate of {alpha:g}"
    if adapter is not None:
        return f"prediction sets from {n} labelled cases of this hospital, left out of its figures"
    return f"prediction sets from {n} held-out cases of the development: their promise may not hold here"


def other_data(rows: pd.DataFrame, package: Part, alpha: float) -> str:
    """Returns why a hospital's cases as a whole look like another study's; empty where they do not.

    How images were acquired has no part in it: see `other_acquisition`.

    Args:
        rows: The current scores of the hospital's cases under the package.
        package: The package.
        alpha: The error rate.
    """
    remedy = "check that the folder holds this study's patients, phases and outlines, then units"
    return _most(doubt_codes(rows, package, alpha), set(WORDS) - ACQUIRED, remedy)


def other_acquisition(rows: pd.DataFrame, package: Part, alpha: float) -> str:
    """Returns how most of a hospital's images differ from all that was trained on; empty where they do not.

    Args:
        rows: The current scores of the hospital's cases under the package.
        package: The package.
        alpha: The error rate.
    """
    remedy = "ask for the protocol trained on, or wait for labels before these scores are relied on"
    return _most(doubt_codes(rows, package, alpha), ACQUIRED, remedy)


def _most(codes: Sequence[Sequence[str]], wanted: Collection[str], remedy: str) -> str:
    own = [[code for code in found if code in wanted] for found in codes]
    n = sum(map(bool, own))
    if len(own) < LEAST_CASES or 2 * n <= len(own):
        return ""
    counted = Counter(code for found in own for code in found)
    named = ", ".join(f"{code} {count}" for code, count in sorted(counted.items(), key=lambda one: (-one[1], one[0])))
    return f"{n} of {len(own)} cases are in doubt ({named}): {remedy}; docs/concepts/doubt.md says what each word means"
