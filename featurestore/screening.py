"""Rules on what values may be and tell: ranges, gaps, extremes, odd centers, and columns that give the outcome away.

Each is a pure function on a frame, as in `featurestore.validation`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from featurestore.validation import Finding, Severity, column_finding, row_finding

Floats = NDArray[np.float64]
Setting = Literal["error", "warning", "off"]

EXTREME_IQR = 30.0
"""Ten times Tukey's fence for far-out values: beyond it one patient moves the mean of a whole center."""

ODD_CENTER_SD = 2.0
"""A center whose median lies so many robust standard deviations from that of all others is odd in this feature."""

ODD_CENTER_SHARE = 0.25
"""A center that is odd in so many of its features was most likely made or processed otherwise."""

OUTLYING_SHARE = 0.2
"""A case outside the development centers' fences in so many features is none that a model has seen the like of."""

TELLING_AUC, SUSPICIOUS_AUC = 0.999, 0.95
"""No single feature separates classes so well in a study worth doing; it rather holds the answer."""

MINIMUM_TELLING = 20
"""With fewer labelled patients a perfect separation may be luck."""

_ROWS_AT_ONCE = 4096
"""Bounds the memory of a wide table's distances to some tens of megabytes."""

_OUTCOME_WORDS = ("label", "outcome", "target", "ground_truth", "groundtruth")


@dataclass(frozen=True, kw_only=True)
class ColumnRule:
    """What a person says of some columns of a view.

    Args:
        pattern: A regular expression searched for in column names.
        minimum: The smallest value that is possible.
        maximum: The largest.
        missing_at_most: The largest share of rows without a value.
        severity: What a breach means.
    """

    pattern: str
    minimum: float | None = None
    maximum: float | None = None
    missing_at_most: float | None = None
    severity: Severity = "error"


def out_of_range(frame: pd.DataFrame, names: Sequence[str], subject: str, rule: ColumnRule) -> list[Finding]:
    """Values that a column cannot have."""
    chosen = [name for name in names if re.search(rule.pattern, name)]
    low = -np.inf if rule.minimum is None else rule.minimum
    high = np.inf if rule.maximum is None else rule.maximum
    values = frame[chosen].to_numpy(np.float64)
    at = np.asarray(((values < low) | (values > high)).any(axis=0), np.bool_)
    message = f"columns have values outside {low:g} to {high:g}"
    remedy = "see how these values came about; a wrong unit or a wrong file is the usual reason"
    return column_finding("out_of_range", subject, chosen, at, message, remedy, rule.severity)


def too_many_missing(frame: pd.DataFrame, names: Sequence[str], subject: str, rule: ColumnRule) -> list[Finding]:
    """Columns that lack more values than a person allows."""
    if rule.missing_at_most is None or frame.empty:
        return []
    chosen = [name for name in names if re.search(rule.pattern, name)]
    at = frame[chosen].isna().mean(axis=0).to_numpy() > rule.missing_at_most
    message = f"columns lack more than {rule.missing_at_most:.0%} of their values"
    remedy = "leave them out with the service's `columns`, or find out why they are missing"
    return column_finding("too_many_missing", subject, chosen, at, message, remedy, rule.severity)


def is_extreme(frame: pd.DataFrame, development: pd.DataFrame, names: Sequence[str]) -> NDArray[np.bool_]:
    """Returns which rows have a value so far out that means, scaling and harmonization follow it, shape (n,)."""
    quartiles = _quartiles(development, names)
    at = np.zeros(len(frame), np.bool_)
    for first in range(0, len(frame), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        far = _distance(frame.iloc[part][list(names)].to_numpy(np.float64), *quartiles)
        at[part] = np.where(np.isfinite(far), far, 0.0).max(axis=1, initial=0.0) > EXTREME_IQR
    return at


def extreme_rows(frame: pd.DataFrame, development: pd.DataFrame, names: Sequence[str], subject: str) -> list[Finding]:
    """Patients with values so far out that means, scaling and harmonization follow them."""
    at = is_extreme(frame, development, names)
    message = f"rows have a value more than {EXTREME_IQR:g} interquartile ranges from the median"
    remedy = "look at image and mask of these cases; one such value moves its whole center when centers are harmonized"
    return row_finding("extreme_rows", "warning", subject, frame[at], message, remedy)


def outlying_rows(
    frame: pd.DataFrame, development: pd.DataFrame, names: Sequence[str], subject: str, share: float = OUTLYING_SHARE
) -> list[Finding]:
    """Cases that lie outside the development centers' fences in many features.

    The fences are Tukey's far-out ones: 3 interquartile ranges beyond the quartiles.
    """
    low, _, high = _quartiles(development, names)
    values = frame[list(names)].to_numpy(np.float64)
    with np.errstate(invalid="ignore"):
        width = np.where(high > low, high - low, np.nan)
        outside = (values < low - 3 * width) | (values > high + 3 * width)
    at = outside.mean(axis=1) > share if len(names) else np.zeros(len(frame), np.bool_)
    message = f"cases lie far outside the development centers' values in more than {share:.0%} of features"
    remedy = "look at their images: another scanner, unit or region than the models know"
    return row_finding("outlying_rows", "warning", subject, frame[at], message, remedy)


def odd_centers(frame: pd.DataFrame, names: Sequence[str], subject: str) -> list[Finding]:
    """Centers whose values lie apart from all others' in many features: another unit, scanner or way of outlining."""
    found = []
    centers = sorted(frame["center"].unique())
    for center in centers if len(centers) > 1 else []:
        own = (frame["center"] == center).to_numpy()
        low, middle, high = _quartiles(frame[~own], names)
        median = frame.loc[own, list(names)].median().to_numpy(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            # 1.349 standard deviations of a normal distribution lie between its quartiles
            shift = np.abs(median - middle) / np.where(high > low, (high - low) / 1.349, np.nan)
            at = shift > ODD_CENTER_SD
        if len(names) and at.mean() > ODD_CENTER_SHARE:
            found.append(_odd_center(center, names, shift, at, subject))
    return found


def outcome_names(names: Sequence[str], label_names: Sequence[str], subject: str) -> list[Finding]:
    """Features that are called as the outcome: as this study's, or as outcomes often are."""
    own = _named_as(names, label_names)
    often = _named_as(names, _OUTCOME_WORDS) & ~own
    remedy = "take the column out of the table or of the service's `columns`: a model would read the answer"
    return [
        *column_finding("outcome_names", subject, names, own, "columns are named as the outcome", remedy, "error"),
        *column_finding("outcome_words", subject, names, often, "columns are named as outcomes often are", remedy),
    ]


def telling_columns(frame: pd.DataFrame, names: Sequence[str], y: NDArray[np.float64], subject: str) -> list[Finding]:
    """Features whose values alone tell the outcome: a perfect one stops the run, a suspicious one is named.

    Args:
        frame: Features, one row a patient.
        names: The columns.
        y: The outcome of each row as 0 and 1, NaN where there is none.
        subject: Where.
    """
    known = ~np.isnan(y)
    if known.sum() < MINIMUM_TELLING or len(set(y[known].tolist())) < 2:
        return []
    areas = _areas(frame.loc[known, list(names)].to_numpy(np.float64), y[known] == 1)
    perfect = areas >= TELLING_AUC
    suspicious = (areas >= SUSPICIOUS_AUC) & ~perfect
    remedy = "see whether it was made after, or from, the outcome; if so leave it out with the service's `columns`"
    return [
        *column_finding("outcome_values", subject, names, perfect, "columns tell the outcome alone", remedy, "error"),
        *column_finding(
            "telling_columns",
            subject,
            names,
            suspicious,
            f"columns alone have an AUC of {SUSPICIOUS_AUC} or more",
            remedy,
        ),
    ]


def with_severity(findings: Sequence[Finding], severity: Mapping[str, Setting]) -> list[Finding]:
    """Returns the findings with the severity that a person gave a rule or `<subject>.<rule>`; `off` leaves it out."""
    told = [(finding, _severity(finding, severity)) for finding in findings]
    return [replace(finding, severity=own) for finding, own in told if own != "off"]


def _severity(finding: Finding, severity: Mapping[str, Setting]) -> Setting:
    return severity.get(f"{finding.subject}.{finding.rule}", severity.get(finding.rule, finding.severity))


def _odd_center(center: str, names: Sequence[str], shift: Floats, at: NDArray[np.bool_], subject: str) -> Finding:
    order = np.argsort(-np.nan_to_num(shift))[: int(at.sum())]
    message = f"center {center} lies apart from all others in {int(at.sum())} of {len(names)} features"
    remedy = (
        "compare its scanners, units and outlines with the others'; harmonize centers if the difference is technical"
    )
    return Finding(
        rule="odd_centers",
        severity="warning",
        subject=subject,
        message=message,
        remedy=remedy,
        n=int(at.sum()),
        examples=tuple(names[i] for i in order[:5]),
    )


def _quartiles(frame: pd.DataFrame, names: Sequence[str]) -> tuple[Floats, Floats, Floats]:
    values = frame[list(names)].to_numpy(np.float64)
    values = np.where(np.isinf(values), np.nan, values)
    known = ~np.isnan(values).all(axis=0) if len(values) else np.zeros(len(names), np.bool_)
    table = np.full((3, len(names)), np.nan)
    if known.any():
        table[:, known] = np.nanquantile(values[:, known], [0.25, 0.5, 0.75], axis=0)
    return table[0], table[1], table[2]


def _distance(values: Floats, low: Floats, middle: Floats, high: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.abs(values - middle) / np.where(high > low, high - low, np.nan)


def _areas(X: Floats, positive: NDArray[np.bool_]) -> Floats:
    """Returns each column's area under the ROC curve, at least 0.5, missing values as the median; shape (p,)."""
    from scipy.stats import rankdata

    finite = np.where(np.isfinite(X), X, np.nan)
    finite[:, np.isnan(finite).all(axis=0)] = 0.0
    ranks = rankdata(np.where(np.isnan(finite), np.nanmedian(finite, axis=0), finite), axis=0)
    n, m = int(positive.sum()), int((~positive).sum())
    area = (ranks[positive].sum(axis=0) - n * (n + 1) / 2) / (n * m)
    return np.maximum(area, 1 - area)


def _named_as(names: Sequence[str], words: Sequence[str]) -> NDArray[np.bool_]:
    told = [_plain(word) for word in words]
    bare = [_plain(name.rsplit(".", 1)[-1]) for name in names]
    return np.array(
        [any(n == word or n.startswith(f"{word}_") or n.endswith(f"_{word}") for word in told) for n in bare], np.bool_
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
