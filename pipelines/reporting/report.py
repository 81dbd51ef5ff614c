"""The study page, and the figures of every model as files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurestore.files import sweep, write_bytes
from pipelines.params import Params
from pipelines.params.modelling import SplitSection
from pipelines.record import installed
from pipelines.reporting import sections
from pipelines.reporting.cautions import cautions
from pipelines.reporting.checklist_page import write_checklists
from pipelines.reporting.drawings import inline
from pipelines.reporting.evidence_sections import SECTIONS as EVIDENCE
from pipelines.reporting.evidence_sections import evidence_content
from pipelines.reporting.flow import causes, flow_rows
from pipelines.reporting.model_figures import (
    Drawing,
    comparison_drawings,
    component_drawings,
    model_drawings,
)
from pipelines.reporting.pages import write_page
from pipelines.reporting.study_files import StudyFiles, read_study
from pipelines.reporting.vector import png_bytes
from pipelines.workspace import Workspace

SECTIONS = {
    "glance": "At a glance",
    "flow": "Cohort flow",
    "quality": "Quality control",
    "patients": "Patients",
    "models": "Models compared",
    "best": "Best model",
    **EVIDENCE,
    "components": "Components",
    "checklists": "Checklists",
    "provenance": "Provenance",
}
LIBRARIES = ("numpy", "scipy", "pandas", "scikit-learn", "statsmodels", "optuna", "SimpleITK", "pyradiomics-bhklab")


@dataclass(frozen=True, kw_only=True)
class ReportSummary:
    """What was written.

    Args:
        page: The page, relative to the study.
        best: The best model by cross-validation.
        cautions: How many objections the page opens with.
    """

    page: str
    best: str
    cautions: int


def report(workspace: Workspace, params: Params) -> ReportSummary:
    """Writes `reports/study.html`, and the checklists beside it, from the files that the stages left."""
    files = read_study(workspace)
    content = page_content(files, params)
    content |= write_checklists(workspace, params, files)
    path = write_page(workspace.reports / "study.html", "study.html", content)
    return ReportSummary(
        page=str(path.relative_to(workspace.root)), best=files.best or "", cautions=len(content["cautions"])
    )


def write_figures(workspace: Workspace, params: Params) -> list[Path]:
    """Writes each model's figures as PNG under `reports/figures/<model>/`, and removes those of models gone."""
    files = read_study(workspace)
    root = workspace.reports / "figures"
    written = []
    for model in files.metrics:
        for drawing in model_drawings(files, model, class_names(params)):
            path = root / model / f"{drawing.name}.png"
            write_bytes(path, png_bytes(drawing.figure))
            written.append(path)
    sweep(root, set(written))
    return written


def class_names(params: Params) -> tuple[str, str]:
    """Returns what the negative and the positive class are called."""
    return f"{params.label.name} negative", f"{params.label.name} positive"


def page_content(files: StudyFiles, params: Params) -> dict[str, Any]:
    """Returns everything that the template `study.html` names."""
    positive = class_names(params)[1]
    rows = flow_rows(files.qc)
    flow, ends = sections.flow_content(rows, files)
    groups, baseline = sections.baseline_content(files, positive)
    content: dict[str, Any] = {
        "title": f"{params.study.name}: study page",
        "study": params.study.name,
        "release": installed("radmill")["radmill"],
        "summary": _summary(files, params),
        "headline": sections.headline(files, positive),
        "cautions": cautions(files),
        "positive": positive,
        "confidence": f"{100 * params.evaluation.confidence:g} %",
        "flow": flow if rows else None,
        "flow_rows": rows,
        "ends": [end | {"note": positive} for end in ends],
        "centers": [*params.centers.development, *params.centers.external],
        "causes": causes(files.qc),
        "marks": sections.mark_content(files),
        "groups": groups,
        "baseline": baseline,
        "models": [],
        "components": [],
        **dict.fromkeys(EVIDENCE, None),
        "facts": facts(files, params),
        "statements": params.study.statements,
    }
    if files.best is not None:
        content |= _model_sections(files, params)
    left_out = set() if content["models"] else {"models", "best"}
    left_out |= {name for name in ("components", *EVIDENCE) if not content[name]}
    content["sections"] = [{"id": name, "title": title} for name, title in SECTIONS.items() if name not in left_out]
    return content


def facts(files: StudyFiles, params: Params) -> list[dict[str, object]]:
    """Returns where the numbers come from: versions, settings and digests, by name."""
    found: list[tuple[str, str, bool]] = [
        ("Feature set", params.radmill.feature_set, False),
        ("Label", _label_words(params), False),
        ("Phases", ", ".join(params.phases), False),
        ("Engine", params.extraction.engine, False),
    ]
    if files.best is not None:
        model = files.models[files.best]
        found += [
            ("Settings fingerprint", str(model.manifest.get("extraction", {}).get("fingerprint", "–")), True),
            ("Best model's package", model.digest, True),
            ("Its training set", str(model.manifest.get("training_set", "–")), True),
            ("Its features", str(len(model.manifest.get("features", []))), False),
            ("Its hyperparameters", _pairs(model.manifest.get("model", {}).get("hyperparameters", {})), False),
        ]
    tuning, split = params.tuning, params.split
    found += [
        ("Search", f"{tuning.trials} trials, {tuning.folds} folds × {tuning.repeats}, seed {tuning.seed}", False),
        ("Split", _split_words(split), False),
        ("Bootstrap", f"{params.evaluation.bootstrap} draws, seed {params.evaluation.seed}", False),
        ("Libraries", _pairs(installed(*LIBRARIES)), False),
    ]
    return [{"name": name, "value": value, "is_code": is_code} for name, value, is_code in found]


def _model_sections(files: StudyFiles, params: Params) -> dict[str, Any]:
    labels, best = class_names(params), str(files.best)
    components = component_drawings(files, best, labels)
    names = {drawing.name for drawing in components}
    own = [drawing for drawing in model_drawings(files, best, labels) if drawing.name not in names]
    return {
        **sections.model_content(files),
        **sections.point_content(files),
        "comparisons": sections.comparison_content(files),
        "drawings": inline(own),
        "components": inline(components),
        "roc_all": inline(comparison_drawings(files)) if len(files.metrics) > 1 else [],
        **_drawn(evidence_content(files, labels)),
    }


def _drawn(content: dict[str, Any]) -> dict[str, Any]:
    """Returns content with every list of drawings as what the page shows."""
    found = {}
    for name, value in content.items():
        if isinstance(value, dict):
            value = _drawn(value)
        elif isinstance(value, list) and value and isinstance(value[0], Drawing):
            value = inline(value)
        found[name] = value
    return found


def _summary(files: StudyFiles, params: Params) -> str:
    n_inside, n_outside = len(params.centers.development), len(params.centers.external)
    inside = f"{n_inside} development center{'' if n_inside == 1 else 's'}"
    outside = f"{n_outside} external center{'' if n_outside == 1 else 's'}" if n_outside else "no external center"
    models = f"{len(files.metrics)} model{'' if len(files.metrics) == 1 else 's'}"
    return f"{models} for {params.label.name} from {', '.join(params.phases)}; {inside}, {outside}."


def _split_words(split: SplitSection) -> str:
    if split.column is not None:
        return f"fixed by the clinical column {split.column}"
    return f"{100 * split.internal_fraction:.0f} % internal by seeded hash, seed {split.seed}"


def _label_words(params: Params) -> str:
    label = params.label
    positive, negative = (", ".join(map(str, values)) for values in (label.positive, label.negative))
    return f"{label.name}: {label.column} {positive} positive; {negative} negative"


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )
