"""Figures of the principal components that a model keeps."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.reporting.canvas import FONT_PT, Floats, Line, draw_lines, legend, new_axes
from pipelines.reporting.palette import light

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def explained_variance_figure(cumulative: Floats, chosen: int | None, knee: int | None, area: float) -> "Figure":
    """Draws the cumulative share of variance over components, with the number kept and the area under the curve.

    Args:
        cumulative: Cumulative share, shape (k,).
        chosen: How many components the model keeps.
        knee: Where the curve flattens.
        area: The area under the curve in percent.
    """
    figure, axes = new_axes("Principal components", "Cumulative explained variance (%)")
    x = np.arange(1, len(cumulative) + 1, dtype=np.float64)
    percent = 100 * cumulative
    axes.fill_between(x, percent, color=light("accent"), alpha=0.12, linewidth=0)
    draw_lines(axes, [Line(x=x, y=percent, tone="accent", width=2.0)])
    for number, tone, word in ((knee, "muted", "knee"), (chosen, "external", "kept")):
        if number is not None and 1 <= number <= len(cumulative):
            held = percent[number - 1]
            axes.plot(
                [number], [held], "o", color=light(tone), markersize=7 if word == "kept" else 5, zorder=3,
                label=f"{word}: {number} ({held:.0f} %)",
            )  # fmt: skip
    axes.set_ylim(0, 103)
    axes.set_xlim(min(1, len(cumulative)) - 0.5, len(cumulative) + 0.5)
    axes.text(
        0.97, 0.3, f"area {area:.1f} %", transform=axes.transAxes, ha="right", fontsize=FONT_PT + 1,
        color=light("accent"),
    )  # fmt: skip
    legend(axes, "lower right")
    return figure


def scatter_figure(
    pc1: Floats, pc2: Floats, y: NDArray[np.integer], shares: tuple[float, float] | None, labels: tuple[str, str]
) -> "Figure":
    """Draws patients on the first two components, by class.

    Args:
        pc1: Scores on the first component, shape (n,).
        pc2: Scores on the second component, shape (n,).
        y: Labels, shape (n,).
        shares: The share of variance that each of the two holds.
        labels: What the negative and the positive class are called.
    """
    words = ["", ""] if shares is None else [f" ({100 * share:.0f} % of variance)" for share in shares]
    figure, axes = new_axes(f"PC1{words[0]}", f"PC2{words[1]}")
    for value, tone, marker in ((0, "negative", "o"), (1, "positive", "^")):
        at = y == value
        axes.scatter(
            pc1[at], pc2[at], s=22, marker=marker, color=light(tone), alpha=0.75, linewidths=0,
            label=f"{labels[value]} ({int(at.sum())})",
        )  # fmt: skip
    legend(axes, "best")
    return figure
