"""Screens the development tables: possible values, odd patients and centers, disguised outcomes, marks of scanners.

What is measured of centers and scanners describes the tables; no model is fitted with it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from featurestore import screening
from featurestore.association import associations
from featurestore.entities import KEY_COLUMNS, PATIENT_COLUMNS
from featurestore.screening import ColumnRule
from featurestore.tables import read_frame
from featurestore.validation import Finding
from featurestore.views import feature_names
from pipelines.params import Params
from pipelines.radiomics.limits import LIMITS, ROUNDING
from pipelines.stored_views import outcomes_frame, view_frame
from pipelines.workspace import Role, Workspace

SAMPLE = 2000
"""Quartiles and ranks of more rows say nothing else, and take the time."""

MARKED_SHARE = 0.5
"""When so many features tell which center a row is from, a model may learn the center."""

RADIOMICS = "radiomics"
PATIENT = list(PATIENT_COLUMNS)


@dataclass(frozen=True, kw_only=True)
class Screened:
    """What was found.

    Args:
        findings: Complaints, with the severity that the settings give them.
        associations: How much the features of each view and phase tell of center and scanner, as JSON types.
    """

    findings: list[Finding]
    associations: list[dict[str, Any]]


def screen(workspace: Workspace, params: Params, tables: Mapping[str, pd.DataFrame]) -> Screened:
    """Screens the tables of the development centers.

    Args:
        workspace: The study.
        params: Its settings.
        tables: The rows of each view.
    """
    findings: list[Finding] = []
    told: list[dict[str, Any]] = []
    facts = _facts(workspace, params)
    for view, long in tables.items():
        for phase, rows in _phases(long):
            names = [name for name in feature_names(rows) if rows[name].dtype.kind in "fi" and rows[name].notna().any()]
            findings += _of_rows(params, view, phase, rows, names, facts)
            marks = _associations(params, rows, names, facts)
            told += [{"view": view, "phase": phase, **mark} for mark in marks]
            findings += [
                _marked(mark, phase) for mark in marks if mark["before"] > MARKED_SHARE and "," not in mark["batch"]
            ]
    return Screened(findings=findings, associations=told)


def outlying(workspace: Workspace, params: Params, view: str, role: Role) -> list[Finding]:
    """Returns which cases of a role lie far outside the values of the development centers."""
    development = view_frame(workspace, params, "development", view)
    asked = view_frame(workspace, params, role, view)
    findings: list[Finding] = []
    for phase, rows in _phases(asked):
        known = development[development["phase"] == phase] if len(development) else development
        names = [name for name in feature_names(rows) if name in known and known[name].notna().any()]
        findings += screening.outlying_rows(rows, known, names, f"{phase}, {role}")
    return findings


def _phases(long: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for phase in sorted(long["phase"].unique()) if len(long) else []:
        yield str(phase), long[long["phase"] == phase].reset_index(drop=True)


def _of_rows(
    params: Params, view: str, phase: str, rows: pd.DataFrame, names: list[str], facts: pd.DataFrame
) -> list[Finding]:
    sample = _sample(rows)
    findings = [
        *screening.extreme_rows(rows, sample, names, phase),
        *screening.odd_centers(sample, names, phase),
        *screening.outcome_names(names, (params.label.name, params.label.column), phase),
    ]
    for rule in _column_rules(params, view):
        findings += screening.out_of_range(rows, names, phase, rule)
        findings += screening.too_many_missing(rows, names, phase, rule)
    if "label" in facts:
        y = sample[PATIENT].merge(facts[[*PATIENT, "label"]].drop_duplicates(PATIENT), on=PATIENT, how="left")["label"]
        findings += screening.telling_columns(sample, names, y.to_numpy(np.float64), phase)
    return findings


def _column_rules(params: Params, view: str) -> Iterator[ColumnRule]:
    for pattern, (low, high) in LIMITS.items() if view == RADIOMICS else ():
        minimum, maximum = (None if low is None else low - ROUNDING), (None if high is None else high + ROUNDING)
        yield ColumnRule(pattern=pattern, minimum=minimum, maximum=maximum, severity="warning")
    for limits in params.validation.columns:
        if limits.view in (None, view):
            yield ColumnRule(pattern=limits.columns, **limits.model_dump(exclude={"view", "columns"}))


def _facts(workspace: Workspace, params: Params) -> pd.DataFrame:
    """Returns what is known of each case besides features: acquisition and outcome."""
    centers = params.centers.development
    facts = read_frame(workspace.view("development", "acquisition"), centers=centers)
    outcomes = outcomes_frame(workspace, params, "development")
    tables = [outcomes] if len(outcomes) else []
    for view, declared in params.imported.items():
        own = [name for name in params.validation.batches if name in declared.texts or not declared.is_for_models]
        rows = read_frame(workspace.imported(view), centers=centers)
        own = [name for name in own if name in rows and name not in PATIENT]
        tables += [rows[[*PATIENT, *own]].drop_duplicates(PATIENT)] if own else []
    for table in tables:
        new = [name for name in table if name not in facts or name in PATIENT]
        facts = table[new] if facts.empty else facts.merge(table[new], on=PATIENT, how="outer")
    return facts


def _associations(params: Params, rows: pd.DataFrame, names: list[str], facts: pd.DataFrame) -> list[dict[str, Any]]:
    sample = _sample(rows)
    keys = [key for key in KEY_COLUMNS if key in facts and key in sample]
    wanted = [name for name in params.validation.batches if name in facts and name not in keys]
    joined = sample.merge(facts[[*keys, *wanted]].drop_duplicates(keys), on=keys, how="left") if wanted else sample
    batches = [name for name in params.validation.batches if name in joined]
    if not names:
        return []
    extreme = screening.is_extreme(joined, joined, names)
    parts = [(joined, "")]
    if extreme.any():
        # harmonization by means and variances follows extreme rows; without them its effect can be seen
        parts.append((joined[~extreme], f", without {int(extreme.sum())} extreme rows"))
    found = [
        associations(part[names].to_numpy(np.float64), part[name].tolist(), f"{name}{note}")
        for name in batches
        for part, note in parts
    ]
    return [one.plain() for one in found if one is not None]


def _marked(mark: dict[str, Any], phase: str) -> Finding:
    share, after = mark["before"], mark["after"]
    return Finding(
        rule="batch_association",
        severity="warning",
        subject=phase,
        message=f"{share:.0%} of features tell the {mark['batch']} (after harmonization {after:.0%})",
        remedy="set models.<name>.harmonization, or choose features with extraction settings that scanners share",
        n=round(share * mark["features"]),
    )


def _sample(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns at most `SAMPLE` rows, evenly over the table: the same rows for the same table."""
    if len(rows) <= SAMPLE:
        return rows
    return rows.iloc[np.linspace(0, len(rows) - 1, SAMPLE).astype(int)].reset_index(drop=True)
