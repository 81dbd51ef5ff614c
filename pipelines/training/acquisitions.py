"""How the images of a training set were acquired, by phase, so that images of another kind can be told later."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from featurestore.entities import KEY_COLUMNS, PATIENT_COLUMNS
from featurestore.statistics import order_statistics
from featurestore.tables import read_frame
from pipelines.workspace import Workspace
from registry.acquisition import MAX_LEVELS, MAX_TEXT

PATIENT = list(PATIENT_COLUMNS)
OF_ACQUISITION = ("spacing_x_mm", "spacing_y_mm", "spacing_z_mm", "slice_thickness_mm", "kvp")
OF_CASES = ("volume_ml", "image_mean", "image_sd", "image_min", "image_max")
"""Of the region and of the whole image as sent: what tells units, and another organ, without any feature."""

CATEGORIES = ("kernel", "manufacturer", "model")
KEPT = 41
"""Order statistics of a number: its ends, its spread, and hardly more than a patient's worth of text in a manifest."""


def acquisition_of(workspace: Workspace, centers: Sequence[str], patients: pd.DataFrame, phases: Sequence[str]) -> Any:
    """Returns, by phase, how the images of the patients were acquired, as `registry.acquisition` says.

    Args:
        workspace: The study.
        centers: The development centers.
        patients: `center` and `case_id` of each.
        phases: The phases of images that the training set has columns of.
    """
    cases = read_frame(workspace.view("development", "cases"), centers=centers)
    acquired = read_frame(workspace.view("development", "acquisition"), centers=centers)
    return told_acquisition(image_facts(cases, acquired), patients, phases)


def image_facts(cases: pd.DataFrame, acquired: pd.DataFrame) -> pd.DataFrame:
    """Returns one row an image that features come from: keys, numbers and categories.

    Args:
        cases: Rows of the view `cases`.
        acquired: Rows of the view `acquisition`.
    """
    columns = [*KEY_COLUMNS, *OF_CASES, *OF_ACQUISITION, *CATEGORIES]
    if cases.empty or acquired.empty:
        return pd.DataFrame(columns=columns)
    own = cases.loc[cases["is_primary"].astype(bool), [*KEY_COLUMNS, *OF_CASES]]
    facts = own.merge(acquired[[*KEY_COLUMNS, *OF_ACQUISITION, *CATEGORIES]], on=list(KEY_COLUMNS), how="left")
    facts[list(CATEGORIES)] = facts[list(CATEGORIES)].fillna("").astype(str)
    return facts[columns]


def told_acquisition(facts: pd.DataFrame, patients: pd.DataFrame, phases: Sequence[str]) -> dict[str, Any]:
    """Returns the facts of some patients as JSON types, by phase; a phase without images is left out."""
    own = facts.merge(patients[PATIENT].drop_duplicates(), on=PATIENT)
    found = {phase: rows for phase, rows in own.groupby("phase", sort=True) if phase in phases}
    return {str(phase): _told(rows) for phase, rows in found.items()}


def _told(rows: pd.DataFrame) -> dict[str, Any]:
    numbers = {name: _numbers(rows[name]) for name in (*OF_ACQUISITION, *OF_CASES)}
    return {"n": len(rows), "numbers": numbers, "categories": {name: _counts(rows[name]) for name in CATEGORIES}}


def _numbers(values: pd.Series) -> list[float]:
    kept = order_statistics(values.to_numpy(np.float64), KEPT)
    return [float(f"{value:.6g}") for value in kept.tolist()]


def _counts(values: pd.Series) -> dict[str, int]:
    counts = Counter(value[:MAX_TEXT] for value in values)
    return dict(sorted(counts.most_common(MAX_LEVELS)))
