"""Where the rows of a feature view lie, whoever made them, in the one form that services join: one row a case."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from featurestore.entities import KEY_COLUMNS, PATIENT_COLUMNS
from featurestore.errors import InputError
from featurestore.schemas import Column, columns_of
from featurestore.tables import centers_of, read_frame, read_notes, read_schema
from featurestore.views import BOOKKEEPING, IMPUTE, FeatureService, ServicePart
from pipelines.params import Params
from pipelines.params.data import ClinicalColumn
from pipelines.workspace import Role, Workspace


class LabelConflictError(InputError):
    """An imported table and a clinical table give a patient different labels."""

    default_remedy = "correct one of them and import or ingest it again"


def service_of(params: Params, name: str) -> FeatureService:
    """Returns a declared feature service, its phases spelled out."""
    declared = params.services[name]
    fills = declared.missing_phase == IMPUTE
    return FeatureService(
        name=name,
        view=declared.view,
        phases=tuple(declared.phases or params.phases_of(declared.view)),
        pattern=declared.columns,
        fills=fills,
        joins=tuple(
            ServicePart(view=j.view, phases=tuple(j.phases or params.phases_of(j.view)), pattern=j.columns, fills=fills)
            for j in declared.joins
        ),
    )


def service_centers(params: Params, name: str) -> list[str]:
    """Returns the development centers whose patients a service takes."""
    return list(params.services[name].centers or params.centers.development)


def view_root(workspace: Workspace, params: Params, role: Role, view: str) -> Path:
    """Returns the folder of a view's table."""
    if view in params.imported:
        return workspace.imported(view)
    if view in ("clinical", "acquisition"):
        return workspace.view(role, view)
    return workspace.features(role, view)


def view_frame(
    workspace: Workspace, params: Params, role: Role, view: str, centers: Iterable[str] | None = None
) -> pd.DataFrame:
    """Returns a view's rows of a role's centers: key columns, then features; patients who withdrew are in none.

    Args:
        workspace: The study.
        params: Its settings.
        role: Whose centers.
        view: Which view.
        centers: Which of them; all of the role when left out.
    """
    root = view_root(workspace, params, role, view)
    own = params.centers.of(role)
    frame = read_frame(root, centers=[center for center in (centers or own) if center in own])
    if not len(frame.columns):
        return frame
    gone = frame["case_id"].isin(params.cohort.withdrawn)
    frame = frame[~gone].reset_index(drop=True) if gone.any() else frame
    if view == "clinical":
        return clinical_numbers(frame, params.ingest.clinical)
    if view in params.imported or view == "acquisition":
        return frame.drop(columns=[name for name in frame if _is_text(frame, str(name))])
    return frame


def view_columns(workspace: Workspace, params: Params, role: Role, view: str) -> tuple[Column, ...]:
    """Returns the declared columns of a view, keys and bookkeeping left out."""
    root = view_root(workspace, params, role, view)
    there = centers_of(root)
    return columns_of(read_schema(root, centers=there[:1]), keys=(*KEY_COLUMNS, *BOOKKEEPING)) if there else ()


def view_notes(workspace: Workspace, params: Params, role: Role, view: str) -> dict[str, dict[str, str]]:
    """Returns, by center of a role, what the rows of a view were made with; empty where nothing is told."""
    own = params.centers.of(role)
    notes = read_notes(view_root(workspace, params, role, view))
    return {center: told for center, told in notes.items() if center in own and told}


def outcomes_frame(workspace: Workspace, params: Params, role: Role) -> pd.DataFrame:
    """Returns `center`, `case_id`, `label` of a role's patients, from clinical tables and imported ones.

    Raises:
        LabelConflictError: The two say different things of a patient.
    """
    own, patient = list(params.centers.of(role)), list(PATIENT_COLUMNS)
    parts = [read_frame(root, centers=own) for root in (workspace.outcomes(role), workspace.imported("outcomes"))]
    parts = [part[[*patient, "label"]] for part in parts if len(part)]
    if not parts:
        return pd.DataFrame(columns=[*patient, "label"])
    rows = pd.concat(parts, ignore_index=True)
    rows = rows[~rows["case_id"].isin(params.cohort.withdrawn)]
    known = rows.dropna(subset=["label"])
    conflict = known.groupby(patient)["label"].nunique()
    if (conflict > 1).any():
        center, case_id = conflict[conflict > 1].index[0]
        raise LabelConflictError(f"{int((conflict > 1).sum())} patients", where=f"{center} / {case_id[:12]}")
    best = rows.sort_values([*patient, "label"], kind="stable", na_position="last")
    return best.drop_duplicates(patient).reset_index(drop=True)


def _is_text(frame: pd.DataFrame, name: str) -> bool:
    return name not in (*KEY_COLUMNS, *BOOKKEEPING) and frame[name].dtype.kind not in "fib"


def clinical_numbers(frame: pd.DataFrame, declared: Mapping[str, ClinicalColumn]) -> pd.DataFrame:
    """Returns clinical values as numbers: a category becomes one column for each declared value."""
    own = pd.DataFrame({**{name: frame[name] for name in PATIENT_COLUMNS}, "phase": "clinical"})
    own = own.assign(roi="", observer="")
    columns: dict[str, pd.Series] = {}
    for name, one in declared.items():
        if name in frame:
            columns |= _numbers(frame[name], name, one)
    return pd.concat([own, pd.DataFrame(columns, index=frame.index)], axis=1)


def _numbers(values: pd.Series, name: str, declared: ClinicalColumn) -> dict[str, pd.Series]:
    if declared.kind == "text":
        return {}
    if declared.kind == "category":
        known = values.notna()
        return {f"{name}={v}": (values == v).astype("float64").where(known) for v in declared.values}
    return {name: values.astype("float64")}
