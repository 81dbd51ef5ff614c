"""How models do in groups of patients: by center, and by what the study declares.

A group that is too small says so in place of an area, and has no part in the heterogeneity.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation import discrimination
from pipelines.evaluation.estimates import Estimate, absent
from pipelines.evaluation.groups import Pooled, pool_areas
from pipelines.evaluation.metrics import CohortPredictions

SUBGROUPS = ("model", "cohort", "subgroup", "level", "n", "events", "auc", "auc_low", "auc_high", "reason")
HETEROGENEITY = (
    "model", "cohort", "subgroup", "k", "auc", "auc_low", "auc_high", "prediction_low", "prediction_high",
    "tau2", "q", "i2", "p_value",
)  # fmt: skip
CENTER = "center"
UNKNOWN = ""
Rows = list[dict[str, object]]
Levels = Mapping[tuple[str, str], str]
"""By center and pseudonym, the group a patient is in."""


@dataclass(frozen=True, kw_only=True)
class GroupRule:
    """When a group is large enough to tell.

    Args:
        patients: The fewest patients.
        events: The fewest patients with, and the fewest without, the outcome.
    """

    patients: int
    events: int


def group_rows(
    predictions: Sequence[CohortPredictions], levels: Mapping[str, Levels], rule: GroupRule, confidence: float
) -> tuple[Rows, Rows]:
    """Returns the area in every group of every model and cohort, and how far groups differ.

    Args:
        predictions: The models on cohorts; single external centers are left out, they are groups here.
        levels: By subgroup the patients' groups; centers come by themselves.
        rule: When a group is large enough.
        confidence: The intervals' confidence.

    Returns:
        Rows of `SUBGROUPS` and rows of `HETEROGENEITY`.
    """
    areas: Rows = []
    differences: Rows = []
    for item in (item for item in predictions if "." not in item.cohort and len(item.y)):
        by_subgroup = {CENTER: item.center, **{name: _groups(item, found) for name, found in levels.items()}}
        for subgroup, group in by_subgroup.items():
            found = _of_subgroup(item, group, rule, confidence)
            head: dict[str, object] = {"model": item.model, "cohort": item.cohort, "subgroup": subgroup}
            areas += [{**head, **row} for row, _ in found]
            pooled = pool_areas([area for _, area in found], confidence)
            if pooled is not None:
                differences.append({**head, **_difference(pooled)})
    return areas, differences


def group_area(item: CohortPredictions, at: NDArray[np.bool_], rule: GroupRule, confidence: float) -> Estimate:
    """Returns the area among some patients of a cohort; cross-validated ones are compared within folds."""
    y = item.y[at]
    n, events = len(y), int(y.sum())
    if n < rule.patients or min(events, n - events) < rule.events:
        return absent("too few to tell")
    if item.out_of_fold is None:
        return discrimination.auc_estimate(y, item.p[at], confidence)
    folds = item.out_of_fold
    return discrimination.fold_auc_estimate(y, folds.p[at], folds.fold[at], confidence)


def _of_subgroup(
    item: CohortPredictions, group: NDArray[np.str_], rule: GroupRule, confidence: float
) -> list[tuple[dict[str, object], Estimate]]:
    found = []
    for level in sorted(set(group.tolist()) - {UNKNOWN}):
        at = group == level
        area = group_area(item, at, rule, confidence)
        row = {"level": level, "n": int(at.sum()), "events": int(item.y[at].sum()), **area.columns("auc")}
        found.append(({**row, "reason": area.reason}, area))
    return found


def _groups(item: CohortPredictions, levels: Levels) -> NDArray[np.str_]:
    return np.array([levels.get(patient, UNKNOWN) for patient in item.patients()], dtype=np.str_)


def _difference(pooled: Pooled) -> dict[str, object]:
    return {
        "k": pooled.k,
        **pooled.mean.columns("auc"),
        "prediction_low": pooled.prediction.low,
        "prediction_high": pooled.prediction.high,
        "tau2": pooled.tau2,
        "q": pooled.q,
        "i2": pooled.i2,
        "p_value": pooled.p_value,
    }
