"""Freezes a training set for each feature service: features and labels of the development patients, side by side."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from featurestore.entities import PATIENT_COLUMNS
from featurestore.errors import InputError
from featurestore.fingerprints import canonical_json, digest
from featurestore.joining import joined_columns, joined_frame, joined_lacking, refuse_mixed, view_of
from featurestore.repeats import repeat_hashes, write_repeats
from featurestore.schemas import Column
from featurestore.tables import read_frame
from featurestore.training_sets import TrainingSet
from featurestore.views import FeatureService
from pipelines.params import Params
from pipelines.params.modelling import SplitSection
from pipelines.stored_views import (
    outcomes_frame,
    service_centers,
    service_of,
    view_columns,
    view_frame,
    view_notes,
)
from pipelines.training.acquisitions import acquisition_of
from pipelines.training.dealing import dealt_together
from pipelines.training.repeated import repeated_rows
from pipelines.training.splits import SIDES, side
from pipelines.workspace import Workspace

PATIENT = list(PATIENT_COLUMNS)
IMPORTED = "imported"
"""The engine of a training set none of whose columns radmill computed itself."""


class NoPatientsError(InputError):
    """A training set would be empty or have one class."""

    default_remedy = "`radmill status` shows who was refused and why; see also label.positive and label.negative"


class MissingPhaseError(InputError):
    """Patients lack a phase and the service does not let them go."""

    default_remedy = "send the images, or set services.<name>.missing_phase to `drop`"


class SplitColumnError(InputError):
    """The column that fixes the split is not there or says something else than a side."""

    default_remedy = "declare the column under ingest.clinical and fill it with `training` or `internal`"


@dataclass(frozen=True, kw_only=True)
class AssembleSummary:
    """What was frozen.

    Args:
        training_sets: By service, how many patients train, are kept aside, and were left out.
        features: By service, how many columns.
        removed: Services that are no longer declared and were swept.
    """

    training_sets: dict[str, str]
    features: dict[str, int]
    removed: tuple[str, ...]


def assemble(workspace: Workspace, params: Params) -> AssembleSummary:
    """Writes `data/training/<service>/` for every service, from development centers alone.

    Raises:
        NoPatientsError: A service has no patient with a label, or one class only.
        MissingPhaseError: A patient lacks a phase where the service refuses that.
        SplitColumnError: The column that fixes the split is unusable.
        MixedSettingsError: Rows of a view were made with different settings or feature-set versions.
        ColumnCollisionError: Two views of a service have a column of the same name.
    """
    sets = {name: _with_repeats(workspace, params, _training_set(workspace, params, name)) for name in params.services}
    sets = dealt_together(sets)
    for name, made in sets.items():
        made.save(workspace.training(name))
        write_repeats(workspace.training(name), repeated_rows(workspace, params, name, made))
    return AssembleSummary(
        training_sets={name: _words(made) for name, made in sets.items()},
        features={name: len(made.columns) for name, made in sets.items()},
        removed=_sweep(workspace, params),
    )


def _training_set(workspace: Workspace, params: Params, name: str) -> TrainingSet:
    service, centers = service_of(params, name), service_centers(params, name)
    tables = {p.view: view_frame(workspace, params, "development", p.view, centers) for p in service.parts}
    for part in service.parts:
        refuse_mixed(_made_with(workspace, params, part.view, centers), f"service {name}, view {part.view}")
    absent = joined_lacking(tables, service)
    if len(absent) and params.services[name].missing_phase == "refuse":
        raise MissingPhaseError(
            f"{len(absent)} patients lack one of {', '.join(service.phases)}", where=f"service {name}"
        )
    wide = joined_frame(tables, service)
    rows = _with_labels(wide, outcomes_frame(workspace, params, "development"))
    _check_classes(rows, len(wide), name)
    rows = rows.assign(split=_sides(workspace, params, rows[PATIENT]))
    names = [column for column in wide.columns if column not in PATIENT]
    views = {v: view_of(v, t, view_columns(workspace, params, "development", v)) for v, t in tables.items()}
    declared = joined_columns(views, service)
    left_out = {"without_label": len(wide) - len(rows), "without_phase": len(absent)}
    return TrainingSet(
        X=rows[names].to_numpy(np.float64),
        y=rows["label"].to_numpy(np.int8),
        center=rows["center"].to_numpy(np.str_),
        case_id=rows["case_id"].to_numpy(np.str_),
        split=rows["split"].to_numpy(np.str_),
        columns=tuple(declared.get(column, Column(name=column)) for column in names),
        record=_record(workspace, params, service, rows, left_out),
    )


def _with_repeats(workspace: Workspace, params: Params, made: TrainingSet) -> TrainingSet:
    """Names the rows of other outlines in the set's record, so that its digest covers them."""
    name = str(made.record["service"]["name"])
    if params.services[name].repeats is None:
        return made
    rows = repeat_hashes(repeated_rows(workspace, params, name, made))
    told = {"view": params.services[name].repeats, "rows": rows}
    return replace(made, record={**made.record, "repeats": told})


def _with_labels(wide: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Joins the label to each patient; who has none is left out."""
    if labels.empty:
        return wide.iloc[:0].assign(label=pd.Series(dtype=np.int8))
    known = labels.dropna(subset=["label"])[[*PATIENT, "label"]]
    label = wide[PATIENT].merge(known, on=PATIENT, how="left", validate="one_to_one")["label"]
    has_label = label.notna()
    rows = wide if has_label.all() else wide[has_label].reset_index(drop=True)
    return rows.assign(label=label[has_label].to_numpy())


def _check_classes(rows: pd.DataFrame, n_with_features: int, name: str) -> None:
    counts = {label: int((rows["label"] == label).sum()) for label in (0, 1)}
    if min(counts.values()) == 0:
        raise NoPatientsError(
            f"{counts[1]} positive and {counts[0]} negative among {n_with_features} patients with features",
            where=f"service {name}",
        )


def _sides(workspace: Workspace, params: Params, patients: pd.DataFrame) -> list[str]:
    rule = params.split
    if rule.column is None:
        names = zip(patients["center"], patients["case_id"], strict=True)
        return [side(center, case_id, rule.seed, rule.internal_fraction) for center, case_id in names]
    clinical = read_frame(workspace.view("development", "clinical"), centers=params.centers.development)
    if rule.column not in clinical:
        raise SplitColumnError(f"the clinical tables have no column {rule.column!r}", where="split.column")
    fixed = patients.merge(clinical[[*PATIENT, rule.column]], on=PATIENT, how="left")[rule.column]
    strange = sorted({str(value) for value in fixed if value not in SIDES})
    if strange:
        raise SplitColumnError(f"values {', '.join(strange[:5])}; allowed: {', '.join(SIDES)}", where=rule.column)
    return fixed.tolist()


def _record(
    workspace: Workspace, params: Params, service: FeatureService, rows: pd.DataFrame, left_out: dict[str, int]
) -> dict[str, Any]:
    return {
        "service": service.plain(),
        "feature_set": params.radmill.feature_set,
        "extraction": _extraction(workspace, params, service),
        "rules": _rules(params),
        "label": params.label.name,
        "centers": sorted(service_centers(params, service.name)),
        "split": _split_rule(params.split),
        "left_out": left_out,
        "counts": _counts(rows),
        "acquisition": _acquisition(workspace, params, service, rows),
    }


def _acquisition(workspace: Workspace, params: Params, service: FeatureService, rows: pd.DataFrame) -> dict[str, Any]:
    """Returns how the images behind the columns were acquired; nothing where no column is of an image read here."""
    phases = [phase for part in service.parts if part.view == "radiomics" for phase in part.phases]
    return acquisition_of(workspace, service_centers(params, service.name), rows, phases) if phases else {}


def _rules(params: Params) -> dict[str, Any]:
    """Returns the case rules without those about single patients, who must not travel with a package by any name."""
    rules = params.case_rules()
    cohort = rules.cohort.model_copy(update={"withdrawn": [], "rejected": None})
    return rules.model_copy(update={"cohort": cohort}).model_dump(mode="json")


def _made_with(workspace: Workspace, params: Params, view: str, centers: Sequence[str]) -> dict[str, dict[str, str]]:
    """Returns what the rows of each center were made with, the settings of `params.yaml` first where they decide."""
    notes = view_notes(workspace, params, "development", view)
    own = {center: told for center, told in notes.items() if center in centers}
    if view != "radiomics":
        return own
    return {"params.yaml": _pinned(workspace, params), **own} if own else {}


def _pinned(workspace: Workspace, params: Params) -> dict[str, str]:
    from pipelines.execution.regions import stored_settings
    from pipelines.radiomics.settings import settings_by_phase

    by_phase = settings_by_phase(params.extraction, list(params.phases), workspace.root)
    settings = {phase: stored_settings(one).plain() for phase, one in by_phase.items()}
    return {
        "engine": params.extraction.engine,
        "feature_set": params.radmill.feature_set,
        "settings": canonical_json(settings).decode(),
    }


def _extraction(workspace: Workspace, params: Params, service: FeatureService) -> dict[str, Any]:
    """Returns what the columns were made with: extraction settings by phase, and the versions of other views."""
    from pipelines.radiomics.settings import settings_by_phase

    used = [phase for part in service.parts if part.view == "radiomics" for phase in part.phases]
    by_phase = settings_by_phase(params.extraction, used, workspace.root)
    fingerprints = {phase: settings.fingerprint() for phase, settings in by_phase.items()}
    others = [part.view for part in service.parts if part.view != "radiomics"]
    views = {view: _view_version(workspace, params, view) for view in others}
    told = {view: view_notes(workspace, params, "development", view) for view in others if view in params.imported}
    notes = {view: next(iter(by_center.values())) for view, by_center in told.items() if by_center}
    engine = params.extraction.engine if used else IMPORTED
    return {
        "engine": engine,
        "by_phase": {phase: settings.plain() for phase, settings in by_phase.items()},
        "fingerprints": fingerprints,
        "fingerprint": digest({"engine": engine, "by_phase": fingerprints, **({"views": views} if views else {})}),
        **({"views": views} if views else {}),
        **({"notes": notes} if notes else {}),  # a hospital's table is held against them
    }


def _view_version(workspace: Workspace, params: Params, view: str) -> str:
    """Returns a hash of what a view's columns are and were made with; rows have no part in it."""
    columns = view_columns(workspace, params, "development", view)
    notes = sorted(view_notes(workspace, params, "development", view).items())
    return digest({"columns": [asdict(column) for column in columns], "notes": [told for _, told in notes[:1]]})


def _split_rule(rule: SplitSection) -> dict[str, object]:
    if rule.column is not None:
        return {"rule": "column", "column": rule.column}
    return {"rule": "hash of center and case_id", "seed": rule.seed, "internal_fraction": rule.internal_fraction}


def _counts(rows: pd.DataFrame) -> list[dict[str, object]]:
    """Returns one row a center and side: how many patients, how many positive."""
    grouped = rows.groupby(["center", "split"], sort=True)["label"].agg(["size", "sum"]).reset_index()
    return [
        {"center": center, "split": split, "n": int(n), "positive": int(positive)}
        for center, split, n, positive in grouped.itertuples(index=False)
    ]


def _words(made: TrainingSet) -> str:
    left_out: Mapping[str, int] = made.record["left_out"]
    sizes = [f"{int((made.split == name).sum())} {name} ({int(made.y[made.split == name].sum())}+)" for name in SIDES]
    missing = [f"{n} {reason.replace('_', ' ')}" for reason, n in left_out.items() if n]
    return " / ".join([*sizes, *missing])


def _sweep(workspace: Workspace, params: Params) -> tuple[str, ...]:
    root = workspace.training("any").parent
    folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name not in params.services)
    for folder in folders:
        shutil.rmtree(folder)
    return tuple(folder.name for folder in folders)
