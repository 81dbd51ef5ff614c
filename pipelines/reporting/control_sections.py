"""The study page on negative controls and sample size: words, verdicts, and the figure of shuffled labels."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipelines.evaluation.negative_controls import LABELS, NEAR_HALF, VOXELS
from pipelines.reporting.canvas import BAND_OPACITY, FONT_PT, new_axes
from pipelines.reporting.model_figures import DRAWN, Drawing
from pipelines.reporting.palette import cohort_tone, light
from pipelines.reporting.study_files import StudyFiles, cohort_short, cohort_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WORDS = {
    "size_only": "The region's volume alone",
    LABELS: "Shuffled labels, mean of the searches",
    VOXELS: "Shuffled voxels: size, shape and histogram alone",
}
COMPARED = {True: "more than the control", False: "not shown to be more"}
FOUND = {True: "finds nothing, as it should", False: "finds something: look for a leak"}
ROW_IN = 0.75

Content = dict[str, Any]


def controls_content(files: StudyFiles, model: str) -> Content:
    """Returns the controls of one model and of the search, and whether each model has patients enough."""
    rows = [_row(row, model) for row in control_rows(files, model).to_dict("records")]
    sizes = [
        {**row, "enough": {True: "yes", False: "no"}.get(row["enough"], "–")}
        for row in files.tables["sample_size"].to_dict("records")
    ]
    return {"rows": rows, "sizes": sizes, "drawings": shuffle_drawings(files)} if rows or sizes else {}


def control_rows(files: StudyFiles, model: str) -> pd.DataFrame:
    """Returns the controls of a model; what was tried on another alone stands for the study's search."""
    table = files.tables["controls"]
    tried = [name for name in (LABELS, VOXELS) if ((table["name"] == name) & (table["model"] == model)).any()]
    others = table["name"].isin([name for name in (LABELS, VOXELS) if name not in tried])
    return table[(table["model"] == model) | others]


def _row(row: Mapping[Any, Any], model: str) -> Content:
    words = WORDS.get(str(row["name"]), str(row["name"]))
    own = "" if row["model"] == model else f" ({row['model']})"
    verdicts = FOUND if row["name"] == LABELS else COMPARED
    verdict = verdicts.get(str(row.get("passed")) == "True", "") if not _unknown(row.get("passed")) else ""
    told = "" if _unknown(row.get("reason")) else str(row["reason"])
    untested = verdict or (told if _unknown(row["control"]) else "")
    where = {"words": f"{words}{own}", "where": cohort_words(str(row["cohort"]))}
    ends = {"difference_low": row["low"], "difference_high": row["high"]}
    return {**row, **where, **ends, "verdict": untested, "grounds": told if row["name"] == LABELS else ""}


def _unknown(value: object) -> bool:
    return value is None or value == "" or bool(pd.isna(value))  # type: ignore[call-overload]


def shuffle_drawings(files: StudyFiles) -> list[Drawing]:
    """Returns for each model whose labels were shuffled the areas of all shuffles, and its own beside them."""
    table = files.plots["shuffled_labels"].dropna(subset=["auc"])
    drawings = []
    for model in table["model"].unique() if len(table) else ():
        own = files.of_model(table, model)
        areas = {
            c: own.loc[own["cohort"] == c, "auc"].to_numpy(np.float64) for c in DRAWN if (own["cohort"] == c).any()
        }
        real = {c: files.metrics[model][c]["auc"] for c in areas if files.metrics.get(model, {}).get(c)}
        drawings.append(
            Drawing(
                name=f"shuffled_labels_{model}",
                title=f"{model} on shuffled labels",
                caption=f"Each dot: the same search on labels dealt anew, {own['shuffle'].nunique()} times; the bar is "
                "their mean, the band 0.45 to 0.55. The diamond is the model on the labels as they are.",
                figure=shuffles_figure(areas, real),
            )
        )
    return drawings


def shuffles_figure(areas: Mapping[str, "np.ndarray[Any, np.dtype[np.float64]]"], real: Mapping[str, Any]) -> "Figure":
    """Draws the area of each shuffle, a row a cohort, with their mean and the model's own area.

    Args:
        areas: By cohort the areas.
        real: By cohort the model's own.
    """
    n = len(areas)
    figure, axes = new_axes("AUC", "", height=ROW_IN * n + 0.6)
    axes.axvspan(*NEAR_HALF, color=light("good"), alpha=BAND_OPACITY, linewidth=0)
    axes.axvline(0.5, color=light("faint"), linewidth=1, linestyle="--")
    for row, (cohort, values) in enumerate(areas.items()):
        tone = light(cohort_tone(cohort))
        spread = ((np.arange(len(values)) * 0.618) % 1 - 0.5) * 0.36  # the golden ratio: even, and the same each time
        axes.plot(values, row + spread, "o", color=tone, markersize=3.5, alpha=0.55, markeredgewidth=0)
        axes.plot([values.mean()] * 2, [row - 0.28, row + 0.28], color=tone, linewidth=2.2)
        if real.get(cohort) is not None:
            axes.plot([real[cohort]], [row], "D", color=tone, markersize=6.5)
        axes.text(0.005, row - 0.36, cohort_short(cohort), fontsize=FONT_PT - 0.5, color=light("ink"), va="center")
    axes.set(xlim=(0, 1.02), ylim=(n - 0.45, -0.6), yticks=[])
    axes.grid(visible=False, axis="y")
    return figure
