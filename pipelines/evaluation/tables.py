"""The evaluation's tables and curves in long form, one row a fact, with model and cohort columns."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from featurestore.sheets import csv_frame
from pipelines.evaluation import calibration, curves, utility
from pipelines.evaluation.discrimination import delong_test
from pipelines.evaluation.estimates import Floats, class_problem, holm
from pipelines.evaluation.metrics import CohortPredictions

PLOTS = {
    "roc": ("fpr", "tpr", "tpr_low", "tpr_high", "threshold"),
    "precision_recall": ("recall", "precision", "precision_low", "precision_high", "threshold"),
    "calibration": ("predicted", "observed", "observed_low", "observed_high"),
    "decision": ("threshold", "net_benefit", "net_benefit_low", "net_benefit_high", "treat_all"),
    "confusion": ("point", "actual", "predicted", "n"),
}
COMPARISON = (
    "cohort", "model_a", "model_b", "n", "events", "left_out", "auc_a", "auc_b",
    "difference", "low", "high", "p_value", "p_holm", "reason",
)  # fmt: skip
Rows = list[dict[str, object]]


def plot_rows(
    predictions: CohortPredictions,
    measures: Mapping[str, Any],
    counts: Floats,
    confidence: float,
    net_benefit_range: tuple[float, float],
) -> dict[str, Rows]:
    """Returns the rows of every curve of one model on one cohort; a curve that cannot be drawn has none.

    Args:
        predictions: One model on one cohort.
        measures: What `metrics.judge` returned for it.
        counts: Bootstrap draws, shape (n_draws, n).
        confidence: The bands' pointwise confidence.
        net_benefit_range: First and last threshold probability of the decision curve.
    """
    y, p = predictions.y, predictions.p
    if class_problem(y):
        return {"confusion": _confusion_rows(predictions, measures)}
    roc = curves.roc_curve(y, p, counts, confidence)
    precision = curves.precision_recall_curve(y, p, counts, confidence)
    flexible = calibration.flexible_curve(y, p, counts, confidence)
    decision = utility.decision_curve(y, p, utility.thresholds(*net_benefit_range), counts, confidence)
    columns: dict[str, tuple[Floats, ...]] = {
        "roc": (roc.fpr, roc.tpr, roc.low, roc.high, roc.threshold),
        "precision_recall": (
            precision.recall, precision.precision, precision.low, precision.high, precision.threshold,
        ),
        "decision": (
            decision.threshold, decision.net_benefit, decision.low, decision.high, decision.treat_all,
        ),
    }  # fmt: skip
    if flexible is not None:
        columns["calibration"] = (flexible.predicted, flexible.observed, flexible.low, flexible.high)
    rows = {name: _curve_rows(predictions, PLOTS[name], values) for name, values in columns.items()}
    return rows | {"confusion": _confusion_rows(predictions, measures)}


def comparison_rows(
    predictions: Sequence[CohortPredictions], trained: Mapping[str, set[tuple[str, str]]], confidence: float
) -> Rows:
    """Compares every pair of models on one cohort by DeLong's test; Holm's correction counts all pairs of the cohort.

    A pair is compared on the patients that both predicted and neither was trained on.

    Args:
        predictions: The models on one cohort.
        trained: The patients each model was trained on.
        confidence: The confidence of the differences' intervals.
    """
    rows: Rows = []
    for a, b in combinations(predictions, 2):
        at_a = {patient: index for index, patient in enumerate(a.patients())}
        at_b = {patient: index for index, patient in enumerate(b.patients())}
        either, both = set(at_a) | set(at_b), set(at_a) & set(at_b)
        shared = sorted(both - trained[a.model] - trained[b.model])
        rows_a, rows_b = [at_a[s] for s in shared], [at_b[s] for s in shared]
        found = delong_test(a.y[rows_a], a.p[rows_a], b.p[rows_b], confidence)
        rows.append(
            {
                "cohort": a.cohort,
                "model_a": a.model,
                "model_b": b.model,
                "n": found.n,
                "events": found.events,
                "left_out": len(either) - len(shared),
                "auc_a": found.auc_a,
                "auc_b": found.auc_b,
                **{"difference": found.difference.value, "low": found.difference.low, "high": found.difference.high},
                "p_value": found.p_value,
                "reason": found.reason,
            }
        )
    corrected = holm(np.array([row["p_value"] for row in rows], dtype=np.float64))
    return [{**row, "p_holm": value} for row, value in zip(rows, corrected.tolist(), strict=True)]


def performance_rows(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Rows:
    """Returns one row a model and cohort with every measure; those at an operating point under its name."""
    return [
        {
            "model": model,
            "cohort": cohort,
            **{name: value for name, value in measures.items() if not isinstance(value, dict)},
            **{
                f"{point}_{name}": value
                for point, values in measures["at"].items()
                for name, value in values.items()
                if name != "reasons"
            },
        }
        for model, cohorts in metrics.items()
        for cohort, measures in cohorts.items()
    ]


def cohort_rows(predictions: Sequence[CohortPredictions], services: Mapping[str, str]) -> Rows:
    """Returns patients and events by service, cohort and center, from one model of each service."""
    rows: Rows = []
    seen: set[tuple[str, str]] = set()
    for item in predictions:
        key = (services[item.model], item.cohort)
        if key in seen or "." in item.cohort:
            continue
        seen.add(key)
        for center in sorted(set(item.center.tolist())):
            y = item.y[item.center == center]
            rows.append(
                {"service": key[0], "cohort": item.cohort, "center": center, "n": len(y), "events": int(y.sum())}
            )
    return rows


def csv_text(rows: Rows, columns: Sequence[str] | None = None) -> str:
    """Returns rows as CSV with ten significant digits; the header stands even without rows."""
    frame = pd.DataFrame(rows, columns=None if columns is None else list(columns))
    frame = frame.replace([np.inf, -np.inf], np.nan)
    return csv_frame(frame, float_format="%.10g")


def _curve_rows(predictions: CohortPredictions, names: Sequence[str], values: Sequence[Floats]) -> Rows:
    head = {"model": predictions.model, "cohort": predictions.cohort}
    return [{**head, **dict(zip(names, point, strict=True))} for point in np.column_stack(values).tolist()]


def _confusion_rows(predictions: CohortPredictions, measures: Mapping[str, Any]) -> Rows:
    cells = {"tp": (1, 1), "fp": (0, 1), "fn": (1, 0), "tn": (0, 0)}
    return [
        {
            "model": predictions.model,
            "cohort": predictions.cohort,
            "point": point,
            "actual": actual,
            "predicted": predicted,
            "n": values[cell],
        }
        for point, values in measures["at"].items()
        for cell, (actual, predicted) in cells.items()
    ]
