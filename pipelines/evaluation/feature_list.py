"""Every feature that a model may see, with how well two outlines of the same region agree on it."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from featurestore.entities import PATIENT_COLUMNS
from featurestore.stability import icc
from featurestore.tables import read_frame
from featurestore.training_sets import TRAINING, TrainingSet
from pipelines.workspace import Workspace

FEATURES = ("feature", "unit", "services", "missing", "icc", "icc_low", "icc_high", "icc_patients", "outlines")
OTHER_OUTLINES = ("observers", "perturbed")
FEWEST_PATIENTS = 3
PATIENT = list(PATIENT_COLUMNS)
Rows = list[dict[str, object]]


def feature_rows(workspace: Workspace, sets: Mapping[str, TrainingSet], centers: Sequence[str]) -> Rows:
    """Returns one row a feature of any training set, in the sets' order.

    The intraclass correlation is ICC(2,1) between the outline that features come from and each patient's first other
    one, of development patients who have both; of other observers where there are any, else of perturbed outlines.

    Args:
        workspace: The study.
        sets: The training sets by service.
        centers: The development centers.
    """
    rows: dict[str, dict[str, object]] = {}
    services: dict[str, list[str]] = {}
    for service, made in sets.items():
        missing = np.isnan(made.part(TRAINING).X).mean(axis=0)
        for column, share in zip(made.columns, missing.tolist(), strict=True):
            services.setdefault(column.name, []).append(service)
            rows.setdefault(column.name, {"feature": column.name, "unit": column.unit, "missing": share})
    agreement = _agreement(workspace, centers, list(rows))
    return [row | {"services": " ".join(services[name])} | agreement.get(name, {}) for name, row in rows.items()]


def _agreement(workspace: Workspace, centers: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, object]]:
    for view in OTHER_OUTLINES:
        others = read_frame(workspace.features("development", view), centers=list(centers))
        if len(others):
            own = read_frame(workspace.features("development"), centers=list(centers))
            phases = sorted(set(others["phase"]) & set(own["phase"]))
            return {name: row for phase in phases for name, row in _of_phase(own, others, str(phase), names, view)}
    return {}


def _of_phase(
    own: pd.DataFrame, others: pd.DataFrame, phase: str, names: Sequence[str], view: str
) -> list[tuple[str, dict[str, object]]]:
    first, second = (
        table[table["phase"] == phase].sort_values([*PATIENT, "observer"]).drop_duplicates(PATIENT).set_index(PATIENT)
        for table in (own, others)
    )
    both = first.index.intersection(second.index)
    wanted = [name.removeprefix(f"{phase}.") for name in names if name.startswith(f"{phase}.")]
    features = [name for name in wanted if name in first and name in second]
    if len(both) < FEWEST_PATIENTS or not features:
        return []
    ratings = np.stack([table.loc[both, features].to_numpy(np.float64) for table in (first, second)], axis=1)
    found = icc(ratings)
    return [
        (
            f"{phase}.{feature}",
            {"icc": found.icc[at], "icc_low": found.low[at], "icc_high": found.high[at]}
            | {"icc_patients": int(found.n[at]), "outlines": view},
        )
        for at, feature in enumerate(features)
    ]
