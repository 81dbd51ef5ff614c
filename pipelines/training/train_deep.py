"""Trains a network on the training patients: one for each fold to judge by, and one on all of them to keep.

The folds are those of the tabular models, so that probabilities of both may be stacked. What a finished fold said stays
in the scratch folder and is used again as long as nothing that decides it changed: a killed run goes on in the fold
where it was, and a patient who is kept aside does not train anything anew.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from featurestore.errors import InputError
from featurestore.files import sweep
from featurestore.fingerprints import array_digest, digest
from featurestore.tables import read_frame
from featurestore.training_sets import INTERNAL, TRAINING, TrainingSet
from pipelines.models.patches import NoPatchError, Recipe, check_margin, cohort_patches
from pipelines.models.resnet import Network, Patches
from pipelines.models.resnet_training import Trained
from pipelines.params import Params
from pipelines.params.deep import DeepModel
from pipelines.record import installed
from pipelines.runner import Progress, Silent
from pipelines.training.dealing import DEALING, folds_of
from pipelines.training.deep_candidate import write_deep_candidate
from pipelines.training.deep_folds import FoldOutcome, School, out_of_fold, recalibrated_by_others
from pipelines.training.deep_results import DeepSummary, Learned
from pipelines.training.deep_settings import recipe_of, rules_of, spec_of, starting_weights
from pipelines.training.recalibration import fit_recalibration
from pipelines.training.tune import UnknownModelError
from pipelines.workspace import Workspace


class NoPatchesError(InputError):
    """Patients of the training set have no stored images, so a network has nothing to look at."""

    default_remedy = "name a service of the view radiomics, and run ingest again where stored cases are missing"


def train_deep(workspace: Workspace, params: Params, name: str, progress: Progress | None = None) -> DeepSummary:
    """Writes `data/models/<name>/`. A killed training is taken up again and gives the same candidate.

    Raises:
        UnknownModelError: The model is not declared.
        PatchReachError: The stored margin is smaller than the patch.
        NoPatchesError: A patient of the training set has no stored images.
        TooFewPatientsError: A class has fewer training patients than folds.
        WrongWeightsError: The file of weights is not for this network.
        NoDeviceError: A GPU is asked for and there is none.
    """
    from threadpoolctl import threadpool_limits

    if name not in params.deep:
        declared = ", ".join(params.deep) or "none"
        raise UnknownModelError(f"there is no deep model {name!r}; declared: {declared}", where="deep")
    settings = params.deep[name]
    recipe = recipe_of(params, settings)
    check_margin(recipe, params.margin.mm, params.margin.voxels, where=f"deep.{name}")
    whole = TrainingSet.load(workspace.training(settings.service))
    part = whole.part(TRAINING)
    patches, internal = (stored_patches(workspace, rows, recipe) for rows in (part, whole.part(INTERNAL)))
    start = starting_weights(workspace, settings, recipe)
    scratch = workspace.state / "deep"
    sweep(scratch, {path for model in params.deep for path in (scratch / model).glob("*")})
    with threadpool_limits(1):
        learned = learn(part, patches, recipe, settings, params, scratch / name, start, progress or Silent())
        target = params.evaluation.target_sensitivity
        return write_deep_candidate(workspace.model(name), name, whole, settings, learned, patches, internal, target)


def stored_patches(workspace: Workspace, part: TrainingSet, recipe: Recipe) -> Patches:
    """Returns the patches of the patients on one side of a training set, shape (n, c, …); n may be 0.

    Raises:
        NoPatchesError: A patient has no stored images.
    """
    cases = read_frame(workspace.view("development", "cases"))
    if not len(part.y):
        return np.empty((0, *recipe.shape), np.float32)
    patients = list(zip(part.center.tolist(), part.case_id.tolist(), strict=True))
    try:
        return cohort_patches(workspace.cases("development"), cases, patients, recipe)
    except NoPatchError as error:
        raise NoPatchesError(error.what, where=error.where) from error


def learn(
    part: TrainingSet,
    patches: Patches,
    recipe: Recipe,
    settings: DeepModel,
    params: Params,
    scratch: Path,
    start: Mapping[str, NDArray[np.float32]] | None,
    progress: Progress,
) -> Learned:
    """Trains the networks of all folds and the final one, on the given patients alone.

    Args:
        part: The training patients.
        patches: Their patches, shape (n, c, …).
        recipe: How these were cut.
        settings: The model's section of `params.yaml`.
        params: All of it; `tuning` has folds and seed.
        scratch: Where finished folds and checkpoints are kept.
        start: Tensors to start from.
        progress: Is told of every epoch.
    """
    tuning = params.tuning
    folds = [fold for fold in folds_of(part, tuning) if fold.repeat < settings.repeats]
    spec, rules = spec_of(settings, recipe), rules_of(settings, recipe)
    context = _context(part, patches, settings, tuning.folds, tuning.seed)
    school = School(
        y=part.y,
        center=part.center,
        patches=patches,
        spec=spec,
        rules=rules,
        inner_fraction=settings.inner_fraction,
        seed=tuning.seed,
        scratch=scratch,
        context=context,
        start=start,
    )
    known = sum(school.known(fold) is not None for fold in folds)
    progress.start("train networks", (len(folds) - known + 1) * rules.epochs, unchanged=known * rules.epochs)
    outcomes = tuple(school.fold(fold, progress) for fold in folds)
    n_epochs = math.ceil(np.median([outcome.best for outcome in outcomes])) + 1
    final = school.final(n_epochs, progress)
    progress.finish()
    return _learned(recipe, school, outcomes, n_epochs, final)


def _learned(
    recipe: Recipe, school: School, outcomes: tuple[FoldOutcome, ...], n_epochs: int, final: Trained
) -> Learned:
    raw = out_of_fold(school.y, outcomes, school.rules.is_balanced)
    recalibration = fit_recalibration(school.y, raw.p)
    honest, steps = recalibrated_by_others(raw, [outcome.fold for outcome in outcomes])
    prior = float(logit(school.y.mean())) if school.rules.is_balanced else 0.0
    # both classes weighed the same while it learned, so the share of positives comes in again here
    coefficients = np.array([recalibration.intercept + recalibration.slope * prior, recalibration.slope])
    return Learned(
        recipe=recipe,
        rules=school.rules,
        outcomes=outcomes,
        n_epochs=n_epochs,
        final=final.history,
        nested=honest,
        flattering=raw.recalibrated(recalibration),
        recalibrations=steps,
        recalibration=recalibration,
        network=Network(spec=school.spec, shape=recipe.shape, state=final.state, coefficients=coefficients),
    )


def _context(part: TrainingSet, patches: Patches, settings: DeepModel, folds: int, seed: int) -> str:
    """Returns a hash of all that decides a network; patients who are kept aside have no part in it."""
    return digest(
        {
            "patients": list(zip(part.center.tolist(), part.case_id.tolist(), part.y.tolist(), strict=True)),
            "patches": array_digest(patches),
            "model": settings.model_dump(mode="json", exclude={"service", "repeats"}),
            "folds": [folds, seed],
            **({} if part.position is None else {"dealt": [part.position.tolist(), part.record[DEALING]]}),
            "versions": installed("radmill", "numpy", "torch", "monai"),
        }
    )
