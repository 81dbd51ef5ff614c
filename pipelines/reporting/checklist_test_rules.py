"""Answers about testing: cohorts, measures, comparisons."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.reporting.checklist_model_rules import METRICS, SIMPLE
from pipelines.reporting.checklist_records import Evidence, Records, Rule, listed
from pipelines.reporting.pages import interval, number
from pipelines.reporting.sections import baseline_content
from pipelines.reporting.study_files import cohort_words

MEASURES = {
    "auc": "AUC",
    "average_precision": "average precision",
    "brier": "Brier score",
    "calibration_slope": "calibration slope",
    "calibration_intercept": "calibration intercept",
    "observed_expected": "observed to expected",
    "ici": "ICI",
}
TESTS = ("internal", "external")
COMPARISONS = "data/evaluation/tables/comparisons.csv"


def testing(records: Records) -> Evidence | None:
    """Which tests were done on whom."""
    told = [
        f"{name} test on {cells['n']} patients"
        for name in TESTS
        if (cells := records.best_cohorts.get(name, {})).get("n")
    ]
    if not told:
        return None
    outside = sorted(name.partition(".")[2] for name in records.best_cohorts if "." in name)
    told += [f"external centers {listed(outside)}"] if outside else []
    return Evidence(record=f"{METRICS}: {records.files.best}", value="; ".join(told))


def internal_test(records: Records) -> Evidence | None:
    """Whether patients of the same centers were kept aside."""
    return _test(records, "internal")


def external_test(records: Records) -> Evidence | None:
    """Whether patients of other centers were tested."""
    return _test(records, "external")


def measures(records: Records) -> Evidence | None:
    """Which measures are on record for the test patients."""
    _, cells = _judged(records)
    found = [words for name, words in MEASURES.items() if cells.get(name) is not None]
    if not found:
        return None
    point: dict[str, Any] = next(iter(cells.get("at", {}).values()), {})
    found += [name for name in ("accuracy", "sensitivity", "specificity", "ppv", "npv", "f1") if name in point]
    found += ["confusion matrix"] if "tp" in point else []
    value = f"{listed(found, 20)}: ranking, probabilities, and decisions at fixed thresholds"
    return Evidence(record=f"{METRICS}: {records.files.best}.<cohort>", value=value)


def uncertainty(records: Records) -> Evidence | None:
    """Intervals, by which method."""
    _, cells = _judged(records)
    if cells.get("auc_low") is None:
        return None
    own = records.params.evaluation
    value = f"{100 * own.confidence:g} % intervals: DeLong for AUC, Wilson for shares, {own.bootstrap} bootstrap draws"
    return Evidence(record=f"{METRICS}: {records.files.best}.<cohort>.auc_low, auc_high", value=value)


def calibration(records: Records) -> Evidence | None:
    """Slope and intercept on the test patients."""
    cohort, cells = _judged(records)
    if cells.get("calibration_slope") is None:
        return None
    slope = f"slope {number(cells['calibration_slope'], 2)} ({interval(cells, 'calibration_slope')})"
    value = f"{cohort_words(cohort)}: {slope}, with intercept, flexible curve and Brier score"
    return Evidence(record=f"{METRICS}: {records.files.best}.{cohort}.calibration_slope", value=value)


def comparison(records: Records) -> Evidence | None:
    """Paired tests of models."""
    table = records.files.tables["comparisons"]
    if table.empty:
        return None
    value = f"{len(table)} pairs of models by DeLong's test on shared test patients, corrected by Holm"
    return Evidence(record=COMPARISONS, value=value)


def clinical_model(records: Records) -> Evidence | None:
    """Whether a model without images, or one that adds clinical columns, was judged beside."""
    found = [name for name in records.files.metrics if _is_clinical(records, name)]
    if not records.files.metrics:
        return None
    value = f"judged beside it: {listed(found)}" if found else "no model of clinical columns was judged"
    return Evidence(record=f"{METRICS}: {found[0] if found else '<model>'}", value=value, is_done=bool(found))


def simple_model(records: Records) -> Evidence | None:
    """Whether a simple reference stands beside: no information rate, logistic regression."""
    _, cells = _judged(records)
    rate = cells.get("no_information_rate")
    if rate is None:
        return None
    plain = [name for name in records.files.metrics if _estimator(records, name) in SIMPLE]
    value = f"no information rate {number(rate)}; simple models {listed(plain) or 'none'}"
    return Evidence(record=f"{METRICS}: {records.files.best}.<cohort>.no_information_rate", value=value)


def single_phase(records: Records) -> Evidence | None:
    """Whether the best model sees one phase, or was compared with models of one."""
    phases = {
        name: len(_manifest(records, name).get("service", {}).get("phases", [])) for name in records.files.metrics
    }
    if not any(phases.values()):
        return None
    alone = [name for name, n in phases.items() if n == 1]
    own = phases.get(str(records.files.best), 0)
    is_compared = bool(alone) and not records.files.tables["comparisons"].empty
    value = (
        f"the chosen model sees {own} phase{'' if own == 1 else 's'}; models of a single one: {listed(alone) or 'none'}"
    )
    return Evidence(record=f"{records.package}: service.phases", value=value, is_done=own == 1 or is_compared)


def decision_curves(records: Records) -> Evidence | None:
    """Net benefit."""
    curve = records.files.plots["decision"]
    if curve.empty:
        return None
    low, high = records.params.evaluation.net_benefit_range
    value = f"net benefit at thresholds from {low:g} to {high:g} against treating all and nobody"
    return Evidence(record="data/evaluation/plots/decision.csv", value=value)


def interpretation(records: Records) -> Evidence | None:
    """What each feature adds to the answers, or where a network looks."""
    features = records.of_best("importance.json").get("features", [])
    if features:
        value = f"contribution and permutation of {len(features)} features, first {listed(_names(features), 3)}"
        return Evidence(record=f"data/models/{records.files.best}/importance.json: features", value=value)
    maps = sorted(path.name for path in records.workspace.model(records.files.best or "none").glob("gradcam*"))
    if not maps:
        return None
    return Evidence(record=f"data/models/{records.files.best}/{maps[0]}", value="Grad-CAM of the surest patients")


def feature_statistics(records: Records) -> Evidence | None:
    """The list of features with their statistics."""
    found = records.table("features", "feature_list", "feature_statistics", "univariable")
    if found is not None:
        return Evidence(record=found[0], value=f"{len(found[1])} rows with {listed(found[1].columns)}")
    features = records.of_best("importance.json").get("features", [])
    if not features:
        return None
    value = f"{len(features)} features with {listed(key for key in features[0] if key != 'name')}"
    return Evidence(record=f"data/models/{records.files.best}/importance.json: features", value=value)


def performance(records: Records) -> Evidence | None:
    """The best model's area in every cohort."""
    told = [
        f"{cohort_words(name).lower()} {number(cells['auc'])} ({interval(cells, 'auc', 3)})"
        for name, cells in records.best_cohorts.items()
        if cells.get("auc") is not None
    ]
    if not told:
        return None
    return Evidence(record=f"{METRICS}: {records.files.best}.<cohort>.auc", value=f"AUC {'; '.join(told)}")


def baseline(records: Records) -> Evidence | None:
    """Characteristics by cohort."""
    groups, rows = baseline_content(records.files, "outcome")
    if not rows:
        return None
    value = f"{len(rows)} characteristics of {listed(group['words'] for group in groups)}, with tests and differences"
    return Evidence(record="data/views/*/clinical, data/views/*/acquisition", value=value)


def cohort_differences(records: Records) -> Evidence | None:
    """Characteristics that differ most between training and test patients."""
    groups, rows = baseline_content(records.files, "outcome")
    if not rows or len(groups) < 2:
        return None
    other = groups[-1]
    gaps = {row["title"]: row["contrasts"][other["name"]].difference for row in rows}
    far = sorted((gap, name) for name, gap in gaps.items() if gap is not None and gap > 0.1)
    told = listed(f"{name} {gap:.2f}" for gap, name in reversed(far)) or "none above 0.1"
    value = f"standardized differences of {other['words'].lower()} from training: {told}"
    return Evidence(record="data/views/*/clinical, data/views/*/acquisition", value=value)


def subgroups(records: Records) -> Evidence | None:
    """Performance in subgroups, where the evaluation has them."""
    rows = records.rows_of_best("subgroups")
    known = rows[(rows["subgroup"] != "center") & rows["auc"].notna()] if len(rows) else rows
    if known.empty:
        return None
    value = f"AUC with intervals by {listed(sorted(set(known['subgroup'])))} in {len(known)} groups"
    return Evidence(record="data/evaluation/tables/subgroups.csv", value=value)


def clusters(records: Records) -> Evidence | None:
    """Performance by center."""
    rows = records.rows_of_best("heterogeneity")
    own = rows[(rows["subgroup"] == "center") & rows["auc"].notna()] if len(rows) else rows
    if len(own):
        told = listed(
            f"{row['cohort']} {row['k']:.0f} centers, pooled AUC {row['auc']:.2f}, I² {_percent(row['i2'])}"
            for row in own.to_dict("records")
        )
        return Evidence(record="data/evaluation/tables/heterogeneity.csv", value=told)
    alone = {name.partition(".")[2]: cells for name, cells in records.best_cohorts.items() if "." in name}
    told = listed(f"{name} {number(cells['auc'])} ({interval(cells, 'auc')})" for name, cells in alone.items())
    if not told:
        return None
    return Evidence(record=f"{METRICS}: {records.files.best}.external.<center>", value=f"AUC by center: {told}")


def size_control(records: Records) -> Evidence | None:
    """Whether the model was compared with the region's size alone."""
    rows = records.rows_of_best("controls")
    known = rows[rows["difference"].notna() & (rows["name"] == "size_only")] if len(rows) else rows
    if known.empty:
        return None
    told = listed(f"{row['cohort']} {row['difference']:+.3f}" for row in known.to_dict("records"))
    value = f"AUC against volume alone, by DeLong's test: {told}".replace("-", "−")
    return Evidence(record="data/evaluation/tables/controls.csv", value=value)


def has_networks(records: Records) -> Evidence | None:
    """Whether a deep model was judged."""
    if not records.files.metrics:
        return None
    found = [name for name in records.files.metrics if _manifest(records, name).get("kind") == "deep"]
    value = f"networks: {listed(found) or 'none'}"
    return Evidence(record="data/models/*/package/manifest.json: kind", value=value, is_done=bool(found))


def _test(records: Records, cohort: str) -> Evidence | None:
    if not records.best_cohorts:
        return None
    n = records.best_cohorts.get(cohort, {}).get("n", 0)
    value = f"{n} patients" if n else "no such patients"
    return Evidence(record=f"{METRICS}: {records.files.best}.{cohort}.n", value=value, is_done=bool(n))


def _judged(records: Records) -> tuple[str, dict[str, Any]]:
    """Returns the cohort farthest from training that has both classes."""
    for name in (*reversed(TESTS), "training"):
        cells = records.best_cohorts.get(name, {})
        if cells.get("auc") is not None:
            return name, cells
    return "", {}


def _names(features: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(feature["name"]) for feature in features]


def _percent(value: float) -> str:
    return "–" if value != value else f"{100 * value:.0f} %"


def _manifest(records: Records, name: str) -> dict[str, Any]:
    found = records.files.models.get(name)
    return found.manifest if found is not None else {}


def _estimator(records: Records, name: str) -> str:
    return str(_manifest(records, name).get("model", {}).get("estimator", ""))


def _is_clinical(records: Records, name: str) -> bool:
    service = _manifest(records, name).get("service", {})
    views = {service.get("view"), *(join.get("view") for join in service.get("joins", []))}
    return _estimator(records, name) == "clinical" or "clinical" in views


TEST_RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        testing, internal_test, external_test, measures, uncertainty, calibration, comparison, clinical_model,
        size_control, simple_model, single_phase, decision_curves, interpretation, feature_statistics, performance,
        baseline, cohort_differences, subgroups, clusters, has_networks,
    )
}  # fmt: skip
