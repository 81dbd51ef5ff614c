"""Rules that a feature table must meet before anyone learns from it. Each rule is a pure function on a frame."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pandas as pd

from featurestore.entities import PATIENT_COLUMNS

Severity = Literal["error", "warning"]

MINIMUM_LEVELS, MAXIMUM_LEVELS = 8.0, 256.0
"""Texture of fewer or more gray levels says little; the usual range of recommendations."""

MINIMUM_VOLUME_ML, MAXIMUM_VOLUME_ML = 0.05, 2000.0
"""A region outside is more likely a wrong spacing or a wrong mask than a tumor."""

MAXIMUM_PHASE_RATIO = 4.0
"""The same tumor does not change its volume by more between phases of one examination."""

MINIMUM_SHARED_VALUES = 5
"""So many equal values make two patients the same images; fewer may be chance."""

_EXAMPLES = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one rule complains about.

    Args:
        rule: The rule's name.
        severity: An error stops the run, a warning goes to the study page.
        subject: The phase or table it was seen in.
        message: What was seen, with counts.
        remedy: What to do.
        n: How many rows or columns.
        examples: A few of them, by pseudonym or column name.
    """

    rule: str
    severity: Severity
    subject: str
    message: str
    remedy: str
    n: int
    examples: tuple[str, ...] = ()

    def plain(self) -> dict[str, object]:
        """Returns the finding as JSON types."""
        return {**asdict(self), "examples": list(self.examples)}


def no_rows(frame: pd.DataFrame, names: Sequence[str], subject: str) -> list[Finding]:
    """An empty table, or one without a feature, teaches nothing."""
    if len(frame) and len(names):
        return []
    what = "no row" if not len(frame) else "no feature column"
    remedy = "look at the qc table for why nothing was extracted: `radmill status`"
    return [Finding(rule="no_rows", severity="error", subject=subject, message=what, remedy=remedy, n=0)]


def empty_rows(frame: pd.DataFrame, names: Sequence[str], subject: str) -> list[Finding]:
    """Rows without a single value; their patients are left out."""
    at = frame[list(names)].isna().all(axis=1)
    remedy = "extract these cases again; until then their patients are left out of the training sets"
    return _rows("empty_rows", "warning", subject, frame[at], "rows have no value at all", remedy)


def infinite_values(frame: pd.DataFrame, names: Sequence[str], subject: str) -> list[Finding]:
    """Infinite values; they count as missing."""
    at = np.isinf(frame[list(names)].to_numpy(np.float64)).any(axis=0)
    remedy = "they count as missing; leave the filter out (often Exponential) if it gives many"
    return _columns("infinite_values", subject, names, at, "columns have infinite values", remedy)


def constant_columns(frame: pd.DataFrame, names: Sequence[str], subject: str) -> list[Finding]:
    """Columns with one value in all rows; models leave them out."""
    values = frame[list(names)].astype(np.float64)
    at = (values.nunique(dropna=True) == 1).to_numpy() & (len(frame) > 1)
    remedy = "nothing to do: models leave them out; many of them hint at wrong settings or a flat region"
    return _columns("constant_columns", subject, names, at, "columns have the same value in every row", remedy)


def missing_values(frame: pd.DataFrame, names: Sequence[str], subject: str) -> list[Finding]:
    """Columns that lack a value for some patients; models fill in the median."""
    missing = frame[list(names)].isna().sum().to_numpy()
    at = (missing > 0) & (missing < len(frame))
    remedy = "they are filled with the training patients' median; see why they are missing if there are many"
    return _columns("missing_values", subject, names, at, "columns lack values in some rows", remedy)


def duplicated_rows(frame: pd.DataFrame, names: Sequence[str], subject: str) -> list[Finding]:
    """Two patients with the same values: the same images under two identities, which would leak across the split."""
    values = frame[list(names)].astype(np.float64)
    enough = values[values.notna().sum(axis=1) >= MINIMUM_SHARED_VALUES]
    doubled = frame.loc[enough.index[enough.duplicated(keep=False)]]
    remedy = "decide whose images they are and name the other patient under cohort.withdrawn"
    return _rows("duplicated_rows", "error", subject, doubled, "rows of different patients are equal", remedy)


def gray_levels(
    frame: pd.DataFrame, range_column: str, bin_width: float, subject: str, advice: str = ""
) -> list[Finding]:
    """The median region of a phase has too few or too many gray levels for its bin width.

    Args:
        frame: The rows of one phase.
        range_column: The column with the largest minus the smallest intensity in the region.
        bin_width: Width of a gray level, in the image's unit.
        subject: The phase.
        advice: Which key to set.
    """
    if range_column not in frame or frame[range_column].isna().all():
        return []
    median = float(frame[range_column].median())
    levels = median / bin_width + 1
    if MINIMUM_LEVELS <= levels <= MAXIMUM_LEVELS:
        return []
    message = f"the median region spans {median:.4g}, which is {levels:.0f} gray levels of width {bin_width:g}"
    remedy = f"{advice} between {median / MAXIMUM_LEVELS:.3g} and {median / MINIMUM_LEVELS:.3g}".strip()
    return [
        Finding(rule="gray_levels", severity="warning", subject=subject, message=message, remedy=remedy, n=len(frame))
    ]


def implausible_volumes(cases: pd.DataFrame, subject: str) -> list[Finding]:
    """Regions smaller or larger than a tumor can be, from `volume_ml` of the cases."""
    if "volume_ml" not in cases:
        return []
    at = ~cases["volume_ml"].between(MINIMUM_VOLUME_ML, MAXIMUM_VOLUME_ML)
    message = f"regions are not within {MINIMUM_VOLUME_ML:g}–{MAXIMUM_VOLUME_ML:g} ml"
    remedy = "look at spacing and mask of these cases"
    return _rows("implausible_volumes", "warning", subject, cases[at], message, remedy)


def unlike_phases(cases: pd.DataFrame, subject: str) -> list[Finding]:
    """Patients whose region differs in volume between phases more than one tumor can."""
    if "volume_ml" not in cases or cases.empty:
        return []
    volumes = cases.groupby(list(PATIENT_COLUMNS))["volume_ml"].agg(["min", "max"]).reset_index()
    at = volumes["max"] > MAXIMUM_PHASE_RATIO * volumes["min"]
    message = f"patients have regions that differ more than {MAXIMUM_PHASE_RATIO:g}-fold in volume between phases"
    remedy = "see whether the same lesion was outlined in each phase"
    return _rows("unlike_phases", "warning", subject, volumes[at], message, remedy)


def count(findings: Sequence[Finding]) -> Mapping[Severity, int]:
    """Returns how many findings there are of each severity."""
    return {
        "error": sum(finding.severity == "error" for finding in findings),
        "warning": sum(finding.severity == "warning" for finding in findings),
    }


def _rows(rule: str, severity: Severity, subject: str, rows: pd.DataFrame, message: str, remedy: str) -> list[Finding]:
    if rows.empty:
        return []
    patients = [f"{center} / {case_id[:12]}" for center, case_id in rows[list(PATIENT_COLUMNS)].itertuples(index=False)]
    return [
        Finding(
            rule=rule,
            severity=severity,
            subject=subject,
            message=f"{len(rows)} {message}",
            remedy=remedy,
            n=len(rows),
            examples=tuple(patients[:_EXAMPLES]),
        )
    ]


def _columns(
    rule: str,
    subject: str,
    names: Sequence[str],
    at: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
    message: str,
    remedy: str,
) -> list[Finding]:
    found = [name for name, is_found in zip(names, at, strict=True) if is_found]
    if not found:
        return []
    return [
        Finding(
            rule=rule,
            severity="warning",
            subject=subject,
            message=f"{len(found)} {message}",
            remedy=remedy,
            n=len(found),
            examples=tuple(found[:_EXAMPLES]),
        )
    ]
