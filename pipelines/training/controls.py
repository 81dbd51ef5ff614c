"""Negative controls: with shuffled labels there is nothing to find, and nothing may be found."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from featurestore.training_sets import INTERNAL, TRAINING, TrainingSet
from pipelines.evaluation.discrimination import auc, fold_auc_estimate
from pipelines.evaluation.estimates import Estimate
from pipelines.models.base import Floats, Labels
from pipelines.models.steps import RowFacts
from pipelines.params.modelling import Model, TuningSection
from pipelines.training.results import Tuned
from pipelines.training.tune import fit_best

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True, eq=False)
class ShuffledFit:
    """What a search on shuffled labels found.

    Args:
        tuned: The search, and the model fitted with it.
        training: The nested cross-validated area of the training patients with its interval.
        internal: The area on the patients kept aside; NaN where there is nobody, or one class.
    """

    tuned: Tuned
    training: Estimate
    internal: float


@dataclass(frozen=True, kw_only=True)
class ShuffledAucs:
    """The areas under the ROC curve that one shuffle of the labels gives; NaN for a cohort with one class or nobody.

    Args:
        seed: The shuffle.
        training: Nested cross-validation in the training patients.
        training_low: The lower end of its interval.
        training_high: The upper end.
        internal: The patients kept aside.
        external: The external patients.
        best_trial: The best trial's own cross-validation, which is too high even here.
    """

    seed: int
    training: float
    training_low: float
    training_high: float
    internal: float
    external: float
    best_trial: float


def dealt_anew(whole: TrainingSet, seed: int) -> TrainingSet:
    """Returns the set with its labels shuffled.

    Those of training patients and of those kept aside are dealt among themselves, so that both keep their numbers of
    events.
    """
    rng, y = np.random.default_rng(seed), whole.y.copy()
    for side in (TRAINING, INTERNAL):
        at = whole.split == side
        y[at] = rng.permutation(y[at])
    return replace(whole, y=y)


def fit_shuffled(
    development: TrainingSet, settings: Model, tuning: TuningSection, repeats: Floats | None = None
) -> ShuffledFit:
    """Does what `tune` does, on labels that were shuffled before.

    Args:
        development: The training set with such labels.
        settings: The model.
        tuning: How it is searched; few trials are enough.
        repeats: The training patients' features by other outlines, shape (n, k, p).
    """
    internal = development.part(INTERNAL)
    tuned = fit_best(development.part(TRAINING), settings, tuning, repeats=repeats)
    honest, facts = tuned.nested, RowFacts(center=internal.center)
    return ShuffledFit(
        tuned=tuned,
        training=fold_auc_estimate(honest.y, honest.p, honest.fold, CONFIDENCE),
        internal=auc(internal.y, tuned.model.predict_proba(internal.X, facts)) if len(internal.y) else float("nan"),
    )


def shuffled_aucs(
    whole: TrainingSet,
    X_external: Floats,
    y_external: Labels,
    settings: Model,
    tuning: TuningSection,
    seeds: Sequence[int],
) -> list[ShuffledAucs]:
    """Shuffles the labels over all patients, development and external, and does what `tune` does, once a seed.

    Args:
        whole: The training set.
        X_external: External features in the training set's order, shape (m, p); m may be 0.
        y_external: External labels, shape (m,).
        settings: The model.
        tuning: How it is searched; few trials are enough.
        seeds: One shuffle each.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return [_shuffled(whole, X_external, y_external, settings, tuning, seed) for seed in seeds]


def _shuffled(
    whole: TrainingSet, X_external: Floats, y_external: Labels, settings: Model, tuning: TuningSection, seed: int
) -> ShuffledAucs:
    labels = np.random.default_rng(seed).permutation(np.concatenate([whole.y, y_external]).astype(np.int8))
    n = len(whole.y)
    fitted = fit_shuffled(replace(whole, y=labels[:n]), settings, tuning)
    model, estimate = fitted.tuned.model, fitted.training
    return ShuffledAucs(
        seed=seed,
        training=fitted.tuned.nested.auc(),
        training_low=float("nan") if estimate.low is None else estimate.low,
        training_high=float("nan") if estimate.high is None else estimate.high,
        internal=fitted.internal,
        external=auc(labels[n:], model.predict_proba(X_external)) if len(X_external) else float("nan"),
        best_trial=fitted.tuned.flattering.auc(),
    )
