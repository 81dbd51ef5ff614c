"""Answers about testing: cohorts, measures, comparisons."""

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
    """Importance of features, where the evaluation computed it."""
    found = records.table("importance", "feature_importance", "permutation_importance", "shap", "shap_importance")
    if found is None:
        return None
    return Evidence(record=found[0], value=f"importance in {len(found[1])} rows, carried back to features")


def feature_statistics(records: Records) -> Evidence | None:
    """The list of features with their statistics."""
    found = records.table("features", "feature_list", "feature_statistics", "univariable")
    if found is None:
        return None
    value = f"{len(found[1])} rows with {listed(found[1].columns)}"
    return Evidence(record=found[0], value=value)


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
    found = records.table("subgroups", "subgroup", "subgroup_performance")
    if found is None:
        return None
    return Evidence(record=found[0], value=f"performance in {len(found[1])} subgroups")


def clusters(records: Records) -> Evidence | None:
    """Performance by center."""
    found = records.table("heterogeneity", "centers", "forest", "subgroups")
    if found is not None and any("center" in str(value) for value in found[1].to_numpy().ravel()):
        return Evidence(record=found[0], value="performance by center with its heterogeneity")
    alone = {name.partition(".")[2]: cells for name, cells in records.best_cohorts.items() if "." in name}
    told = [f"{name} {number(cells['auc'])} ({interval(cells, 'auc')})" for name, cells in alone.items()]
    if not told:
        return None
    return Evidence(record=f"{METRICS}: {records.files.best}.external.<center>", value=f"AUC by center: {listed(told)}")


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
        simple_model, single_phase, decision_curves, interpretation, feature_statistics, performance, baseline,
        cohort_differences, subgroups, clusters, has_networks,
    )
}  # fmt: skip
