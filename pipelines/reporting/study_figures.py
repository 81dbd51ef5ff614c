"""Which figures a study has: each kind under a name, so that pages and papers show what is added here."""

from collections.abc import Callable
from dataclasses import replace

from pipelines.reporting.evidence_sections import evidence_drawings
from pipelines.reporting.flowcharts import cohort_flow_drawing, pipeline_drawing
from pipelines.reporting.model_figures import Drawing, comparison_drawings, model_drawings
from pipelines.reporting.study_files import StudyFiles

FigureMaker = Callable[[StudyFiles, tuple[str, str]], list[Drawing]]
"""Takes the study's files and what the negative and the positive class are called; makes what its files allow."""


def _best_model(files: StudyFiles, labels: tuple[str, str]) -> list[Drawing]:
    return [] if files.best is None else model_drawings(files, files.best, labels)


def _all_models(files: StudyFiles, labels: tuple[str, str]) -> list[Drawing]:
    found = comparison_drawings(files) if len(files.metrics) > 1 else []
    return [replace(drawing, title=f"ROC curves of all models, {drawing.title}") for drawing in found]


FIGURES: dict[str, FigureMaker] = {
    "cohort_flow": cohort_flow_drawing,
    "pipeline": pipeline_drawing,
    "best_model": _best_model,
    "all_models": _all_models,
    "evidence": evidence_drawings,
}


def study_drawings(files: StudyFiles, labels: tuple[str, str]) -> list[Drawing]:
    """Returns every figure of a study in order, each name once."""
    found: dict[str, Drawing] = {}
    for make in FIGURES.values():
        for drawing in make(files, labels):
            found.setdefault(drawing.name, drawing)
    return list(found.values())
