"""After scoring: labels are taken in, and what is known of each version's performance is written down."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from featurestore.errors import RadmillError
from pipelines.scoring.conformal import cases_used, kept_recalibration
from pipelines.scoring.in_force import problem_of
from pipelines.scoring.labels import TakenLabels, take_labels
from pipelines.scoring.performance import LABEL_UNDECLARED, Judged, alarms_of, record_performance
from pipelines.scoring.recalibrations import cases_of
from pipelines.scoring.results import Alarm, CenterResult
from pipelines.scoring.scorer import Scorer
from registry.lifecycle import Registry
from registry.package import ModelPackage

UNREAD = "labels_unread"
DRIFT = "drift"
"""How the codes of alarms begin that say the hospital's cases are unlike those of the development."""
_INTERNAL = ("internal", "training")
"""Whose figures are held against a hospital's: of patients held out, or else cross-validated ones."""
_SHOWN = ("n", "events", "auc", "auc_low", "auc_high", "brier", "calibration_slope", "calibration_intercept")


def follow(
    registry: Registry, champion: Scorer, shadow: Sequence[Scorer], results: Sequence[CenterResult]
) -> list[CenterResult]:
    """Takes labels in and writes down each version's performance; returns the results with what rings.

    Nothing here touches a score, and whatever goes wrong with a hospital's labels stays theirs.

    Args:
        registry: What the versions were measured by.
        champion: The champion's scorer.
        shadow: Those of the versions in its shadow.
        results: What scoring did for each hospital.
    """
    evidence = evidence_of(registry, champion)
    told = [followed(champion, result, evidence) for result in results]
    for scorer in shadow:
        own = evidence_of(registry, scorer)
        for result in told:
            followed(scorer, result, own)  # compared on pages; nothing in the shadow rings
    return told


def followed(scorer: Scorer, result: CenterResult, evidence: Mapping[str, Any]) -> CenterResult:
    """Does the same for one version and one hospital.

    Args:
        scorer: The version's scorer.
        result: What scoring did for the hospital.
        evidence: What was measured when the version was registered; may be empty.
    """
    if result.problem:
        return result
    column = scorer.rules().label.column
    try:
        found = _taken(scorer, result.center)
        told = alarms_of(_recorded(scorer, result, found, evidence), column)
    except Exception as error:  # scores are written; labels may be anything
        told = [(UNREAD, problem_of(error))]
    else:
        if found.n_undeclared:
            seen = f"{found.n_undeclared} values of {column!r} in clinical.csv are not declared and do not count"
            told.append((LABEL_UNDECLARED, seen))
    own = tuple(Alarm(center=result.center, code=code, message=message) for code, message in told)
    return replace(result, alarms=(*result.alarms, *own))


def own_figures(package: ModelPackage, evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the package's figures on patients that it was not fitted on, and which cohort they are of."""
    metrics = evidence.get("metrics") or {}
    blocks = [(cohort, metrics.get(cohort) or {}) for cohort in _INTERNAL]
    blocks.append(("training", package.manifest["metrics_oof"]))
    cohort, block = next((pair for pair in blocks if pair[1].get("auc") is not None), ("", {}))
    return {"cohort": cohort, **{name: block.get(name) for name in _SHOWN}} if block else {}


def evidence_of(registry: Registry, scorer: Scorer) -> dict[str, Any]:
    """Returns what was measured when the scorer's version was registered; nothing where that cannot be read."""
    try:
        return registry.evidence(scorer.force.version)
    except RadmillError:
        return {}


def _taken(scorer: Scorer, center: str) -> TakenLabels:
    rules = scorer.rules()
    places, section = scorer.deployment.ingest(center, rules), scorer.deployment.section(center)
    return take_labels(places, center, section, rules, scorer.scoring.quiet_s)


def _recorded(scorer: Scorer, result: CenterResult, found: TakenLabels, evidence: Mapping[str, Any]) -> dict[str, Any]:
    package, version, scoring = scorer.package, scorer.force.version, scorer.scoring
    judged = Judged(
        center=result.center,
        package=package.digest,
        model=version.model,
        version=version.number,
        thresholds=package.thresholds,
        internal=own_figures(package, evidence),
        minimum=scoring.performance_minimum,
        expected_minimum=scoring.expected_minimum,
        has_drifted=any(alarm.code.startswith(DRIFT) for alarm in result.alarms),
    )
    scores = scorer.own_scores(result.center)
    left_out = _left_out(scorer, result.center, scores, found.labels)
    return record_performance(scorer.deployment.performance, judged, scores, found.labels, left_out)


def _left_out(scorer: Scorer, center: str, scores: pd.DataFrame, labels: pd.DataFrame) -> dict[str, frozenset[str]]:
    """Returns, by reason, cases that figures leave out: their labels made the package, or the hospital's own sets.

    The sets are made here, once, as soon as enough cases are labelled; those that the package was fitted on are spared.
    """
    fitted = cases_of(scorer.deployment, center, scorer.package)
    spent = {case for cases in fitted.values() for case in cases}
    folder, digest, doubt = scorer.deployment.center(center), scorer.package.digest, scorer.scoring.doubt
    fresh = scores[~scores["case_id"].isin(spent)]
    kept_recalibration(folder, center, digest, fresh, labels, at=doubt.recalibrate_at, alpha=doubt.alpha)
    return {**fitted, **cases_used(folder, digest)}
