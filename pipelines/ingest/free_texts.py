"""Free text that files hold: whom it may name, what of it may be repeated, and a private list of all of it.

Somebody who writes a pattern for phases or regions needs to see what hospitals call them, and any of these texts may
hold a name. So a series description is repeated in a table only where several patients share it, a region's name never,
and the whole list lies under `private/`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from featurestore.sheets import csv_rows
from pipelines.ingest.headers import DicomHeader
from pipelines.ingest.pseudonyms import write_private

COMMON = 3
"""A text in the files of so many patients is a protocol's, and nobody's name."""

SERIES, REGION = "series", "region"
_N_SHOWN = 64


@dataclass
class FreeTexts:
    """Whose files hold which text, by kind."""

    patients: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, header: DicomHeader, patient_id: str) -> None:
        """Notes what one file says."""
        told = [(REGION, name) for _, name in header.regions]
        told += [(SERIES, header.series_description)] if header.kind == "image" else []
        for kind, text in told:
            if text:
                self.patients[kind, text].add(patient_id)

    def described(self, description: str) -> str:
        """Returns a series description in quotes where enough patients share it and it is no person name's form."""
        is_common = len(self.patients.get((SERIES, description), ())) >= COMMON
        return repr(description[:_N_SHOWN]) if is_common and "^" not in description else "(description withheld)"

    def save(self, path: Path) -> None:
        """Writes all of it as a private table, for people who write patterns."""
        rows = ((kind, told, len(whose)) for (kind, told), whose in sorted(self.patients.items()))
        content = csv_rows([("kind", "text", "patients"), *rows]).encode("utf-8", "surrogateescape")
        if self.patients and not (path.is_file() and path.read_bytes() == content):
            write_private(path, content)


def names_in(headers: Iterable[DicomHeader]) -> Iterator[str]:
    """Yields what files name people by, and names of regions in quotes as messages have them."""
    for header in headers:
        yield from header.names
        for number, name in header.regions:
            yield from (repr(name), repr(f"{name} ({number})")) if name else ()
