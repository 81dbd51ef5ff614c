"""Searches a model's hyperparameters inside the training patients, fits it, and leaves a candidate."""

from collections.abc import Sequence
from pathlib import Path

from featurestore.covariates import covariate_columns, refuse_label, refuse_lacking, refuse_telling
from featurestore.errors import InputError
from featurestore.fingerprints import digest
from featurestore.harmonization import CombatRules
from featurestore.repeats import read_repeats
from featurestore.training_sets import TRAINING, TrainingSet
from pipelines.models.base import Floats
from pipelines.models.components import ComponentRule
from pipelines.models.spaces import SPACES, space
from pipelines.models.steps import RowFacts, StabilityRule, Steps
from pipelines.models.tabular import TabularModel
from pipelines.params import Params
from pipelines.params.modelling import Model, TuningSection
from pipelines.record import installed
from pipelines.runner import Progress, Silent
from pipelines.training.candidate import write_candidate
from pipelines.training.crossval import CrossValidation
from pipelines.training.dealing import folds_of
from pipelines.training.direct import fit_direct, maker_of
from pipelines.training.direct_candidate import write_direct_candidate
from pipelines.training.explaining import write_explanations
from pipelines.training.nested import nested
from pipelines.training.recalibration import fit_recalibration
from pipelines.training.results import Tuned, TuneSummary
from pipelines.training.search import Journal, best, derived_seed, search
from pipelines.training.splits import Fold
from pipelines.workspace import Workspace

CLINICAL = "clinical"


class UnknownModelError(InputError):
    """The model is not declared."""

    default_remedy = "name one of the models of params.yaml"


def tune(workspace: Workspace, params: Params, name: str, progress: Progress | None = None) -> TuneSummary:
    """Writes `data/models/<name>/`. A killed search is taken up again and gives the same candidate.

    Raises:
        UnknownModelError: The model is not declared.
        TooFewPatientsError: A class has fewer training patients than folds.
        SpaceError: A search range is not one.
    """
    from threadpoolctl import threadpool_limits

    if name not in params.models:
        raise UnknownModelError(f"there is no model {name!r}; declared: {', '.join(params.models)}", where="models")
    settings, telling = params.models[name], progress or Silent()
    whole = TrainingSet.load(workspace.training(settings.service))
    if settings.estimator not in SPACES:
        return _tune_direct(workspace, params, name, whole)
    journal = Journal(workspace.state / "search" / f"{name}.json", _context(whole, settings, params.tuning))
    telling.start(f"tune {name}", params.tuning.trials * (1 + params.tuning.nested_repeats))
    with threadpool_limits(1):  # sums in another order would give other bits
        part = whole.part(TRAINING)
        repeats = own_repeats(workspace.training(settings.service), part) if settings.stability else None
        tuned = fit_best(part, settings, params.tuning, journal, telling, repeats)
        target = params.evaluation.target_sensitivity
        summary = write_candidate(workspace.model(name), name, whole, settings, tuned, target)
        write_explanations(workspace.model(name), part, settings, params.tuning, tuned, repeats)
    telling.finish()
    journal.remove()
    return summary


def _tune_direct(workspace: Workspace, params: Params, name: str, whole: TrainingSet) -> TuneSummary:
    """Fits a model that has nothing to search."""
    from threadpoolctl import threadpool_limits

    settings, part = params.models[name], whole.part(TRAINING)
    make = maker_of(settings, part)
    with threadpool_limits(1):
        folds = folds_of(part, params.tuning)
        fitted = fit_direct(part.X, part.y, make, folds, min(params.tuning.nested_repeats, params.tuning.repeats))
        target = params.evaluation.target_sensitivity
        return write_direct_candidate(workspace.model(name), name, whole, settings, fitted, target)


def fit_best(
    part: TrainingSet,
    settings: Model,
    tuning: TuningSection,
    journal: Journal | None = None,
    progress: Progress | None = None,
    repeats: Floats | None = None,
    folds: Sequence[Fold] | None = None,
) -> Tuned:
    """Searches, estimates and fits, on the given patients alone.

    Args:
        part: The training patients.
        settings: Estimator, components and search ranges.
        tuning: How the search goes.
        journal: Where finished trials are remembered.
        progress: Is told of every trial.
        repeats: The patients' features by other outlines, shape (n, k, p).
        folds: The folds, where they are given.
    """
    steps, facts = steps_of(settings, part), RowFacts(center=part.center, repeats=repeats)
    rule, seed = component_rule(settings), derived_seed(tuning.seed, "estimator")
    folds = folds or folds_of(part, tuning)
    validation = CrossValidation(settings.estimator, rule, part.X, part.y, folds, seed, steps, facts)
    parameters = space(settings.estimator, validation.n_components, settings.space, searched=rule.searched)
    trials = search(
        parameters,
        validation.score,
        trials=tuning.trials,
        batch=tuning.batch,
        seed=derived_seed(tuning.seed, "search"),
        journal=journal,
        progress=progress,
    )
    winner = best(trials)
    raw = validation.out_of_fold([validation.held_out(i, winner.values) for i in range(len(folds))])
    recalibration = fit_recalibration(part.y, raw.p)
    fitted = TabularModel(settings.estimator, winner.values, seed, rule, steps).fit(part.X, part.y, facts)
    return Tuned(
        parameters=parameters,
        trials=trials,
        best=winner,
        honest=nested(validation, trials, min(tuning.nested_repeats, tuning.repeats), progress),
        flattering=raw.recalibrated(recalibration),
        recalibration=recalibration,
        model=fitted.recalibrate(recalibration.coefficients),
    )


def steps_of(settings: Model, part: TrainingSet) -> Steps:
    """Returns the declared optional steps.

    Raises:
        InputError: A covariate is no column, is not known for everybody, or is the outcome by name or value.
    """
    combat, stability, redundancy = settings.harmonization, settings.stability, settings.redundancy
    return Steps(
        harmonization=None
        if combat is None
        else CombatRules(**{**combat.model_dump(), "covariates": tuple(combat.covariates)}),
        stability=None if stability is None else StabilityRule(**stability.model_dump()),
        redundancy=None if redundancy is None else redundancy.threshold,
        covariates=() if combat is None else _covariates(combat.covariates, part),
        beside=beside_of(part),
    )


def beside_of(part: TrainingSet) -> tuple[int, ...]:
    """Returns the clinical columns of a training set that has others too: they stand beside the components."""
    told = part.record.get("service", {})
    views = [(str(one["view"]), set(one["phases"])) for one in (told, *told.get("joins", ())) if "view" in one]
    clinical = {phase for view, phases in views if view == CLINICAL for phase in phases}
    if {view for view, _ in views} <= {CLINICAL}:
        return ()
    return tuple(i for i, name in enumerate(part.names) if name.partition(".")[0] in clinical)


def _covariates(names: list[str], part: TrainingSet) -> tuple[int, ...]:
    label = part.record.get("rules", {}).get("label", {})
    refuse_label(names, [str(part.record.get("label", "")), str(label.get("column", ""))])
    own = covariate_columns(part.names, names)
    refuse_lacking(part.X, own, names)
    refuse_telling(part.X[:, own], names, part.y)
    return tuple(own.tolist())


def own_repeats(folder: Path, part: TrainingSet) -> Floats | None:
    """Returns a set's features by other outlines, shape (n, k, p); none where it has no such rows."""
    told = part.record.get("repeats", {"rows": []})
    return read_repeats(folder, part.names, part.center, part.case_id, told["rows"])


def component_rule(settings: Model) -> ComponentRule:
    """Returns the declared rule for the number of components."""
    reduction = settings.reduction
    return ComponentRule(**reduction.model_dump())


def _context(whole: TrainingSet, settings: Model, tuning: TuningSection) -> str:
    """Returns a hash of all that decides a trial's score."""
    return digest(
        {
            "training_set": whole.digest,
            "model": settings.model_dump(mode="json"),
            "tuning": tuning.model_dump(mode="json"),
            "versions": installed("radmill", "numpy", "scikit-learn", "optuna"),
        }
    )
