"""Sorts a foreign table's columns: features, notes on how they were made, kept texts, and what is left out."""

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from featurestore.fingerprints import canonical_json
from featurestore.joining import refuse_mixed
from pipelines.imports.problems import ColumnMissingError, NotNumbersError
from pipelines.ingest.clinical import shapes

NOTES = re.compile(r"^(diagnostics|general_info)_")
"""What PyRadiomics writes beside its features: from version 2 on, and before."""

VERSION_COLUMNS = ("diagnostics_Versions_PyRadiomics", "general_info_Version")
SETTINGS_COLUMNS = (
    "diagnostics_Configuration_Settings",
    "diagnostics_Configuration_EnabledImageTypes",
    "general_info_GeneralSettings",
    "general_info_InputImages",
)
MOSTLY = 0.5
"""From this share of numbers on, a column is a column of numbers with wrong cells and not a text."""

_N_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What becomes of each column.

    Args:
        features: Columns of numbers that are taken.
        texts: Text columns that were asked for.
        left_out: By reason, the columns that are not taken.
        notes: What the rows were made with, as the table says.
    """

    features: list[str]
    texts: list[str]
    left_out: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The tool and its version, as far as the table tells."""
        return f"PyRadiomics {self.notes['version']}" if "version" in self.notes else ""


def sort_columns(
    frame: pd.DataFrame, own: Sequence[str], texts: Sequence[str], pattern: str = ".*", drop: str | None = None
) -> Columns:
    """Decides what becomes of each column.

    Args:
        frame: The table as read.
        own: Columns that name row, center, phase and label.
        texts: Text columns to keep.
        pattern: A regular expression searched for in the names of features.
        drop: A regular expression searched for in the names of columns to leave out.

    Raises:
        ColumnMissingError: A named column is not there.
        NotNumbersError: A column of numbers has cells that are none.
        MixedSettingsError: Rows were made with different settings or versions.
    """
    require(frame, [*own, *texts])
    left_out: dict[str, list[str]] = {}
    features = []
    for name in (str(name) for name in frame.columns if name not in own and name not in texts):
        reason = _reason(frame, name, pattern, drop)
        if reason:
            left_out.setdefault(reason, []).append(name)
        else:
            features.append(name)
    return Columns(features=features, texts=list(texts), left_out=left_out, notes=_notes(frame))


def require(frame: pd.DataFrame, names: Sequence[str]) -> None:
    """Refuses a table that lacks a named column.

    Raises:
        ColumnMissingError: It does.
    """
    missing = [name for name in names if name not in frame]
    if missing:
        there = ", ".join(map(repr, list(frame.columns)[:8]))
        raise ColumnMissingError(f"no column {', '.join(map(repr, missing))}; there are {there} …", where="header")


def numbers(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Returns columns as float64, missing cells and infinite ones as they are."""
    return pd.DataFrame({name: frame[name].astype(np.float64) for name in names}, index=frame.index)


def _reason(frame: pd.DataFrame, name: str, pattern: str, drop: str | None) -> str:
    if NOTES.search(name):
        return "notes of the tool"
    if drop and re.search(drop, name):
        return "left out by --drop"
    if not re.search(pattern, name):
        return "not in --columns"
    if frame[name].isna().all():
        return "empty"
    return "" if _is_numeric(frame[name], name) else "text"


def _is_numeric(values: pd.Series, name: str) -> bool:
    if values.dtype.kind in "fiub":
        return True
    known = values.dropna()
    wrong = known[pd.to_numeric(known, errors="coerce").isna()]
    if len(wrong) and len(wrong) < (1 - MOSTLY) * len(known):
        rows = ", ".join(str(number + 2) for number in wrong.index[:_N_SHOWN])
        raise NotNumbersError(
            f"{len(wrong)} cells are no numbers, in rows {rows}; they look like {shapes(map(str, wrong))}",
            where=f"column {name}",
        )
    return not len(wrong)


def _notes(frame: pd.DataFrame) -> dict[str, str]:
    """Returns version and settings, which must be the same in every row that tells them."""
    present = [name for name in (*VERSION_COLUMNS, *SETTINGS_COLUMNS) if name in frame]
    if not present:
        return {}
    told = frame[present].dropna(how="any").astype(str).drop_duplicates()
    rows = [dict(zip(present, cells, strict=True)) for cells in told.itertuples(index=False, name=None)]
    by_row = {f"row {number + 2}": _note(row) for number, row in zip(told.index.tolist(), rows, strict=True)}
    refuse_mixed(by_row, where="this table")
    return next(iter(by_row.values()), {})


def _note(row: dict[str, str]) -> dict[str, str]:
    version = next((row[name] for name in VERSION_COLUMNS if name in row), "")
    settings = {name.split("_")[-1]: _literal(row[name]) for name in SETTINGS_COLUMNS if name in row}
    found = {"version": version, "settings": canonical_json(settings).decode() if settings else ""}
    return {key: value for key, value in found.items() if value}


def _literal(text: str) -> object:
    """Reads a Python literal, as PyRadiomics writes its settings."""
    try:
        return json.loads(json.dumps(ast.literal_eval(text)))
    except (ValueError, SyntaxError, TypeError):
        return text
