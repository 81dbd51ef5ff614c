"""A text that would be a program on a page, turns writing round, and ends whatever stands around it."""

import re
from html.parser import HTMLParser

HOSTILE = "zq<script>alert(1)</script>\"'><img src=x onerror=1>]]>\u202ezq"
RAW = re.compile("<script>alert|<img src=x|[\u202a-\u202e\u2066-\u2069]")
"""What must stand nowhere: the text would be run, or turn what follows round."""


class Text(HTMLParser):
    """Collects what a page shows and what it would do."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.shown: list[str] = []
        self.acts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.acts += [tag] if tag == "script" else []
        self.acts += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.shown.append(data)
