"""The empty axes that every figure starts from: one size, one look."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.reporting.palette import light

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN, HEIGHT_IN = 4.3, 3.7
FONT_PT = 8.5
BAND_OPACITY = 0.11

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """One curve of a figure.

    Args:
        x: Horizontal values, shape (n_points,).
        y: Vertical values, shape (n_points,).
        low: The band's lower edge, shape (n_points,); none for no band.
        high: The band's upper edge, shape (n_points,).
        tone: The color's name in the palette.
        label: What the legend says; empty for no entry.
        width: Line width in points.
        dashes: A matplotlib line style.
    """

    x: Floats
    y: Floats
    low: Floats | None = None
    high: Floats | None = None
    tone: str
    label: str = ""
    width: float = 1.8
    dashes: str = "-"


def new_axes(
    xlabel: str, ylabel: str, *, width: float = WIDTH_IN, height: float = HEIGHT_IN
) -> tuple["Figure", "Axes"]:
    """Returns a figure with one set of axes in the page's look."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    dress(axes, xlabel, ylabel)
    return figure, axes


def dress(axes: "Axes", xlabel: str, ylabel: str) -> None:
    """Gives axes the page's look: no box, faint grid, quiet ticks."""
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.grid(color=light("line"), linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=FONT_PT, labelcolor=light("muted"), pad=4)
    axes.set_xlabel(xlabel, fontsize=FONT_PT, color=light("ink"), labelpad=6)
    axes.set_ylabel(ylabel, fontsize=FONT_PT, color=light("ink"), labelpad=6)


def draw_lines(axes: "Axes", lines: Sequence[Line], *, steps: bool = False) -> None:
    """Draws curves with their bands, bands first.

    Args:
        axes: Where.
        lines: What.
        steps: Whether values hold until the next point.
    """
    style: Literal["steps-post", "default"] = "steps-post" if steps else "default"
    for line in lines:
        if line.low is not None and line.high is not None:
            axes.fill_between(
                line.x, line.low, line.high, color=light(line.tone), alpha=BAND_OPACITY, linewidth=0,
                step="post" if steps else None,
            )  # fmt: skip
    for line in lines:
        axes.plot(
            line.x, line.y, color=light(line.tone), linewidth=line.width, linestyle=line.dashes,
            label=line.label or "_", solid_capstyle="round", drawstyle=style,
        )  # fmt: skip


def legend(axes: "Axes", where: str = "best") -> None:
    """Adds a quiet legend if any curve has a label."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        axes.legend(
            handles, labels, loc=where, fontsize=FONT_PT - 0.5, frameon=False, labelcolor=light("ink"),
            handlelength=1.4, borderaxespad=0.3,
        )  # fmt: skip


def unit_axes(axes: "Axes") -> None:
    """Makes both axes run from 0 to 1 with equal steps."""
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_yticks(np.linspace(0, 1, 6))
