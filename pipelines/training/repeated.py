"""The features of a training set's patients by other outlines: of other observers, or of perturbed masks."""

import pandas as pd

from featurestore.entities import PATIENT_COLUMNS
from featurestore.tables import read_frame
from featurestore.training_sets import TrainingSet
from featurestore.views import FeatureService, wide_frame
from pipelines.params import Params
from pipelines.workspace import Workspace

OBSERVER = "observer"
PATIENT = list(PATIENT_COLUMNS)


def repeated_rows(workspace: Workspace, params: Params, name: str, made: TrainingSet) -> pd.DataFrame:
    """Returns one row a patient of the set and other outline: `center`, `case_id`, `observer`, the set's features.

    Outlines that lack a phase are left out, and so are those of patients who are not in the set.
    """
    columns = [*PATIENT, OBSERVER, *made.names]
    view = params.services[name].repeats
    long = (
        pd.DataFrame()
        if view is None
        else read_frame(workspace.features("development", view), centers=params.centers.development)
    )
    if long.empty:
        return pd.DataFrame(columns=columns)
    service = FeatureService.from_plain(made.record["service"])
    known = pd.MultiIndex.from_arrays([made.center, made.case_id])
    parts = []
    for observer, rows in long.groupby(OBSERVER, sort=True):
        wide = wide_frame(rows, service, made.names)
        own = wide[pd.MultiIndex.from_frame(wide[PATIENT]).isin(known)]
        parts.append(own.assign(**{OBSERVER: str(observer)})[columns])
    return pd.concat(parts, ignore_index=True)
