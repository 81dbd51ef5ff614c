"""Which group each patient is in, from clinical and acquisition tables of both roles."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from featurestore.entities import PATIENT_COLUMNS
from featurestore.errors import InputError
from featurestore.tables import read_frame
from pipelines.evaluation.subgroups import Levels
from pipelines.params.modelling import Subgroup
from pipelines.workspace import ROLES, Workspace

PATIENT = list(PATIENT_COLUMNS)

MOST_NUMBERS = 6
"""A column with more different numbers is no set of groups and needs cut points."""


class UnknownSubgroupError(InputError):
    """A subgroup is declared on a column that no table has, or cannot be cut as declared."""

    default_remedy = "name a clinical or acquisition column under evaluation.subgroups; numbers need `cuts`"


def patient_levels(workspace: Workspace, subgroups: Sequence[Subgroup]) -> dict[str, Levels]:
    """Returns the patients' groups by declared subgroup; a patient without a value is in none.

    Raises:
        UnknownSubgroupError: No table has the column, or it is a number without cut points.
    """
    if not subgroups:
        return {}
    values = patient_values(workspace)
    found: dict[str, Levels] = {}
    for subgroup in subgroups:
        if subgroup.column not in values:
            known = ", ".join(sorted(str(name) for name in values if name not in PATIENT))
            raise UnknownSubgroupError(f"there is no column {subgroup.column!r}; known: {known}", where="subgroups")
        found[subgroup.column] = _levels(values, subgroup)
    return found


def patient_values(workspace: Workspace) -> pd.DataFrame:
    """Returns clinical and acquisition values, one row a patient; of several images the first speaks."""
    parts = [
        pd.concat(tables, ignore_index=True).groupby(PATIENT, sort=True).first()
        for view in ("clinical", "acquisition")
        if (tables := [table for role in ROLES if len(table := read_frame(workspace.view(role, view)))])
    ]
    if not parts:
        return pd.DataFrame(columns=PATIENT)
    joined = pd.concat(parts, axis=1, join="outer")
    return joined.loc[:, ~joined.columns.duplicated()].reset_index()


def _levels(values: pd.DataFrame, subgroup: Subgroup) -> Levels:
    column = values[subgroup.column]
    patients = list(zip(values["center"].astype(str), values["case_id"].astype(str), strict=True))
    if subgroup.cuts:
        if not pd.api.types.is_numeric_dtype(column):
            raise UnknownSubgroupError("has cut points and is no number", where=f"subgroups.{subgroup.column}")
        words = _cut(column.to_numpy(np.float64, na_value=np.nan), subgroup.cuts)
    elif column.dtype.kind == "f" and column.nunique() > MOST_NUMBERS:
        message = f"has {column.nunique()} different numbers and no cut points"
        raise UnknownSubgroupError(message, where=f"subgroups.{subgroup.column}")
    else:
        words = ["" if missing else _word(value) for value, missing in zip(column, column.isna(), strict=True)]
    return {patient: word for patient, word in zip(patients, words, strict=True) if word}


def _cut(numbers: "np.ndarray[tuple[int], np.dtype[np.float64]]", cuts: Sequence[float]) -> list[str]:
    """Returns `< 50`, `50 to < 70`, `≥ 70`; empty where the number is not known."""
    edges = sorted(cuts)
    names = [f"< {edges[0]:g}", *(f"{a:g} to < {b:g}" for a, b in pairwise(edges))]
    names.append(f"≥ {edges[-1]:g}")
    at = np.searchsorted(edges, numbers, side="right")
    return ["" if np.isnan(number) else names[index] for number, index in zip(numbers, at, strict=True)]


def _word(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
