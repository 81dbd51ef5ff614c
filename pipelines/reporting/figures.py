"""Figures of how models did: each takes plain values and returns a matplotlib figure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.reporting.canvas import (
    BAND_OPACITY,
    FONT_PT,
    HEIGHT_IN,
    WIDTH_IN,
    Floats,
    Line,
    draw_lines,
    dress,
    legend,
    new_axes,
    unit_axes,
)
from pipelines.reporting.palette import light

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIAGONAL = np.array([0.0, 1.0])


def roc_figure(lines: Sequence[Line], *, is_small: bool = False) -> "Figure":
    """Draws ROC curves over the diagonal of chance; small ones stand three in a row."""
    size = {"width": 0.75 * WIDTH_IN, "height": 0.8 * HEIGHT_IN} if is_small else {}
    figure, axes = new_axes("1 − specificity", "Sensitivity", **size)
    chance = Line(x=DIAGONAL, y=DIAGONAL, tone="faint", width=1, dashes="--")
    draw_lines(axes, [chance, *lines])
    unit_axes(axes)
    legend(axes, "lower right")
    return figure


def precision_recall_figure(lines: Sequence[Line], prevalence: Mapping[str, float]) -> "Figure":
    """Draws precision–recall curves over the share of patients with the outcome.

    Args:
        lines: The curves.
        prevalence: By color name, the share that an uninformed model has as precision.
    """
    figure, axes = new_axes("Recall (sensitivity)", "Precision (positive predictive value)")
    floors = [
        Line(x=DIAGONAL, y=np.full(2, share), tone=tone, width=1, dashes=":") for tone, share in prevalence.items()
    ]
    draw_lines(axes, [*floors, *lines])
    unit_axes(axes)
    legend(axes)
    return figure


def calibration_figure(lines: Sequence[Line], predicted: Mapping[str, tuple[Floats, Floats]] | None = None) -> "Figure":
    """Draws flexible calibration curves over the diagonal, with the predictions of each class as ticks below.

    Args:
        lines: The curves.
        predicted: By color name, the probabilities of patients without and with the outcome.
    """
    figure, axes = new_axes("Predicted probability", "Observed share")
    ideal = Line(x=DIAGONAL, y=DIAGONAL, tone="faint", width=1, dashes="--", label="Perfect")
    draw_lines(axes, [ideal, *lines])
    for row, (tone, (without, having)) in enumerate((predicted or {}).items()):
        base = -0.075 - 0.085 * row
        for values, up in ((without, -0.03), (having, 0.03)):
            axes.vlines(values, base, base + up, color=light(tone), linewidth=0.8, alpha=0.75)
    unit_axes(axes)
    axes.set(ylim=(-0.1 - 0.085 * len(predicted or {}), 1.02), aspect="auto")
    legend(axes, "upper left")
    return figure


def decision_figure(lines: Sequence[Line], treat_all: Sequence[Line]) -> "Figure":
    """Draws net benefit over threshold probabilities, with treating all and treating nobody."""
    figure, axes = new_axes("Threshold probability", "Net benefit per patient")
    draw_lines(axes, [*lines, *treat_all])
    axes.axhline(0, color=light("muted"), linewidth=1, label="Treat nobody")
    top = max((float(np.nanmax(line.y)) for line in (*lines, *treat_all) if len(line.y)), default=0.1)
    axes.set_ylim(-0.12 * max(top, 0.1) - 0.02, 1.15 * max(top, 0.05))
    legend(axes, "upper right")
    return figure


def confusion_figure(panels: Mapping[str, Mapping[str, int]], labels: tuple[str, str]) -> "Figure":
    """Draws confusion matrices side by side: in each cell the count and its share of the patients of that class.

    Args:
        panels: By title the counts `tp`, `fp`, `fn`, `tn`.
        labels: What the negative and the positive class are called.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, 0.75 * HEIGHT_IN), layout="constrained")
    for number, (title, cells) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), number)
        dress(axes, "Predicted", "Actual" if number == 1 else "")
        axes.grid(visible=False)
        axes.set_title(title, fontsize=FONT_PT + 0.5, color=light("ink"), loc="left", pad=8)
        counts = np.array([[cells["tn"], cells["fp"]], [cells["fn"], cells["tp"]]])
        _draw_cells(axes, counts)
        axes.set_xticks([0, 1], labels)
        axes.set_yticks([0, 1], labels if number == 1 else ["", ""], rotation=90, va="center")
        axes.set(xlim=(-0.5, 1.5), ylim=(1.5, -0.5), aspect="equal")
    return figure


def score_figure(groups: Mapping[str, tuple[str, Floats]], threshold: float | None = None) -> "Figure":
    """Draws how probabilities are spread in each group, as outlines over shared bins.

    Args:
        groups: By legend label the color name and the probabilities.
        threshold: An operating point to mark.
    """
    figure, axes = new_axes("Predicted probability", "Share of the group", height=0.8 * HEIGHT_IN)
    edges = np.linspace(0, 1, 21)
    highest = 0.0
    for label, (tone, values) in groups.items():
        share = np.histogram(values, edges)[0] / max(len(values), 1)
        highest = max(highest, float(share.max()))
        axes.stairs(share, edges, fill=True, color=light(tone), alpha=BAND_OPACITY)
        axes.stairs(share, edges, linewidth=1.6, color=light(tone), label=f"{label} ({len(values)})")
    if threshold is not None:
        axes.axvline(threshold, color=light("muted"), linewidth=1, linestyle="--", label="Threshold")
    top = max(highest, 0.05)
    axes.set(xlim=(0, 1), ylim=(0, 1.35 * top))
    axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= top])
    legend(axes, "upper right")
    return figure


def _draw_cells(axes: "Axes", counts: NDArray[np.integer]) -> None:
    from matplotlib.patches import Rectangle

    for row in range(2):
        total = counts[row].sum()
        for column in range(2):
            share = counts[row, column] / total if total else 0.0
            tone = "good" if row == column else "bad"
            corner = (column - 0.47, row - 0.47)
            axes.add_patch(Rectangle(corner, 0.94, 0.94, color=light(tone), alpha=0.08 + 0.3 * share, linewidth=0))
            axes.text(
                column, row - 0.07, str(counts[row, column]), ha="center", va="center",
                fontsize=1.9 * FONT_PT, color=light("ink"),
            )  # fmt: skip
            axes.text(
                column, row + 0.24, f"{100 * share:.0f} %", ha="center", va="center",
                fontsize=FONT_PT, color=light("ink"),
            )  # fmt: skip
