"""Cross-validation of one model family: preparations are fitted once a fold and shared by every trial."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from pipelines.evaluation.discrimination import auc, fold_placements
from pipelines.models.base import Floats, Labels, Values
from pipelines.models.components import ComponentRule
from pipelines.models.estimators import fit_on_fold, for_search, for_share, positive_probability
from pipelines.models.preparation import Preparation, rescaled
from pipelines.models.steps import RowFacts, Steps
from pipelines.training.recalibration import Recalibration
from pipelines.training.splits import Fold

PROBABILITY_FLOOR = 1e-6
"""A forest may say 0 or 1; the shift of its logit needs it inside."""


ALIKE_DIGITS = 5
"""Log odds that agree so far are equal when hyperparameters are compared. A network whose penalty has won says the same
of everybody but for the solver's last steps, and these may order patients as well as anything by chance."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedFold:
    """A fold with its own preparation's scores, not yet scaled: shape (n, k) for the rows of each side."""

    fold: Fold
    preparation: Preparation
    Z_fit: Floats
    Z_held_out: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class OutOfFold:
    """Held-out probabilities.

    Args:
        y: Labels, shape (n,).
        p: Probabilities, one column a repeat, shape (n, repeats).
        fold: The fold in which the row was held out, shape (n, repeats).
    """

    y: Labels
    p: Floats
    fold: NDArray[np.int64]

    @property
    def mean(self) -> Floats:
        """Each row's mean probability over repeats, shape (n,)."""
        return self.p.mean(axis=1)

    def auc(self) -> float:
        """The area under the ROC curve over pairs within a fold, averaged over repeats."""
        areas = [fold_placements(self.y, self.p[:, r], self.fold[:, r])[0].mean() for r in range(self.p.shape[1])]
        return float(np.mean(areas))

    def pooled_auc(self) -> float:
        """The area of the mean probabilities, all pairs taken together."""
        return auc(self.y, self.mean)

    def recalibrated(self, recalibration: Recalibration) -> "OutOfFold":
        """Returns the same with every probability recalibrated."""
        return replace(self, p=recalibration.apply(self.p))


class CrossValidation:
    """Scores hyperparameters on folds of the training patients.

    Args:
        estimator: `lr`, `rf` or `mlp`.
        rule: How many components are kept.
        X: Features, shape (n, p).
        y: Labels, shape (n,).
        folds: The folds, every repeat covering all rows.
        seed: Decides everything random in the estimators.
        steps: Optional steps before scaling, fitted in each fold.
        facts: What these need to know of the rows.
    """

    def __init__(
        self,
        estimator: str,
        rule: ComponentRule,
        X: Floats,
        y: Labels,
        folds: Sequence[Fold],
        seed: int,
        steps: Steps | None = None,
        facts: RowFacts | None = None,
    ) -> None:
        self.estimator, self.rule, self.y, self.seed = estimator, rule, y, seed
        self.X, self.steps, self.facts = X, steps or Steps(), facts
        self.prepared = tuple(self._prepare(fold) for fold in folds)

    def on(self, folds: Sequence[Fold]) -> "CrossValidation":
        """Returns the same on other folds."""
        return CrossValidation(self.estimator, self.rule, self.X, self.y, folds, self.seed, self.steps, self.facts)

    @property
    def folds(self) -> list[Fold]:
        """The folds, in their order."""
        return [prepared.fold for prepared in self.prepared]

    @property
    def n_components(self) -> int:
        """The largest number of components that every fold has."""
        return min(self.rule.maximum, *(prepared.preparation.n_components for prepared in self.prepared))

    def score(self, values: Values) -> list[float]:
        """Returns the area under the ROC curve on each fold, with the estimator's cheap stand-in for searching."""
        cheap = for_search(self.estimator, values)
        return [self.auc(number, self.held_out(number, cheap)) for number in range(len(self.prepared))]

    def held_out(self, number: int, values: Values) -> Floats:
        """Returns the probabilities of a fold's held-out rows, by an estimator fitted on all its others."""
        prepared = self.prepared[number]
        k = self.rule.count(prepared.preparation, values)
        scores = str(values.get("scores", "scaled"))
        variance = prepared.preparation.variance
        Z = rescaled(prepared.Z_fit, variance, k, scores)
        own = for_share(self.estimator, values, len(Z) / len(self.y))
        fitted = fit_on_fold(self.estimator, own, self.seed, Z, self.y[prepared.fold.fit])
        return positive_probability(fitted, rescaled(prepared.Z_held_out, variance, k, scores))

    def _prepare(self, fold: Fold) -> PreparedFold:
        own = None if self.facts is None else self.facts.at(fold.fit)
        preparation = Preparation.fit(
            self.X[fold.fit], self.rule.n_fitted, self.steps, own, self.rule.ranked_by(self.y[fold.fit])
        )
        unit = np.sqrt(preparation.variance[0])
        Z = preparation.transform(self.X, preparation.n_components, facts=self.facts) * unit
        return PreparedFold(fold=fold, preparation=preparation, Z_fit=Z[fold.fit], Z_held_out=Z[fold.held_out])

    def auc(self, number: int, p: Floats) -> float:
        """Returns the area under the ROC curve on a fold's held-out rows."""
        return search_auc(self.y[self.folds[number].held_out], p)

    def out_of_fold(
        self, held_out: Sequence[Floats], recalibrations: Sequence[Recalibration] | None = None
    ) -> OutOfFold:
        """Gathers held-out probabilities, those of fold 0 first, into one table; later repeats may be left out.

        An estimator takes the share of positives it was fitted on as given, and that share is low where the held-out
        rows have many. So each fold's logits are moved by the difference to the share over all training rows: the
        order within a fold stays, and pooling folds no longer leans below chance.

        Args:
            held_out: Probabilities of each fold's held-out rows.
            recalibrations: What each fold's probabilities go through before; nothing when left out.
        """
        folds = self.folds[: len(held_out)]
        shape = (len(self.y), 1 + max(fold.repeat for fold in folds))
        p, number = np.full(shape, np.nan), np.full(shape, -1, np.int64)
        overall = logit(self.y.mean())
        steps = recalibrations or [Recalibration() for _ in folds]
        for fold, found, step in zip(folds, held_out, steps, strict=True):
            shift = overall - logit(self.y[fold.fit].mean())
            inside = np.clip(found, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
            p[fold.held_out, fold.repeat] = expit(step.intercept + step.slope * logit(inside) + shift)
            number[fold.held_out, fold.repeat] = fold.number
        return OutOfFold(y=self.y, p=p, fold=number)


def search_auc(y: Labels, p: Floats) -> float:
    """Returns the area under the ROC curve by which hyperparameters are compared: rounding makes no difference."""
    return auc(y, np.round(logit(p), ALIKE_DIGITS))
