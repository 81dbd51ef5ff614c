"""Prediction from a package's arrays, in numpy alone and equal to scikit-learn's to 1e-12.

Every row is computed as if it came alone, so that a patient's probability has the same bits whether he is scored alone
or among a thousand: matrix products go row by row, because BLAS sums in another order when there are more rows.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from registry.arrays import CALIBRATION, Arrays, mlp_layers
from registry.errors import WrongFeaturesError
from registry.stacking import ESTIMATOR as STACK
from registry.stacking import member_log_odds, phases_absent, weighed

Floats = NDArray[np.float64]

SHARE_EDGE = 1e-6
"""A forest's share may be 0 or 1, which has no logit. This lies nearer to them than any other share a forest of 1,000
patients and 100 trees can give, so no two shares are made alike."""

_CELLS_AT_ONCE = 2_000_000
"""How many tree walks are under way at a time; bounds memory to some tens of megabytes."""

_ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "identity": lambda x: x,
    "logistic": expit,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0.0),
}

ACTIVATIONS = tuple(_ACTIVATIONS)


class Predicting(Protocol):
    """What prediction needs of a package."""

    @property
    def arrays(self) -> Arrays:
        """The arrays by name."""
        ...

    @property
    def estimator(self) -> str:
        """`lr`, `mlp` or `rf`."""
        ...

    @property
    def activation(self) -> str:
        """The hidden layers' activation of an mlp."""
        ...

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the columns in their order."""
        ...


class Fusing(Predicting, Protocol):
    """What a fusion has besides."""

    @property
    def members(self) -> "Sequence[Fusing]":
        """Its members, in the order of its weights."""
        ...

    @property
    def absent_member(self) -> str:
        """What happens where a member says nothing."""
        ...

    @property
    def name(self) -> str:
        """The model's name."""
        ...


def predict(package: Predicting, X: NDArray[np.floating], given: Mapping[str, Floats] | None = None) -> Floats:
    """Returns the probability of the positive class for each row.

    Args:
        package: A loaded package.
        X: Features in the package's order, shape (n, p); NaN where a value is missing.
        given: What a fusion's networks say, by name, shape (n,); NaN where one says nothing.

    Returns:
        Probabilities, shape (n,); of a fusion NaN where its members say too little.

    Raises:
        WrongFeaturesError: The number of columns differs, or a value is infinite.
    """
    if package.estimator == STACK:
        return _fused(cast("Fusing", package), np.asarray(X, dtype=np.float64), given or {})
    if package.estimator not in _SCORES:
        raise WrongFeaturesError(f"a {package.estimator} sees images, not features")
    rows: Floats = np.ascontiguousarray(X, dtype=np.float64)
    _check(package, rows)
    score = _SCORES[package.estimator](package, transform(package, rows))
    is_share = package.estimator == "rf"
    if CALIBRATION in package.arrays:
        return recalibrated(share_log_odds(score) if is_share else score, package.arrays[CALIBRATION])
    return score if is_share else np.asarray(expit(score))


def combined(package: Fusing, p: Mapping[str, Floats]) -> Floats:
    """Returns what a fusion makes of its members' probabilities, by name, each of shape (n,), NaN where none."""
    told = np.column_stack([p[member.name] for member in package.members])
    return weighed(package.arrays, member_log_odds(told), package.absent_member)


def _fused(package: Fusing, X: Floats, given: Mapping[str, Floats]) -> Floats:
    if X.ndim != 2 or X.shape[1] != len(package.features):
        raise WrongFeaturesError(f"X has shape {X.shape}; the model needs (n, {len(package.features)})")
    place = {name: number for number, name in enumerate(package.features)}
    found: dict[str, Floats] = {}
    for member in package.members:
        if not member.features:
            if member.name not in given:
                raise WrongFeaturesError(f"what the network {member.name} says is not given")
            found[member.name] = np.asarray(given[member.name], dtype=np.float64)
            continue
        own = X[:, [place[name] for name in member.features]]
        there = ~phases_absent(member.features, own)
        found[member.name] = np.full(len(X), np.nan)
        found[member.name][there] = predict(member, own[there])
    return combined(package, found)


def recalibrated(log_odds: Floats, coefficients: NDArray[np.floating]) -> Floats:
    """Returns probabilities from log odds, moved and stretched; the order of patients stays.

    Source: Cox 1958, Biometrika 45:562; Platt 1999, Advances in Large Margin Classifiers, p. 61.

    Args:
        log_odds: What the estimator says, any shape.
        coefficients: Intercept and slope, shape (2,); 0 and 1 change nothing.
    """
    intercept, slope = coefficients
    return np.asarray(expit(intercept + slope * log_odds))


def share_log_odds(share: Floats) -> Floats:
    """Returns the logits of shares of trees, of which 0 and 1 are legal ones."""
    return np.asarray(logit(np.clip(share, SHARE_EDGE, 1 - SHARE_EDGE)))


def transform(package: Predicting, X: Floats) -> Floats:
    """Returns what reaches the estimator: imputed, reduced to kept columns, scaled, clipped, projected; (n, k)."""
    arrays = package.arrays
    if "impute.median" in arrays:
        X = np.where(np.isnan(X), arrays["impute.median"], X)
    if "keep.index" in arrays:
        X = X[:, arrays["keep.index"]]
    if "logit.edge" in arrays:
        edge = float(arrays["logit.edge"][0])
        X = logit(np.clip(X, edge, 1 - edge))
    if "scale.mean" in arrays:
        X = (X - arrays["scale.mean"]) / arrays["scale.sd"]
    if "scale.limit" in arrays:
        X = np.clip(X, -arrays["scale.limit"], arrays["scale.limit"])
    if "pca.mean" in arrays:
        # scikit-learn centers after the projection; another order moves the last bits, and a forest may then turn
        axes = np.asarray(arrays["pca.components"], dtype=np.float64).T
        X = _product(X, axes) - _product(np.asarray(arrays["pca.mean"], dtype=np.float64)[None, :], axes)
    return np.ascontiguousarray(X)


def _check(package: Predicting, X: Floats) -> None:
    if X.ndim != 2 or X.shape[1] != len(package.features):
        raise WrongFeaturesError(f"X has shape {X.shape}; the model needs (n, {len(package.features)})")
    infinite = np.isinf(X)
    if infinite.any():
        names = [package.features[i] for i in np.flatnonzero(infinite.any(axis=0))[:5]]
        raise WrongFeaturesError(f"infinite values in {', '.join(names)}")
    if "impute.median" not in package.arrays and np.isnan(X).any():
        raise WrongFeaturesError("missing values, and the model has no step that fills them")


def _product(X: Floats, matrix: Floats) -> Floats:
    return np.matmul(np.ascontiguousarray(X)[:, None, :], matrix)[:, 0, :]


def _lr_log_odds(package: Predicting, X: Floats) -> Floats:
    coefficients = np.asarray(package.arrays["lr.coef"], dtype=np.float64)[:, None]
    return np.asarray(_product(X, coefficients)[:, 0] + package.arrays["lr.intercept"])


def _mlp_log_odds(package: Predicting, X: Floats) -> Floats:
    layers = list(mlp_layers(package.arrays))
    for number, (weight, bias) in enumerate(layers):
        X = _product(X, np.asarray(package.arrays[weight], dtype=np.float64)) + package.arrays[bias]
        X = _ACTIVATIONS["identity" if number == len(layers) - 1 else package.activation](X)
    return X[:, 0]


def _rf_share(package: Predicting, X: Floats) -> Floats:
    # scikit-learn's forests see float32 values and compare them with float64 thresholds
    single = X.astype(np.float32)
    forest = _Forest(package.arrays)
    rows = max(1, _CELLS_AT_ONCE // forest.roots.size)
    parts = [forest.share(single[first : first + rows]) for first in range(0, len(single), rows)]
    return np.concatenate(parts) if parts else np.empty(0)


class _Forest:
    """Trees whose leaves point at themselves, so that all walks may go on until none moves."""

    def __init__(self, arrays: Arrays) -> None:
        start, left, right = (np.asarray(arrays[f"rf.{name}"], dtype=np.int64) for name in ("start", "left", "right"))
        base = np.repeat(start[:-1], np.diff(start))
        leaf, self_index = left < 0, np.arange(left.size)
        self.roots = start[:-1]
        self.left = np.where(leaf, self_index, base + left)
        self.right = np.where(leaf, self_index, base + right)
        self.feature = np.where(leaf, 0, arrays["rf.feature"])
        self.threshold = np.asarray(arrays["rf.threshold"], dtype=np.float64)
        self.value = np.asarray(arrays["rf.value"], dtype=np.float64)

    def share(self, X: NDArray[np.float32]) -> Floats:
        """Returns the mean share of class 1 in the leaves that each row of X (n, k) ends in, shape (n,)."""
        rows = np.arange(len(X))[:, None]
        node = np.broadcast_to(self.roots, (len(X), self.roots.size))
        while True:
            goes_left = X[rows, self.feature[node]].astype(np.float64) <= self.threshold[node]
            after = np.where(goes_left, self.left[node], self.right[node])
            if np.array_equal(after, node):
                return np.ascontiguousarray(self.value[node]).sum(axis=1) / self.roots.size
            node = after


_SCORES: dict[str, Callable[[Predicting, Floats], Floats]] = {
    "clinical": _lr_log_odds,
    "lr": _lr_log_odds,
    "probability": _lr_log_odds,
    "mlp": _mlp_log_odds,
    "rf": _rf_share,
}
