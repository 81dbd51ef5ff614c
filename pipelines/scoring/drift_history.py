"""What is kept of drift: how a hospital's cases came, and what each look found. Added to, never rewritten.

Cases are kept as they were when they first had a score: their order, the score, and their places among development's
patients. So a scan that is sent again, or a clock that jumps, changes no look; a case that is withdrawn goes, and the
looks after it do without.
"""

import base64
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from featurestore.history import append, read_history
from featurestore.schemas import Column, TableSchema
from pipelines.scoring.drift_statistics import Codes

CASES = TableSchema(
    name="drift_cases",
    keys=("center", "case_id", "package"),
    columns=(
        Column(name="position", kind="integer", description="1 for the case that had the package's first score here"),
        Column(name="inputs", kind="string", description="hash of what its first score rests on"),
        Column(name="probability", description="its first score"),
        Column(name="places", kind="string", description="its places among development's patients, packed"),
    ),
)
LOOKS = TableSchema(
    name="drift_looks",
    keys=("center", "package", "look", "family"),
    columns=(
        Column(name="n", kind="integer", description="after how many cases the look was made"),
        Column(name="alpha", description="error allowed over all looks"),
        Column(name="tested", kind="integer", description="variables looked at"),
        Column(name="moved", kind="integer", description="variables that moved; none while the look does not ring"),
        Column(name="strongest", kind="string", description="the variable with the smallest p-value"),
        Column(name="p_value", description="the smallest p-value, adjusted for the number of variables"),
        Column(name="limit", description="the p-value from which down the family rings"),
        Column(name="rings", kind="boolean", description="whether it does"),
    ),
)
MOVED = TableSchema(
    name="drift_moved",
    keys=("center", "package", "look", "family", "name"),
    columns=(
        Column(name="n", kind="integer", description="cases with a value"),
        Column(name="distance", description="Kolmogorov-Smirnov distance from development"),
        Column(name="p_value", description="its p-value"),
        Column(name="adjusted", description="adjusted for the number of variables in the family"),
        Column(name="moved", kind="boolean", description="told as moved"),
        Column(name="direction", kind="string", description="higher, lower, wider or narrower"),
        Column(name="delta", description="-1: every case below every patient; 1: every case above"),
        Column(name="median", description="the cases' median, kept within what development saw"),
        Column(name="median_before", description="development's median"),
    ),
)
SHIFTS = TableSchema(
    name="drift_shifts",
    keys=("center", "package", "look", "group"),
    columns=(
        Column(name="kind", kind="string", description="all, family or image"),
        Column(name="moved", kind="integer", description="features that moved"),
        Column(name="features", kind="integer", description="features in the group"),
        Column(name="mean_before", description="development's mean score"),
        Column(name="mean", description="the cases' mean score"),
        Column(name="mean_without", description="their mean score with the group's moved features put back"),
        Column(name="standard_error", description="of the difference of mean scores"),
    ),
)


def packed(places: Codes) -> list[str]:
    """Returns each row of places as text."""
    rows = np.ascontiguousarray(places, dtype="<u2")
    return [base64.b85encode(zlib.compress(row.tobytes(), 6)).decode("ascii") for row in rows]


def unpacked(rows: Sequence[str], width: int) -> Codes:
    """Returns places from text, shape (n, width)."""
    found = [np.frombuffer(zlib.decompress(base64.b85decode(row)), dtype="<u2") for row in rows]
    return np.array(found, dtype=np.uint16).reshape(len(rows), width)


def read_cases(root: Path, center: str, package: str) -> pd.DataFrame:
    """Returns a package's cases in the order in which they came."""
    rows = _own(read_history(root / "cases", CASES, center), package)
    return rows.sort_values("position", kind="stable").drop_duplicates("case_id", ignore_index=True)


def read_looks(root: Path, center: str, package: str) -> pd.DataFrame:
    """Returns what a package's looks found, a row a look and family, in their order."""
    rows = _own(read_history(root / "looks", LOOKS, center), package)
    return rows.drop_duplicates(["look", "family"]).sort_values(["n", "family"], kind="stable", ignore_index=True)


def read_moved(root: Path, center: str, package: str) -> pd.DataFrame:
    """Returns how far variables lay from development at each look: all that moved, and those that came nearest to."""
    rows = _own(read_history(root / "moved", MOVED, center), package)
    rows = rows.drop_duplicates(["look", "family", "name"])
    return rows.sort_values(["look", "family", "p_value", "name"], kind="stable", ignore_index=True)


def read_shifts(root: Path, center: str, package: str) -> pd.DataFrame:
    """Returns how much of a shift of scores the features that moved explain, at each look."""
    return _own(read_history(root / "shifts", SHIFTS, center), package).drop_duplicates(
        ["look", "group"], ignore_index=True
    )


def add(root: Path, name: str, center: str, rows: Sequence[Mapping[Any, object]]) -> None:
    """Adds rows to one of the tables."""
    schema = {"cases": CASES, "looks": LOOKS, "moved": MOVED, "shifts": SHIFTS}[name]
    if rows:
        append(root / name, center, rows, schema)


def look_name(n: int) -> str:
    """Returns a look's name, in whose order looks stand."""
    return f"{n:09d}"


def _own(rows: pd.DataFrame, package: str) -> pd.DataFrame:
    return rows[rows["package"] == package].reset_index(drop=True)
