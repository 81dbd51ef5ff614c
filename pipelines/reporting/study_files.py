"""What a study page is made from: the files that the stages left, read once. What is absent reads as empty."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from featurestore.fingerprints import bytes_digest
from featurestore.flat_tables import read_flat
from featurestore.tables import read_frame
from pipelines.evaluation.adequacy import SAMPLE_SIZE
from pipelines.evaluation.evaluate import PREDICTIONS
from pipelines.evaluation.feature_list import FEATURES
from pipelines.evaluation.metrics import best_model
from pipelines.evaluation.model_records import ODDS, RECORDS
from pipelines.evaluation.negative_controls import SHUFFLES
from pipelines.evaluation.repeated import REPEATED
from pipelines.evaluation.size_control import CONTROLS
from pipelines.evaluation.subgroups import HETEROGENEITY, SUBGROUPS
from pipelines.evaluation.tables import PLOTS
from pipelines.workspace import ROLES, Workspace

TABLES = ("performance", "comparisons", "cohorts")
SUPPLEMENTS: dict[str, tuple[str, ...]] = {
    "subgroups": SUBGROUPS,
    "heterogeneity": HETEROGENEITY,
    "controls": CONTROLS,
    "sample_size": SAMPLE_SIZE,
    "features": FEATURES,
    "odds_ratios": ("model", *ODDS),
    "repeated": REPEATED,
}
"""The evaluation's tables beside performance, with the columns they have even without rows."""
COHORT_WORDS = {
    "training_apparent": "Training (apparent)",
    "training": "Training (CV)",
    "internal": "Internal",
    "external": "External",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelFiles:
    """One candidate's records.

    Args:
        manifest: The package's manifest.
        digest: The package's digest.
        components: Explained variance and scatter of the principal components.
        summary: What tuning said about the model.
        fusion: What a fusion says of its members.
        folder: Where the records lie.
    """

    manifest: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    components: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    fusion: dict[str, Any] = field(default_factory=dict)
    folder: Path = Path()


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyFiles:
    """Everything on disk that the study page shows.

    Args:
        metrics: `metrics.json`.
        predictions: One row a model, cohort and patient.
        tables: The evaluation's tables by name.
        plots: The evaluation's curves by name.
        models: The records of each model that was judged.
        records: The record of each training set, by service, with its digest.
        validation: The findings of the validation rules.
        qc: Quality-control rows of both roles and of imported tables, with a column `role`.
        patients: Clinical and acquisition values, one row a patient.
    """

    metrics: dict[str, Any]
    predictions: pd.DataFrame
    tables: dict[str, pd.DataFrame]
    plots: dict[str, pd.DataFrame]
    models: dict[str, ModelFiles]
    records: dict[str, dict[str, Any]]
    validation: dict[str, Any]
    qc: pd.DataFrame
    patients: pd.DataFrame

    @cached_property
    def best(self) -> str | None:
        """The model with the largest cross-validated area."""
        return best_model(self.metrics)

    @property
    def cohorts(self) -> list[str]:
        """The cohorts that models were judged on, as people read them; a lone external center is not said twice."""
        found: Mapping[str, Any] = next(iter(self.metrics.values()), {})
        centers = sorted(name for name in found if "." in name)
        ordered = [*COHORT_WORDS, *(centers if len(centers) > 1 else [])]
        return [name for name in ordered if name in found]

    @property
    def judged_on(self) -> str:
        """The cohort that says most of new patients: external ones, else internal, else cross-validation."""
        return [name for name in ("training", "internal", "external") if name in self.cohorts][-1]

    def of_model(self, frame: pd.DataFrame, model: str) -> pd.DataFrame:
        """Returns the rows of one model."""
        return frame[frame["model"] == model]

    def curve(self, name: str, model: str, cohort: str) -> pd.DataFrame:
        """Returns the rows of one curve."""
        frame = self.plots[name]
        return frame[(frame["model"] == model) & (frame["cohort"] == cohort)]


def read_study(workspace: Workspace) -> StudyFiles:
    """Reads what the stages left."""
    root = workspace.evaluation
    metrics = _json(root / "metrics.json")
    return StudyFiles(
        metrics=metrics,
        predictions=_predictions(root / "predictions.parquet"),
        tables={
            name: _csv(root / "tables" / f"{name}.csv", columns)
            for name, columns in (dict.fromkeys(TABLES, ("model", "cohort")) | SUPPLEMENTS).items()
        },
        plots={
            name: _csv(root / "plots" / f"{name}.csv", columns)
            for name, columns in (
                {name: ("model", "cohort", *own) for name, own in PLOTS.items()}
                | {name: ("model", *own) for name, own in RECORDS.items()}
                | {"shuffled_labels": SHUFFLES}
            ).items()
        },
        models={name: _model(workspace.model(name)) for name in metrics},
        records=_records(workspace),
        validation=_json(workspace.validation),
        qc=_qc(workspace),
        patients=_patients(workspace),
    )


def cohort_words(cohort: str) -> str:
    """Returns what people call a cohort."""
    head, _, center = cohort.partition(".")
    return f"{COHORT_WORDS[head]}: {center}" if center else COHORT_WORDS[head]


def cohort_short(cohort: str) -> str:
    """Returns the same without the remark in brackets."""
    return cohort_words(cohort).split(" (")[0]


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _csv(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    if not path.is_file():
        return pd.DataFrame(columns=list(columns))
    return pd.read_csv(io.StringIO(path.read_text(encoding="utf-8")))


def _predictions(path: Path) -> pd.DataFrame:
    if not path.is_file():
        return pd.DataFrame(columns=[column.name for column in PREDICTIONS])
    return read_flat(path)[0]


def _model(folder: Path) -> ModelFiles:
    manifest = folder / "package" / "manifest.json"
    return ModelFiles(
        manifest=_json(manifest),
        digest=bytes_digest(manifest.read_bytes()) if manifest.is_file() else "",
        components=_json(folder / "components.json"),
        summary=_json(folder / "summary.json"),
        fusion=_json(folder / "fusion.json"),
        folder=folder,
    )


def _records(workspace: Workspace) -> dict[str, dict[str, Any]]:
    root = workspace.training("any").parent
    return {path.parent.name: _json(path) for path in sorted(root.glob("*/record.json"))}


def _qc(workspace: Workspace) -> pd.DataFrame:
    parts = [
        read_frame(root).assign(role=role)
        for role in ROLES
        for root in (workspace.view(role, "qc"), workspace.features(role, "qc"))
    ]
    imported = read_frame(workspace.imported("qc"))
    parts = [part for part in (*parts, imported.assign(role="") if len(imported) else imported) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _patients(workspace: Workspace) -> pd.DataFrame:
    """Joins clinical and acquisition values; of several images of a patient the first speaks for the scanner."""
    clinical = [read_frame(workspace.view(role, "clinical")) for role in ROLES]
    acquisition = [read_frame(workspace.view(role, "acquisition")) for role in ROLES]
    keys = ["center", "case_id"]
    patients = [part for part in clinical if len(part)]
    scans = [part for part in acquisition if len(part)]
    if not patients:
        return pd.DataFrame(columns=keys)
    joined = pd.concat(patients, ignore_index=True)
    if not scans:
        return joined
    first = pd.concat(scans, ignore_index=True).groupby(keys, sort=True).first().reset_index()
    wanted = [name for name in ("manufacturer", "slice_thickness_mm") if name in first and name not in joined]
    return joined.merge(first[[*keys, *wanted]], on=keys, how="left")
