"""The tables of a paper, from a study's files: each under a name; the evaluation's own tables follow by themselves."""

import io
from collections.abc import Callable
from typing import Any

import pandas as pd

from pipelines.params import Params
from pipelines.reporting import sections
from pipelines.reporting.checklist_page import WORDS
from pipelines.reporting.checklist_records import Records
from pipelines.reporting.checklists import Filled, fill
from pipelines.reporting.flow import causes, flow_rows
from pipelines.reporting.pages import interval, number, p_value
from pipelines.reporting.paper_formats import INDENT, PaperTable, table
from pipelines.reporting.study_files import TABLES as KNOWN
from pipelines.reporting.study_files import StudyFiles, cohort_words
from pipelines.workspace import Workspace

SIGNIFICANT = 4
"""Digits of numbers in tables that radmill has no layout for."""

TableMaker = Callable[[StudyFiles, Params], PaperTable | None]


def flow_table(files: StudyFiles, params: Params) -> PaperTable | None:
    """Patients and cases of each step and center."""
    rows = flow_rows(files.qc)
    if not rows:
        return None
    centers = [*params.centers.development, *params.centers.external]
    body = [
        [
            row.words,
            row.reason.replace("_", " "),
            *(_counts(count) for count in (*map(row.by_center.get, centers), row.total)),
        ]
        for row in rows
    ]
    note = "Patients (cases). A case is one patient, one phase and one observer's outline."
    return table("cohort_flow", "Cohort flow by center", ["Step", "Reason", *centers, "All"], body, note)


def quality_table(files: StudyFiles, params: Params) -> PaperTable | None:
    """Every cause of trouble, with its remedy."""
    found = causes(files.qc)
    rows = [[c.status, c.code, c.rows, ", ".join(c.centers), c.remedy] for c in found]
    return (
        table("quality", "Quality control", ["Status", "Code", "Count", "Centers", "What to do"], rows)
        if rows
        else None
    )


def baseline(files: StudyFiles, params: Params) -> PaperTable | None:
    """Characteristics of each cohort with tests and standardized differences."""
    groups, rows = sections.baseline_content(files, f"{params.label.name} positive")
    if not rows:
        return None
    heads = ["Characteristic", *(f"{g['words']} (n = {g['n']})" for g in groups)]
    heads += [head for g in groups[1:] for head in (f"p, {g['short']}", f"SMD, {g['short']}")]
    body: list[list[str]] = []
    for row in rows:
        contrasts = [row["contrasts"][g["name"]] for g in groups[1:]]
        tested = [cell for c in contrasts for cell in (p_value(c.p_value), number(c.difference, 2))]
        whole = [row["cells"][g["name"]].get("", "") if row["kind"] == "number" else "" for g in groups]
        body.append([row["title"], *whole, *tested])
        empty = [""] * len(tested)
        body += [
            [f"{INDENT}{level}", *(row["cells"][g["name"]][level] for g in groups), *empty] for level in row["levels"]
        ]
        if row["has_missing"]:
            body.append([f"{INDENT}not known", *(str(row["missing"][g["name"]]) for g in groups), *empty])
    note = (
        "Median (quartiles) or count (share of those known). p against training: Wilcoxon rank sum, chi-squared or "
        "Fisher's exact test, not corrected. SMD: standardized difference from training."
    )
    return table("baseline", "Baseline characteristics", heads, body, note)


def models(files: StudyFiles, params: Params) -> PaperTable | None:
    """Area of every model in every cohort."""
    if files.best is None:
        return None
    content = sections.model_content(files)
    heads = ["Model", *(head["words"] for head in content["shown"]), "Apparent", "Brier score", "Calibration slope"]
    body = [
        [
            row["name"],
            *(_estimate(row["cohorts"][head["name"]], "auc", 3) for head in content["shown"]),
            number(row["apparent"]),
            _estimate(row["judged"], "brier", 3),
            _estimate(row["judged"], "calibration_slope", 2),
        ]
        for row in content["models"]
    ]
    level = f"{100 * params.evaluation.confidence:g} %"
    judged = cohort_words(content["judged_on"])
    note = f"AUC ({level} interval by DeLong). Brier score and calibration slope: {judged}. Sorted by cross-validation."
    return table("models", "Performance of all models", heads, body, note)


def operating_points(files: StudyFiles, params: Params) -> PaperTable | None:
    """The best model's decisions at fixed thresholds."""
    if files.best is None:
        return None
    content = sections.point_content(files)
    heads = ["Cohort", "Threshold by", "Threshold", *(measure["words"] for measure in content["measures"])]
    body = [
        [row["words"], row["point"], number(row["cells"]["threshold"]),
         *(_estimate(row["cells"], measure["name"], 2) for measure in content["measures"])]
        for row in content["points"]
    ]  # fmt: skip
    note = (
        "Thresholds from out-of-fold training probabilities. Wilson intervals; F1 and balanced accuracy by bootstrap."
    )
    return table("operating_points", f"Decisions of {files.best} at fixed thresholds", heads, body, note)


def overall_measures(files: StudyFiles, params: Params) -> PaperTable | None:
    """The best model's ranking and probabilities."""
    if files.best is None:
        return None
    content = sections.point_content(files)
    heads = ["Cohort", "Patients", "Events", *(measure["words"] for measure in content["overall"])]
    body = [
        [row["words"], row["cells"]["n"], row["cells"]["events"],
         *(_estimate(row["cells"], measure["name"], measure["digits"]) for measure in content["overall"])]
        for row in content["calibrations"]
    ]  # fmt: skip
    return table("overall_measures", f"Discrimination and calibration of {files.best}", heads, body)


def comparisons(files: StudyFiles, params: Params) -> PaperTable | None:
    """The best model against each other one."""
    rows = sections.comparison_content(files) if files.best is not None else []
    if not rows:
        return None
    body = [
        [row["words"], row["other"], row["n"], number(row["difference"]), interval(row, "difference", 3),
         p_value(row["p_value"]), p_value(row["p_holm"])]
        for row in rows
    ]  # fmt: skip
    heads = ["Cohort", f"{files.best} against", "Patients", "Difference of AUC", "Interval", "p", "p, Holm"]
    note = "DeLong's test on patients that both judged and neither was trained on; Holm over every pair of the cohort."
    return table("comparisons", "Comparison with the chosen model", heads, body, note)


TABLES: dict[str, TableMaker] = {
    "cohort_flow": flow_table,
    "quality": quality_table,
    "baseline": baseline,
    "models": models,
    "operating_points": operating_points,
    "overall_measures": overall_measures,
    "comparisons": comparisons,
}


def study_tables(workspace: Workspace, params: Params, files: StudyFiles) -> list[PaperTable]:
    """Returns every table of a study: those with a layout, all others of the evaluation, and the checklists."""
    laid_out = [made for make in TABLES.values() if (made := make(files, params)) is not None]
    filled = fill(Records(workspace, params, files))
    return [*laid_out, *_further(workspace), *(_checklist(one) for one in filled.values())]


def _further(workspace: Workspace) -> list[PaperTable]:
    known = {*KNOWN, "packages", *TABLES}
    found = sorted(path for path in (workspace.evaluation / "tables").glob("*.csv") if path.stem not in known)
    frames = {path.stem: pd.read_csv(io.StringIO(path.read_text(encoding="utf-8"))) for path in found}
    return [
        table(
            name,
            _words(name),
            [_words(str(head)) for head in frame.columns],
            [[_cell(value) for value in row] for row in frame.itertuples(index=False)],
        )
        for name, frame in frames.items()
        if len(frame)
    ]


def _checklist(filled: Filled) -> PaperTable:
    own = filled.checklist
    rows = [
        [
            answer.item.number,
            answer.item.text,
            WORDS[answer.status],
            "; ".join(part.value for part in answer.found),
            "; ".join(part.record for part in answer.found),
        ]
        for answer in filled.answers
    ]
    score = "" if filled.score is None else f" Score {number(filled.score, 1)} % ({filled.grade})."
    note = f"{own.source}, doi {own.doi}. Items in our words.{score}"
    return table(
        f"checklist_{own.name}", f"{own.title} checklist", ["No.", "Item", "State", "Answer", "Record"], rows, note
    )


def _counts(count: Any) -> str:
    return "" if count is None else f"{count.patients} ({count.cases})"


def _estimate(cells: Any, name: str, digits: int) -> str:
    shown = number(cells.get(name), digits)
    between = interval(cells, name, digits)
    return shown if between == "–" else f"{shown} ({between})"


def _words(name: str) -> str:
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def _cell(value: object) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, float):
        return f"{value:.{SIGNIFICANT}g}".replace("-", "−")
    return str(value)
