"""Tables as CSV for people, who open them in spreadsheets: no cell is a formula there.

A text that a spreadsheet would run, such as `=HYPERLINK(…)` for a patient's name, gets a leading apostrophe, which is
how spreadsheets themselves mark a text. Numbers and intervals stay as they are.

Source: OWASP, CSV Injection.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from featurestore.visible import visible

_RUN = tuple("=+-@\t\n＝＋－＠")
_FIGURES = re.compile(r"[-+](?:[-+\d\s.,;()\[\]%–−]|e(?=[-+]?\d)|to|inf|nan)*", re.IGNORECASE)
"""Figures with a sign, their intervals, and a dash for none: nothing that could be called."""


def in_cell(value: Any) -> Any:
    """Returns a cell's value; a text is visible, and has an apostrophe before what a spreadsheet would run."""
    if not isinstance(value, str):
        return value
    text = visible(value)  # a carriage return, too, which csv leaves bare and readers take for a new row
    return f"'{text}" if text.startswith(_RUN) and not _FIGURES.fullmatch(text) else text


def csv_frame(frame: pd.DataFrame, *, float_format: str | None = None) -> str:
    """Returns a table as CSV without its index."""
    shown = frame.rename(columns=in_cell)
    for at, kind in enumerate(frame.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            cells = frame.iloc[:, at].astype(object)
            if any(isinstance(cell, str) for cell in cells):  # others, such as dates, stay as they are
                shown.isetitem(at, pd.Series([in_cell(cell) for cell in cells], dtype=object).to_numpy())
    return str(shown.to_csv(index=False, float_format=float_format, lineterminator="\n"))


def csv_rows(rows: Iterable[Sequence[Any]]) -> str:
    """Returns rows as CSV, the header among them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([in_cell(cell) for cell in row] for row in rows)
    return text.getvalue()
