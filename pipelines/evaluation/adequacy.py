"""Whether the training patients are enough for what each model fits."""

from collections.abc import Mapping
from typing import Any

from pipelines.evaluation.sample_size import (
    EXPECTED_NAGELKERKE,
    expected_shrinkage,
    maximum_r2,
    r2_from_area,
    sample_size,
)

SAMPLE_SIZE = (
    "model", "n", "events", "parameters", "events_per_parameter", "auc", "r2", "nagelkerke", "shrinkage",
    "n_shrinkage", "n_optimism", "n_intercept", "n_needed", "n_needed_cautious", "enough", "reason",
)  # fmt: skip
LEAST_AREA, LARGEST_AREA = 0.51, 0.999
Row = dict[str, object]


def adequacy_row(model: str, n: int, events: int, area: float | None, parameters: int | None) -> Row:
    """Returns what Riley's criteria say of one model.

    The expected R² comes from the cross-validated area; `n_needed_cautious` takes instead that 15 % of what is
    explainable is explained. The criteria are for a regression with so many candidate parameters. For principal
    components these are the components that are fitted, found without the outcome; forests and networks need more.

    Args:
        model: Its name.
        n: Training patients.
        events: Those with the outcome.
        area: The cross-validated area.
        parameters: Candidate parameters; none where that has no meaning.
    """
    head: Row = {"model": model, "n": n, "events": events, "parameters": parameters}
    rarer = min(events, n - events)
    if not parameters or not rarer:
        return {**head, "reason": "one class" if parameters else "the number of candidate parameters is not known"}
    head |= {"events_per_parameter": rarer / parameters}
    prevalence = events / n
    cautious = sample_size(EXPECTED_NAGELKERKE * maximum_r2(prevalence), parameters, prevalence).needed
    head |= {"n_needed_cautious": cautious}
    if area is None or area < LEAST_AREA:
        reason = "cross-validation finds nothing that a sample size could be reckoned from"
        return {**head, "auc": area, "enough": False, "reason": reason}
    r2 = r2_from_area(min(area, LARGEST_AREA), prevalence)
    found = sample_size(r2, parameters, prevalence)
    return {
        **head,
        "auc": area,
        "r2": r2,
        "nagelkerke": found.nagelkerke,
        "shrinkage": expected_shrinkage(r2, parameters, n),
        "n_shrinkage": found.shrinkage,
        "n_optimism": found.optimism,
        "n_intercept": found.intercept,
        "n_needed": found.needed,
        "enough": n >= found.needed,
        "reason": "",
    }


def parameters_of(summary: Mapping[str, Any]) -> int | None:
    """Returns how many candidate parameters a model has: clinical columns, kept components, or members it weighs.

    Weights of a network are no parameters in this sense.
    """
    if summary.get("estimator") == "clinical" or "fusion" in summary:
        return int(summary["n_parameters"]) if summary.get("n_parameters") else None
    components = summary.get("components")
    return components if isinstance(components, int) and components > 0 else None
