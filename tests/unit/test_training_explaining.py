"""What a model listens to and how it learns: against shap, and where the truth was planted."""

import numpy as np
import pytest

from pipelines.models.components import ComponentRule
from pipelines.models.steps import RowFacts, Steps
from pipelines.models.tabular import TabularModel
from pipelines.training import importance as subject
from pipelines.training.importance import contributions, importance, permutation_drops
from pipelines.training.learning import learning_curve
from pipelines.training.splits import repeated_folds

VALUES = {
    "lr": {"C": 1.0, "components": 4, "scores": "scaled"},
    "rf": {"trees": 10, "max_depth": 4, "min_leaf": 3, "max_features": 0.5, "components": 4},
    "mlp": {"hidden": "4", "alpha": 1.0, "activation": "tanh", "iterations": 60, "components": 4, "scores": "whitened"},
}
NAMES = ["a.original_glcm_Planted", "a.original_shape_B", "b.original_glcm_C", "b.D", "a.E", "a.F"]


def patients(n: int = 150, p: int = 6) -> tuple[np.ndarray, np.ndarray, RowFacts]:
    rng = np.random.default_rng(7)
    X = rng.normal(size=(n, p))
    y = (2 * X[:, 0] + rng.normal(size=n) > 0).astype(np.int8)
    return X, y, RowFacts(center=np.repeat(["east", "west"], n // 2).astype(np.str_))


def fitted(estimator: str, X: np.ndarray, y: np.ndarray, facts: RowFacts) -> TabularModel:
    return TabularModel(estimator, VALUES[estimator], 3, ComponentRule(maximum=6), Steps()).fit(X, y, facts)


def test_contributions_of_a_logistic_regression_equal_those_of_shap() -> None:
    shap = pytest.importorskip("shap")
    X, y, facts = patients()
    model = fitted("lr", X, y, facts)
    found = contributions(model, X, facts, 1)
    A = model.preparation.matrix(model.n_components, model.scores).T
    weights, intercept = A @ model.classifier.coef_[0], float(model.classifier.intercept_[0])
    everybody = shap.maskers.Independent(found.features, max_samples=len(found.features))
    theirs = shap.LinearExplainer((weights, intercept), everybody).shap_values(found.features)
    assert found.is_exact
    assert found.values == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("estimator", ["rf", "mlp"])
def test_sampled_contributions_come_close_to_the_exact_ones_of_shap(estimator, monkeypatch) -> None:
    shap = pytest.importorskip("shap")
    from pipelines.models.estimators import log_odds

    monkeypatch.setattr(subject, "MOST_PATIENTS", 6)
    X, y, facts = patients()
    model = fitted(estimator, X, y, facts)
    A = model.preparation.matrix(model.n_components, model.scores).T
    S = model.preparation.standardized(X, facts)
    sampled = [contributions(model, X, facts, seed) for seed in range(60)]
    rows = sampled[0].features
    assert len(rows) == 6
    explain = shap.explainers.Exact(
        lambda s: log_odds(model.classifier, (s - model.preparation.center) @ A), S.mean(axis=0, keepdims=True)
    )
    mean = np.mean([found.values for found in sampled], axis=0)
    assert mean == pytest.approx(explain(rows).values, abs=0.12 * np.abs(mean).max())


@pytest.mark.parametrize("estimator", ["rf", "mlp", "lr"])
def test_contributions_sum_to_what_the_model_says_over_the_average_patient(estimator) -> None:
    from pipelines.models.estimators import log_odds

    X, y, facts = patients()
    model = fitted(estimator, X, y, facts)
    found = contributions(model, X, facts, 1)
    A = model.preparation.matrix(model.n_components, model.scores).T
    said = log_odds(model.classifier, (found.features - model.preparation.center) @ A)
    mean = model.preparation.standardized(X, facts).mean(axis=0, keepdims=True)
    base = log_odds(model.classifier, (mean - model.preparation.center) @ A)
    assert found.values.sum(axis=1) == pytest.approx(said - base, abs=1e-9)


@pytest.mark.parametrize("estimator", ["lr", "rf", "mlp"])
def test_the_planted_feature_comes_first_and_dealing_it_costs_the_area(estimator) -> None:
    X, y, facts = patients()
    folds = repeated_folds(y, facts.center, 5, 1, 4)
    content = importance(fitted(estimator, X, y, facts), X, y, NAMES, facts, folds, 5)
    assert content["features"][0]["name"] == NAMES[0]
    assert content["features"][0]["direction"] == 1
    drops = {entry["name"]: entry["auc_drop"] for entry in content["features"]}
    assert drops[NAMES[0]] > 0.2
    assert max(value for name, value in drops.items() if name != NAMES[0]) < drops[NAMES[0]] / 3
    assert sum(family["share"] for family in content["families"]) == pytest.approx(1, abs=1e-4)
    glcm = next(f for f in content["families"] if (f["phase"], f["class"]) == ("a", "glcm"))
    assert glcm["auc_drop"] == pytest.approx(drops[NAMES[0]], abs=1e-6)


def test_features_that_say_the_same_matter_together_where_each_alone_does_not() -> None:
    rng = np.random.default_rng(2)
    X, y, facts = patients()
    copies = X[:, :1] + 0.05 * rng.normal(size=(len(X), 8))
    wide = np.hstack([copies, X[:, 1:]])
    folds = repeated_folds(y, facts.center, 5, 1, 4)
    model = fitted("lr", wide, y, facts)
    drops = permutation_drops(model, wide, y, facts, folds, [(0,), tuple(range(8))], 1).mean(axis=0)
    assert drops[1] > 5 * max(drops[0], 0.01)


def test_learning_curve_rises_on_held_out_patients_and_small_sets_are_left_out() -> None:
    rng = np.random.default_rng(8)
    X = rng.normal(size=(120, 30))
    y = (X[:, :3].sum(axis=1) + rng.normal(size=120) > 0).astype(np.int8)
    facts = RowFacts(center=np.repeat("east", 120).astype(np.str_))
    folds = repeated_folds(y, facts.center, 5, 2, 4)
    rule = ComponentRule(maximum=20)
    points = learning_curve("lr", VALUES["lr"] | {"components": 20}, rule, X, y, folds, 3, Steps(), facts)
    assert [point["share"] for point in points] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert points[-1]["validation"] > points[0]["validation"] + 0.03
    assert all(point["training"] >= point["validation"] for point in points)
    assert points[-1]["patients"] == 96
    few = learning_curve(
        "lr",
        VALUES["lr"],
        rule,
        X[:24],
        y[:24],
        repeated_folds(y[:24], facts.center[:24], 4, 1, 4),
        3,
        Steps(),
        facts.at(np.arange(24)),
    )
    assert few[0]["share"] > 0.2
