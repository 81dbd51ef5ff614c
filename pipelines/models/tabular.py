"""The tabular model: preparation and an estimator, learned together from the same rows, and a recalibration."""

from typing import Any, Self

from pipelines.models.base import Arrays, Floats, Labels, Values
from pipelines.models.components import ComponentRule
from pipelines.models.estimators import estimator_arrays, fit_estimator, log_odds, positive_probability
from pipelines.models.preparation import Preparation
from pipelines.models.steps import RowFacts, Steps
from registry.arrays import CALIBRATION
from registry.predict import recalibrated


class TabularModel:
    """Fill, drop, scale, clip, principal components, an estimator on them, and a recalibration of what it says.

    Args:
        estimator: `lr`, `rf` or `mlp`.
        values: Its hyperparameters, and `components` where the rule is that the search chooses them.
        seed: Decides everything random in it.
        rule: How many components are kept.
        steps: Optional steps before scaling.
    """

    preparation: Preparation
    classifier: Any
    coefficients: Floats | None = None
    """Intercept and slope of the recalibration, shape (2,); none before there is one."""

    def __init__(
        self,
        estimator: str,
        values: Values,
        seed: int,
        rule: ComponentRule | None = None,
        steps: Steps | None = None,
    ) -> None:
        self.estimator = estimator
        self.values = values
        self.seed = seed
        self.rule = rule or ComponentRule()
        self.steps = steps or Steps()

    @property
    def n_components(self) -> int:
        """How many components reach the estimator."""
        return self.rule.count(self.preparation, self.values)

    @property
    def scores(self) -> str:
        """How components are scaled; forests do not care."""
        return str(self.values.get("scores", "scaled"))

    def fit(self, X: Floats, y: Labels, facts: RowFacts | None = None) -> Self:
        """Learns preparation and estimator from the rows of X, shape (n, p); `facts` are for optional steps."""
        self.preparation = Preparation.fit(X, self.rule.n_fitted, self.steps, facts, self.rule.ranked_by(y))
        Z = self.preparation.transform(X, self.n_components, self.scores, facts)
        self.classifier = fit_estimator(self.estimator, self.values, self.seed, Z, y)
        self.coefficients = None
        return self

    def recalibrate(self, coefficients: Floats) -> Self:
        """Takes intercept and slope, which held-out patients must have taught: the model's own rows flatter it."""
        self.coefficients = coefficients
        return self

    def predict_proba(self, X: Floats, facts: RowFacts | None = None) -> Floats:
        """Returns the probability of the positive class for each row, shape (n,)."""
        Z = self.preparation.transform(X, self.n_components, self.scores, facts)
        if self.coefficients is None:
            return positive_probability(self.classifier, Z)
        return recalibrated(log_odds(self.classifier, Z), self.coefficients)

    def to_arrays(self) -> Arrays:
        """Returns the fitted model as the arrays that a package stores."""
        prepared = self.preparation.to_arrays(self.n_components, self.scores)
        calibration: Arrays = {} if self.coefficients is None else {CALIBRATION: self.coefficients}
        return prepared | estimator_arrays(self.estimator, self.classifier) | calibration
