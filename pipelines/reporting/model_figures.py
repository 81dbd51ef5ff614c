"""The figures of one model from a study's files, for the page and for elsewhere."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipelines.reporting import component_figures, figures
from pipelines.reporting.canvas import Line
from pipelines.reporting.cautions import kept_components
from pipelines.reporting.palette import cohort_tone
from pipelines.reporting.study_files import StudyFiles, cohort_short, cohort_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWN = ("training", "internal", "external")
"""The cohorts that figures show; single external centers stand in the tables."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawing:
    """A figure with its words.

    Args:
        name: Its name in file names and ids.
        title: What it shows.
        caption: How to read it.
        figure: The drawing.
    """

    name: str
    title: str
    caption: str
    figure: "Figure"


def model_drawings(files: StudyFiles, model: str, labels: tuple[str, str]) -> list[Drawing]:
    """Returns every figure of one model that its files allow.

    Args:
        files: The study's files.
        model: Which model.
        labels: What the negative and the positive class are called.
    """
    cohorts = [cohort for cohort in DRAWN if files.metrics[model].get(cohort, {}).get("auc") is not None]
    if not cohorts:
        return []
    return [
        _roc(files, model, cohorts),
        _precision_recall(files, model, cohorts),
        *_calibration(files, model, cohorts),
        *_decision(files, model, cohorts),
        _confusion(files, model, cohorts),
        _scores(files, model, cohorts[-1], labels),
        *component_drawings(files, model, labels),
    ]


def component_drawings(files: StudyFiles, model: str, labels: tuple[str, str]) -> list[Drawing]:
    """Returns the two figures of a model's principal components, if its records have them."""
    content = files.models[model].components
    cumulative = np.array(content.get("cumulative", []), dtype=np.float64)
    if not len(cumulative):
        return []
    kept, knee, area = kept_components(files, model), content.get("knee"), float(content["area_percent"])
    drawings = [
        Drawing(
            name="explained_variance",
            title="Explained variance",
            caption=f"Cumulative share over the first {len(cumulative)} components; the area under the curve is "
            f"{area:.3f} % of the whole.",
            figure=component_figures.explained_variance_figure(cumulative, kept, knee, area),
        )
    ]
    scatter = pd.DataFrame(content.get("scatter", []))
    if len(scatter):
        shares = (float(cumulative[0]), float(cumulative[1] - cumulative[0])) if len(cumulative) > 1 else None
        pc1, pc2 = (scatter[name].to_numpy(np.float64) for name in ("pc1", "pc2"))
        figure = component_figures.scatter_figure(pc1, pc2, scatter["y"].to_numpy(np.int64), shares, labels)
        caption = "Training patients on the first two components."
        drawings.append(Drawing(name="components", title="First two components", caption=caption, figure=figure))
    return drawings


def comparison_drawings(files: StudyFiles) -> list[Drawing]:
    """Returns one figure a cohort with the ROC curves of all models, the best one stressed."""
    drawings = []
    for cohort in DRAWN:
        known = [name for name, cohorts in files.metrics.items() if cohorts.get(cohort, {}).get("auc") is not None]
        if not known:
            continue
        others = [name for name in known if name != files.best]
        lines = [_line(files.curve("roc", name, cohort), "fpr", "tpr", "faint", width=1.1) for name in others]
        if files.best in known:
            area = files.metrics[files.best][cohort]["auc"]
            label = f"chosen: {area:.2f}"
            curve = files.curve("roc", files.best, cohort)
            lines.append(_line(curve, "fpr", "tpr", cohort_tone(cohort), label=label, width=2.4))
        drawings.append(
            Drawing(
                name=f"roc_all_{cohort}",
                title=cohort_words(cohort),
                caption=f"ROC curves of {len(known)} models; in color the one chosen by cross-validation.",
                figure=figures.roc_figure(lines, is_small=True),
            )
        )
    return drawings


def _roc(files: StudyFiles, model: str, cohorts: Iterable[str]) -> Drawing:
    lines = []
    for cohort in cohorts:
        values = files.metrics[model][cohort]
        label = f"{cohort_short(cohort)} {_interval(values, 'auc')}"
        curve = files.curve("roc", model, cohort)
        lines.append(_line(curve, "fpr", "tpr", cohort_tone(cohort), label, has_band=cohort != "training"))
    caption = (
        "Area with DeLong's interval, bands by bootstrap. The training curve pools the folds; its area compares "
        "patients within a fold."
    )
    return Drawing(name="roc", title="ROC curve", caption=caption, figure=figures.roc_figure(lines))


def _precision_recall(files: StudyFiles, model: str, cohorts: Iterable[str]) -> Drawing:
    lines, floors = [], {}
    for cohort in cohorts:
        values = files.metrics[model][cohort]
        label = f"{cohort_short(cohort)} AP {_interval(values, 'average_precision')}"
        curve = files.curve("precision_recall", model, cohort)
        lines.append(_line(curve, "recall", "precision", cohort_tone(cohort), label, has_band=cohort != "training"))
        floors[cohort_tone(cohort)] = values["prevalence"]
    return Drawing(
        name="precision_recall",
        title="Precision–recall",
        caption="AP: average precision. Dotted: the share of patients with the outcome, which guessing gives.",
        figure=figures.precision_recall_figure(lines, floors),
    )


def _calibration(files: StudyFiles, model: str, cohorts: Iterable[str]) -> list[Drawing]:
    lines, predicted = [], {}
    for cohort in cohorts:
        curve = files.curve("calibration", model, cohort)
        if cohort == "training" or curve.empty:
            continue
        slope = files.metrics[model][cohort]["calibration_slope"]
        label = cohort_words(cohort) + ("" if slope is None else f", slope {slope:.2f}")
        lines.append(_line(curve, "predicted", "observed", cohort_tone(cohort), label, has_band=True))
        at = (files.predictions["model"] == model) & (files.predictions["cohort"] == cohort)
        own = files.predictions[at]
        without, having = (own.loc[own["y"] == label, "p"].to_numpy(np.float64) for label in (0, 1))
        predicted[cohort_tone(cohort)] = (without, having)
    if not lines:
        return []
    return [
        Drawing(
            name="calibration",
            title="Calibration",
            caption="Smoothed observed share with a bootstrap band. Ticks below: patients with (up) and without "
            "(down) the outcome.",
            figure=figures.calibration_figure(lines, predicted),
        )
    ]


def _decision(files: StudyFiles, model: str, cohorts: Iterable[str]) -> list[Drawing]:
    lines, alls = [], []
    for cohort in cohorts:
        curve = files.curve("decision", model, cohort)
        if cohort == "training" or curve.empty:
            continue
        tone, words = cohort_tone(cohort), cohort_words(cohort)
        lines.append(_line(curve, "threshold", "net_benefit", tone, words, has_band=True))
        alls.append(_line(curve, "threshold", "treat_all", tone, f"{words}: treat all", width=1.1, dashes=":"))
    if not lines:
        return []
    return [
        Drawing(
            name="decision",
            title="Decision curve",
            caption="What acting on the model gains at each threshold a clinician may hold, against treating all "
            "or nobody; bootstrap bands.",
            figure=figures.decision_figure(lines, alls),
        )
    ]


def _scores(files: StudyFiles, model: str, cohort: str, labels: tuple[str, str]) -> Drawing:
    at = (files.predictions["model"] == model) & (files.predictions["cohort"] == cohort)
    own = files.predictions[at]
    groups = {
        labels[value]: (tone, own.loc[own["y"] == value, "p"].to_numpy(np.float64))
        for value, tone in ((0, "negative"), (1, "positive"))
    }
    point = files.metrics[model][cohort]["at"].get("youden")
    return Drawing(
        name="scores",
        title=f"Probabilities, {cohort_words(cohort).lower()}",
        caption="How the probabilities of the two classes lie; dashed the Youden threshold of the training patients.",
        figure=figures.score_figure(groups, None if point is None else point["threshold"]),
    )


def _confusion(files: StudyFiles, model: str, cohorts: Iterable[str]) -> Drawing:
    panels: dict[str, Mapping[str, int]] = {}
    threshold = None
    for cohort in cohorts:
        point = files.metrics[model][cohort]["at"].get("youden")
        if point is not None and cohort != "training":
            panels[cohort_words(cohort)], threshold = point, point["threshold"]
    if not panels:
        point = files.metrics[model]["training"]["at"]["youden"]
        panels, threshold = {cohort_words("training"): point}, point["threshold"]
    return Drawing(
        name="confusion",
        title="Confusion matrix",
        caption=f"At the Youden threshold of the training patients, {threshold:.3f}; shares are of the actual class.",
        figure=figures.confusion_figure(panels, ("negative", "positive")),
    )


def _line(
    frame: pd.DataFrame,
    x: str,
    y: str,
    tone: str,
    label: str = "",
    *,
    has_band: bool = False,
    width: float = 1.8,
    dashes: str = "-",
) -> Line:
    low, high = (frame[f"{y}_{end}"].to_numpy(np.float64) if has_band else None for end in ("low", "high"))
    return Line(
        x=frame[x].to_numpy(np.float64),
        y=frame[y].to_numpy(np.float64),
        low=low,
        high=high,
        tone=tone,
        label=label,
        width=width,
        dashes=dashes,
    )


def _interval(values: Mapping[str, Any], name: str) -> str:
    value, low, high = (values[key] for key in (name, f"{name}_low", f"{name}_high"))
    if value is None:
        return "–"
    return f"{value:.2f}" if low is None else f"{value:.2f} ({low:.2f}–{high:.2f})"
