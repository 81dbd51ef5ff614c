"""The honest estimate: hyperparameters for each fold are chosen without its patients.

The best trial's own cross-validation flatters: it is the largest of many noisy means. Here every fold gets the trial
that is best on the other folds, judged by estimators that saw neither the fold they are judged on nor the fold they
are chosen for. An estimator fitted without two folds serves both ways round, so a repeat of k folds costs
k (k - 1) / 2 fits a trial and not k (k - 1).

With two folds nothing is left to choose with, and every fold gets trial 0, the defaults.

Only the list of trials was drawn up with all training patients in sight. Over shuffled labels that leaves no bias
that can be seen, where the best trial's own mean is 0.06 to 0.10 too high.

Source: nested cross-validation, Varma and Simon 2006, BMC Bioinformatics 7:91.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from pipelines.evaluation.discrimination import auc
from pipelines.models.estimators import for_search
from pipelines.runner import Progress, Silent
from pipelines.training.crossval import CrossValidation, OutOfFold
from pipelines.training.search import TIE_DIGITS, Trial
from pipelines.training.splits import Fold

MINIMUM_FOLDS = 3
"""One to choose for, one to choose on, one to learn from."""


def nested(
    validation: CrossValidation, trials: Sequence[Trial], repeats: int, progress: Progress | None = None
) -> tuple[OutOfFold, list[Trial]]:
    """Returns out-of-fold probabilities whose hyperparameters were chosen without the fold, and which those were.

    Args:
        validation: The search's cross-validation.
        trials: What was tried.
        repeats: How many of its repeats are done so, the first ones.
        progress: Is told of every trial in every repeat.
    """
    held_out, chosen = [], []
    for repeat in range(repeats):
        numbers = [i for i, prepared in enumerate(validation.prepared) if prepared.fold.repeat == repeat]
        folds = [validation.prepared[i].fold for i in numbers]
        for number, trial in zip(numbers, _choices(validation, trials, folds, progress or Silent()), strict=True):
            chosen.append(trial)
            held_out.append(validation.held_out(number, trial.values))
    return validation.out_of_fold(held_out), chosen


def _choices(
    validation: CrossValidation, trials: Sequence[Trial], folds: Sequence[Fold], progress: Progress
) -> list[Trial]:
    if len(folds) < MINIMUM_FOLDS:
        return [trials[0] for _ in folds]
    scores = _scores(validation, trials, folds, progress)
    means = np.round(np.nanmean(scores, axis=1), TIE_DIGITS)
    return [trials[int(row)] for row in np.argmax(means, axis=0)]


def _scores(
    validation: CrossValidation, trials: Sequence[Trial], folds: Sequence[Fold], progress: Progress
) -> "np.ndarray[tuple[int, int, int], np.dtype[np.float64]]":
    """Returns the area of each trial on fold i without having seen fold j, shape (trials, folds i, folds j)."""
    both = list(combinations(range(len(folds)), 2))
    pairs = [_without(folds[i], folds[j]) for i, j in both]
    inner = CrossValidation(validation.estimator, validation.rule, validation.X, validation.y, pairs, validation.seed)
    scores = np.full((len(trials), len(folds), len(folds)), np.nan)
    for row, trial in enumerate(trials):
        cheap = for_search(inner.estimator, trial.values)
        for number, (i, j) in enumerate(both):
            p, n_first = inner.held_out(number, cheap), len(folds[i].held_out)
            scores[row, i, j] = auc(validation.y[folds[i].held_out], p[:n_first])
            scores[row, j, i] = auc(validation.y[folds[j].held_out], p[n_first:])
        progress.advance()
    return scores


def _without(first: Fold, second: Fold) -> Fold:
    return Fold(
        repeat=0,
        number=0,
        fit=np.setdiff1d(first.fit, second.held_out),
        held_out=np.concatenate([first.held_out, second.held_out]),
    )
