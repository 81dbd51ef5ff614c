"""Figures of what a model learned and listens to."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.reporting.canvas import FONT_PT, HEIGHT_IN, WIDTH_IN, Line, draw_lines, dress, legend, new_axes
from pipelines.reporting.palette import light

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BAR_IN = 0.3
MAXIMUM_MODELS = 10
"""More models are not legible as a matrix; those with the largest cross-validated areas are shown."""


def learning_figure(points: pd.DataFrame) -> "Figure":
    """Draws the area on patients fitted on and on held-out ones over the number fitted on, with one deviation."""
    figure, axes = new_axes("Patients fitted on", "AUC")
    x = points["patients"].to_numpy(np.float64)
    lines = []
    for name, tone, label in (
        ("training", "training", "On themselves"),
        ("validation", "internal", "On held-out ones"),
    ):
        y, spread = points[name].to_numpy(np.float64), points[f"{name}_sd"].to_numpy(np.float64)
        low, high = np.clip(y - spread, 0, 1), np.clip(y + spread, 0, 1)
        lines.append(Line(x=x, y=y, low=low, high=high, tone=tone, label=label))
    draw_lines(axes, lines)
    for line in lines:
        axes.plot(line.x, line.y, "o", color=light(line.tone), markersize=4)
    axes.axhline(0.5, color=light("faint"), linewidth=1, linestyle="--")
    axes.set_ylim(min(0.4, float(np.nanmin([line.low for line in lines])) - 0.02), 1.02)
    legend(axes, "lower right")
    return figure


def epochs_figure(epochs: pd.DataFrame) -> "Figure":
    """Draws a network's area and loss on the part it stops by, an epoch each; a thin line a fold, a thick one the mean.

    Args:
        epochs: Rows with `repeat`, `fold`, `epoch`, `measure`, `value`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
    panels = (
        ("AUC", {"validation_auc": "internal"}),
        ("Loss", {"loss": "training", "validation_loss": "internal"}),
    )
    words = {"loss": "fitted on", "validation_loss": "held aside", "validation_auc": "held aside"}
    for number, (title, measures) in enumerate(panels, start=1):
        axes = figure.add_subplot(2, 1, number)
        dress(axes, "Epoch" if number == 2 else "", title)
        for measure, tone in measures.items():
            rows = epochs[epochs["measure"] == measure]
            for _, fold in rows.groupby(["repeat", "fold"], sort=True):
                axes.plot(fold["epoch"], fold["value"], color=light(tone), linewidth=0.6, alpha=0.35)
            mean = rows.groupby("epoch")["value"].mean()
            axes.plot(mean.index, mean, color=light(tone), linewidth=2, label=words[measure])
        legend(axes)
    return figure


def bars_figure(
    labels: Sequence[str],
    sizes: Sequence[float],
    tones: Sequence[str],
    xlabel: str,
    spreads: Sequence[float] | None = None,
) -> "Figure":
    """Draws one bar a row with its name above it, the first on top.

    Args:
        labels: The names.
        sizes: The bars' lengths.
        tones: Their colors' names.
        xlabel: What the length means.
        spreads: A deviation to draw at each bar's end.
    """
    n = len(labels)
    figure, axes = new_axes(xlabel, "", height=BAR_IN * n + 0.6)
    at = np.arange(n)
    axes.barh(at + 0.18, sizes, height=0.36, color=[light(tone) for tone in tones], alpha=0.85)
    if spreads is not None:
        axes.errorbar(sizes, at + 0.18, xerr=spreads, fmt="none", ecolor=light("muted"), elinewidth=1)
    axes.set_xlim(*axes.get_xlim())
    for row, label in enumerate(labels):
        axes.text(axes.get_xlim()[0], row - 0.2, label, fontsize=FONT_PT - 1.5, color=light("ink"), va="center")
    axes.set(ylim=(n - 0.4, -0.6), yticks=[])
    axes.grid(visible=False, axis="y")
    return figure


def matrix_figure(models: Sequence[str], cells: Mapping[tuple[str, str], tuple[float, float]]) -> "Figure":
    """Draws each pair's difference of areas, row less column, in bold where the corrected p-value is below 0.05.

    Args:
        models: The models in order.
        cells: By row and column the difference and the corrected p-value.
    """
    from matplotlib.patches import Rectangle

    n = len(models)
    side = 0.36 * n
    words = 0.095 * max(len(name) for name in models)
    figure, axes = new_axes("", "", width=side + words + 0.6, height=side + 0.5)
    largest = max((abs(value) for value, _ in cells.values() if value == value), default=0.1) or 0.1
    for row, first in enumerate(models):
        for column, second in enumerate(models):
            value, p = cells.get((first, second), (np.nan, np.nan))
            if value != value:
                continue
            tone = "good" if value > 0 else "bad"
            alpha = 0.04 + 0.36 * abs(value) / largest
            corner = (column - 0.48, row - 0.48)
            axes.add_patch(Rectangle(corner, 0.96, 0.96, color=light(tone), alpha=alpha, linewidth=0))
            axes.text(
                column, row, f"{value:+.2f}".replace("-", "−"), ha="center", va="center", fontsize=FONT_PT - 2,
                color=light("ink"), fontweight="bold" if p < 0.05 else "normal",
            )  # fmt: skip
    axes.grid(visible=False)
    axes.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5), aspect="equal")
    axes.set_yticks(range(n), [f"{name}  {number}" for number, name in enumerate(models, start=1)])
    axes.set_xticks(range(n), [str(number) for number in range(1, n + 1)])
    axes.xaxis.set_ticks_position("top")
    return figure


def attention_figure(pictures: Mapping[str, Any], phases: Sequence[str]) -> "Figure":
    """Draws patches of patients in rows: each phase, and the last phase with what speaks for the positive class.

    Args:
        pictures: `images` (n, phases, rows, columns) and `maps` (n, rows, columns), 0 to 255; `y` and `p` (n,).
        phases: The phases' names.
    """
    from matplotlib.figure import Figure

    y, p = (np.asarray(pictures[name]) for name in ("y", "p"))
    sides = [np.flatnonzero(y == label) for label in (1, 0)]
    n_rows, n_shown = max(len(side) for side in sides), len(phases) + 1
    width = 1.6 * WIDTH_IN
    figure = Figure(figsize=(width, n_rows * width / (2 * n_shown) + 0.25), layout="constrained")
    grid = figure.add_gridspec(n_rows, 2 * n_shown, wspace=0.02, hspace=0.02)
    for side, patients in enumerate(sides):
        for row, patient in enumerate(patients):
            for column, image in enumerate(_panels(pictures, int(patient))):
                axes = figure.add_subplot(grid[row, side * n_shown + column])
                axes.imshow(image, interpolation="nearest")
                axes.set(xticks=[], yticks=[])
                axes.set_frame_on(False)
                if row == 0:
                    title = phases[column][:8] if column < len(phases) else "looks at"
                    axes.set_title(title, fontsize=FONT_PT - 2, color=light("ink"))
                if column == 0:
                    words = f"{'positive' if y[patient] else 'negative'}\np {p[patient]:.2f}"
                    axes.set_ylabel(words, fontsize=FONT_PT - 2, color=light("ink"))
    return figure


def _panels(pictures: Mapping[str, Any], patient: int) -> list[NDArray[np.uint8]]:
    """Returns a patient's phases as gray pictures, and the last one with the map in color over it."""
    from matplotlib.colors import to_rgb

    phases = [np.repeat(image[..., None] / 255, 3, axis=2) for image in pictures["images"][patient]]
    weight = 0.75 * pictures["maps"][patient][..., None] / 255
    mixed = (1 - weight) * phases[-1] + weight * np.array(to_rgb(light("external")))
    return [(255 * image).round().astype(np.uint8) for image in (*phases, mixed)]
