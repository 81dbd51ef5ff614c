"""A package predicts what scikit-learn predicts, for every kind of model and every step before it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from registry.onnx_export import export_onnx
from registry.package import ModelPackage, load_package, save_package
from registry.predict import predict

TOLERANCE = 1e-12
"""Probabilities of the same arithmetic in another order of sums differ by some 1e-16."""

ESTIMATORS = {
    "lr": LogisticRegression(C=0.3),
    "rf": RandomForestClassifier(40, random_state=0),
    "rf-weighted": RandomForestClassifier(20, class_weight="balanced_subsample", max_leaf_nodes=9, random_state=0),
    "mlp-relu": MLPClassifier((7, 4), random_state=0, max_iter=40),
    "mlp-tanh": MLPClassifier((5,), activation="tanh", random_state=0, max_iter=40),
    "mlp-logistic": MLPClassifier((5,), activation="logistic", random_state=0, max_iter=40),
    "mlp-identity": MLPClassifier((5,), activation="identity", random_state=0, max_iter=40),
}


def cohort(n: int = 90, p: int = 30) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Features of very different scale with gaps and a constant column, and a label they tell something about."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, p)) * 10.0 ** rng.integers(-4, 5, size=p)
    y = (X[:, 0] / X[:, 0].std() + rng.normal(size=n) > 0).astype(int)
    X[rng.random(X.shape) < 0.03] = np.nan
    X[:, 7] = 4.25
    return X, y


def fitted(name: str, X: NDArray[np.float64], y: NDArray[np.int64], *, reduced: bool = True) -> Pipeline:
    steps: list[tuple[str, Any]] = [("impute", SimpleImputer(strategy="median")), ("keep", VarianceThreshold())]
    if reduced:
        steps += [("scale", StandardScaler()), ("pca", PCA(8, random_state=0))]
    return Pipeline([*steps, ("estimator", ESTIMATORS[name])]).fit(X, y)


def arrays(pipeline: Pipeline) -> dict[str, NDArray[Any]]:
    named = pipeline.named_steps
    found = {
        "impute.median": named["impute"].statistics_,
        "keep.index": np.flatnonzero(named["keep"].get_support()).astype(np.int64),
    }
    if "pca" in named:
        found |= {"scale.mean": named["scale"].mean_, "scale.sd": named["scale"].scale_}
        found |= {"pca.mean": named["pca"].mean_, "pca.components": named["pca"].components_}
    estimator = named["estimator"]
    if isinstance(estimator, LogisticRegression):
        return found | {"lr.coef": estimator.coef_[0], "lr.intercept": estimator.intercept_}
    if isinstance(estimator, MLPClassifier):
        layers = enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True))
        return found | {
            name: array
            for number, (weight, bias) in layers
            for name, array in ((f"mlp.weight.{number}", weight), (f"mlp.bias.{number}", bias))
        }
    trees = [tree.tree_ for tree in estimator.estimators_]
    return found | {
        "rf.start": np.cumsum([0, *(tree.node_count for tree in trees)]),
        "rf.left": np.concatenate([tree.children_left for tree in trees]),
        "rf.right": np.concatenate([tree.children_right for tree in trees]),
        "rf.feature": np.concatenate([tree.feature for tree in trees]),
        "rf.threshold": np.concatenate([tree.threshold for tree in trees]),
        "rf.value": np.concatenate([tree.value[:, 0, 1] / tree.value[:, 0].sum(axis=1) for tree in trees]),
    }


def packaged(folder: Path, name: str, pipeline: Pipeline, X: NDArray[np.float64], candidates: Any) -> ModelPackage:
    manifest = candidates.manifest("model", "0" * 64, name.partition("-")[0])
    manifest["model"]["activation"] = getattr(ESTIMATORS[name], "activation", "")
    manifest["features"] = [{"name": f"early.f{number}", "unit": ""} for number in range(X.shape[1])]
    digest = save_package(folder, manifest, arrays(pipeline), X[:5], "# card\n")
    return load_package(folder, digest)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("reduced", [True, False], ids=["pca", "raw"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_predictions_equal_scikit_learns(tmp_path: Path, candidates: Any, name: str, reduced: bool) -> None:
    X, y = cohort()
    pipeline = fitted(name, X[:60], y[:60], reduced=reduced)
    package = packaged(tmp_path / "package", name, pipeline, X, candidates)
    difference = np.abs(predict(package, X) - pipeline.predict_proba(X)[:, 1])
    assert difference.max() <= TOLERANCE


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_patient_scores_the_same_alone_and_among_others(tmp_path: Path, candidates: Any, name: str) -> None:
    """Scoring in a hundred runs must equal scoring in one, to the last bit."""
    X, y = cohort()
    package = packaged(tmp_path / "package", name, fitted(name, X[:60], y[:60]), X, candidates)
    alone = np.concatenate([predict(package, row[None, :]) for row in X])
    assert np.array_equal(predict(package, X), alone)
    assert np.array_equal(predict(package, X[::-1]), alone[::-1])


def test_forests_see_single_precision_as_in_scikit_learn(tmp_path: Path, candidates: Any) -> None:
    """A value between a threshold and its float32 neighbor goes the way scikit-learn sends it."""
    X, y = cohort()
    X = np.nan_to_num(X)
    pipeline = fitted("rf", X, y, reduced=False)
    tree = pipeline.named_steps["estimator"].estimators_[0].tree_
    feature = pipeline.named_steps["keep"].get_support(indices=True)[tree.feature[0]]
    near = np.repeat(X[:1], 41, axis=0)
    near[:, feature] = tree.threshold[0] * (1 + np.linspace(-2e-7, 2e-7, 41))
    package = packaged(tmp_path / "package", "rf", pipeline, X, candidates)
    assert np.array_equal(predict(package, near), pipeline.predict_proba(near)[:, 1])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_onnx_runtime_gives_the_same_probabilities(tmp_path: Path, candidates: Any, name: str) -> None:
    """In doubles, with gaps, alone and among others; the forest too, for which ONNX's own operator is single."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    X, y = cohort()
    pipeline = fitted(name, X[:60], y[:60])
    package = packaged(tmp_path / "package", name, pipeline, X, candidates)
    assert export_onnx(package, tmp_path / "model.onnx") <= TOLERANCE
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(["probability"], {"features": X})
    assert np.abs(found - pipeline.predict_proba(X)[:, 1]).max() <= TOLERANCE
    assert session.get_modelmeta().custom_metadata_map["package"] == package.digest
    before = (tmp_path / "model.onnx").read_bytes()
    export_onnx(package, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == before
