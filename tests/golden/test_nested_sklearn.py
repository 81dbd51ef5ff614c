"""The nested estimate beside scikit-learn's own nested cross-validation: a grid search inside every outer fold."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from pipelines.models.components import ComponentRule
from pipelines.training.crossval import CrossValidation
from pipelines.training.nested import nested
from pipelines.training.search import Trial
from pipelines.training.splits import repeated_folds

N, N_FOLDS = 80, 4
LIMIT = 5.0
"""Scaled features are clipped here."""
GRID = [(k, c) for k in (1, 3, 8, 15) for c in (1e-3, 1e-1, 10.0)]


class FirstScale(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Divides all components by the first one's standard deviation."""

    def fit(self, Z: NDArray[np.float64], y: object = None) -> "FirstScale":
        self.scale_ = Z[:, 0].std(ddof=1)
        return self

    def transform(self, Z: NDArray[np.float64]) -> NDArray[np.float64]:
        return Z / self.scale_


class PerPatient(LogisticRegression):  # type: ignore[misc]
    """The penalty is per patient, so that a fold's model is held as tightly as the model of all."""

    def fit(self, X: NDArray[np.float64], y: NDArray[np.int8]) -> "PerPatient":
        stated, self.C = self.C, self.C * N / len(X)
        super().fit(X, y)
        self.C = stated
        return self


def plain() -> Pipeline:
    return Pipeline(
        [
            ("fill", SimpleImputer(strategy="median")),
            ("scale", StandardScaler()),
            ("clip", FunctionTransformer(np.clip, kw_args={"a_min": -LIMIT, "a_max": LIMIT})),
            ("pca", PCA(svd_solver="full")),
            ("first", FirstScale()),
            ("lr", PerPatient(tol=1e-10, max_iter=10_000)),
        ]
    )


@pytest.fixture(scope="module")
def cohort() -> tuple[NDArray[np.float64], NDArray[np.int8], NDArray[np.str_]]:
    rng = np.random.default_rng(12)
    y = rng.permutation(np.arange(N) % 2).astype(np.int8)
    X = rng.normal(size=(N, 25))
    X[:, :6] += 0.5 * y[:, None] + rng.normal(size=(N, 1))
    X[rng.random(X.shape) < 0.03] = np.nan
    return X, y, np.array(["east", "north"] * (N // 2))


def test_choices_and_areas_equal_those_of_a_grid_search_in_every_fold(
    cohort: tuple[NDArray[np.float64], NDArray[np.int8], NDArray[np.str_]],
) -> None:
    X, y, center = cohort
    folds = repeated_folds(y, center, N_FOLDS, 1, 3)
    trials = [
        Trial(number=i, values={"components": k, "C": c, "scores": "scaled"}, folds=()) for i, (k, c) in enumerate(GRID)
    ]
    ours = nested(CrossValidation("lr", ComponentRule(), X, y, folds, 0), trials, 1)
    place = np.empty(len(y), dtype=int)
    for fold in folds:
        place[fold.held_out] = fold.number
    grid = [{"pca__n_components": [k], "lr__C": [c]} for k, c in GRID]
    for fold, trial in zip(folds, ours.chosen, strict=True):
        search = GridSearchCV(plain(), grid, scoring="roc_auc", cv=PredefinedSplit(place[fold.fit]))
        search.fit(X[fold.fit], y[fold.fit])
        assert trial.number == search.best_index_
        theirs = search.best_estimator_.predict_proba(X[fold.held_out])[:, 1]
        own = ours.out_of_fold.p[fold.held_out, 0]
        assert roc_auc_score(y[fold.held_out], own) == pytest.approx(roc_auc_score(y[fold.held_out], theirs), abs=1e-12)
        assert np.array_equal(np.argsort(own), np.argsort(theirs))
