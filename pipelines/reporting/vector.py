"""Figures as SVG for a page, and as PNG for elsewhere. Same figure, same bytes."""

import io
import re
from typing import TYPE_CHECKING

from featurestore.visible import in_html
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
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def pdf_bytes(figure: "Figure") -> bytes:
    """Returns a figure as PDF with its fonts in it."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"pdf.fonttype": 42}):
        figure.savefig(buffer, format="pdf", facecolor="white", metadata={"CreationDate": None, "Producer": None})
    return buffer.getvalue()


def svg_bytes(figure: "Figure", name: str) -> bytes:
    """Returns a figure as a file of its own, with text as outlines so that it looks the same everywhere."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


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
