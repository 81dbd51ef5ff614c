"""Figures of one hospital: each takes what was read and returns drawings with their words."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipelines.evaluation.calibration import flexible_curve
from pipelines.evaluation.curves import roc_curve
from pipelines.evaluation.estimates import Floats, Labels
from pipelines.evaluation.metrics import draws
from pipelines.evaluation.utility import decision_curve
from pipelines.reporting import figures
from pipelines.reporting.canvas import Line, draw_lines, legend, new_axes
from pipelines.reporting.hospital_files import HospitalFiles
from pipelines.reporting.hospital_runs import Step
from pipelines.reporting.model_figures import Drawing
from pipelines.reporting.palette import light
from registry.parts import Part
from registry.reference import reference_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HERE, DEVELOPMENT = "external", "internal"
"""Colors: of the hospital, and of what it is held against."""

N_DRAWS, SEED, CONFIDENCE = 300, 20240501, 0.95
SMALL = {"width": 3.2, "height": 2.5}


def score_drawings(files: HospitalFiles) -> list[Drawing]:
    """Returns how the probabilities lie beside those of development; none without scores."""
    p = pd.to_numeric(files.seen["probability"]).dropna().to_numpy(np.float64)
    if not len(p):
        return []
    reference = reference_of(files.champion.package)
    groups = {files.center: (HERE, p)}
    if reference is not None and len(reference.scores):
        groups["Development, held out"] = (DEVELOPMENT, np.asarray(reference.scores))
    figure = figures.score_figure(groups, float(files.scores["threshold"].iloc[-1]))
    n_hidden = len(files.seen) - len(p)
    hidden = f" {n_hidden} withheld scores are not drawn." if n_hidden else ""
    caption = f"Share of each group by probability; dashed the threshold from which on a case is positive.{hidden}"
    return [Drawing(name="scores", title="Probabilities", caption=caption, figure=figure)]


def drift_drawings(files: HospitalFiles) -> list[Drawing]:
    """Returns distribution functions of the score and of what moved most, here and in development."""
    return [
        _curve(str(name), number, rows, files.center, _effect(str(name), str(family), files.drift.moved))
        for number, ((family, name), rows) in enumerate(
            sorted(files.drift.curves.groupby(["family", "name"], sort=False), key=lambda pair: pair[0][0] != "scores")
        )
    ]


def _curve(name: str, number: int, rows: pd.DataFrame, center: str, caption: str) -> Drawing:
    is_score = bool((rows["family"] == "scores").any())
    figure, axes = new_axes("Probability" if is_score else "Value", "Share of cases below", **SMALL)
    lines = []
    for source, tone, label in (("development", DEVELOPMENT, "development"), ("hospital", HERE, center)):
        own = rows[rows["source"] == source]
        if len(own):
            x, y = own["value"].to_numpy(np.float64), own["share"].to_numpy(np.float64)
            lines.append(Line(x=x, y=y, tone=tone, label=label))
    draw_lines(axes, lines, steps=True)
    axes.set_ylim(-0.02, 1.02)
    axes.locator_params(axis="x", nbins=4)
    legend(axes, "best")
    title = "Scores" if is_score else name
    return Drawing(name=f"curve_{number}", title=title, caption=caption, figure=figure)


def _effect(name: str, family: str, moved: pd.DataFrame) -> str:
    """Returns how far a variable lay from development at the last look."""
    own = moved[(moved["family"] == family) & (moved["name"] == name)]
    if own.empty:
        return "Of all cases so far."
    row = own.iloc[0]
    return f"{str(row['direction']).capitalize()}; distance {row['distance']:.2f} at the last look."


def runs_drawings(steps: Sequence[Step]) -> list[Drawing]:
    """Returns how cases came over the runs; none before the second."""
    if len(steps) < 2:
        return []
    at = np.arange(1, len(steps) + 1, dtype=np.float64)
    figure, axes = new_axes("Run that changed something", "Cases", width=6.4, height=2.5)
    kinds = {
        "scored": ("external", [step.scored for step in steps]),
        "positive": ("positive", [step.positive for step in steps]),
        "waiting": ("warn", [step.waiting for step in steps]),
        "refused": ("bad", [sum(step.refused.values()) for step in steps]),
    }
    lines = [
        Line(x=at, y=np.array(values, dtype=np.float64), tone=tone, label=label)
        for label, (tone, values) in kinds.items()
        if any(values)
    ]
    draw_lines(axes, lines, steps=True)
    for line in lines:
        axes.plot(line.x, line.y, "o", markersize=3, color=light(line.tone))
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="both", integer=True)
    legend(axes, "upper left")
    caption = "Counts after each run that found something new; runs that found nothing are left out."
    return [Drawing(name="runs", title="Cases over runs", caption=caption, figure=figure)]


def performance_drawings(files: HospitalFiles) -> list[Drawing]:
    """Returns ROC, calibration and decision curve beside development's held-out patients; none without figures."""
    known = files.performance or {}
    if not known.get("metrics"):
        return []
    rows = files.scores.merge(files.labels, on="case_id")
    rows = rows[~rows["case_id"].isin(set(files.left_out))]
    y, p = rows["label"].to_numpy(np.int8), rows["probability"].to_numpy(np.float64)
    if len(np.unique(y)) < 2:
        return []
    inside = _held_out(files.champion.package)
    return [
        _roc(files.center, y, p, inside, known["metrics"]),
        *_calibration(files.center, (y, p), inside, known),
        *_decision(files.center, inside, known),
    ]


def _held_out(package: Part) -> tuple[Labels, Floats] | None:
    """Returns development's held-out patients, whose labels the conformal arrays tell; none where a class is absent."""
    reference = reference_of(package)
    if reference is None or any(not len(reference.conformal[label]) for label in (0, 1)):
        return None
    negative, positive = np.asarray(reference.conformal[0]), 1 - np.asarray(reference.conformal[1])
    y = np.r_[np.zeros(len(negative), np.int8), np.ones(len(positive), np.int8)]
    return y, np.r_[negative, positive]


def _roc(
    center: str, y: Labels, p: Floats, inside: tuple[Labels, Floats] | None, metrics: Mapping[str, Any]
) -> Drawing:
    curve = roc_curve(y, p, draws("hospital", len(y), N_DRAWS, SEED), CONFIDENCE)
    label = f"{center} {metrics['auc']:.2f} ({metrics['auc_low']:.2f}–{metrics['auc_high']:.2f})"
    lines = [Line(x=curve.fpr, y=curve.tpr, low=curve.low, high=curve.high, tone=HERE, label=label)]
    if inside is not None:
        own = roc_curve(*inside, draws("held out", len(inside[0]), 1, SEED), CONFIDENCE)
        lines.insert(0, Line(x=own.fpr, y=own.tpr, tone=DEVELOPMENT, label="development, held out"))
    caption = "Area with DeLong's interval; band by bootstrap. Other patients, so the curves differ by chance too."
    return Drawing(name="roc", title="ROC curve", caption=caption, figure=figures.roc_figure(lines))


def _calibration(
    center: str, own: tuple[Labels, Floats], inside: tuple[Labels, Floats] | None, known: Mapping[str, Any]
) -> list[Drawing]:
    if not known.get("calibration"):
        return []
    told = {name: np.array(values, dtype=np.float64) for name, values in known["calibration"].items()}
    lines = [
        Line(
            x=told["predicted"], y=told["observed"], low=told["low"], high=told["high"], tone=HERE, label=center
        )
    ]  # fmt: skip
    y, p = own
    curve = None if inside is None else flexible_curve(*inside, draws("held out", len(inside[0]), 1, SEED), CONFIDENCE)
    if curve is not None:
        lines.append(Line(x=curve.predicted, y=curve.observed, tone=DEVELOPMENT, label="development, held out"))
    caption = "Smoothed observed share with a bootstrap band. Ticks: patients with (up) and without the outcome here."
    figure = figures.calibration_figure(lines, {HERE: (p[y == 0], p[y == 1])})
    return [Drawing(name="calibration", title="Calibration", caption=caption, figure=figure)]


def _decision(center: str, inside: tuple[Labels, Floats] | None, known: Mapping[str, Any]) -> list[Drawing]:
    told = {name: np.array(values, dtype=np.float64) for name, values in (known.get("decision") or {}).items()}
    if not told:
        return []
    at = told["threshold"]
    lines = [Line(x=at, y=told["net_benefit"], low=told["low"], high=told["high"], tone=HERE, label=center)]
    alls = [Line(x=at, y=told["treat_all"], tone=HERE, label="Treat all here", width=1.1, dashes=":")]
    if inside is not None:
        curve = decision_curve(*inside, at, draws("held out", len(inside[0]), 1, SEED), CONFIDENCE)
        lines.insert(0, Line(x=at, y=curve.net_benefit, tone=DEVELOPMENT, label="development, held out"))
    caption = "What acting on the model gains at each threshold a clinician may hold; bootstrap band."
    figure = figures.decision_figure(lines, alls)
    return [Drawing(name="decision", title="Decision curve", caption=caption, figure=figure)]


def area_drawings(known: Mapping[str, Any] | None) -> list[Drawing]:
    """Returns how the area changed as labels came; none before the second figure."""
    rows = pd.DataFrame((known or {}).get("history", []))
    if len(rows) < 2 or rows["auc"].isna().all():
        return []
    at, auc, low, high = (rows[name].to_numpy(np.float64) for name in ("n", "auc", "auc_low", "auc_high"))
    figure, axes = new_axes("Labelled cases", "AUC", width=6.4, height=2.5)
    draw_lines(axes, [Line(x=at, y=auc, low=low, high=high, tone=HERE)])
    axes.plot(at, auc, "o", markersize=3.5, color=light(HERE))
    axes.axhline(0.5, color=light("faint"), linewidth=1, linestyle="--")
    axes.set_ylim(min(0.3, float(np.nanmin(low))) - 0.02, 1.02)
    return [_area(figure)]


def _area(figure: "Figure") -> Drawing:
    caption = "Each time the figures changed; band: DeLong's interval. Looking often is no test: read the last one."
    return Drawing(name="area", title="AUC as labels came", caption=caption, figure=figure)
