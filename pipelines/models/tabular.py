"""The tabular model: preparation and an estimator, learned together from the same rows."""

from typing import Any, Self

from pipelines.models.base import Arrays, Floats, Labels, Values
from pipelines.models.components import ComponentRule
from pipelines.models.estimators import estimator_arrays, fit_estimator, positive_probability
from pipelines.models.preparation import Preparation


class TabularModel:
    """Fill, drop, scale, principal components, and an estimator on them.

    Args:
        estimator: `lr`, `rf` or `mlp`.
        values: Its hyperparameters, and `components` where the rule is that the search chooses them.
        seed: Decides everything random in it.
        rule: How many components are kept.
    """

    preparation: Preparation
    classifier: Any

    def __init__(self, estimator: str, values: Values, seed: int, rule: ComponentRule | None = None) -> None:
        self.estimator = estimator
        self.values = values
        self.seed = seed
        self.rule = rule or ComponentRule()

    @property
    def n_components(self) -> int:
        """How many components reach the estimator."""
        return self.rule.count(self.preparation, self.values)

    @property
    def scores(self) -> str:
        """How components are scaled; forests do not care."""
        return str(self.values.get("scores", "scaled"))

    def fit(self, X: Floats, y: Labels) -> Self:
        """Learns preparation and estimator from the rows of X, shape (n, p)."""
        self.preparation = Preparation.fit(X, self.rule.n_fitted)
        Z = self.preparation.transform(X, self.n_components, self.scores)
        self.classifier = fit_estimator(self.estimator, self.values, self.seed, Z, y)
        return self

    def predict_proba(self, X: Floats) -> Floats:
        """Returns the probability of the positive class for each row, shape (n,)."""
        Z = self.preparation.transform(X, self.n_components, self.scores)
        return positive_probability(self.classifier, Z)

    def to_arrays(self) -> Arrays:
        """Returns the fitted model as the arrays that a package stores."""
        prepared = self.preparation.to_arrays(self.n_components, self.scores)
        return prepared | estimator_arrays(self.estimator, self.classifier)
