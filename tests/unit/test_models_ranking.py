"""Single features in place of components: ranked inside the fold, equal in the package, the same for copies."""

import numpy as np
import pytest
from sklearn.feature_selection import f_classif

from pipelines.models.components import ComponentRule
from pipelines.models.ranking import Ranking, by_redundancy
from pipelines.models.tabular import TabularModel
from pipelines.training.crossval import CrossValidation
from pipelines.training.splits import repeated_folds
from registry.arrays import check_arrays
from registry.predict import predict

VALUES = {
    "lr": {"C": 0.5, "features": 4},
    "rf": {"trees": 20, "max_depth": 3, "min_leaf": 2, "max_features": 0.5, "features": 4},
    "mlp": {"hidden": "4", "alpha": 1.0, "iterations": 30, "activation": "tanh", "features": 4},
}


def table(n: int = 80, p: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """Column 3 tells the label best, 7 is nearly its copy, 11 tells it less but by itself."""
    rng = np.random.default_rng(4)
    y = (np.arange(n) % 2).astype(np.int8)
    X = rng.normal(size=(n, p))
    X[:, 3] += 2.0 * y
    X[:, 7] = X[:, 3] + 0.1 * rng.normal(size=n)
    X[:, 11] += 1.2 * y
    X[5, 2] = np.nan
    return X, y


class Package:
    """What prediction needs of a package."""

    def __init__(self, model: TabularModel, p: int) -> None:
        self.arrays, self.estimator = model.to_arrays(), model.estimator
        self.activation, self.features = "tanh", [f"f{i}" for i in range(p)]


def test_the_first_is_the_one_with_the_largest_f() -> None:
    X, y = table()
    filled = np.nan_to_num(X)
    assert by_redundancy(filled, y, 1)[0] == np.argmax(f_classif(filled, y)[0])


def test_ranking_equals_the_scheme_written_out() -> None:
    X, y = table()
    filled = np.nan_to_num(X)
    F, R = f_classif(filled, y)[0], np.abs(np.corrcoef(filled.T))
    chosen = [int(np.argmax(F))]
    while len(chosen) < 8:
        left = [j for j in range(len(F)) if j not in chosen]
        chosen.append(max(left, key=lambda j: F[j] / R[j, chosen].mean()))
    assert by_redundancy(filled, y, 8).tolist() == chosen


def test_a_near_copy_comes_after_what_tells_something_new() -> None:
    X, y = table()
    found = by_redundancy(np.nan_to_num(X), y, 15).tolist()
    assert found.index(11) < max(found.index(3), found.index(7))


@pytest.mark.parametrize("kind", ["mrmr", "lasso", "trees"])
def test_a_shorter_list_is_the_beginning_of_a_longer_one(kind: str) -> None:
    X, y = table()
    ranking, filled = Ranking(kind=kind, y=y), np.nan_to_num(X)  # type: ignore[arg-type]
    assert ranking.order(filled, 10)[:4].tolist() == ranking.order(filled, 4).tolist()
    assert sorted(ranking.order(filled, 99).tolist()) == list(range(15))


@pytest.mark.parametrize("kind", ["mrmr", "lasso", "trees"])
def test_what_tells_the_label_comes_early(kind: str) -> None:
    X, y = table()
    found = Ranking(kind=kind, y=y).order(np.nan_to_num(X), 6)  # type: ignore[arg-type]
    assert {3, 7} & set(found[:2].tolist())
    assert 11 in found


def test_of_copies_the_first_is_taken() -> None:
    X, y = table()
    Z = np.nan_to_num(X)
    assert by_redundancy(np.column_stack([Z, Z[:, 3]]), y, 1)[0] == 3


@pytest.mark.parametrize(("estimator", "kind"), [("lr", "lasso"), ("rf", "trees"), ("mlp", "mrmr")])
def test_a_package_holds_the_used_features_alone_and_says_the_same(estimator: str, kind: str) -> None:
    X, y = table()
    rule = ComponentRule(rule="features", ranking=kind)  # type: ignore[arg-type]
    model = TabularModel(estimator, VALUES[estimator], 3, rule).fit(X, y)
    package = Package(model, X.shape[1])
    check_arrays(package.arrays, X.shape[1], estimator)
    assert len(package.arrays["keep.index"]) == 4
    assert np.allclose(predict(package, X), model.predict_proba(X), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["mrmr", "lasso", "trees"])
def test_held_out_labels_and_features_do_not_reach_the_ranking(kind: str) -> None:
    X, y = table()
    rule = ComponentRule(rule="features", ranking=kind)  # type: ignore[arg-type]
    folds = repeated_folds(y, np.full(len(y), "a"), 4, 1, 0)[:1]
    spoiled, labels = X.copy(), y.copy()
    spoiled[folds[0].held_out] *= 50
    labels[folds[0].held_out] = 1 - labels[folds[0].held_out]
    first, second = (
        CrossValidation("lr", rule, A, b, folds, 0).prepared[0].preparation.axes for A, b in ((X, y), (spoiled, labels))
    )
    assert np.array_equal(first, second)


def test_shuffled_labels_find_nothing() -> None:
    """Ranked outside the folds, the best of 400 columns of noise would look like a finding."""
    rng = np.random.default_rng(0)
    areas = []
    for _ in range(10):
        X, y = rng.normal(size=(60, 400)), rng.permutation(np.arange(60) % 2).astype(np.int8)
        folds = repeated_folds(y, np.full(60, "a"), 5, 1, 0)
        areas.append(np.mean(CrossValidation("lr", ComponentRule(rule="features"), X, y, folds, 0).score(VALUES["lr"])))
    assert 0.42 < np.mean(areas) < 0.58
