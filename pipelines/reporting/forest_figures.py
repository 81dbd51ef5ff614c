"""Forest plots: estimates with intervals below each other, pooled ones as diamonds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.reporting.canvas import FONT_PT, WIDTH_IN, dress
from pipelines.reporting.palette import light

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW_IN = 0.235
LEFT, RIGHT = 0.4, 0.735
"""Where the drawing begins and ends; words stand before it, numbers after it."""


@dataclass(frozen=True, kw_only=True)
class ForestRow:
    """One line of a forest plot.

    Args:
        label: Its words.
        value: The estimate; none for a heading or a group that is too small.
        low: The interval's lower end.
        high: The interval's upper end.
        tone: The color's name in the palette.
        note: What stands in place of numbers.
        is_pooled: Whether it sums up the rows above it.
        is_heading: Whether it only names what follows.
    """

    label: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    tone: str = "accent"
    note: str = ""
    is_pooled: bool = False
    is_heading: bool = False


def forest_figure(
    rows: Sequence[ForestRow], xlabel: str, reference: float, span: tuple[float, float], *, is_log: bool = False
) -> "Figure":
    """Draws a forest plot.

    Args:
        rows: From top to bottom.
        xlabel: What is estimated.
        reference: The value of no effect.
        span: The first and last value of the axis; an interval beyond it ends in an arrow.
        is_log: Whether the axis is logarithmic, as for ratios.
    """
    from matplotlib.figure import Figure

    height = ROW_IN * len(rows) + 0.55
    figure = Figure(figsize=(WIDTH_IN, height))
    axes = figure.add_axes((LEFT, 0.5 / height, RIGHT - LEFT, (height - 0.55) / height))
    dress(axes, xlabel, "")
    axes.grid(visible=False, axis="y")
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=span, yticks=[])
    if is_log:
        axes.set_xscale("log")
        ticks = [tick for tick in (0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 100) if span[0] <= tick <= span[1]]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    axes.axvline(reference, color=light("muted"), linewidth=1, linestyle="--")
    for at, row in enumerate(rows):
        _draw(axes, at, row, span)
    return figure


def _draw(axes: "Axes", at: int, row: ForestRow, span: tuple[float, float]) -> None:
    across = axes.get_yaxis_transform()
    weight = "bold" if row.is_heading or row.is_pooled else "normal"
    axes.text(
        (0 - LEFT) / (RIGHT - LEFT) + 0.02, at, row.label, transform=across, va="center", fontsize=FONT_PT - 1,
        color=light("ink"), fontweight=weight,
    )  # fmt: skip
    words = row.note
    if row.value is not None and row.low is not None and row.high is not None:
        _draw_interval(axes, at, row, row.value, (row.low, row.high), span)
        words = f"{row.value:.2f} ({row.low:.2f}–{row.high:.2f})"
    axes.text(
        1.03, at, words, transform=across, va="center", fontsize=FONT_PT - 1.2,
        color=light("ink" if row.value is not None else "muted"),
    )  # fmt: skip


def _draw_interval(
    axes: "Axes", at: int, row: ForestRow, value: float, ends: tuple[float, float], span: tuple[float, float]
) -> None:
    low, high = (min(max(end, span[0]), span[1]) for end in ends)
    color = light(row.tone)
    if row.is_pooled:
        axes.fill([low, value, high, value], [at, at - 0.28, at, at + 0.28], color=color, linewidth=0)
        return
    axes.plot([low, high], [at, at], color=color, linewidth=1.5, solid_capstyle="butt")
    for end, edge, marker in ((ends[0], span[0], "<"), (ends[1], span[1], ">")):
        if (end < edge) if marker == "<" else (end > edge):
            axes.plot([edge], [at], marker, color=color, markersize=5, clip_on=False)
    if span[0] <= value <= span[1]:
        axes.plot([value], [at], "s", color=color, markersize=5)
