"""Negative controls: with shuffled labels there is nothing to find, and nothing may be found."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from featurestore.training_sets import INTERNAL, TRAINING, TrainingSet
from pipelines.evaluation.discrimination import auc, fold_auc_estimate
from pipelines.models.base import Floats, Labels
from pipelines.params.modelling import Model, TuningSection
from pipelines.training.tune import fit_best

CONFIDENCE = 0.95


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
    development = replace(whole, y=labels[:n])
    internal = development.part(INTERNAL)
    tuned = fit_best(development.part(TRAINING), settings, tuning)
    honest = tuned.nested
    estimate = fold_auc_estimate(honest.y, honest.p, honest.fold, CONFIDENCE)
    return ShuffledAucs(
        seed=seed,
        training=honest.auc(),
        training_low=float("nan") if estimate.low is None else estimate.low,
        training_high=float("nan") if estimate.high is None else estimate.high,
        internal=auc(internal.y, tuned.model.predict_proba(internal.X)) if len(internal.y) else float("nan"),
        external=auc(labels[n:], tuned.model.predict_proba(X_external)) if len(X_external) else float("nan"),
        best_trial=tuned.flattering.auc(),
    )
