"""Sections that decide how models are made and judged."""

from typing import Literal

from pydantic import Field

from pipelines.params.base import Name, Section


class Join(Section):
    """Columns of a further view, joined to a service by patient.

    Args:
        view: `radiomics`, `clinical`, `acquisition` or an imported view.
        phases: Its phases; all that the view has when left out.
        columns: A regular expression on its column names.
    """

    view: Name
    phases: list[Name] = []
    columns: str = ".*"


class Service(Section):
    """A feature service: the named columns a model needs.

    Args:
        view: The feature view: `radiomics`, `clinical`, `acquisition` or an imported view.
        phases: The phases whose columns are joined, each under its prefix; all that the view has when left out.
        columns: A regular expression on feature names.
        missing_phase: What to do with a patient who lacks one of the phases (or a row of a joined view): leave him out,
            stop, or fill the gap with the training patients' medians. For models of single phases see `fusion`.
        repeats: The view whose other outlines agreement is computed from: several observers, or perturbed outlines.
        joins: Columns of further views; a patient needs a row in each.
        centers: The development centers whose patients it takes; all of them when left out.
    """

    view: Name = "radiomics"
    phases: list[Name] = []
    columns: str = ".*"
    missing_phase: Literal["drop", "refuse", "impute"] = "drop"
    repeats: Literal["observers", "perturbed"] | None = None
    joins: list[Join] = []
    centers: list[Name] | None = Field(default=None, min_length=1)


class ColumnLimits(Section):
    """What a person says of some columns.

    Args:
        columns: A regular expression on column names.
        view: The view they are in; all views when left out.
        minimum: The smallest value that is possible.
        maximum: The largest.
        missing_at_most: The largest share of rows without a value.
        severity: An error stops the run, a warning goes to the study page.
    """

    columns: str
    view: Name | None = None
    minimum: float | None = None
    maximum: float | None = None
    missing_at_most: float | None = Field(default=None, ge=0, le=1)
    severity: Literal["error", "warning"] = "error"


class ValidationSection(Section):
    """Which rules hold for the development tables, and what a breach means.

    Args:
        severity: By rule, or by `phase.rule`: `error`, `warning`, or `off`; the rule's own when left out.
        columns: Limits of columns.
        batches: Acquisition columns (and `center`) whose mark on the features is measured.
    """

    severity: dict[str, Literal["error", "warning", "off"]] = {}
    columns: list[ColumnLimits] = []
    batches: list[str] = ["center", "manufacturer", "kernel"]


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
    """Principal components: how many. Or single features in their place.

    Args:
        rule: `tuned` lets the search choose, `variance` takes the share below, `knee` where the curve flattens;
            `features` takes single features in place of components, ranked in each training fold, and lets the search
            choose how many.
        variance: The share of variance to keep.
        maximum: Never more than this.
        ranking: How single features are ranked: `mrmr` by relevance and little redundancy, `lasso` by the weights of a
            sparse logistic regression, `trees` by their importance in extremely randomized trees.
    """

    rule: Literal["tuned", "variance", "knee", "features"] = "tuned"
    variance: float = Field(default=0.95, gt=0, lt=1)
    maximum: int = Field(default=30, ge=1)
    ranking: Literal["mrmr", "lasso", "trees"] = "mrmr"


class Harmonization(Section):
    """ComBat over centers, fitted in each training fold; the outcome has no part in it.

    Args:
        prior: Empirical Bayes with normal and inverse-gamma priors, with the features' own, or none.
        reference: The development center whose features stay as they are; the mean of all when left out.
        minimum_cases: How many unlabelled cases of a new center its shift is estimated from, at least; until then they
            wait.
        covariates: Columns of the model's service whose effect on the features is kept, in full (`clinical.age`); they
            must be known for everybody, and the outcome, or a column that tells it, is refused.
    """

    prior: Literal["parametric", "nonparametric", "none"] = "parametric"
    reference: Name | None = None
    minimum_cases: int = Field(default=20, ge=3)
    covariates: list[str] = []


class Stability(Section):
    """Only features that agree between outlines are used; judged in each training fold.

    Args:
        kind: ICC(2,1), raters are a sample of all raters, or ICC(3,1), these are the only ones.
        minimum: The smallest agreement.
        bound: Whether the estimate or the lower end of its 95 % interval must reach it.
    """

    kind: Literal["icc2", "icc3"] = "icc2"
    minimum: float = Field(default=0.75, gt=0, lt=1)
    bound: Literal["estimate", "low"] = "low"


class Redundancy(Section):
    """One of each group of features that say the same is used; found in each training fold.

    Args:
        threshold: The absolute rank correlation from which on two features say the same.
    """

    threshold: float = Field(default=0.9, gt=0, le=1)


class Screening(Section):
    """Which clinical columns a clinical model takes; found in each training fold.

    Args:
        p_enter: A predictor below it, looked at alone, enters the multivariable model.
        test: Of a predictor looked at alone: Wald's, or by likelihood ratio.
        retain: `independent` fits again with those below `p_enter` beside the others (or with all that entered, where
            there is none); `entered` keeps all that entered.
    """

    p_enter: float = Field(default=0.05, gt=0, le=1)
    test: Literal["wald", "likelihood_ratio"] = "wald"
    retain: Literal["independent", "entered"] = "independent"


class Model(Section):
    """One model: PCA and an estimator on a feature service, or one of two that take columns as they are.

    Args:
        service: Which columns it sees.
        estimator: Logistic regression, random forest or multilayer perceptron on components; `clinical`, logistic
            regression on the clinical columns that pass `screening`; `probability`, what a table made elsewhere says,
            recalibrated.
        screening: Of the clinical model.
        given: What the one column of `probability` holds: probabilities, or log odds.
        reduction: How components are chosen.
        space: Search ranges that replace the estimator's default ones, by parameter name:
            a list of choices, or `{low, high, log}`.
        harmonization: ComBat over centers; left out when null.
        stability: The filter by agreement of outlines; needs the service's `repeats`.
        redundancy: The filter of features that say the same.
    """

    service: Name
    estimator: Literal["lr", "rf", "mlp", "clinical", "probability"]
    screening: Screening = Screening()
    given: Literal["probability", "log_odds"] = "probability"
    reduction: Reduction = Reduction()
    space: dict[str, list[float | int | str] | dict[str, float | bool]] = {}
    harmonization: Harmonization | None = None
    stability: Stability | None = None
    redundancy: Redundancy | None = None


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


class Subgroup(Section):
    """Patients grouped by a clinical or acquisition column.

    Args:
        column: Its name.
        cuts: Where a number is cut into groups; each group holds its lower end.
    """

    column: str
    cuts: list[float] = []


class Controls(Section):
    """Negative controls: the same search where there is nothing, or less, to be found.

    Args:
        label_shuffles: How often the labels are dealt anew, within the training patients and within those kept aside.
        trials: How many settings each of these searches tries.
        voxels: Whether features are computed of the same regions with their voxels shuffled as well, and the model
            searched anew on them: what it still reaches needs size, shape and histogram alone.
        models: Which models, of those with a search (`lr`, `rf`, `mlp`); the best by cross-validation when left out.
    """

    label_shuffles: int = Field(default=20, ge=0)
    trials: int = Field(default=5, ge=1)
    voxels: bool = True
    models: list[Name] = []


class EvaluationSection(Section):
    """How models are judged on each cohort.

    Args:
        bootstrap: Resamples for intervals that have no formula.
        confidence: Of all intervals.
        target_sensitivity: The second operating point, next to Youden's.
        net_benefit_range: Threshold probabilities of the decision curve.
        subgroups: Groups of patients in which every model is judged as well; centers always are.
        subgroup_patients: A group with fewer patients is too small to tell.
        subgroup_events: So is one with fewer patients with, or without, the outcome.
        controls: Negative controls.
        seed: Of the resamples.
    """

    bootstrap: int = Field(default=1000, ge=100)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    target_sensitivity: float = Field(gt=0, lt=1)
    net_benefit_range: tuple[float, float] = (0.05, 0.8)
    subgroups: list[Subgroup] = []
    subgroup_patients: int = Field(default=20, ge=2)
    subgroup_events: int = Field(default=5, ge=1)
    controls: Controls = Controls()
    seed: int
