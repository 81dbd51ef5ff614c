"""Feature views and services: which table a model's columns come from, and how they become one row a patient."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from featurestore.entities import KEY_COLUMNS, PATIENT_COLUMNS
from featurestore.errors import InputError
from featurestore.schemas import Column, columns_of
from featurestore.tables import read_schema

BOOKKEEPING = ("fingerprint", "value_hash")
"""Columns of a feature table that say where a row comes from."""


class MissingColumnsError(InputError):
    """A table lacks columns that were asked for."""

    default_remedy = "extract with the settings the columns were made with; `radmill features list` shows what there is"


class SeveralRegionsError(InputError):
    """A patient has several rows in one phase, and a model needs one."""

    default_remedy = "set ingest.roi_policy to `largest` or `union`"


@dataclass(frozen=True, kw_only=True)
class FeatureView:
    """A table of features: its name and its feature columns.

    Args:
        name: The view's name, such as `radiomics`.
        columns: The features with units and descriptions, in the order of the table.
    """

    name: str
    columns: tuple[Column, ...]

    @classmethod
    def of(cls, root: Path) -> "FeatureView":
        """Reads the view that a table's folder holds.

        Raises:
            DamagedTableError: The folder holds no partition.
        """
        found = columns_of(read_schema(root), keys=(*KEY_COLUMNS, *BOOKKEEPING))
        return cls(name=root.name, columns=tuple(column for column in found if column.kind != "string"))


@dataclass(frozen=True, kw_only=True)
class FeatureService:
    """The named columns that a model needs.

    Args:
        name: The service's name.
        view: The feature view the columns come from.
        phases: The phases that are joined, each under its prefix, in this order.
        pattern: A regular expression searched for in feature names.
    """

    name: str
    view: str
    phases: tuple[str, ...]
    pattern: str = ".*"

    def plain(self) -> dict[str, object]:
        """Returns the service as JSON types, as records and model packages hold it."""
        return {"name": self.name, "view": self.view, "phases": list(self.phases), "columns": self.pattern}

    @classmethod
    def from_plain(cls, content: Mapping[str, object]) -> "FeatureService":
        """Builds the service that `plain` described."""
        phases = content["phases"]
        return cls(
            name=str(content["name"]),
            view=str(content["view"]),
            phases=tuple(str(phase) for phase in phases) if isinstance(phases, Sequence) else (),
            pattern=str(content["columns"]),
        )

    def wanted(self, features: Sequence[str]) -> list[str]:
        """Returns the feature names that the service takes, in their order."""
        return [name for name in features if re.search(self.pattern, name)]


def wide_frame(long: pd.DataFrame, service: FeatureService, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Turns one row a case into one row a patient, with columns `<phase>.<feature>`.

    A row without any value counts as absent, an infinite value as missing, and a column that is empty in a whole
    phase, because that phase has other settings, is left out. A patient who lacks a phase is left out as well;
    `lacking` names him.

    Args:
        long: A feature table as read: key columns, features, bookkeeping.
        service: What to take.
        columns: The exact columns to return, as a model package lists them; all of the service when left out.

    Returns:
        `center`, `case_id`, then the features as float64, sorted by patient.

    Raises:
        MissingColumnsError: The table lacks one of `columns`.
        SeveralRegionsError: A patient has several rows in one phase.
    """
    if long.empty and not len(long.columns):
        return pd.DataFrame(columns=[*PATIENT_COLUMNS, *(columns or ())])
    parts = [_phase_part(long, service, phase, is_exact=columns is not None) for phase in service.phases]
    wide = pd.concat(parts, axis=1, join="inner").sort_index()
    if columns is not None:
        wide = _exactly(wide, columns, service.view)
    return wide.reset_index()


def lacking(long: pd.DataFrame, service: FeatureService) -> pd.DataFrame:
    """Returns the patients who lack a phase of the service: `center`, `case_id`, `phases` (which are missing)."""
    if long.empty:
        return pd.DataFrame(columns=[*PATIENT_COLUMNS, "phases"])
    usable = long[_has_values(long, feature_names(long))]
    present = usable.groupby(list(PATIENT_COLUMNS))["phase"].agg(set)
    patients = long[list(PATIENT_COLUMNS)].drop_duplicates().sort_values(list(PATIENT_COLUMNS))
    rows = [
        {"center": center, "case_id": case_id, "phases": ", ".join(missing)}
        for center, case_id in patients.itertuples(index=False)
        if (missing := [p for p in service.phases if p not in present.get((center, case_id), set())])
    ]
    return pd.DataFrame(rows, columns=[*PATIENT_COLUMNS, "phases"])


def service_columns(view: FeatureView, service: FeatureService) -> dict[str, Column]:
    """Returns the declared column of each `<phase>.<feature>` name that the service can have."""
    wanted = set(service.wanted([column.name for column in view.columns]))
    return {
        f"{phase}.{column.name}": Column(
            name=f"{phase}.{column.name}", unit=column.unit, description=column.description, code=column.code
        )
        for phase in service.phases
        for column in view.columns
        if column.name in wanted
    }


def feature_names(long: pd.DataFrame) -> list[str]:
    """Returns the feature columns of a table as read: neither key nor bookkeeping."""
    skip = {*KEY_COLUMNS, *BOOKKEEPING}
    return [name for name in long.columns if name not in skip]


def _phase_part(long: pd.DataFrame, service: FeatureService, phase: str, *, is_exact: bool) -> pd.DataFrame:
    names = service.wanted(feature_names(long))
    rows = long[long["phase"] == phase]
    rows = rows[_has_values(rows, names)]
    _refuse_several(rows, phase)
    values = rows.set_index(list(PATIENT_COLUMNS))[names].astype(np.float64).replace([np.inf, -np.inf], np.nan)
    if not is_exact:
        values = values.dropna(axis=1, how="all")
    return values.add_prefix(f"{phase}.")


def _refuse_several(rows: pd.DataFrame, phase: str) -> None:
    doubled = rows[rows.duplicated(list(PATIENT_COLUMNS), keep=False)]
    if len(doubled):
        center, case_id = doubled.iloc[0][list(PATIENT_COLUMNS)]
        regions = sorted(set(doubled["roi"][(doubled["center"] == center) & (doubled["case_id"] == case_id)]))
        raise SeveralRegionsError(
            f"{len(doubled)} rows share a patient; the first has regions {', '.join(regions)}",
            where=f"{center} / {case_id[:12]} / {phase}",
        )


def _exactly(wide: pd.DataFrame, columns: Sequence[str], view: str) -> pd.DataFrame:
    missing = [name for name in columns if name not in wide.columns]
    if missing:
        raise MissingColumnsError(
            f"{len(missing)} of {len(columns)} columns are not in the table, the first is {missing[0]}",
            where=f"view {view}",
        )
    return wide[list(columns)]


def _has_values(rows: pd.DataFrame, names: list[str]) -> "pd.Series[bool]":
    return rows[names].notna().any(axis=1)
