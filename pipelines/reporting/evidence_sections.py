"""The sections of the study page beside performance: groups, what a model listens to, controls, sample size."""

from typing import Any

from pipelines.reporting import further_figures
from pipelines.reporting.clinical_sections import clinical_content
from pipelines.reporting.control_sections import controls_content, shuffle_drawings
from pipelines.reporting.fusion_sections import fusion_content
from pipelines.reporting.model_figures import Drawing
from pipelines.reporting.study_files import StudyFiles, cohort_words

GOOD_AGREEMENT, EXCELLENT_AGREEMENT = 0.75, 0.9
"""Koo and Li 2016, Journal of Chiropractic Medicine 15:155."""

TOP_FEATURES = 20

Content = dict[str, Any]
Labels = tuple[str, str]

SECTIONS = {
    "consistency": "Centers and subgroups",
    "inside": "What it listens to",
    "clinical": "Clinical predictors",
    "controls": "Controls and sample size",
}


def evidence_content(files: StudyFiles, labels: Labels) -> Content:
    """Returns the content of every section of `SECTIONS` for the best model; an empty one is left out of the page."""
    best = str(files.best)
    return {
        "consistency": consistency_content(files, best),
        "inside": inside_content(files, best, labels),
        "clinical": _clinical(files),
        "controls": controls_content(files, best),
        "matrix": further_figures.matrix_drawings(files),
        "fusions": fusion_content(files),
        "fusion_drawings": further_figures.fusion_drawings(files),
    }


def evidence_drawings(files: StudyFiles, labels: Labels) -> list[Drawing]:
    """Returns every figure of these sections, in order."""
    if files.best is None:
        return []
    return [
        *further_figures.matrix_drawings(files),
        *further_figures.group_drawings(files, files.best),
        *further_figures.learning_drawings(files, files.best),
        *further_figures.importance_drawings(files, files.best, labels),
        *further_figures.attention_drawings(files),
        *further_figures.odds_drawings(files),
        *further_figures.fusion_drawings(files),
        *shuffle_drawings(files),
    ]


def _clinical(files: StudyFiles) -> Content:
    content = clinical_content(files)
    return content | {"drawings": further_figures.odds_drawings(files)} if content else {}


def consistency_content(files: StudyFiles, model: str) -> Content:
    """Returns forest plots, and a row a subgroup that says whether its groups differ beyond chance."""
    drawings = further_figures.group_drawings(files, model)
    table = files.of_model(files.tables["heterogeneity"], model)
    rows = [
        {**row, "words": cohort_words(str(row["cohort"])), "name": str(row["subgroup"]).replace("_", " ")}
        for row in table.to_dict("records")
    ]
    return {"drawings": drawings, "rows": rows} if drawings or rows else {}


def inside_content(files: StudyFiles, model: str, labels: Labels) -> Content:
    """Returns learning curve, importance and Grad-CAM, and the top features with their agreement."""
    drawings = [
        *further_figures.learning_drawings(files, model),
        *further_figures.importance_drawings(files, model, labels),
    ]
    attention = further_figures.attention_drawings(files)
    agreement = agreement_content(files)
    if not (drawings or attention or agreement):
        return {}
    top = files.of_model(files.plots["importance"], model).head(TOP_FEATURES)
    joined = top.merge(files.tables["features"], on="feature", how="left") if len(top) else top
    return {
        "drawings": drawings,
        "attention": attention,
        "agreement": agreement,
        "features": joined.to_dict("records"),
    }


def agreement_content(files: StudyFiles) -> Content:
    """Returns how many features two outlines agree on; nothing without second outlines."""
    table = files.tables["features"]
    known = table[table["icc"].notna()] if "icc" in table else table.iloc[:0]
    if known.empty:
        return {}
    return {
        "features": len(table),
        "known": len(known),
        "patients": int(known["icc_patients"].max()),
        "outlines": {"observers": "another observer", "perturbed": "a perturbed mask"}[str(known["outlines"].iloc[0])],
        "median": float(known["icc"].median()),
        "good": int((known["icc"] >= GOOD_AGREEMENT).sum()),
        "excellent": int((known["icc"] >= EXCELLENT_AGREEMENT).sum()),
    }
