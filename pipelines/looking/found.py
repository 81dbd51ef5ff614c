"""What a look at raw data finds, as plain values. They may name patients and therefore stay in memory."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipelines.looking.telling import is_telling

Form = Literal["dicom", "volume", "listed"]


@dataclass(frozen=True, kw_only=True)
class SeenImage:
    """One image of one patient.

    Args:
        patient: Whose it is.
        text: Its series description, or its file's name without suffix; of a listed one its phase.
        form: How it is sent.
        modality: Of a DICOM series.
        delay_s: Seconds from contrast to it, where told.
        is_outlined: Whether a mask was made on it.
    """

    patient: str
    text: str
    form: Form
    modality: str = ""
    delay_s: float | None = None
    is_outlined: bool = False


@dataclass(frozen=True, kw_only=True)
class SeenTable:
    """A center's clinical table as it was sent, and which column names the patients (empty: none found)."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    patient_column: str = ""

    def cells(self, column: str) -> list[str]:
        """Returns the cells of a column, found whatever its case; none where there is no such column."""
        folded = [name.casefold() for name in self.header]
        if folded.count(column.casefold()) != 1:
            return []
        place = folded.index(column.casefold())
        return [row[place] for row in self.rows]


@dataclass(kw_only=True)
class SeenCenter:
    """What was found of one center.

    Args:
        name: What radmill would call it.
        folder: Where its files lie.
        n_files: Files in it.
        images: Its images.
        regions: Whose files name which outlined region.
        observers: Patients by observer, where masks name them.
        labels: Patients by mask value, where masks were opened.
        table: Its clinical table.
        is_partial: Whether there are more patients than were looked at.
        problems: What a person should know, without names.
    """

    name: str
    folder: Path
    n_files: int = 0
    images: list[SeenImage] = field(default_factory=list)
    regions: set[tuple[str, str]] = field(default_factory=set)
    observers: Counter[str] = field(default_factory=Counter)
    labels: Counter[int] = field(default_factory=Counter)
    table: SeenTable | None = None
    is_partial: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def patients(self) -> set[str]:
        """Who has images."""
        return {image.patient for image in self.images}

    def candidates(self) -> list[SeenImage]:
        """Returns the images that could be used: those with an outline, or all of a center that has none."""
        outlined = [image for image in self.images if image.is_outlined]
        return outlined or self.images

    def n_matched(self) -> int:
        """Returns how many of the patients looked at have a row in the clinical table."""
        if self.table is None or not self.table.patient_column:
            return 0
        return len(self.patients & set(self.table.cells(self.table.patient_column)))


@dataclass(frozen=True, kw_only=True)
class SeenColumn:
    """One column of the clinical tables, all centers together.

    Args:
        name: Its name.
        kind: What it seems to hold: number, integer, category, boolean, date or text.
        values: How many patients have which value.
        n_missing: Patients without a value.
        centers: The centers whose table has it.
        is_late: Whether its name, or what it shares with another column, says that it is known only afterwards.
        is_private: Whether its name or values look like names, identifiers or dates.
    """

    name: str
    kind: str
    values: Counter[str]
    n_missing: int
    centers: tuple[str, ...]
    is_late: bool = False
    is_private: bool = False


def shown_tally(tally: Counter[str]) -> str:
    """Returns values with their counts, without those that may name somebody."""
    open_ones = [(text, n) for text, n in tally.most_common() if not is_telling(text, n)]
    hidden = len(tally) - len(open_ones)
    told = [f"{text} ({n})" for text, n in open_ones]
    return ", ".join([*told, *([f"{hidden} withheld"] if hidden else [])])


def as_name(text: str) -> str:
    """Returns a text as a name that is safe for folders and columns; empty where nothing is left of it."""
    return re.sub(r"[^a-z0-9]+", "_", text.casefold()).strip("_")[:40].strip("_")


def tally(pairs: Iterable[tuple[str, str]]) -> Counter[str]:
    """Returns how many patients have each text, from pairs of patient and text."""
    return Counter(text for _, text in set(pairs))
