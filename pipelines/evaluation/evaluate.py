"""The stage that judges every model on training, internal and external patients.

What `data/evaluation/` says about each cohort:

- `training` is out of fold, with hyperparameters and recalibration learned without the fold (nested). Its area compares
  patients within a fold only (see `discrimination.fold_placements`); its other measures use each patient's mean
  probability over repeats.
- `training_apparent` is the model on the patients it was made from: how well it remembers, not how well it works.
- `internal` are development patients kept aside by the split.
- `external` pools the external centers, `external.<center>` has each alone.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from featurestore.files import sweep, write_json, write_text
from featurestore.flat_tables import write_flat
from featurestore.schemas import Column
from featurestore.training_sets import INTERNAL, TRAINING
from pipelines.evaluation import tables
from pipelines.evaluation.cohorts import (
    EXTERNAL,
    Candidate,
    all_cohorts,
    candidates,
    read_development,
    read_external,
    thresholds,
)
from pipelines.evaluation.metrics import CohortPredictions, best_model, draws, judge, rounded
from pipelines.evaluation.negative_controls import SHUFFLES, negative_controls
from pipelines.evaluation.operating import sensitivity_name, sensitivity_threshold, youden_threshold
from pipelines.evaluation.repeated import REPEATED, repeated_patients, stop_on_repeated
from pipelines.evaluation.supplements import record_texts, supplement_texts
from pipelines.params import Params
from pipelines.params.modelling import EvaluationSection
from pipelines.runner import Progress, Silent
from pipelines.workspace import Workspace

PREDICTIONS = (
    Column(name="model", kind="string"),
    Column(name="cohort", kind="string"),
    Column(name="center", kind="string"),
    Column(name="case_id", kind="string"),
    Column(name="y", kind="integer", description="1 has the outcome"),
    Column(name="p", description="predicted probability; out of fold in the cohort training"),
)
COMPARED = (INTERNAL, EXTERNAL)
CURVES_OF_BEST = (TRAINING, INTERNAL, EXTERNAL)


@dataclass(frozen=True, kw_only=True)
class EvaluationSummary:
    """What was judged.

    Args:
        models: How many models.
        not_tuned: Declared models that have no package yet.
        removed: Models that are no longer declared and were swept.
        best: The model with the largest cross-validated area.
        auc: Its area with interval by cohort.
    """

    models: int
    not_tuned: tuple[str, ...]
    removed: tuple[str, ...]
    best: str
    auc: dict[str, str]


def evaluate(workspace: Workspace, params: Params, progress: Progress | None = None) -> EvaluationSummary:
    """Judges every tuned model and writes `data/evaluation/`; sweeps models that are no longer declared.

    Raises:
        StaleModelError: A model was made from another training set than the one that lies here.
        RepeatedPatientsError: One patient was sent as two.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # sums in another order would give other bits
        return _evaluate(workspace, params, progress or Silent())


def _evaluate(workspace: Workspace, params: Params, progress: Progress) -> EvaluationSummary:
    repeated = repeated_patients(workspace, params)
    stop_on_repeated(repeated, params)
    removed = _sweep_models(workspace, params)
    found, absent = candidates(workspace, params)
    development, external = read_development(workspace, params), read_external(workspace, params)
    progress.start("evaluate", len(found))
    judged: list[Judged] = []
    for candidate in found:
        judged.append(_judge_model(candidate, all_cohorts(candidate, development, external), params.evaluation))
        progress.advance(note=candidate.name)
    progress.finish()
    metrics = {item.name: rounded(cohorts) for item, (_, cohorts, _) in zip(found, judged, strict=True)}
    predictions = [cohort for item in judged for cohort in item[0]]
    packages: tables.Rows = [{"model": candidate.name, "package": candidate.package.digest} for candidate in found]
    cohorts_of = [item[0] for item in judged]
    controls = negative_controls(workspace, params, found, (development, external), cohorts_of)
    further = supplement_texts(workspace, params, found, external, cohorts_of, metrics, controls.rows)
    further["repeated"] = tables.csv_text(repeated, REPEATED)
    further["packages"] = tables.csv_text(packages, ("model", "package"))
    files = {f"tables/{name}.csv": text for name, text in further.items()}
    files |= {f"plots/{name}.csv": text for name, text in record_texts(found).items()}
    files["plots/shuffled_labels.csv"] = tables.csv_text(controls.shuffles, SHUFFLES)
    _write(workspace, params, metrics, predictions, [plots for _, _, plots in judged], files)
    best = best_model(metrics)
    return EvaluationSummary(
        models=len(found),
        not_tuned=tuple(absent),
        removed=removed,
        best=best or "",
        auc={cohort: _interval(values) for cohort, values in metrics[best].items()} if best else {},
    )


def _interval(values: Mapping[str, Any]) -> str:
    if values["auc"] is None:
        return "unknown"
    return f"{values['auc']:.3f} ({values['auc_low']:.3f}–{values['auc_high']:.3f})"


Judged = tuple[list[CohortPredictions], dict[str, Any], dict[str, tables.Rows]]


def _judge_model(candidate: Candidate, cohorts: list[CohortPredictions], settings: EvaluationSection) -> Judged:
    points = thresholds(candidate, cohorts[0], operating_rules(settings))
    measures: dict[str, Any] = {}
    plots: dict[str, tables.Rows] = {name: [] for name in tables.PLOTS}
    for cohort in cohorts:
        counts = draws(cohort.cohort, len(cohort.y), settings.bootstrap, settings.seed)
        measures[cohort.cohort] = judge(cohort, points, counts, settings.confidence)
        drawn = tables.plot_rows(
            cohort, measures[cohort.cohort], counts, settings.confidence, settings.net_benefit_range
        )
        for name, rows in drawn.items():
            plots[name] += rows
    return cohorts, measures, plots


def operating_rules(settings: EvaluationSection) -> dict[str, Callable[..., float | None]]:
    """Returns how each operating point follows from training labels and out-of-fold probabilities."""
    target = settings.target_sensitivity
    return {
        "youden": youden_threshold,
        sensitivity_name(target): partial(sensitivity_threshold, target=target),
    }


def _write(
    workspace: Workspace,
    params: Params,
    metrics: dict[str, Any],
    predictions: Sequence[CohortPredictions],
    plots: Sequence[dict[str, tables.Rows]],
    further: Mapping[str, str],
) -> None:
    root = workspace.evaluation
    files = {root / "metrics.json", root / "predictions.parquet"}
    write_json(root / "metrics.json", metrics)
    write_flat(root / "predictions.parquet", _prediction_frame(predictions), PREDICTIONS)
    own = _table_texts(params, metrics, predictions)
    texts = {f"tables/{name}.csv": text for name, text in own.items()} | dict(further)
    for name, columns in tables.PLOTS.items():
        rows = [row for item in plots for row in item[name]]
        texts[f"plots/{name}.csv"] = tables.csv_text(rows, ("model", "cohort", *columns))
        of_best = [row for row in rows if row["model"] == best_model(metrics)]
        for cohort in CURVES_OF_BEST:  # one line a file is what `dvc plots` can draw
            of_cohort = [row for row in of_best if row["cohort"] == cohort]
            texts[f"plots/best/{name}_{cohort}.csv"] = tables.csv_text(of_cohort, columns)
    for name, text in texts.items():
        write_text(root / name, text)
        files.add(root / name)
    sweep(root, files)


def _table_texts(params: Params, metrics: dict[str, Any], predictions: Sequence[CohortPredictions]) -> dict[str, str]:
    trained = {item.model: set(item.patients()) for item in predictions if item.cohort == TRAINING}
    comparisons = [
        row
        for cohort in COMPARED
        for row in tables.comparison_rows(
            [item for item in predictions if item.cohort == cohort], trained, params.evaluation.confidence
        )
    ]
    services = {name: params.service_of_model(name) for name in params.all_models()}
    return {
        "performance": tables.csv_text(tables.performance_rows(metrics)) if metrics else "model,cohort\n",
        "comparisons": tables.csv_text(comparisons, tables.COMPARISON),
        "cohorts": tables.csv_text(
            tables.cohort_rows(predictions, services), ("service", "cohort", "center", "n", "events")
        ),
    }


def _prediction_frame(predictions: Sequence[CohortPredictions]) -> pd.DataFrame:
    names = [column.name for column in PREDICTIONS]
    parts = [
        pd.DataFrame({name: getattr(item, name) for name in names})
        for item in predictions
        if "." not in item.cohort and len(item.y)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=names)


def _sweep_models(workspace: Workspace, params: Params) -> tuple[str, ...]:
    gone = workspace.undeclared({*params.models, *params.deep}, set(params.fusion))
    for folder in gone:
        shutil.rmtree(folder)
    return tuple(folder.name for folder in gone)
