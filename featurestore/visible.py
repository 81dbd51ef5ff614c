"""Texts from elsewhere as readers shall see them: in the order of their letters, and never as markup."""

import re
from html import escape

_UNSEEN = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
"""Controls, marks that turn the direction of writing round, letters without any width, and bytes that are no text."""


def visible(text: str) -> str:
    """Returns a text whose controls stand as code points, such as `<U+202E>`; tabs and new lines stay."""
    return _UNSEEN.sub(lambda found: f"<U+{ord(found.group()):04X}>", text)


def in_markdown(text: str) -> str:
    """Returns a visible text that is no HTML where Markdown is shown, links nowhere and fetches no picture.

    Letters between backticks are treated alike: a lone backtick elsewhere in the line would make markup of them.
    """
    return visible(text).replace("<", "&lt;").replace("![", "!\\[").replace("](", "]\\(")


def in_html(text: str) -> str:
    """Returns a visible text that is no markup on a page, be it in an element or an attribute."""
    return escape(visible(text), quote=True)
