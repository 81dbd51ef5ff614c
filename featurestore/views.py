"""Feature views and services: which table a model's columns come from, and how they become one row a patient."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from featurestore.entities import KEY_COLUMNS, PATIENT_COLUMNS
from featurestore.errors import InputError
from featurestore.schemas import Column, columns_of
from featurestore.tables import read_schema

IMPUTE = "impute"

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
class ServicePart:
    """The columns that a service takes of one view.

    Args:
        view: The feature view the columns come from.
        phases: The phases that are joined, each under its prefix, in this order.
        pattern: A regular expression searched for in feature names.
        fills: Whether a patient who lacks some of the phases is kept, with nothing known of them.
    """

    view: str
    phases: tuple[str, ...]
    pattern: str = ".*"
    fills: bool = False

    def part_plain(self) -> dict[str, object]:
        """Returns the part as JSON types."""
        return {"view": self.view, "phases": list(self.phases), "columns": self.pattern}

    @classmethod
    def from_part(cls, content: Mapping[str, Any]) -> "ServicePart":
        """Builds the part that `part_plain` described."""
        return ServicePart(
            view=str(content["view"]),
            phases=tuple(str(phase) for phase in content["phases"]),
            pattern=str(content["columns"]),
        )

    def wanted(self, features: Sequence[str]) -> list[str]:
        """Returns the feature names that the service takes, in their order."""
        return [name for name in features if re.search(self.pattern, name)]


@dataclass(frozen=True, kw_only=True)
class FeatureService(ServicePart):
    """The named columns that a model needs: those of one view, and of further views joined by patient.

    Args:
        name: The service's name.
        joins: What is taken of further views.
    """

    name: str
    joins: tuple[ServicePart, ...] = ()

    @property
    def parts(self) -> tuple[ServicePart, ...]:
        """What is taken of each view, the service's own first."""
        return (self, *self.joins)

    def plain(self) -> dict[str, object]:
        """Returns the service as JSON types, as records and model packages hold it."""
        joins = {"joins": [join.part_plain() for join in self.joins]} if self.joins else {}
        filled = {"missing_phase": IMPUTE} if self.fills else {}
        return {"name": self.name, **self.part_plain(), **joins, **filled}

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> "FeatureService":
        """Builds the service that `plain` described."""
        part, fills = ServicePart.from_part(content), content.get("missing_phase") == IMPUTE
        joins = (ServicePart.from_part(join) for join in content.get("joins", ()))
        return cls(
            name=str(content["name"]),
            view=part.view,
            phases=part.phases,
            pattern=part.pattern,
            fills=fills,
            joins=tuple(replace(join, fills=fills) for join in joins),
        )


def wide_frame(long: pd.DataFrame, service: ServicePart, columns: Sequence[str] | None = None) -> pd.DataFrame:
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
    wide = part_frame(long, service, keep_empty=columns is not None)
    if columns is not None:
        wide = exactly(wide, columns, f"view {service.view}")
    return wide.reset_index()


def part_frame(long: pd.DataFrame, service: ServicePart, *, keep_empty: bool) -> pd.DataFrame:
    """Returns the columns of one view indexed by patient; `keep_empty` keeps columns without any value."""
    parts = [_phase_part(long, service, phase, is_exact=keep_empty) for phase in service.phases]
    return pd.concat(parts, axis=1, join="outer" if service.fills else "inner").sort_index()


def lacking(long: pd.DataFrame, service: ServicePart) -> pd.DataFrame:
    """Returns the patients who lack a phase of the service: `center`, `case_id`, `phases` (which are missing)."""
    if long.empty:
        return pd.DataFrame(columns=[*PATIENT_COLUMNS, "phases"])
    usable = long[_has_values(long, feature_names(long))]
    present = usable.groupby(list(PATIENT_COLUMNS))["phase"].agg(set)
    patients = long[list(PATIENT_COLUMNS)].drop_duplicates().sort_values(list(PATIENT_COLUMNS))
    enough = 1 if service.fills else len(service.phases)
    rows = [
        {"center": center, "case_id": case_id, "phases": ", ".join(missing)}
        for center, case_id in patients.itertuples(index=False)
        if (missing := [p for p in service.phases if p not in present.get((center, case_id), set())])
        and len(service.phases) - len(missing) < enough
    ]
    return pd.DataFrame(rows, columns=[*PATIENT_COLUMNS, "phases"])


def service_columns(view: FeatureView, service: ServicePart) -> dict[str, Column]:
    """Returns the declared column of each `<phase>.<feature>` name that the service can have."""
    wanted = set(service.wanted([column.name for column in view.columns]))
    return {
        f"{phase}.{column.name}": Column(
            name=f"{phase}.{column.name}",
            unit=column.unit,
            description=column.description,
            code=column.code,
            source=column.source,
        )
        for phase in service.phases
        for column in view.columns
        if column.name in wanted
    }


def feature_names(long: pd.DataFrame) -> list[str]:
    """Returns the feature columns of a table as read: neither key nor bookkeeping."""
    skip = {*KEY_COLUMNS, *BOOKKEEPING}
    return [name for name in long.columns if name not in skip]


def _phase_part(long: pd.DataFrame, service: ServicePart, phase: str, *, is_exact: bool) -> pd.DataFrame:
    names = service.wanted(feature_names(long))
    keys = long[["center", "case_id", "phase", "roi"]]
    at = (keys["phase"] == phase).to_numpy()
    values = _columns(long if at.all() else long[at], names).to_numpy(np.float64)
    finite = np.isfinite(values)
    has_infinite = bool(np.isinf(values.T[~finite.T]).any())  # in the order of memory
    has_values = finite.any(axis=1) | (np.isinf(values).any(axis=1) if has_infinite else False)
    rows = keys[at][has_values]
    _refuse_several(rows, phase)
    values = np.where(finite, values, np.nan) if has_infinite else values
    kept = np.full(len(names), True) if is_exact else finite.any(axis=0)
    index = pd.MultiIndex.from_frame(rows[list(PATIENT_COLUMNS)])
    columns = [f"{phase}.{name}" for name, is_kept in zip(names, kept, strict=True) if is_kept]
    values = values if has_values.all() else values[has_values]
    return pd.DataFrame(values if kept.all() else values[:, kept], index=index, columns=columns, copy=False)


def _columns(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Returns the named columns; those that stand side by side are not copied."""
    first = int(rows.columns.get_loc(names[0])) if names else 0  # type: ignore[arg-type]
    beside = rows.iloc[:, first : first + len(names)]
    return beside if list(beside.columns) == names else rows[names]


def _refuse_several(rows: pd.DataFrame, phase: str) -> None:
    doubled = rows[rows[list(PATIENT_COLUMNS)].duplicated(keep=False)]
    if len(doubled):
        center, case_id = doubled.iloc[0][list(PATIENT_COLUMNS)]
        regions = sorted(set(doubled["roi"][(doubled["center"] == center) & (doubled["case_id"] == case_id)]))
        raise SeveralRegionsError(
            f"{len(doubled)} rows share a patient; the first has regions {', '.join(regions)}",
            where=f"{center} / {case_id[:12]} / {phase}",
        )


def exactly(wide: pd.DataFrame, columns: Sequence[str], where: str) -> pd.DataFrame:
    """Returns the named columns in their order.

    Raises:
        MissingColumnsError: One is not there.
    """
    missing = [name for name in columns if name not in wide.columns]
    if missing:
        raise MissingColumnsError(
            f"{len(missing)} of {len(columns)} columns are not in the table, the first is {missing[0]}",
            where=where,
        )
    return wide[list(columns)]


def _has_values(rows: pd.DataFrame, names: list[str]) -> "pd.Series[bool]":
    return rows[names].notna().any(axis=1)
