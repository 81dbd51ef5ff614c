"""The tables beside performance: subgroups and centers, the control by size, and whether there are enough patients."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from featurestore.entities import PATIENT_COLUMNS
from featurestore.joining import joined_frame
from featurestore.training_sets import TRAINING, TrainingSet
from featurestore.views import FeatureService
from pipelines.evaluation import adequacy, size_control, subgroups
from pipelines.evaluation.characteristics import patient_levels
from pipelines.evaluation.cohorts import Candidate, ExternalData
from pipelines.evaluation.feature_list import FEATURES, feature_rows
from pipelines.evaluation.metrics import CohortPredictions
from pipelines.evaluation.model_records import ODDS, RECORDS, odds_rows, read_record, record_rows
from pipelines.evaluation.subgroups import GroupRule
from pipelines.evaluation.tables import csv_text
from pipelines.params import Params
from pipelines.workspace import Workspace


def supplement_texts(
    workspace: Workspace,
    params: Params,
    found: Sequence[Candidate],
    external: ExternalData,
    judged: Sequence[Sequence[CohortPredictions]],
    metrics: Mapping[str, Any],
    negative: size_control.Rows,
) -> dict[str, str]:
    """Returns the further tables of `data/evaluation/tables` as CSV, by name.

    Args:
        workspace: The study.
        params: Its settings.
        found: The models.
        external: The tables of the external centers.
        judged: Each model's cohorts.
        metrics: What `metrics.json` holds.
        negative: The rows of further controls.
    """
    settings = params.evaluation
    rule = GroupRule(patients=settings.subgroup_patients, events=settings.subgroup_events)
    levels = patient_levels(workspace, settings.subgroups)
    sets = {candidate.service: candidate.training for candidate in found if candidate.training}
    everything = [item for cohorts in judged for item in cohorts if item.cohort != "training_apparent"]
    areas, differences = subgroups.group_rows(everything, levels, rule, settings.confidence)
    features = feature_rows(workspace, sets, list(params.centers.development))
    return {
        "features": csv_text(features, FEATURES),
        "odds_ratios": csv_text(odds_rows({c.name: c.folder for c in found}), ("model", *ODDS)),
        "subgroups": csv_text(areas, subgroups.SUBGROUPS),
        "heterogeneity": csv_text(differences, subgroups.HETEROGENEITY),
        "controls": csv_text(
            [*_size_rows(found, external, judged, settings.confidence), *negative], size_control.CONTROLS
        ),
        "sample_size": csv_text(
            [_adequacy(candidate, metrics[candidate.name]) for candidate in found], adequacy.SAMPLE_SIZE
        ),
    }


def record_texts(found: Sequence[Candidate]) -> dict[str, str]:
    """Returns the data behind the figures of single models as CSV, by name."""
    rows = record_rows({candidate.name: candidate.folder for candidate in found})
    return {name: csv_text(rows[name], ("model", *columns)) for name, columns in RECORDS.items()}


def _adequacy(candidate: Candidate, cohorts: Mapping[str, Any]) -> dict[str, object]:
    training = cohorts[TRAINING]
    parameters = adequacy.parameters_of(read_record(candidate.folder / "summary.json"))
    return adequacy.adequacy_row(candidate.name, training["n"], training["events"], training["auc"], parameters)


def _size_rows(
    found: Sequence[Candidate],
    external: ExternalData,
    judged: Sequence[Sequence[CohortPredictions]],
    confidence: float,
) -> size_control.Rows:
    """Compares every model with the volume that the first training set with one has."""
    own = [candidate for candidate in found if candidate.package.manifest.get("kind") == "tabular"]
    measured = next((c for c in own if c.training and size_control.volume_columns(c.training.names)), None)
    if measured is None:
        return []
    sizes = _sizes(measured, external)
    rows: size_control.Rows = []
    for cohorts in judged:
        scores = size_control.control_predictions(measured.training, sizes, cohorts)
        rows += size_control.control_rows(cohorts, scores, confidence)
    return rows


def _sizes(measured: Candidate, external: ExternalData) -> dict[tuple[str, str], float]:
    """Returns every patient's log volume, development and external."""
    whole: TrainingSet = measured.training
    columns = size_control.volume_columns(whole.names)
    at = [whole.names.index(name) for name in columns]
    sizes = size_control.log_volume(whole.X[:, at])
    found = dict(zip(zip(whole.center.tolist(), whole.case_id.tolist(), strict=True), sizes.tolist(), strict=True))
    service = FeatureService.from_plain({"name": measured.service, **measured.package.manifest["service"]})
    if not external.centers or any(external.tables[part.view].empty for part in service.parts):
        return found
    wide = joined_frame(external.tables, service, columns)
    patients = zip(*(wide[name].astype(str) for name in PATIENT_COLUMNS), strict=True)
    outside = size_control.log_volume(wide[columns].to_numpy(np.float64))
    return found | dict(zip(patients, outside.tolist(), strict=True))
