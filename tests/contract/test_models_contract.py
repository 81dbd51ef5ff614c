"""What every tabular model keeps: learned from its own rows, equal to scikit-learn, equal to its package."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import rankdata
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from pipelines.models.base import Model, Values
from pipelines.models.components import ComponentRule, area_percent, knee
from pipelines.models.preparation import NothingVariesError, Preparation, rescaled
from pipelines.models.spaces import SPACES, defaults, space
from pipelines.models.tabular import TabularModel
from registry.arrays import check_arrays
from registry.predict import predict

TOLERANCE = 1e-12
ESTIMATORS = sorted(SPACES)
VALUES: dict[str, Values] = {
    "lr": {"components": 7, "C": 0.3, "scores": "whitened"},
    "rf": {"components": 7, "trees": 25, "max_depth": 5, "min_leaf": 2, "max_features": 0.5},
    "mlp": {
        "components": 7, "hidden": "8-4", "alpha": 0.1, "iterations": 40, "activation": "tanh", "scores": "whitened",
    },
}  # fmt: skip

Floats = NDArray[np.float64]


def generated(n: int = 60, p: int = 90) -> tuple[Floats, NDArray[np.int8]]:
    """More columns than rows, very different scales, gaps, a constant, an empty and a doubled column."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(n, p)) * 10.0 ** rng.integers(-6, 6, size=p)
    y = (X[:, 0] / X[:, 0].std() + rng.normal(size=n) > 0).astype(np.int8)
    X[rng.random(X.shape) < 0.02] = np.nan
    X[:, 3], X[:, 4], X[:, 5] = 1e5, np.nan, X[:, 6]
    X[7, 10:20] = 1e9  # explodes among the rows that are fitted, so that clipping decides the components
    return X, y


def packaged(model: TabularModel, X: Floats) -> Floats:
    """Predicts from the arrays alone, as a hospital does."""
    package = SimpleNamespace(
        arrays=model.to_arrays(),
        estimator=model.estimator,
        activation=str(model.values.get("activation", "")),
        features=tuple(f"f{i}" for i in range(X.shape[1])),
    )
    check_arrays(package.arrays, X.shape[1], model.estimator)
    return predict(package, X)


def sklearn_pipeline(estimator: str, values: Values, seed: int) -> Pipeline:
    """The same model, written by somebody who only knows scikit-learn."""
    builders: dict[str, Any] = {
        "lr": lambda v: LogisticRegression(C=v["C"], tol=1e-10, max_iter=5000),
        "rf": lambda v: RandomForestClassifier(
            v["trees"], max_depth=v["max_depth"], min_samples_leaf=v["min_leaf"], max_features=v["max_features"],
            random_state=seed,
        ),
        "mlp": lambda v: MLPClassifier(
            tuple(map(int, v["hidden"].split("-"))), activation=v["activation"], alpha=v["alpha"],
            max_iter=v["iterations"], solver="lbfgs", random_state=seed,
        ),
    }  # fmt: skip
    whiten = values.get("scores") == "whitened"
    return Pipeline(
        [
            ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("keep", VarianceThreshold()),
            ("scale", StandardScaler()),
            ("clip", FunctionTransformer(np.clip, kw_args={"a_min": -5, "a_max": 5})),
            ("pca", PCA(int(values["components"]), svd_solver="full", whiten=whiten)),
            ("estimator", builders[estimator](values)),
        ]
    )


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_it_is_the_model_that_scikit_learn_fits(estimator: str) -> None:
    X, y = generated()
    ours = TabularModel(estimator, VALUES[estimator], 3).fit(X[:45], y[:45]).predict_proba(X)
    theirs = sklearn_pipeline(estimator, VALUES[estimator], 3).fit(X[:45], y[:45]).predict_proba(X)[:, 1]
    # two solvers of one convex problem stop at different last digits; the others are the same arithmetic
    np.testing.assert_allclose(ours, theirs, atol=1e-6 if estimator == "lr" else 1e-9)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("scores", ["scaled", "whitened"])
def test_a_package_predicts_the_same(estimator: str, scores: str) -> None:
    X, y = generated()
    model = TabularModel(estimator, {**VALUES[estimator], "scores": scores}, 3).fit(X[:45], y[:45])
    np.testing.assert_allclose(packaged(model, X), model.predict_proba(X), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("slope", [1.0, 0.4, 413.0])
def test_a_package_recalibrates_the_same_and_keeps_the_order(estimator: str, slope: float) -> None:
    X, y = generated()
    # as flat as the slope is steep, which is what such a slope comes from
    values = {**VALUES[estimator], "C": 0.1 / slope}
    model = TabularModel(estimator, values, 3).fit(X[:45], y[:45])
    plain = model.predict_proba(X)
    coefficients = -slope * logit(np.median(plain)), slope
    model.recalibrate(np.array(coefficients))
    p = model.predict_proba(X)
    np.testing.assert_allclose(packaged(model, X), p, atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(p, expit(coefficients[0] + coefficients[1] * logit(np.clip(plain, 1e-6, 1 - 1e-6))))
    if slope < 2 or estimator == "lr":
        np.testing.assert_array_equal(rankdata(p), rankdata(plain))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_feature_that_explodes_elsewhere_does_not_decide_alone(estimator: str) -> None:
    """A patient of another scanner far outside is taken as one at the limit, not at hundreds of deviations."""
    X, y = generated()
    model = TabularModel(estimator, VALUES[estimator], 3).fit(X[:45], y[:45])
    far, limit = np.repeat(X[50:51], 2, axis=0), model.preparation
    column = int(limit.keep[0])
    far[:, column] = limit.mean[0] + np.array([5, 5000]) * limit.sd[0]
    p = packaged(model, far)
    assert p[0] == pytest.approx(p[1], abs=1e-12)
    assert float(model.to_arrays()["scale.limit"][0]) == 5.0


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_package_predicts_the_same_on_a_real_table(estimator: str, test_data: Path) -> None:
    """Kidney tumors in three phases; fitted on some, predicted on the others."""
    table = pd.read_csv(test_data / "radmlbench" / "C4KC-KiTS.csv.gz")
    X, y = table.drop(columns=["ID", "Target"]).to_numpy(np.float64), table["Target"].to_numpy(np.int8)
    model = TabularModel(estimator, defaults(space(estimator, 30)), 1).fit(X[:50], y[:50])
    np.testing.assert_allclose(packaged(model, X), model.predict_proba(X), atol=TOLERANCE, rtol=0)


def test_columns_that_a_center_lacks_are_filled(test_data: Path) -> None:
    """Real gaps: some filters gave no value for some patients of these centers."""
    tables = {
        name: pd.read_csv(test_data / "multicentre_nsclc" / f"{name}.csv.gz") for name in ("HarvardRT", "Radboud")
    }
    names = [name for name in tables["Radboud"].columns if name.startswith(("original_", "exponential_"))]
    X, Z = (tables[name][names].replace([np.inf, -np.inf], np.nan).to_numpy(np.float64) for name in tables)
    assert np.isnan(X).any()
    model = TabularModel("lr", defaults(space("lr", 30)), 1).fit(X, tables["HarvardRT"]["surv2yr"].to_numpy(np.int8))
    p = packaged(model, Z)
    np.testing.assert_allclose(p, model.predict_proba(Z), atol=TOLERANCE, rtol=0)
    assert ((p >= 0) & (p <= 1)).all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_model_depends_on_its_own_rows_and_the_seed_only(estimator: str) -> None:
    X, y = generated()
    first, second = (TabularModel(estimator, VALUES[estimator], 3).fit(X[:45].copy(), y[:45]) for _ in range(2))
    for name, array in first.to_arrays().items():
        np.testing.assert_array_equal(array, second.to_arrays()[name])
    model: Model = first
    single = np.concatenate([model.predict_proba(X[i : i + 1]) for i in range(len(X))])
    np.testing.assert_allclose(single, model.predict_proba(X), atol=1e-12)


def test_fewer_components_are_a_slice_of_more() -> None:
    """The reason why one decomposition serves every trial."""
    X, _ = generated()
    many, few = Preparation.fit(X, 20), Preparation.fit(X, 6)
    np.testing.assert_allclose(many.transform(X, 6), few.transform(X, 6), atol=1e-10)
    unit = np.sqrt(many.variance[0])
    for scores in ("scaled", "whitened"):
        sliced = rescaled(many.transform(X, 20) * unit, many.variance, 6, scores)
        np.testing.assert_allclose(sliced, few.transform(X, 6, scores), atol=1e-10)


def test_constant_empty_and_rounding_columns_are_dropped() -> None:
    X, _ = generated()
    X[:, 8] = 0.1 + np.arange(len(X)) * 1e-17
    assert not {3, 4, 8} & set(Preparation.fit(X, 5).keep.tolist())


def test_components_never_exceed_what_the_rows_hold() -> None:
    X, y = generated(n=9)
    model = TabularModel("lr", {**VALUES["lr"], "components": 30}, 1).fit(X, y)
    assert model.n_components == model.preparation.n_components <= 8
    assert np.isfinite(packaged(model, X)).all()


def test_explained_variance_is_scikit_learns() -> None:
    X, _ = generated()
    steps = sklearn_pipeline("lr", VALUES["lr"], 0)[:4]
    reference = PCA(10, svd_solver="full").fit(steps.fit_transform(X)).explained_variance_ratio_
    np.testing.assert_allclose(Preparation.fit(X, 10).explained, reference, rtol=1e-10)


def test_a_table_without_variation_is_refused() -> None:
    with pytest.raises(NothingVariesError, match="none of 4 columns"):
        Preparation.fit(np.ones((10, 4)), 3)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (ComponentRule(rule="variance", variance=0.8), "fewest that hold 80 %"),
        (ComponentRule(rule="knee"), "knee"),
        (ComponentRule(rule="variance", variance=0.999, maximum=4), "maximum"),
    ],
    ids=["variance", "knee", "maximum"],
)
def test_a_rule_decides_from_the_rows_at_hand(rule: ComponentRule, expected: str) -> None:
    X, y = generated()
    values = {name: value for name, value in VALUES["lr"].items() if name != "components"}
    model = TabularModel("lr", values, 1, rule).fit(X, y)
    cumulative = np.cumsum(Preparation.fit(X, 100).explained)
    if expected == "knee":
        assert model.n_components == min(knee(cumulative), rule.maximum)
    elif expected == "maximum":
        assert model.n_components == 4
    else:
        assert cumulative[model.n_components - 1] >= 0.8 > cumulative[model.n_components - 2]


def test_the_knee_of_a_bent_line_is_the_bend() -> None:
    bent = np.concatenate([np.linspace(0.2, 0.8, 5), np.linspace(0.82, 1.0, 10)])
    assert knee(bent) == 5


def test_the_area_of_simple_curves_is_known() -> None:
    assert area_percent(np.ones(50)) == pytest.approx(100)
    assert area_percent(np.linspace(0, 1, 101)) == pytest.approx(50)
