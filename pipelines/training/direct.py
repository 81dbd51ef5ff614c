"""Cross-validation and fit of models that take columns as they are: clinical, ready probabilities, weights of a fusion.

There is nothing to search, so a fold's honest estimate is a fit on its other rows; only the recalibration needs fits
without two folds, as in nested cross-validation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from featurestore.errors import InputError
from featurestore.screening import outcome_names, telling_columns
from featurestore.training_sets import TrainingSet
from featurestore.validation import Finding
from pipelines.models.base import Floats, Labels, Values
from pipelines.models.clinical import ClinicalModel, predictors
from pipelines.models.direct import DirectModel, GivenModel
from pipelines.params.modelling import Model
from pipelines.training.crossval import PROBABILITY_FLOOR, CrossValidation, OutOfFold
from pipelines.training.nested import Nested, nested
from pipelines.training.recalibration import Recalibration, fit_recalibration
from pipelines.training.search import Trial
from pipelines.training.splits import Fold

Maker = Callable[[], DirectModel]


class TellingColumnError(InputError):
    """A clinical column gives the outcome away."""

    default_remedy = (
        "see whether it was made after, or from, the outcome; if so leave it out with the service's `columns`"
    )


class OneColumnError(InputError):
    """A model of ready probabilities sees another number of columns than one, or no probabilities in it."""

    default_remedy = "narrow services.<name>.columns to the one column, and set models.<name>.given to what it holds"


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """A direct model and what cross-validation says of it; the same words as `tune.Tuned`.

    Args:
        trial: The one setting there is, with its area on each fold.
        honest: Out-of-fold probabilities, recalibrated without the fold.
        flattering: The same, recalibrated as the model.
        recalibration: Of the model.
        model: Fitted on all training patients.
        by_fold: The model of each fold.
    """

    trial: Trial
    honest: Nested
    flattering: OutOfFold
    recalibration: Recalibration
    model: DirectModel
    by_fold: tuple[DirectModel, ...]

    @property
    def nested(self) -> OutOfFold:
        """The honest probabilities."""
        return self.honest.out_of_fold


class DirectValidation(CrossValidation):
    """Cross-validation of a model without components and hyperparameters.

    Args:
        make: Returns a model that is not fitted.
        X: Columns, shape (n, p).
        y: Labels, shape (n,).
        folds: The folds, every repeat covering all rows.
    """

    def __init__(self, make: Maker, X: Floats, y: Labels, folds: Sequence[Fold]) -> None:
        self.estimator, self.make, self.X, self.y = "direct", make, X, y
        self._folds = list(folds)
        self.fitted = tuple(make().fit(X[fold.fit], y[fold.fit]) for fold in folds)

    @property
    def folds(self) -> list[Fold]:
        """The folds, in their order."""
        return self._folds

    def on(self, folds: Sequence[Fold]) -> "DirectValidation":
        """Returns the same on other folds."""
        return DirectValidation(self.make, self.X, self.y, folds)

    def score(self, values: Values) -> list[float]:
        """Returns the area under the ROC curve on each fold."""
        return [self.auc(number, self.held_out(number, values)) for number in range(len(self._folds))]

    def held_out(self, number: int, values: Values) -> Floats:
        """Returns the probabilities of a fold's held-out rows, by the model fitted on all others."""
        found = self.fitted[number].predict_proba(self.X[self._folds[number].held_out])
        return np.clip(found, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)


def fit_direct(X: Floats, y: Labels, make: Maker, folds: Sequence[Fold], repeats: int) -> Fitted:
    """Estimates and fits, on the given patients alone.

    Args:
        X: Columns, shape (n, p).
        y: Labels, shape (n,).
        make: Returns a model that is not fitted.
        folds: The folds.
        repeats: In how many of their repeats the recalibration is learned without the fold.
    """
    validation = DirectValidation(make, X, y, folds)
    trial = Trial(number=0, values={}, folds=tuple(validation.score({})))
    raw = validation.out_of_fold([validation.held_out(i, {}) for i in range(len(folds))])
    recalibration = fit_recalibration(y, raw.p)
    return Fitted(
        trial=trial,
        honest=nested(validation, [trial], repeats),
        flattering=raw.recalibrated(recalibration),
        recalibration=recalibration,
        model=make().fit(X, y).recalibrate(recalibration.coefficients),
        by_fold=validation.fitted,
    )


def maker_of(settings: Model, part: TrainingSet) -> Maker:
    """Returns how a declared direct model is made, after a look at its columns.

    Raises:
        TellingColumnError: A clinical column gives the outcome away.
        OneColumnError: Ready probabilities are not one column of numbers from 0 to 1.
    """
    if settings.estimator == "probability":
        _check_given(settings, part)
        return lambda: GivenModel(is_log_odds=settings.given == "log_odds")
    refuse_telling(part)
    told = settings.screening.model_dump()
    return lambda: ClinicalModel(names=part.names, **told)


def refuse_telling(part: TrainingSet, columns: Sequence[str] | None = None) -> None:
    """Checks that no clinical column is the outcome: by its name, by its values, or by who has one.

    Args:
        part: The training patients.
        columns: The columns to look at; all when left out.

    Raises:
        TellingColumnError: One is; the message names it.
    """
    import pandas as pd

    names = list(columns if columns is not None else part.names)
    at = [part.names.index(name) for name in names]
    values, y = pd.DataFrame(part.X[:, at], columns=names), part.y.astype(np.float64)
    absent = values.isna().astype(np.float64)
    findings = [
        *outcome_names(names, _outcome(part), "clinical"),
        *telling_columns(values, names, y, "clinical"),
        *telling_columns(absent, names, y, "clinical, who has a value"),
    ]
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise TellingColumnError(_words(errors[0]), where=f"service {part.record['service']['name']}")


def _outcome(part: TrainingSet) -> tuple[str, ...]:
    label = part.record.get("rules", {}).get("label", {})
    return tuple({str(part.record["label"]), *([str(label["column"])] if "column" in label else [])})


def _words(finding: Finding) -> str:
    named = ", ".join(predictors([f".{name.rpartition('.')[2]}" for name in finding.examples]))
    return f"{finding.message}: {named}"


def _check_given(settings: Model, part: TrainingSet) -> None:
    where = f"service {settings.service}"
    if len(part.names) != 1:
        raise OneColumnError(f"it has {len(part.names)} columns", where=where)
    known = part.X[~np.isnan(part.X)]
    if settings.given == "probability" and known.size and not (known.min() >= 0 and known.max() <= 1):
        raise OneColumnError(f"{part.names[0]} goes from {known.min():g} to {known.max():g}", where=where)
