"""Sections that decide how models are made and judged."""

from typing import Literal

from pydantic import Field

from pipelines.params.base import Name, Section


class Service(Section):
    """A feature service: the named columns a model needs.

    Args:
        view: The feature view.
        phases: The phases whose columns are joined, each under its prefix.
        columns: A regular expression on feature names.
        missing_phase: What to do with a patient who lacks one of the phases.
    """

    view: Name = "radiomics"
    phases: list[Name] = Field(min_length=1)
    columns: str = ".*"
    missing_phase: Literal["drop", "refuse"] = "drop"


class SplitSection(Section):
    """Which development patients are kept aside for internal validation.

    The side follows from a seeded hash of center and case_id alone, so that nobody moves it by joining or leaving.

    Args:
        internal_fraction: The share that is kept aside.
        seed: Another seed gives another split.
        column: A clinical column that fixes the split instead.
    """

    internal_fraction: float = Field(gt=0, lt=1)
    seed: int
    column: str | None = None


class Reduction(Section):
    """Principal components: how many.

    Args:
        rule: `tuned` lets the search choose, `variance` takes the share below, `knee` where the curve flattens.
        variance: The share of variance to keep.
        maximum: Never more than this.
    """

    rule: Literal["tuned", "variance", "knee"] = "tuned"
    variance: float = Field(default=0.95, gt=0, lt=1)
    maximum: int = Field(default=30, ge=1)


class Model(Section):
    """One model: PCA and an estimator on a feature service.

    Args:
        service: Which columns it sees.
        estimator: Logistic regression, random forest or multilayer perceptron.
        reduction: How components are chosen.
        space: Search ranges that replace the estimator's default ones, by parameter name:
            a list of choices, or `{low, high, log}`.
    """

    service: Name
    estimator: Literal["lr", "rf", "mlp"]
    reduction: Reduction = Reduction()
    space: dict[str, list[float | int | str] | dict[str, float | bool]] = {}


class TuningSection(Section):
    """Search by repeated, stratified cross-validation inside the training patients.

    Args:
        trials: How many settings are tried.
        folds: Parts of each cross-validation.
        repeats: How often the parts are drawn anew.
        nested_repeats: In how many of these the settings are chosen without the part they are judged on.
        batch: Settings asked for at once; fixed, so that one worker or two give the same search.
        seed: Of sampler, folds and estimators.
    """

    trials: int = Field(ge=1)
    folds: int = Field(ge=2)
    repeats: int = Field(ge=1)
    nested_repeats: int = Field(default=1, ge=1)
    batch: int = Field(default=5, ge=1)
    seed: int


class EvaluationSection(Section):
    """How models are judged on each cohort.

    Args:
        bootstrap: Resamples for intervals that have no formula.
        confidence: Of all intervals.
        target_sensitivity: The second operating point, next to Youden's.
        net_benefit_range: Threshold probabilities of the decision curve.
        seed: Of the resamples.
    """

    bootstrap: int = Field(default=1000, ge=100)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    target_sensitivity: float = Field(gt=0, lt=1)
    net_benefit_range: tuple[float, float] = (0.05, 0.8)
    seed: int
