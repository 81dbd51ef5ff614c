"""Recalibrates a version on the labelled cases of one hospital: a new version, through the same gates as any other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from featurestore.errors import InputError
from pipelines.evaluation.calibration import slope
from pipelines.evaluation.estimates import Estimate, Floats, Labels
from pipelines.evaluation.metrics import CohortPredictions, draws, judge, rounded
from pipelines.params import load_operation
from pipelines.scoring.in_force import case_rules
from pipelines.scoring.labels import known_labels
from pipelines.scoring.performance import CONFIDENCE, SEED
from pipelines.scoring.places import Deployment, check_center_name
from pipelines.scoring.recalibrations import write_cases
from pipelines.scoring.scores import current_scores, read_scores
from pipelines.training.recalibration import fit_recalibration
from pipelines.workspace import Workspace
from registry.lifecycle import Registry
from registry.package import ModelPackage, load_package
from registry.recalibrating import Recalibrated, save_recalibrated
from registry.states import ModelVersion

N_DRAWS = 1000
EDGE = 1e-6
_RANKS = ("n", "events", "prevalence", "auc", "auc_low", "auc_high", "average_precision")
"""Figures of a cohort that rest on the order of patients alone, and so hold for the new version too."""


class TooFewLabelledError(InputError):
    """The hospital has too few labelled cases of a class."""

    default_remedy = (
        "wait for more labels (clinical.csv in the hospital's folder, then `radmill score`), or lower "
        "scoring.recalibration_minimum in params.yaml and say why in the ledger"
    )


class NotRecalibratedError(InputError):
    """Intercept and slope cannot be fitted on the hospital's cases."""

    default_remedy = (
        "look at the hospital's performance first: a reversed or wrong label is no matter of calibration; nothing was "
        "registered"
    )


@dataclass(frozen=True, kw_only=True)
class Made:
    """What came out.

    Args:
        version: The new version, registered.
        parent: The version that it was made from.
        told: The fit.
        slope: The slope with its interval; one that reaches 0 says that the order may be chance at this hospital.
    """

    version: ModelVersion
    parent: ModelVersion
    told: Recalibrated
    slope: Estimate


def recalibrate(workspace: Workspace, center: str, selector: str = "champion", why: str = "") -> Made:
    """Fits intercept and slope on a hospital's labelled scored cases and registers the result as a new version.

    The version in force stays as it is. The hospital's labels are spent by it, and its cases are left out of the new
    version's figures. Repeating it with the same cases changes nothing.

    Raises:
        UnknownVersionError: There is no such version.
        TooFewLabelledError: There are too few labelled cases of a class.
        NotRecalibratedError: The cases give no usable fit.
    """
    check_center_name(center)
    registry, deployment = Registry(workspace.root), Deployment(workspace)
    parent = registry.version(selector)
    package, operation = registry.package(parent), load_operation(workspace.params)
    labelled = _labelled(deployment, center, package, operation.cohort.withdrawn)
    y, p = labelled["label"].to_numpy(np.int8), labelled["probability"].to_numpy(np.float64)
    _check_enough(y, operation.scoring.recalibration_minimum, center)
    fit = fit_recalibration(y, np.clip(p, EDGE, 1 - EDGE))
    if fit.reason:
        raise NotRecalibratedError(fit.reason, where=f"center {center}")
    told = Recalibrated(
        parent=parent.digest,
        center=center,
        n=len(y),
        events=int(y.sum()),
        cases=write_cases(deployment, center, labelled["case_id"].tolist()),
        intercept=float(fit.intercept),
        slope=float(fit.slope),
    )
    version = _registered(workspace, registry, parent, package, told, labelled, why)
    return Made(version=version, parent=parent, told=told, slope=slope(y, p, CONFIDENCE))


def _labelled(deployment: Deployment, center: str, package: ModelPackage, withdrawn: list[str]) -> pd.DataFrame:
    history = read_scores(deployment.scores, center)
    scores = current_scores(history[history["package"] == package.digest])
    outcomes = deployment.ingest(center, case_rules(package.manifest, withdrawn)).outcomes
    rows = scores.merge(known_labels(outcomes, center), on="case_id")
    return rows[~rows["case_id"].isin(withdrawn)].sort_values("case_id", ignore_index=True)


def _check_enough(y: Labels, minimum: int, center: str) -> None:
    events = int(y.sum())
    if min(events, len(y) - events) < minimum:
        seen = (
            f"{events} labelled cases with the outcome and {len(y) - events} without; {minimum} of each are asked for"
        )
        raise TooFewLabelledError(seen, where=f"center {center}")


def _registered(
    workspace: Workspace,
    registry: Registry,
    parent: ModelVersion,
    package: ModelPackage,
    told: Recalibrated,
    labelled: pd.DataFrame,
    why: str,
) -> ModelVersion:
    folder = workspace.state / "recalibrated" / told.center / "package"
    save_recalibrated(folder, package, told)
    before = registry.evidence(parent)
    used = {(told.center, case) for case in labelled["case_id"]}
    predictions = [
        {**row, "p": float(told.apply(np.array([float(row["p"])]))[0])}
        for row in before.get("predictions") or []
        if (row["center"], row["case_id"]) not in used
    ]
    further: dict[str, object] = {
        name: before[name] for name in ("subgroups", "controls", "checklists") if name in before
    }
    return registry.register(
        parent.model,
        folder,
        registry.models / "training" / parent.training_set,
        evidence_after(before.get("metrics") or {}, predictions, load_package(folder), parent.model),
        why or f"recalibrated on {told.n} labelled cases of center {told.center}",
        predictions,
        {**further, "recalibration": vars(told)},
        read=[told.center],
    )


def evidence_after(
    metrics: Mapping[str, Mapping[str, Any]],
    predictions: list[dict[str, Any]],
    package: ModelPackage,
    model: str,
) -> dict[str, Any]:
    """Returns the new version's figures: external ones measured again, of the others what rests on order alone.

    Args:
        metrics: The parent's figures by cohort.
        predictions: What the new version says of the parent's external patients: center, case_id, y, p.
        package: The new package.
        model: The model's name.
    """
    kept = {
        cohort: {name: block[name] for name in _RANKS if name in block}
        for cohort, block in metrics.items()
        if not cohort.startswith("external")
    }
    rows = pd.DataFrame(predictions, columns=["center", "case_id", "y", "p"])
    cohorts = {"external": rows, **{f"external.{name}": own for name, own in rows.groupby("center", sort=True)}}
    judged = {cohort: _judged(own, cohort, package, model) for cohort, own in cohorts.items() if len(own)}
    return dict(rounded({**kept, **judged}))


def _judged(rows: pd.DataFrame, cohort: str, package: ModelPackage, model: str) -> dict[str, Any]:
    p: Floats = rows["p"].to_numpy(np.float64)
    predictions = CohortPredictions(
        model=model,
        cohort=cohort,
        center=rows["center"].to_numpy(np.str_),
        case_id=rows["case_id"].to_numpy(np.str_),
        y=rows["y"].to_numpy(np.int8),
        p=p,
        left_out={},
    )
    return judge(predictions, package.thresholds, draws(cohort, len(rows), N_DRAWS, SEED), CONFIDENCE)
