"""Flowcharts as figures: how patients came to count, and the technical steps; the page draws the former in HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

from pipelines.reporting import sections
from pipelines.reporting.canvas import FONT_PT
from pipelines.reporting.flow import Count, FlowRow, flow_rows
from pipelines.reporting.model_figures import Drawing
from pipelines.reporting.palette import light
from pipelines.reporting.study_files import StudyFiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN = 6.4
LINE_IN = 0.17
GAP_IN = 0.3
PAD_IN = 0.16
LINE_CHARACTERS = 46
MAIN, ASIDE = (0.02, 0.44), (0.52, 0.98)
"""Left and right ends of the columns, as shares of the width."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One box of a flowchart.

    Args:
        title: Its first line.
        lines: What stands below.
        aside: The box beside it, its first line a title; empty for none.
    """

    title: str
    lines: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()

    @property
    def height_in(self) -> float:
        """Height of the larger of both boxes."""
        return max(1 + len(self.lines), len(self.aside)) * LINE_IN + PAD_IN


def flowchart(steps: Sequence[Step], ends: Sequence[tuple[str, str]] = ()) -> "Figure":
    """Draws boxes from top to bottom, the last row split into ends.

    Args:
        steps: The boxes.
        ends: Title and line of each end.
    """
    from matplotlib.figure import Figure

    end_in = 2 * LINE_IN + PAD_IN
    height = sum(step.height_in + GAP_IN for step in steps) + (end_in if ends else -GAP_IN) + 0.1
    figure = Figure(figsize=(WIDTH_IN, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 1), ylim=(height, 0))
    axes.axis("off")
    top = 0.05
    for number, step in enumerate(steps):
        _step(axes, step, top)
        bottom = top + step.height_in
        if number + 1 < len(steps) or ends:
            _arrow(axes, (sum(MAIN) / 2, bottom), (sum(MAIN) / 2, bottom + GAP_IN))
        top = bottom + GAP_IN
    for number, (title, line) in enumerate(ends):
        width = (0.98 - 0.02 * len(ends)) / len(ends)
        box = (0.02 + number * (width + 0.02), 0.02 + number * (width + 0.02) + width)
        _box(axes, box, top, end_in, title, (line,), "accent")
    return figure


def cohort_flow_drawing(files: StudyFiles, labels: tuple[str, str]) -> list[Drawing]:
    """Returns the flow from what was sent to the patients that count; none without quality control."""
    rows = flow_rows(files.qc)
    if not rows:
        return []
    flow, ends = sections.flow_content(rows, files)
    steps = [
        Step(title="Sent", lines=(_count(flow["sent"]),), aside=_reasons("Excluded by rule", flow["excluded"])),
        Step(
            title="Belong to the study",
            lines=(_many(flow["eligible"], "case"),),
            aside=_reasons("Refused or failed", flow["stopped"]),
        ),
        Step(title="Features computed", lines=(_count(flow["used"]),), aside=_unused(flow["unused"])),
    ]
    told = [(end["words"], f"{end['n']} patients, {end['events']} {labels[1]}") for end in ends]
    return [
        Drawing(
            name="cohort_flow",
            title="Cohort flow",
            caption="From what the centers sent to the patients of each cohort. A case is one patient, one phase and "
            "one observer's outline.",
            figure=flowchart(steps, told),
        )
    ]


def pipeline_drawing(files: StudyFiles, labels: tuple[str, str]) -> list[Drawing]:
    """Returns the technical steps with the numbers of the best model; none before a model was judged."""
    if files.best is None:
        return []
    own = files.models[files.best].manifest
    cohorts = files.metrics[files.best]
    steps = [
        Step(title="Images and outlines", lines=("files listed and hashed before anything is read",)),
        Step(
            title="Quality control",
            lines=("geometry, gaps, regions, phases", "cropped around the region"),
            aside=("External centers", "the same steps, sealed", "until models are final"),
        ),
        Step(title="Feature extraction", lines=(_features(own),)),
        Step(
            title="Split by patient",
            lines=("seeded hash of center and case",),
            aside=("Internal test", f"{cohorts.get('internal', {}).get('n', 0)} patients kept aside"),
        ),
        Step(
            title="Nested cross-validation",
            lines=(
                f"{cohorts['training']['n']} training patients",
                "imputation, scaling, reduction and settings",
                "fitted inside the folds",
            ),
            aside=(f"{len(files.metrics)} models compared", "chosen by training patients alone"),
        ),
        Step(
            title="Final model, recalibrated",
            lines=(*_wrapped(files.best), "thresholds from out-of-fold probabilities"),
        ),
    ]
    ends = [
        (f"{name.capitalize()} validation", f"{cells['n']} patients")
        for name in ("internal", "external")
        if (cells := cohorts.get(name, {})).get("n")
    ]
    caption = "Technical steps from files to validation."
    figure = flowchart(steps, ends)
    return [Drawing(name="pipeline", title="Technical pipeline", caption=caption, figure=figure)]


def _features(manifest: dict[str, object]) -> str:
    names = manifest.get("features") or []
    return f"{len(names)} features a patient" if isinstance(names, list) and names else "features or patches"


def _count(count: Count) -> str:
    return f"{_many(count.patients, 'patient')}, {_many(count.cases, 'case')}"


def _many(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _wrapped(line: str) -> list[str]:
    return wrap(line, LINE_CHARACTERS) or [""]


def _reasons(title: str, rows: Sequence[FlowRow]) -> tuple[str, ...]:
    told = [line for row in rows for line in _wrapped(f"{row.reason.replace('_', ' ')}: {_count(row.total)}")]
    return (title, *told) if told else ()


def _unused(n: int) -> tuple[str, ...]:
    return ("In no cohort", f"no label, or a phase is lacking: {_many(n, 'patient')}") if n else ()


def _step(axes: "Axes", step: Step, top: float) -> None:
    _box(axes, MAIN, top, step.height_in, step.title, step.lines, "ink")
    if step.aside:
        middle = top + step.height_in / 2
        _arrow(axes, (MAIN[1], middle), (ASIDE[0], middle))
        _box(axes, ASIDE, top, step.height_in, step.aside[0], step.aside[1:], "muted")


def _box(
    axes: "Axes", ends: tuple[float, float], top: float, height: float, title: str, lines: Sequence[str], tone: str
) -> None:
    from matplotlib.patches import Rectangle

    left, right = ends
    axes.add_patch(
        Rectangle((left, top), right - left, height, facecolor=light("surface"), edgecolor=light(tone), linewidth=0.9)
    )
    first = top + height / 2 - LINE_IN * len(lines) / 2
    middle = (left + right) / 2
    axes.text(middle, first, title, ha="center", va="center", fontsize=FONT_PT, weight="bold", color=light("ink"))
    for number, line in enumerate(lines, start=1):
        at = first + number * LINE_IN
        axes.text(middle, at, line, ha="center", va="center", fontsize=FONT_PT - 1, color=light("ink"))


def _arrow(axes: "Axes", start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>", "color": light("muted"), "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=end, xytext=start, arrowprops=style)
