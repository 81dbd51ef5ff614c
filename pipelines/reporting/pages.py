"""Pages: templates filled with plain values, one self-contained file each."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featurestore.files import write_text
from featurestore.visible import visible
from pipelines.reporting.palette import variables

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

NOTHING = "–"


def write_page(path: Path, template: str, content: Mapping[str, object]) -> Path:
    """Fills a template and writes the page.

    Args:
        path: The page.
        template: A file of `templates/` that extends `base.html`.
        content: What the template names.
    """
    text = _environment().get_template(template).render(**content)
    write_text(path, "\n".join(line.rstrip() for line in text.splitlines() if line.strip()) + "\n")
    return path


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pipelines.reporting"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(breakable=breakable)
    environment.filters.update(number=number, share=share, p_value=p_value, interval=interval, position=position)
    environment.globals.update(light=variables("light"), dark=variables("dark"))
    return environment


def _shown(value: object) -> object:
    """Returns what an expression of a template shows; only markup that radmill made itself stays as it is."""
    from markupsafe import Markup

    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def breakable(name: str) -> "Markup":
    """Returns a name that may break into lines after its underscores."""
    from markupsafe import Markup, escape

    return escape(visible(name)).replace("_", Markup("_<wbr>"))


def number(value: float | None, digits: int = 3) -> str:
    """Returns a number with fixed digits, a dash where there is none."""
    if value is None or value != value:
        return NOTHING
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def share(value: float | None) -> str:
    """Returns a share in percent."""
    return NOTHING if value is None or value != value else f"{100 * value:.0f} %"


def p_value(value: float | None) -> str:
    """Returns a p-value as journals print it."""
    if value is None or value != value:
        return NOTHING
    if value < 0.001:
        return "< 0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def interval(values: Mapping[str, Any], name: str, digits: int = 2) -> str:
    """Returns an estimate's interval, a dash where there is none."""
    low, high = values.get(f"{name}_low"), values.get(f"{name}_high")
    if low is None or high is None or low != low or high != high:
        return NOTHING
    between = " to " if low < 0 else "–"
    return f"{number(low, digits)}{between}{number(high, digits)}"


def position(value: float | None, low: float = 0.3, high: float = 1.0) -> str:
    """Returns where a value lies on a scale, as a CSS percentage."""
    if value is None:
        return "0%"
    return f"{100 * min(max((value - low) / (high - low), 0.0), 1.0):.2f}%"
