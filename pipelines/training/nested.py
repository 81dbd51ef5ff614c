"""The honest estimate: hyperparameters for each fold are chosen without its patients.

The best trial's own cross-validation flatters: it is the largest of many noisy means. Here every fold gets the trial
that is best on the other folds, judged by estimators that saw neither the fold they are judged on nor the fold they
are chosen for. An estimator fitted without two folds serves both ways round, so a repeat of k folds costs
k (k - 1) / 2 fits a trial and not k (k - 1).

The probabilities of a fold are recalibrated as the model's own are: with coefficients fitted on held-out
probabilities of the fold's trial, here those of the other folds from the same estimators that saw neither fold.
Coefficients from the other folds' nested probabilities would leak, because estimators that saw the fold made these.

With two folds nothing is left to choose or to recalibrate with: every fold gets trial 0, the defaults, as it is.

Only the list of trials was drawn up with all training patients in sight. Over shuffled labels that leaves no bias
that can be seen, where the best trial's own mean is 0.06 to 0.10 too high.

Source: nested cross-validation, Varma and Simon 2006, BMC Bioinformatics 7:91.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import expit, logit

from pipelines.models.estimators import for_search
from pipelines.runner import Progress, Silent
from pipelines.training.crossval import PROBABILITY_FLOOR, CrossValidation, OutOfFold, search_auc
from pipelines.training.recalibration import Recalibration, fit_recalibration
from pipelines.training.search import TIE_DIGITS, Trial
from pipelines.training.splits import Fold

MINIMUM_FOLDS = 3
"""One to choose for, one to choose on, one to learn from."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Nested:
    """The honest estimate.

    Args:
        out_of_fold: Recalibrated probabilities.
        chosen: The trial of each fold.
        recalibrations: The recalibration of each fold.
        judged: The area of each fold's trial on the others, by which it was chosen; other models can be held against
            it without the fold. Empty with two folds.
    """

    out_of_fold: OutOfFold
    chosen: list[Trial]
    recalibrations: list[Recalibration]
    judged: list[float]


def nested(
    validation: CrossValidation, trials: Sequence[Trial], repeats: int, progress: Progress | None = None
) -> Nested:
    """Returns out-of-fold probabilities whose hyperparameters and recalibration never saw the fold.

    Args:
        validation: The search's cross-validation.
        trials: What was tried.
        repeats: How many of its repeats are done so, the first ones.
        progress: Is told of every trial in every repeat.
    """
    chosen: list[Trial] = []
    recalibrations: list[Recalibration] = []
    judged: list[float] = []
    for repeat in range(repeats):
        folds = [fold for fold in validation.folds if fold.repeat == repeat]
        if len(folds) < MINIMUM_FOLDS:
            chosen += [trials[0] for _ in folds]
            recalibrations += [Recalibration(reason="two folds leave nobody to learn from") for _ in folds]
            continue
        pairs = _Pairs(validation, folds)
        own, areas = pairs.choices(trials, progress or Silent())
        recalibrations += [pairs.recalibration(number, trial) for number, trial in enumerate(own)]
        chosen += own
        judged += areas
    held_out = [validation.held_out(number, trial.values) for number, trial in enumerate(chosen)]
    found = validation.out_of_fold(held_out, recalibrations)
    return Nested(out_of_fold=found, chosen=chosen, recalibrations=recalibrations, judged=judged)


class _Pairs:
    """Estimators fitted without two folds of one repeat: each is held out from the other's."""

    def __init__(self, validation: CrossValidation, folds: Sequence[Fold]) -> None:
        self.y, self.folds = validation.y, folds
        self.both = list(combinations(range(len(folds)), 2))
        pairs = [_without(folds[i], folds[j]) for i, j in self.both]
        self.inner = validation.on(pairs)

    def choices(self, trials: Sequence[Trial], progress: Progress) -> tuple[list[Trial], list[float]]:
        """Returns for each fold the trial that is best on the others, and its mean area there."""
        means = np.asarray(np.nanmean(self._scores(trials, progress), axis=1)).round(TIE_DIGITS)
        rows = np.argmax(means, axis=0)
        return [trials[int(row)] for row in rows], means[rows, np.arange(len(rows))].tolist()

    def recalibration(self, number: int, trial: Trial) -> Recalibration:
        """Returns the recalibration of a fold's trial, learned from all rows but the fold's."""
        overall = logit(self.y[self.folds[number].fit].mean())
        p = np.full(len(self.y), np.nan)
        for pair, both in enumerate(self.both):
            if number in both:
                other = self.folds[both[0] if both[1] == number else both[1]].held_out
                own = self.inner.folds[pair]
                found = self.inner.held_out(pair, trial.values)[np.isin(own.held_out, other)]
                inside = np.clip(found, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
                p[other] = expit(logit(inside) + overall - logit(self.y[own.fit].mean()))
        known = np.isfinite(p)
        return fit_recalibration(self.y[known], p[known])

    def _scores(
        self, trials: Sequence[Trial], progress: Progress
    ) -> "np.ndarray[tuple[int, int, int], np.dtype[np.float64]]":
        """Returns the area of each trial on fold i without having seen fold j, shape (trials, folds i, folds j)."""
        scores = np.full((len(trials), len(self.folds), len(self.folds)), np.nan)
        for row, trial in enumerate(trials):
            cheap = for_search(self.inner.estimator, trial.values)
            for pair, (i, j) in enumerate(self.both):
                p, n_first = self.inner.held_out(pair, cheap), len(self.folds[i].held_out)
                scores[row, i, j] = search_auc(self.y[self.folds[i].held_out], p[:n_first])
                scores[row, j, i] = search_auc(self.y[self.folds[j].held_out], p[n_first:])
            progress.advance()
        return scores


def _without(first: Fold, second: Fold) -> Fold:
    return Fold(
        repeat=0,
        number=0,
        fit=np.setdiff1d(first.fit, second.held_out),
        held_out=np.concatenate([first.held_out, second.held_out]),
    )
