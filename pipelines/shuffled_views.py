"""The negative controls' view of shuffled voxels: which models see it, and training sets made of it.

The view has a name of its own in tables, services, training sets and packages. A model that was made from real voxels
finds none of its columns here, and one made from these finds none elsewhere.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from featurestore.entities import PATIENT_COLUMNS
from featurestore.errors import DamagedTableError
from featurestore.joining import joined_frame, refuse_mixed
from featurestore.tables import read_frame, read_notes
from featurestore.training_sets import TrainingSet
from featurestore.views import FeatureService, ServicePart
from pipelines.images.shuffling import SHUFFLED
from pipelines.params import Params
from pipelines.stored_views import service_of, view_frame
from pipelines.workspace import ROLES, Role, Workspace

RADIOMICS = "radiomics"
SEARCHED = ("lr", "rf", "mlp")
"""The estimators with a search, which a control can do anew."""


def searched_models(params: Params) -> list[str]:
    """Returns the models that a control may take: those named, or all with a search."""
    own = [name for name, model in params.models.items() if model.estimator in SEARCHED]
    return list(params.evaluation.controls.models) or own


def sees_voxels(params: Params, model: str) -> bool:
    """Returns whether a model has columns that radmill computed from voxels."""
    parts = service_of(params, params.models[model].service).parts
    return any(part.view == RADIOMICS and part.phases for part in parts)


def shuffled_phases(params: Params) -> list[str]:
    """Returns the phases whose voxels the controls need shuffled; none when they are switched off."""
    if not params.evaluation.controls.voxels:
        return []
    services = {params.models[name].service for name in searched_models(params)}
    parts = [part for name in services for part in service_of(params, name).parts if part.view == RADIOMICS]
    return sorted({phase for part in parts for phase in part.phases})


def shuffled_frame(workspace: Workspace, params: Params, role: Role) -> pd.DataFrame:
    """Returns the features of shuffled voxels of a role's centers, one row a case; empty where there are none.

    Raises:
        DamagedTableError: The table does not say that its voxels were shuffled.
        MixedSettingsError: Rows were made with different settings or versions.
    """
    notes = {
        f"{one} {center}": told
        for one in ROLES
        for center, told in read_notes(workspace.shuffled(one) / SHUFFLED).items()
    }
    if any(told.get("voxels") != SHUFFLED for told in notes.values()):
        raise DamagedTableError("the rows are not said to be of shuffled voxels", where=f"data/shuffled/{role}")
    refuse_mixed(notes, f"view {SHUFFLED}")
    frame = read_frame(workspace.shuffled(role) / SHUFFLED, centers=list(params.centers.of(role)))
    if not len(frame.columns):
        return frame
    return frame[~frame["case_id"].isin(params.cohort.withdrawn)].reset_index(drop=True)


def shuffled_service(service: FeatureService) -> FeatureService:
    """Returns a service that takes the same columns of shuffled voxels, and others as they are."""
    view = _view(service)
    joins = tuple(replace(join, view=_view(join)) for join in service.joins)
    return replace(service, view=view, joins=joins)


def shuffled_set(workspace: Workspace, params: Params, whole: TrainingSet) -> TrainingSet:
    """Returns a training set with the same patients, sides and labels, and features of shuffled voxels.

    A patient whose shuffled region cannot be measured is left out.
    """
    service = shuffled_service(FeatureService.from_plain(whole.record["service"]))
    tables = {
        part.view: shuffled_frame(workspace, params, "development")
        if part.view == SHUFFLED
        else view_frame(workspace, params, "development", part.view)
        for part in service.parts
    }
    rows = joined_frame(tables, service, whole.names).set_index(list(PATIENT_COLUMNS))
    patients = pd.MultiIndex.from_arrays([whole.center, whole.case_id], names=list(PATIENT_COLUMNS))
    kept = whole.rows(patients.isin(rows.index))
    values = rows.reindex(patients[patients.isin(rows.index)])[whole.names].to_numpy(np.float64)
    record = {key: value for key, value in whole.record.items() if key != "repeats"}
    record |= {"service": service.plain(), "extraction": {**whole.record["extraction"], "voxels": SHUFFLED}}
    return replace(kept, X=values, record=record)


def _view(part: ServicePart) -> str:
    return SHUFFLED if part.view == RADIOMICS else part.view
