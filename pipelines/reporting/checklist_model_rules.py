"""Answers about models and how they were judged, each for the best model by cross-validation."""

from dataclasses import replace
from typing import Any

from pipelines.evaluation.operating import sensitivity_name
from pipelines.reporting.cautions import EVENTS_PER_COMPONENT, kept_components
from pipelines.reporting.checklist_records import Evidence, Records, Rule, listed
from pipelines.reporting.study_files import COHORT_WORDS, cohort_words

METRICS = "data/evaluation/metrics.json"
ESTIMATORS = {
    "lr": "logistic regression",
    "rf": "random forest",
    "mlp": "multilayer perceptron",
    "clinical": "logistic regression on independent clinical predictors",
}
SIMPLE = ("lr", "clinical")


def split(records: Records) -> Evidence | None:
    """How training and internal patients were parted."""
    rule = records.training.get("split")
    if not rule:
        return None
    told = listed(f"{name.replace('_', ' ')} {value}" for name, value in rule.items())
    value = (
        f"{told}; by patient, before anything is fitted; imputation, scaling, reduction and thresholds inside the "
        "training folds; external centers sealed until evaluation"
    )
    return Evidence(record=records.training_path("split"), value=value)


def cohort_sizes(records: Records) -> Evidence | None:
    """Patients and events of each cohort."""
    if not records.best_cohorts:
        return None
    told = [
        f"{cohort_words(name).lower()} {cells['n']} patients, {cells['events']} with the outcome"
        for name, cells in records.best_cohorts.items()
        if name != "training_apparent"
    ]
    tuned = records.best.manifest.get("metrics_oof", {}).get("n") if records.best is not None else None
    told += [f"tuned on {tuned}"] if tuned else []
    return Evidence(record=f"{METRICS}: {records.files.best}.<cohort>.n, events", value="; ".join(told))


def missing_data(records: Records) -> Evidence | None:
    """Who was left out, and what fills missing values."""
    lost = records.training.get("left_out")
    if lost is None:
        return None
    told = listed(f"{name.replace('_', ' ')} {n}" for name, n in lost.items()) or "nobody"
    value = f"development patients left out: {told}; missing values: median of the training fold"
    return Evidence(record=records.training_path("left_out"), value=value)


def class_balance(records: Records) -> Evidence | None:
    """Shares of the outcome, and that classes are not resampled."""
    shares = {
        name: cells["prevalence"]
        for name, cells in records.best_cohorts.items()
        if name in COHORT_WORDS and name != "training_apparent" and cells.get("prevalence") is not None
    }
    if not shares:
        return None
    told = listed(f"{cohort_words(name).lower()} {100 * share:.0f} %" for name, share in shares.items())
    kind = records.best.manifest.get("kind", "tabular") if records.best is not None else ""
    value = f"with the outcome: {told}"
    value += "; patients are neither over- nor undersampled" if kind == "tabular" else ""
    return Evidence(record=f"{METRICS}: {records.files.best}.<cohort>.prevalence", value=value)


def predictor_pool(records: Records) -> Evidence | None:
    """What the best model could choose from."""
    if records.best is None:
        return None
    service = records.best.manifest.get("service", {})
    value = (
        f"all columns of view {service.get('view', '–')} that match {service.get('columns', '.*')}; "
        f"phases {listed(service.get('phases', []))}; no selection before the folds"
    )
    return Evidence(record=f"{records.package}: service", value=value)


def predictors(records: Records) -> Evidence | None:
    """The ordered list of the best model's features."""
    names = [feature["name"] for feature in records.best.manifest.get("features", [])] if records.best else []
    if not names:
        return None
    value = f"{len(names)} features, each under its PyRadiomics name: {listed(names, 3)}"
    return Evidence(record=f"{records.package}: features", value=value)


def feature_count(records: Records) -> Evidence | None:
    """Features by phase, and what is kept of them."""
    names = [feature["name"] for feature in records.best.manifest.get("features", [])] if records.best else []
    if not names:
        return None
    counts: dict[str, int] = {}
    for name in names:
        phase = name.partition(".")[0] if "." in name else "all"
        counts[phase] = counts.get(phase, 0) + 1
    value = f"{len(names)} a patient: {listed(f'{phase} {n}' for phase, n in counts.items())}"
    return Evidence(record=f"{records.package}: features", value=value)


def agreement(records: Records) -> Evidence | None:
    """Whether features were compared between outlines."""
    found = records.table("feature_stability", "features", "stability", "icc")
    if found is not None and any("icc" in str(name) for name in found[1].columns):
        return Evidence(record=found[0], value=f"agreement of {len(found[1])} features between outlines")
    model = records.params.models.get(records.files.best or "")
    if model is not None and model.stability is not None:
        rule = model.stability
        value = f"{rule.kind.upper()} at least {rule.minimum:g} ({rule.bound}), in each training fold"
        return Evidence(record=f"params.yaml: models.{records.files.best}.stability", value=value)
    views = [name for name in ("observers", "perturbed") if records.has_view(name)]
    if views:
        value = f"features of further outlines are there ({listed(views)}); the chosen model does not use them"
        return Evidence(record=f"data/features/development/{views[0]}", value=value, is_done=False)
    return None


def scaling(records: Records) -> Evidence | None:
    """Scaling and harmonization of the best model."""
    if records.best is None:
        return None
    model = records.params.models.get(str(records.files.best))
    combat = "; before it ComBat over centers" if model is not None and model.harmonization is not None else ""
    kind = records.best.manifest.get("kind", "tabular")
    value = f"each feature to mean 0 and sd 1 by its training fold{combat}"
    if kind != "tabular":
        value = f"as the record of this {kind} model says, fitted on training patients alone"
    return Evidence(record=f"{records.package}: kind", value=value)


def reduction(records: Records) -> Evidence | None:
    """Components and filters."""
    kept = kept_components(records.files, records.files.best) if records.best is not None else None  # type: ignore[arg-type]
    if kept is None:
        return None
    model = records.params.models.get(str(records.files.best))
    rule = f", number by rule “{model.reduction.rule}”" if model is not None else ""
    value = f"{kept} principal components{rule}, fitted in each training fold"
    return Evidence(record=f"data/models/{records.files.best}/components.json: chosen", value=value)


def algorithm(records: Records) -> Evidence | None:
    """Estimator and hyperparameters."""
    if records.best is None:
        return None
    model = records.best.manifest.get("model", {})
    name = ESTIMATORS.get(model.get("estimator", ""), records.best.manifest.get("kind", "model"))
    chosen = listed(_pair(key, value) for key, value in model.get("hyperparameters", {}).items())
    value = f"{name}{f' ({chosen})' if chosen else ''}; radmill {records.best.manifest.get('release', '–')}"
    return Evidence(record=f"{records.package}: model", value=value)


def tuning(records: Records) -> Evidence | None:
    """How settings were searched."""
    trials = records.search.get("trials", [])
    if not trials:
        return None
    own, varied = records.params.tuning, listed(trials[0].get("params", {}))
    searched = f"{len(trials)} settings by TPE over {varied}" if len(trials) > 1 else f"one setting of {varied}"
    value = (
        f"{searched}; {own.folds} folds × {own.repeats}, stratified by label and center, nested for the estimate; "
        f"seed {own.seed}"
    )
    return Evidence(record=f"data/models/{records.files.best}/search.json: trials", value=value)


def selection(records: Records) -> Evidence | None:
    """How the final model was chosen."""
    if not records.best_cohorts:
        return None
    n = len(records.files.metrics)
    value = f"{records.files.best}: largest nested cross-validated AUC of {n} model{'' if n == 1 else 's'}"
    return Evidence(record=f"{METRICS}: <model>.training.auc", value=f"{value}; no test patient had a part")


def recalibration(records: Records) -> Evidence | None:
    """Whether probabilities were recalibrated, on whom."""
    found = records.best.summary.get("recalibration") if records.best is not None else None
    if not found:
        return None
    shown = listed(_pair(key, found[key]) for key in ("intercept", "slope") if key in found)
    value = f"logistic recalibration on out-of-fold training probabilities ({shown}); none on test patients"
    return Evidence(record=f"data/models/{records.files.best}/summary.json: recalibration", value=value)


def package(records: Records) -> Evidence | None:
    """The package that predicts."""
    if records.best is None:
        return None
    value = f"package {records.best.digest[:16]}: all coefficients as arrays; radmill export makes one file of it"
    return Evidence(record=records.package, value=value)


def thresholds(records: Records) -> Evidence | None:
    """Operating points and where they come from."""
    points = records.best_cohorts.get("training", {}).get("at", {})
    if not points:
        return None
    target = sensitivity_name(records.params.evaluation.target_sensitivity)
    words = {"youden": "Youden", target: f"sensitivity {records.params.evaluation.target_sensitivity:g}"}
    told = listed(f"{words.get(name, name)} {cells['threshold']:.3f}" for name, cells in points.items())
    value = f"probabilities; thresholds from out-of-fold training probabilities: {told}"
    return Evidence(record=f"{METRICS}: {records.files.best}.training.at", value=value)


def dimensionality(records: Records) -> Evidence | None:
    """Events for each fitted dimension."""
    cells = records.best_cohorts.get("training", {})
    kept = kept_components(records.files, str(records.files.best)) if records.best is not None else None
    riley = _riley(records)
    if riley is not None:
        return riley
    if not cells or not kept:
        return None
    rarer = min(cells["events"], cells["n"] - cells["events"])
    value = f"{rarer} training patients of the rarer class for {kept} components: {rarer / kept:.1f} each"
    return Evidence(
        record=f"{METRICS}: {records.files.best}.training.events; data/models/{records.files.best}/components.json",
        value=value,
        is_done=rarer / kept >= EVENTS_PER_COMPONENT,
    )


def sample_size(records: Records) -> Evidence | None:
    """What Riley's criteria say of the number of patients."""
    found = _riley(records)
    return None if found is None else replace(found, is_done=True)


def robust_features(records: Records) -> Evidence | None:
    """Whether the best model leaves out features that depend on the outline."""
    model = records.params.models.get(records.files.best or "")
    if model is None:
        return None
    value = "filter by agreement of outlines" if model.stability is not None else "the chosen model has no such filter"
    path = f"params.yaml: models.{records.files.best}.stability"
    return Evidence(record=path, value=value, is_done=model.stability is not None)


def redundant_features(records: Records) -> Evidence | None:
    """Whether the best model leaves out features that say the same."""
    model = records.params.models.get(records.files.best or "")
    if model is None:
        return None
    value = "the chosen model has no such filter; components remove no feature"
    if model.redundancy is not None:
        value = f"one of each group with a rank correlation from {model.redundancy.threshold:g} on"
    path = f"params.yaml: models.{records.files.best}.redundancy"
    return Evidence(record=path, value=value, is_done=model.redundancy is not None)


def _riley(records: Records) -> Evidence | None:
    rows = records.rows_of_best("sample_size").to_dict("records")
    if not rows or rows[0].get("enough") not in (True, False):
        return None
    row = rows[0]
    needed = "" if row["n_needed"] != row["n_needed"] else f", {row['n_needed']:.0f} needed"
    value = (
        f"{row['n']:.0f} training patients{needed} by Riley's criteria; {row['events_per_parameter']:.1f} of the rarer "
        f"class for each of {row['parameters']:.0f} parameters"
    )
    return Evidence(record="data/evaluation/tables/sample_size.csv", value=value, is_done=bool(row["enough"]))


def _pair(key: str, value: Any) -> str:
    return f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"


MODEL_RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        split, cohort_sizes, missing_data, class_balance, predictor_pool, predictors, feature_count, agreement, scaling,
        reduction, algorithm, tuning, selection, recalibration, package, thresholds, dimensionality, sample_size,
        robust_features, redundant_features,
    )
}  # fmt: skip
