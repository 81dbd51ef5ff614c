"""Figures as SVG for a page, and as PNG for elsewhere. Same figure, same bytes."""

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from featurestore.visible import in_html, visible
from pipelines.reporting.palette import TONES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PNG_DPI = 150
PRINT_DPI = 300


def inline_svg(figure: "Figure", name: str, description: str) -> str:
    """Returns a figure as an SVG element that takes the page's colors and fonts.

    Args:
        figure: A matplotlib figure.
        name: Unique in the page; ids inside start with it.
        description: What a person who cannot see the figure is told.
    """
    import matplotlib as mpl

    _as_plain_text(figure)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = _colors_as_variables(_page_font(_own_ids(text, name)))
    box = re.search(r'viewBox="([^"]*)"', text)
    view = box.group(1) if box else "0 0 300 300"
    head = f'<svg viewBox="{view}" role="img" aria-label="{in_html(description)}">'
    return head + re.sub(r"\s*\n\s*", "\n", text[text.index(">") + 1 :]).strip()


def png_bytes(figure: "Figure", dpi: int = PNG_DPI) -> bytes:
    """Returns a figure as PNG on white."""
    _as_plain_text(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def pdf_bytes(figure: "Figure") -> bytes:
    """Returns a figure as PDF with its fonts in it."""
    import matplotlib as mpl

    _as_plain_text(figure)
    buffer = io.BytesIO()
    with mpl.rc_context({"pdf.fonttype": 42}):
        figure.savefig(buffer, format="pdf", facecolor="white", metadata={"CreationDate": None, "Producer": None})
    return buffer.getvalue()


def svg_bytes(figure: "Figure", name: str) -> bytes:
    """Returns a figure as a file of its own, with text as outlines so that it looks the same everywhere."""
    import matplotlib as mpl

    _as_plain_text(figure)
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _as_plain_text(figure: "Figure") -> None:
    """Lets texts stand as they are read: no formula between dollars, no control; twice is as once."""
    from matplotlib.text import Text
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    axes = [axis for one in figure.axes for axis in (one.xaxis, one.yaxis)]
    for axis in axes:
        match axis.get_major_formatter():
            case FuncFormatter() as told:
                told.func = _Plain(told.func)
            case FixedFormatter() as told:
                told.seq = [_plain(text) for text in told.seq]
    ticks = {
        label for axis in axes for tick in axis.majorTicks + axis.minorTicks for label in (tick.label1, tick.label2)
    }
    for text in set(figure.findobj(Text)) - ticks:
        text.set_text(_plain(text.get_text()))


class _Plain:
    """A function that names ticks, whose names stand as they are read."""

    def __init__(self, told: Callable[[float, int | None], str]) -> None:
        self.told: Callable[[float, int | None], str] = told.told if isinstance(told, _Plain) else told

    def __call__(self, x: float, position: int | None = None) -> str:
        return _plain(self.told(x, position))


def _plain(text: str) -> str:
    return re.sub(r"(?<!\\)\$", r"\\$", visible(text))


def _own_ids(text: str, name: str) -> str:
    """Keeps only the ids that something refers to, and makes them unique in the page."""
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    text = re.sub(r'\s+id="([^"]+)"', lambda m: f' id="{name}-{m.group(1)}"' if m.group(1) in used else "", text)
    return re.sub(r"(url\(#|href=\"#)([^)\"]+)", rf"\g<1>{name}-\g<2>", text)


def _page_font(text: str) -> str:
    text = re.sub(r"font: (?:(\w+) )?([\d.]+)px [^;\"]+", _font, text)
    return re.sub(r"font-family: [^;\"]+;?", "", text)


def _font(found: "re.Match[str]") -> str:
    weight = f"font-weight: {found.group(1)}; " if found.group(1) else ""
    return f"{weight}font-size: {found.group(2)}px"


def _colors_as_variables(text: str) -> str:
    for name, tone in TONES.items():
        text = text.replace(tone.light, f"var(--{name})")
    return text
