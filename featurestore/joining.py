"""Joins the columns of several views to one row a patient, as a feature service says."""

import json
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from featurestore.entities import PATIENT_COLUMNS
from featurestore.errors import InputError
from featurestore.schemas import Column
from featurestore.views import (
    FeatureService,
    FeatureView,
    exactly,
    feature_names,
    lacking,
    part_frame,
    service_columns,
    wide_frame,
)

PATIENT = list(PATIENT_COLUMNS)


class ColumnCollisionError(InputError):
    """Two views of a service have a column of the same name."""

    default_remedy = "narrow services.<name>.columns or one of its joins, so that each name comes from one view"


class MixedSettingsError(InputError):
    """Rows that would be joined were made with different settings, tools or versions."""

    default_remedy = "make all rows with the same settings and version; `radmill run` recomputes what is out of date"


def joined_frame(
    tables: Mapping[str, pd.DataFrame], service: FeatureService, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Returns `center`, `case_id` and the service's columns of all its views, one row a patient who has all of them.

    Args:
        tables: The rows of each view the service names.
        service: What to take.
        columns: The exact columns to return, as a model package lists them; all of the service when left out.

    Raises:
        ColumnCollisionError: A column comes from two views.
        MissingColumnsError: A view lacks one of `columns`.
        SeveralRegionsError: A patient has several rows in one phase.
    """
    if not service.joins:
        return wide_frame(tables[service.view], service, columns)
    if any(tables[part.view].empty for part in service.parts):
        return pd.DataFrame(columns=[*PATIENT, *(columns or ())])
    parts = [part_frame(tables[part.view], part, keep_empty=columns is not None) for part in service.parts]
    _refuse_collisions(service, parts)
    wide = pd.concat(parts, axis=1, join="outer" if service.fills else "inner").sort_index()
    if service.fills:  # who is in the service's own view decides
        wide = wide.loc[wide.index.isin(parts[0].index)]
    if columns is not None:
        wide = exactly(wide, columns, f"service {service.name}")
    return wide.reset_index()


def joined_lacking(tables: Mapping[str, pd.DataFrame], service: FeatureService) -> pd.DataFrame:
    """Returns the patients of the service's own view who lack a phase or a row of a joined view."""
    if not service.joins:
        return lacking(tables[service.view], service)
    own = tables[service.view]
    patients = own[PATIENT].drop_duplicates() if len(own) else pd.DataFrame(columns=PATIENT)
    complete = joined_frame(tables, service)[PATIENT].assign(phases="")
    merged = patients.merge(complete, on=PATIENT, how="left")
    return merged[merged["phases"].isna()].reset_index(drop=True)


def joined_columns(views: Mapping[str, FeatureView], service: FeatureService) -> dict[str, Column]:
    """Returns the declared column of each `<phase>.<feature>` name that the service can have."""
    return {name: column for part in service.parts for name, column in service_columns(views[part.view], part).items()}


def view_of(name: str, table: pd.DataFrame, declared: Sequence[Column]) -> FeatureView:
    """Returns a view over the feature columns of a table, declared where a declaration is known."""
    known = {column.name: column for column in declared}
    return FeatureView(name=name, columns=tuple(known.get(n, Column(name=n)) for n in feature_names(table)))


def refuse_mixed(notes: Mapping[str, Mapping[str, str]], where: str) -> None:
    """Refuses tables whose notes (settings, tool, feature-set version) differ, naming both.

    Args:
        notes: By table or center, what its rows were made with.
        where: What is about to be joined.

    Raises:
        MixedSettingsError: Two differ.
    """
    (first, told), *others = notes.items() if notes else (("", {}),)
    for name, other in others:
        differing = list(_differing(told, other))
        if differing:
            lines = "; ".join(f"{key}: {_short(one)} and {_short(two)}" for key, one, two in differing)
            raise MixedSettingsError(f"{first} and {name} were made differently: {lines}", where=where)


def flat_notes(notes: Mapping[str, str]) -> dict[str, str]:
    """Returns notes with the settings in them spelled out, one entry a setting."""
    return dict(_flat("", _parsed(notes)))


def _differing(one: Mapping[str, str], two: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    mine, theirs = flat_notes(one), flat_notes(two)
    for key in sorted({*mine, *theirs}):
        if mine.get(key) != theirs.get(key):
            yield key, mine.get(key, ""), theirs.get(key, "")


def _parsed(notes: Mapping[str, str]) -> dict[str, object]:
    return {key: json.loads(value) if value.startswith("{") else value for key, value in notes.items()}


def _flat(path: str, content: object) -> Iterator[tuple[str, str]]:
    if isinstance(content, Mapping) and content:
        for key, value in content.items():
            yield from _flat(f"{path}.{key}".strip("."), value)
    else:
        yield path, str(content)


def _short(text: str, limit: int = 60) -> str:
    return (text if len(text) <= limit else f"{text[:limit]}…") or "none"


def _refuse_collisions(service: FeatureService, parts: Sequence[pd.DataFrame]) -> None:
    owner: dict[str, str] = {}
    for part, frame in zip(service.parts, parts, strict=True):
        both = [name for name in frame.columns if name in owner]
        if both:
            raise ColumnCollisionError(
                f"{len(both)} columns are in view {owner[both[0]]} and in view {part.view}, the first is {both[0]}",
                where=f"service {service.name}",
            )
        owner |= dict.fromkeys(map(str, frame.columns), part.view)
