"""Negative controls: with shuffled labels there is nothing to find, and nothing may be found."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from featurestore.training_sets import INTERNAL, TRAINING, TrainingSet
from pipelines.evaluation.discrimination import auc
from pipelines.models.base import Floats, Labels
from pipelines.params.modelling import Model, TuningSection
from pipelines.training.tune import fit_best


@dataclass(frozen=True, kw_only=True)
class ShuffledAucs:
    """The areas under the ROC curve that one shuffle of the labels gives; NaN for a cohort with one class or nobody.

    Args:
        seed: The shuffle.
        training: Nested cross-validation in the training patients.
        internal: The patients kept aside.
        external: The external patients.
        best_trial: The best trial's own cross-validation, which is too high even here.
    """

    seed: int
    training: float
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
    return ShuffledAucs(
        seed=seed,
        training=tuned.nested.auc(),
        internal=auc(internal.y, tuned.model.predict_proba(internal.X)) if len(internal.y) else float("nan"),
        external=auc(labels[n:], tuned.model.predict_proba(X_external)) if len(X_external) else float("nan"),
        best_trial=tuned.flattering.auc(),
    )
