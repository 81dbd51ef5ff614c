"""Figures with their words as a page shows them."""

from collections.abc import Sequence

from pipelines.reporting.model_figures import Drawing
from pipelines.reporting.vector import inline_svg


def inline(drawings: Sequence[Drawing]) -> list[dict[str, object]]:
    """Returns drawings as what the macro `picture` names."""
    from markupsafe import Markup

    return [
        {
            "title": drawing.title,
            "caption": drawing.caption,
            "svg": Markup(inline_svg(drawing.figure, drawing.name.replace("_", "-"), drawing.title)),
        }
        for drawing in drawings
    ]
