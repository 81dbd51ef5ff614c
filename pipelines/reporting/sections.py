"""The sections of the study page as plain values: one function a section."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from pipelines.evaluation.baseline import Characteristic, Kind, baseline_table
from pipelines.reporting.cautions import kept_components
from pipelines.reporting.flow import STEP_WORDS, Count, FlowRow
from pipelines.reporting.model_figures import DRAWN
from pipelines.reporting.palette import cohort_tone
from pipelines.reporting.study_files import StudyFiles, cohort_short, cohort_words

MAXIMUM_LEVELS = 12
"""A column with more different texts is free text and no characteristic."""

ESTIMATOR_WORDS = {
    "clinical": "clinical logistic regression",
    "lr": "logistic regression",
    "mlp": "multilayer perceptron",
    "probability": "ready probabilities",
    "rf": "random forest",
    "stack": "late fusion",
}
POINT_MEASURES = {
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
    "balanced_accuracy": "Balanced acc.",
}
OVERALL_MEASURES = {
    "auc": ("AUC", 3),
    "average_precision": ("Average precision", 3),
    "brier": ("Brier", 3),
    "calibration_slope": ("Slope", 2),
    "calibration_intercept": ("Intercept", 2),
    "observed_expected": ("O : E", 2),
    "ici": ("ICI", 3),
    "e50": ("E50", 3),
    "e90": ("E90", 3),
}

STAT_WORDS = {
    "training": "Training, cross-validated",
    "internal": "Internal validation",
    "external": "External validation",
}

Content = dict[str, Any]


def headline(files: StudyFiles, positive: str) -> Content | None:
    """Returns the best model's name, its areas, and one sentence that says what they mean."""
    if files.best is None:
        return None
    cohorts = files.metrics[files.best]
    stats = [
        {"words": STAT_WORDS[cohort], "tone": cohort_tone(cohort), "cells": cohorts[cohort]}
        for cohort in DRAWN
        if cohort in cohorts
    ]
    several = f"the largest of {len(files.metrics)} models" if len(files.metrics) > 1 else "the only model"
    return {
        "model": files.best,
        "stats": stats,
        "sentence": _sentence(cohorts, positive),
        "choice": f"Chosen for its cross-validated AUC, {several}. Internal and external patients had no part in it.",
    }


def flow_content(rows: list[FlowRow], files: StudyFiles) -> tuple[Content, list[Content]]:
    """Returns the totals of the flow's steps, and the cohorts it ends in for the best model."""
    by_step = {step: [row for row in rows if row.step == step] for step in STEP_WORDS}
    total = {step: sum((row.total for row in of_step), Count()) for step, of_step in by_step.items()}
    ends, in_cohorts = [], 0
    if files.best is not None:
        for cohort in DRAWN:
            cells = files.metrics[files.best].get(cohort)
            if cells is not None:
                words, tone = cohort_short(cohort), cohort_tone(cohort)
                ends.append({"words": words, "tone": tone, "n": cells["n"], "events": cells["events"]})
                in_cohorts += cells["n"]
    steps = {
        "sent": total["sent"],
        "excluded": by_step["excluded"],
        "eligible": total["sent"].cases - total["excluded"].cases,
        "stopped": [*by_step["refused"], *by_step["failed"]],
        "used": total["used"],
        "unused": max(total["used"].patients - in_cohorts, 0) if ends else 0,
    }
    return steps, ends


def baseline_content(files: StudyFiles, positive: str) -> tuple[list[Content], list[Content]]:
    """Returns the groups and the rows of the baseline table; both empty without clinical tables."""
    if files.patients.empty or files.predictions.empty:
        return [], []
    groups = {}
    for cohort in DRAWN:
        own = files.predictions[files.predictions["cohort"] == cohort]
        members = own[["center", "case_id", "y"]].drop_duplicates(["center", "case_id"])
        if len(members):
            frame = members.merge(files.patients, on=["center", "case_id"], how="left")
            groups[cohort] = frame.assign(**{positive: frame["y"] == 1})
    heads = [
        {"name": name, "words": cohort_short(name), "short": name, "n": len(frame)} for name, frame in groups.items()
    ]
    kinds = {positive: "category", **_kinds(files.patients)}
    return heads, [_baseline_row(item) for item in baseline_table(groups, kinds)]


def mark_content(files: StudyFiles) -> list[Content]:
    """Returns how much features tell of center and scanner, a row a phase and variable."""
    rows = files.validation.get("associations", [])
    phases = [row["phase"] for row in rows]
    return [{**row, "is_first": i == 0 or phases[i - 1] != row["phase"]} for i, row in enumerate(rows)]


def _estimator_words(model: Content) -> str:
    """Returns what kind of model it is, for people."""
    estimator = str(model.get("estimator", ""))
    if "network" not in model:
        return ESTIMATOR_WORDS.get(estimator, estimator)
    dims = {"25d": "2.5D"}.get(model["network"]["recipe"]["dims"], "3D")
    return f"{dims} {estimator.replace('resnet', 'ResNet-')}"


def model_content(files: StudyFiles) -> Content:
    """Returns the rows of the model comparison, sorted by cross-validated area."""
    shown = [cohort for cohort in DRAWN if cohort in files.cohorts]
    judged_on = shown[-1]
    rows = []
    for name, cohorts in files.metrics.items():
        manifest = files.models[name].manifest
        phases = ", ".join(manifest.get("service", {}).get("phases", []))
        rows.append(
            {
                "name": name,
                "is_best": name == files.best,
                "words": f"{_estimator_words(manifest.get('model', {}))}: {phases}",
                "components": kept_components(files, name) or "–",
                "cohorts": cohorts,
                "apparent": cohorts["training_apparent"]["auc"],
                "judged": cohorts[judged_on],
            }
        )
    rows.sort(key=lambda row: (row["cohorts"]["training"]["auc"] is None, -(row["cohorts"]["training"]["auc"] or 0)))
    heads = [{"name": name, "words": cohort_words(name), "tone": cohort_tone(name)} for name in shown]
    return {"models": rows, "shown": heads, "judged_on": judged_on}


def comparison_content(files: StudyFiles) -> list[Content]:
    """Returns the comparisons of the best model with each other one, seen from the best."""
    table = files.tables["comparisons"]
    rows: list[Content] = []
    last = ""
    for row in table.to_dict("records"):
        if files.best not in (row["model_a"], row["model_b"]):
            continue
        seen = _from_best(row, str(files.best))
        rows.append(seen | {"words": cohort_words(str(row["cohort"])), "is_first": row["cohort"] != last})
        last = str(row["cohort"])
    return rows


def point_content(files: StudyFiles) -> Content:
    """Returns the best model at its operating points, and its overall measures, on every cohort."""
    cohorts = files.metrics[str(files.best)]
    points = [
        {"words": cohort_words(cohort), "point": _point_words(name), "cells": cells, "is_first": number == 0}
        for cohort in files.cohorts
        if cohort != "training_apparent"
        for number, (name, cells) in enumerate(sorted(cohorts[cohort]["at"].items(), reverse=True))
    ]
    overall = [{"name": n, "words": words, "digits": digits} for n, (words, digits) in OVERALL_MEASURES.items()]
    return {
        "points": points,
        "measures": [{"name": name, "words": words} for name, words in POINT_MEASURES.items()],
        "overall": overall,
        "calibrations": [{"words": cohort_words(cohort), "cells": cohorts[cohort]} for cohort in files.cohorts],
    }


def _sentence(cohorts: Mapping[str, Any], positive: str) -> str:
    judged = next((name for name in ("external", "internal") if cohorts.get(name, {}).get("auc") is not None), None)
    if judged is None:
        return "Only cross-validation could be done; there are no patients kept aside with both classes."
    values = cohorts[judged]
    who = "of centers it had never seen" if judged == "external" else "of its own centers, kept aside"
    told = f"Of two patients {who}, one {positive} and one not, it gives the higher probability to the right one in "
    span = f"{100 * values['auc']:.0f} of 100 pairs ({100 * values['auc_low']:.0f}–{100 * values['auc_high']:.0f})"
    doubt = "; guessing, which gives 50, is not ruled out." if values["auc_low"] <= 0.5 else "."
    return f"{told}{span}{doubt}"


def _kinds(patients: pd.DataFrame) -> dict[str, Kind]:
    kinds: dict[str, Kind] = {}
    for name in patients.columns:
        column = patients[name].dropna()
        if name in ("center", "case_id") or column.empty:
            continue
        is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        if is_number or column.astype(str).nunique() <= MAXIMUM_LEVELS:
            kinds[name] = "number" if is_number else "category"
    return kinds


def _baseline_row(item: Characteristic) -> Content:
    levels = sorted({level for cells in item.cells.values() for level in cells if level})
    title = item.name.replace("_", " ")
    if set(levels) <= {"True", "False"} and item.kind == "category":
        merged = {group: {"": cells.get("True", "0 (0 %)")} for group, cells in item.cells.items()}
        item, levels = replace(item, cells=merged, kind="number"), []
    return {
        "title": title[:1].upper() + title[1:],
        "kind": item.kind,
        "levels": levels,
        "cells": item.cells,
        "missing": item.missing,
        "has_missing": any(item.missing.values()),
        "contrasts": item.contrasts,
    }


def _from_best(row: Mapping[Any, Any], best: str) -> Content:
    is_first = row["model_a"] == best
    sign = 1 if is_first else -1
    ends = (row["low"], row["high"]) if is_first else (-row["high"], -row["low"])
    return {
        "other": row["model_b"] if is_first else row["model_a"],
        "n": row["n"],
        "difference": sign * row["difference"],
        "difference_low": ends[0],
        "difference_high": ends[1],
        "p_value": row["p_value"],
        "p_holm": row["p_holm"],
    }


def _point_words(name: str) -> str:
    if name.startswith("sensitivity_"):
        return f"sensitivity {name.removeprefix('sensitivity_').replace('_', '.')} %"
    return name.capitalize()
