"""The estimators on components: logistic regression, random forest, multilayer perceptron.

Each is built from hyperparameters and a seed, and taken apart into arrays from which `registry.predict` computes the
same probabilities.
"""

import warnings
from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np

from pipelines.models.base import Arrays, Floats, Labels, Values
from pipelines.models.logistic import fit_logistic
from registry.predict import share_log_odds

SEARCH_TREES = 25
"""Forests are compared with so few trees while searching: more move all of them alike, and take the time."""


def for_search(estimator: str, values: Values) -> Values:
    """Returns the hyperparameters that stand for `values` while many are compared."""
    return {**values, "trees": min(int(values["trees"]), SEARCH_TREES)} if estimator == "rf" else values


def for_share(estimator: str, values: Values, share: float) -> Values:
    """Returns the hyperparameters that hold a share of the patients as tightly as `values` hold all of them.

    scikit-learn weighs its penalty against the sum over patients. A model of four fifths of them would be flatter than
    the model of all, and thresholds and recalibration found on the one would not fit the other.

    Source: the penalty per observation of Friedman et al. 2010, Journal of Statistical Software 33(1), equation 1.
    """
    match estimator:
        case "lr":
            return {**values, "C": float(values["C"]) / share}
        case "mlp":
            return {**values, "alpha": float(values["alpha"]) * share}
        case _:
            return values


def fit_estimator(estimator: str, values: Values, seed: int, Z: Floats, y: Labels) -> Any:
    """Returns a fitted scikit-learn classifier.

    Args:
        estimator: `lr`, `rf` or `mlp`.
        values: Its hyperparameters, as `models.spaces` names them.
        seed: Decides everything random in it.
        Z: Scores of the components, shape (n, k).
        y: Labels, shape (n,).
    """
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # the number of iterations is a hyperparameter: stopping early is meant
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _BUILD[estimator](values, seed).fit(Z, y)


def fit_on_fold(estimator: str, values: Values, seed: int, Z: Floats, y: Labels) -> Any:
    """Returns a classifier for held-out rows alone: as `fit_estimator` does, logistic regression by a shorter way."""
    quick = fit_logistic(Z, y, float(values["C"])) if estimator == "lr" else None
    return quick or fit_estimator(estimator, values, seed, Z, y)


def positive_probability(classifier: Any, Z: Floats) -> Floats:
    """Returns the probability of class 1, shape (n,)."""
    return np.asarray(classifier.predict_proba(Z)[:, 1], dtype=np.float64)


def log_odds(classifier: Any, Z: Floats) -> Floats:
    """Returns the log odds of class 1 before any rounding to 0 or 1, shape (n,)."""
    if hasattr(classifier, "decision_function"):
        return np.asarray(classifier.decision_function(Z), dtype=np.float64)
    if hasattr(classifier, "out_activation_"):
        linear = copy(classifier)
        linear.out_activation_ = "identity"
        return positive_probability(linear, Z)
    return share_log_odds(positive_probability(classifier, Z))


def estimator_arrays(estimator: str, classifier: Any) -> Arrays:
    """Returns a fitted classifier as the arrays that a package stores."""
    return _ARRAYS[estimator](classifier)


def activation(estimator: str, values: Values) -> str:
    """Returns the hidden layers' activation, empty for estimators without layers."""
    return str(values["activation"]) if estimator == "mlp" else ""


def _build_lr(values: Values, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=float(values["C"]), solver="newton-cholesky", tol=1e-10, max_iter=200)


def _build_rf(values: Values, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(
        n_estimators=int(values["trees"]),
        max_depth=int(values["max_depth"]),
        min_samples_leaf=int(values["min_leaf"]),
        max_features=float(values["max_features"]),
        random_state=seed,
        n_jobs=1,
    )


def _build_mlp(values: Values, seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(
        hidden_layer_sizes=tuple(int(size) for size in str(values["hidden"]).split("-")),
        activation=str(values["activation"]),
        alpha=float(values["alpha"]),
        max_iter=int(values["iterations"]),
        solver="lbfgs",
        random_state=seed,
    )


def _lr_arrays(classifier: Any) -> Arrays:
    return {"lr.coef": np.ascontiguousarray(classifier.coef_[0]), "lr.intercept": classifier.intercept_}


def _mlp_arrays(classifier: Any) -> Arrays:
    layers = zip(classifier.coefs_, classifier.intercepts_, strict=True)
    arrays: Arrays = {}
    for number, (weight, bias) in enumerate(layers):
        arrays |= {f"mlp.weight.{number}": np.ascontiguousarray(weight), f"mlp.bias.{number}": bias}
    return arrays


def _rf_arrays(classifier: Any) -> Arrays:
    trees = [tree.tree_ for tree in classifier.estimators_]
    shares = [tree.value[:, 0, :] / tree.value[:, 0, :].sum(axis=1, keepdims=True) for tree in trees]
    return {
        "rf.start": np.cumsum([0, *(tree.node_count for tree in trees)], dtype=np.int64),
        "rf.left": np.concatenate([tree.children_left for tree in trees]).astype(np.int64),
        "rf.right": np.concatenate([tree.children_right for tree in trees]).astype(np.int64),
        "rf.feature": np.concatenate([tree.feature for tree in trees]).astype(np.int64),
        "rf.threshold": np.concatenate([tree.threshold for tree in trees]).astype(np.float64),
        "rf.value": np.ascontiguousarray(np.concatenate([share[:, 1] for share in shares]), dtype=np.float64),
    }


_BUILD: dict[str, Callable[[Values, int], Any]] = {"lr": _build_lr, "rf": _build_rf, "mlp": _build_mlp}
_ARRAYS: dict[str, Callable[[Any], Arrays]] = {"lr": _lr_arrays, "rf": _rf_arrays, "mlp": _mlp_arrays}
ESTIMATORS = tuple(_BUILD)
