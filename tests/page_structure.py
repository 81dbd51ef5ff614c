"""What every page must be, as far as its markup shows it; contrast and focus need a browser (see CONTRIBUTING)."""

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "br", "wbr", "img", "link", "input", "hr", "col"}
LANDMARKS = {"header", "nav", "main", "footer"}


class Structure(HTMLParser):
    """Reads a page and collects complaints."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.complaints: list[str] = []
        self.ids: list[str] = []
        self.references: set[str] = set()
        self.headings: list[int] = []
        self.landmarks: set[str] = set()
        self.hidden_from = 0
        self.feed(text)
        self.close()
        self.end()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.look(tag, values, dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.look(tag, {name: value or "" for name, value in attrs}, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.complaints.append(f"</{tag}> closes nothing")

    def look(self, tag: str, values: Mapping[str, str], attributes: Mapping[str, str | None]) -> None:
        if "id" in values:
            self.ids.append(values["id"])
        for name in ("aria-labelledby", "aria-describedby", "for"):
            self.references |= set(values.get(name, "").split())
        self.resources(tag, values)
        if tag in LANDMARKS:
            self.landmarks.add(tag)
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.complaints += [words for is_wrong, words in self.rules(tag, values, attributes) if is_wrong]

    def resources(self, tag: str, values: Mapping[str, str]) -> None:
        for name in ("href", "src", "xlink:href"):
            target = values.get(name, "#")
            if target.startswith("#"):
                self.references |= {target[1:]} if len(target) > 1 else set()
            elif not target.startswith("data:") and not re.fullmatch(r"[\w./-]+\.(html(#[\w-]+)?|csv)", target):
                self.complaints.append(f"<{tag}> reaches out: {target[:60]}")

    def rules(
        self, tag: str, values: Mapping[str, str], attributes: Mapping[str, str | None]
    ) -> list[tuple[bool, str]]:
        is_hidden = values.get("aria-hidden") == "true"
        is_named = bool(values.get("aria-label") or values.get("aria-labelledby"))
        return [
            (tag == "html" and not values.get("lang"), "html has no lang"),
            (tag == "script", "a script"),
            (tag == "img" and "alt" not in attributes, "img without alt"),
            (tag == "svg" and not is_hidden and not (is_named and values.get("role") == "img"), "svg without a name"),
            (tag == "th" and values.get("scope") not in ("col", "row", "colgroup", "rowgroup"), "th without scope"),
            (values.get("role") in ("region", "group") and not is_named, f"{values.get('role')} without a name"),
            (tag == "nav" and not is_named, "nav without a name"),
            (values.get("tabindex", "0") != "0", "tabindex other than 0"),
            (tag == "input" and "label" not in self.open and not is_named, "input without a label"),
            (tag == "figcaption" and "figure" not in self.open, "figcaption outside a figure"),
            (tag == "legend" and self.open[-1:] != ["fieldset"], "legend outside a fieldset"),
        ]

    def end(self) -> None:
        if self.open:
            self.complaints.append(f"left open: {self.open}")
        if self.headings.count(1) != 1:
            self.complaints.append(f"{self.headings.count(1)} h1")
        skips = [b for a, b in zip(self.headings, self.headings[1:], strict=False) if b > a + 1]
        if skips:
            self.complaints.append(f"headings skip to h{skips[0]}")
        if LANDMARKS - self.landmarks:
            self.complaints.append(f"no {sorted(LANDMARKS - self.landmarks)}")
        if len(self.ids) != len(set(self.ids)):
            self.complaints.append(f"ids twice: {sorted({i for i in self.ids if self.ids.count(i) > 1})}")
        if self.references - set(self.ids):
            self.complaints.append(f"refers to nothing: {sorted(self.references - set(self.ids))}")


def faults(page: Path) -> list[str]:
    """Returns what is wrong with a page's structure; empty when nothing is."""
    text = page.read_text(encoding="utf-8")
    found = Structure(text).complaints
    for words in ('<meta charset="utf-8">', 'name="viewport"', "prefers-color-scheme: dark", "prefers-reduced-motion"):
        if words not in text:
            found.append(f"lacks {words}")
    return found
