"""The arrays of a tabular model: which there are, and what must hold before any number is computed with them.

A model is a chain of steps, each with its arrays; `p` features enter, `m` are kept, `k` components reach the estimator.

| step | arrays |
|---|---|
| combat | `combat.mean` (p,), `combat.sd` (p,) at least 0, `combat.gamma` (b, p), `combat.delta` (b, p) above 0;
    with covariates also `combat.own` (q,) int64, their columns, and `combat.beta` (q, p) |
| impute | `impute.median` (p,) |
| keep | `keep.index` (m,) int64, rising |
| scale | `scale.mean` (m,), `scale.sd` (m,) above 0; `scale.limit` (1,) above 0, or absent: values are clipped |
| pca | `pca.mean` (m,), `pca.components` (k, m) |
| logit | `logit.edge` (1,) within 0 and 0.5, or absent: columns are probabilities, and become log odds |
| lr, clinical, probability | `lr.coef` (k,), `lr.intercept` (1,) |
| mlp | `mlp.weight.<i>` (in, out), `mlp.bias.<i>` (out,), the last with out = 1 |
| rf | `rf.start` (t+1,) int64; `rf.left`, `rf.right`, `rf.feature` (nodes,) int64; `rf.threshold`, `rf.value` (nodes,)
| calibration | `calibration.coefficients` (2,): intercept and slope on the estimator's log odds, slope above 0 |

Combat is applied to imputed features, before the others, where the rows' centers are known
(`registry.harmonizing`). All steps before the estimator, and calibration after it, may be absent; exactly one estimator
is present. Trees lie one after another, tree `i` at `rf.start[i]:rf.start[i+1]`. Children are counted from the start of
their own tree and come after their parent, -1 in `rf.left` marks a leaf: the way scikit-learn stores them. `rf.value`
is the share of class 1 in a node.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

MAX_NODES = 20_000_000
MAX_DEPTH = 1_000
"""A tree deeper than this is no tree that a radiomics cohort grows, and would make prediction crawl."""

CALIBRATION = "calibration.coefficients"
MAX_SLOPE = 1e4
"""A steeper recalibration would make 1e-9 in a probability of 1e-13 in a score: rounding, not patients."""

MAX_INTERCEPT = 1e5

_INTEGER = {"combat.own", "keep.index", "rf.start", "rf.left", "rf.right", "rf.feature"}
_FOREST = ("rf.start", "rf.left", "rf.right", "rf.feature", "rf.threshold", "rf.value")


class ArrayRuleError(ValueError):
    """An array breaks a rule of the table above; the message names it."""


def check_arrays(arrays: Arrays, n_features: int, estimator: str) -> None:
    """Checks names, types, shapes, indices and ranges of a tabular model's arrays.

    Raises:
        ArrayRuleError: The first rule that is broken.
    """
    left_over = dict(arrays)
    _check_types(arrays)
    width = n_features
    _check_combat(left_over, width)
    for step in (_check_impute, _check_keep, _check_logit, _check_scale, _check_pca):
        width = step(left_over, width)
    _ESTIMATORS[estimator](left_over, width)
    check_calibration(left_over)
    _require(not left_over, f"unknown arrays {sorted(left_over)[:5]}")


def width(arrays: Arrays, n_features: int) -> int:
    """Returns how many values reach the estimator of a model whose arrays were checked."""
    if "pca.components" in arrays:
        return len(arrays["pca.components"])
    return int(arrays["keep.index"].size) if "keep.index" in arrays else n_features


def mlp_layers(arrays: Arrays) -> Iterator[tuple[str, str]]:
    """Yields the names of weight and bias of each layer."""
    number = 0
    while f"mlp.weight.{number}" in arrays:
        yield f"mlp.weight.{number}", f"mlp.bias.{number}"
        number += 1


def _check_types(arrays: Arrays) -> None:
    for name, array in arrays.items():
        wanted = np.int64 if name in _INTEGER else np.float64
        _require(array.dtype == wanted, f"{name} is {array.dtype}, not {np.dtype(wanted)}")
        _require(bool(np.isfinite(array).all()), f"{name} has values that are not finite")


def _check_impute(arrays: dict[str, NDArray[Any]], width: int) -> int:
    if "impute.median" in arrays:
        _take(arrays, "impute.median", (width,))
    return width


def _check_combat(arrays: dict[str, NDArray[Any]], width: int) -> None:
    if not any(name.startswith("combat.") for name in arrays):
        return
    _require("impute.median" in arrays, "combat needs impute.median")
    _take(arrays, "combat.mean", (width,))
    _require(bool((_take(arrays, "combat.sd", (width,)) >= 0).all()), "combat.sd is below 0")
    shape = arrays.get("combat.gamma", np.empty(0)).shape
    _require(len(shape) == 2 and shape[0] > 1 and shape[1] == width, f"combat.gamma has shape {shape}")
    _take(arrays, "combat.gamma", shape)
    _require(bool((_take(arrays, "combat.delta", shape) > 0).all()), "combat.delta is not above 0")
    if "combat.own" in arrays or "combat.beta" in arrays:
        own = arrays.pop("combat.own", np.empty(0))
        _require(own.ndim == 1 and len(set(own.tolist())) == own.size > 0, "combat.own names no columns, or one twice")
        _require(bool(((own >= 0) & (own < width)).all()), f"combat.own leaves 0..{width - 1}")
        _take(arrays, "combat.beta", (own.size, width))


def _check_keep(arrays: dict[str, NDArray[Any]], width: int) -> int:
    if "keep.index" not in arrays:
        return width
    index = arrays.pop("keep.index")
    _require(index.ndim == 1 and index.size > 0, f"keep.index has shape {index.shape}")
    _require(bool((np.diff(index) > 0).all()), "keep.index does not rise")
    _require(index[0] >= 0 and index[-1] < width, f"keep.index leaves 0..{width - 1}")
    return int(index.size)


def _check_logit(arrays: dict[str, NDArray[Any]], width: int) -> int:
    if "logit.edge" in arrays:
        edge = float(_take(arrays, "logit.edge", (1,))[0])
        _require(0 < edge < 0.5, f"logit.edge is {edge:g}")
    return width


def _check_scale(arrays: dict[str, NDArray[Any]], width: int) -> int:
    if arrays.keys() & {"scale.mean", "scale.sd"}:
        _take(arrays, "scale.mean", (width,))
        _require(bool((_take(arrays, "scale.sd", (width,)) > 0).all()), "scale.sd is not above 0")
        if "scale.limit" in arrays:
            _require(bool((_take(arrays, "scale.limit", (1,)) > 0).all()), "scale.limit is not above 0")
    return width


def _check_pca(arrays: dict[str, NDArray[Any]], width: int) -> int:
    if not arrays.keys() & {"pca.mean", "pca.components"}:
        return width
    _take(arrays, "pca.mean", (width,))
    _require("pca.components" in arrays, "pca.components is missing")
    components = arrays.pop("pca.components")
    _require(
        components.ndim == 2 and components.shape[1] == width and components.shape[0] > 0,
        f"pca.components has shape {components.shape}, not (k, {width})",
    )
    return components.shape[0]


def _check_lr(arrays: dict[str, NDArray[Any]], width: int) -> None:
    _take(arrays, "lr.coef", (width,))
    _take(arrays, "lr.intercept", (1,))


def _check_mlp(arrays: dict[str, NDArray[Any]], width: int) -> None:
    for weight, bias in list(mlp_layers(arrays)):
        matrix = arrays.pop(weight)
        _require(
            matrix.ndim == 2 and matrix.shape[0] == width and matrix.shape[1] > 0,
            f"{weight} has shape {matrix.shape}, not ({width}, n)",
        )
        width = matrix.shape[1]
        _take(arrays, bias, (width,))
    _require(width == 1, "the last layer of the mlp has no single output")


def check_calibration(arrays: dict[str, NDArray[Any]]) -> None:
    """Takes the recalibration out of the arrays, if it is there, and checks it."""
    if CALIBRATION in arrays:
        intercept, slope = _take(arrays, CALIBRATION, (2,)).tolist()
        _require(0 < slope <= MAX_SLOPE, f"the slope of {CALIBRATION} is {slope:g}, not above 0 up to {MAX_SLOPE:g}")
        _require(abs(intercept) <= MAX_INTERCEPT, f"the intercept of {CALIBRATION} is {intercept:g}")


def _check_rf(arrays: dict[str, NDArray[Any]], width: int) -> None:
    start = arrays.get("rf.start", np.empty(0, np.int64))
    _require(start.ndim == 1 and start.size >= 2 and start[0] == 0, "rf.start does not begin with 0 and a tree")
    _require(bool((np.diff(start) > 0).all()), "rf.start does not rise")
    n_nodes = int(start[-1])
    _require(n_nodes <= MAX_NODES, f"rf has {n_nodes} nodes")
    _take(arrays, "rf.start", start.shape)
    left, right, feature, _, value = (_take(arrays, name, (n_nodes,)) for name in _FOREST[1:])
    inner = left >= 0
    _require(bool((left[~inner] == -1).all()), "rf.left of a leaf is not -1")
    _require(bool(((feature[inner] >= 0) & (feature[inner] < width)).all()), f"rf.feature leaves 0..{width - 1}")
    _require(bool(((value >= 0) & (value <= 1)).all()), "rf.value leaves 0..1")
    _check_trees(start.astype(np.int64), left.astype(np.int64), right.astype(np.int64), inner)


def _check_trees(
    start: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64], inner: NDArray[np.bool_]
) -> None:
    sizes = np.diff(start)
    base, size = np.repeat(start[:-1], sizes)[inner], np.repeat(sizes, sizes)[inner]
    parent = np.flatnonzero(inner)
    for name, child in (("rf.left", left[inner]), ("rf.right", right[inner])):
        _require(bool(((child >= 0) & (child < size)).all()), f"{name} points outside its tree")
        _require(bool((base + child > parent).all()), f"{name} points back")
    children = np.concatenate([base + left[inner], base + right[inner]])
    _require(np.unique(children).size == children.size, "two nodes of rf share a child")
    _require(children.size + start.size - 1 == left.size, "rf has nodes that no tree reaches")
    _require(_depth(start, left, right) <= MAX_DEPTH, f"a tree of rf is deeper than {MAX_DEPTH}")


def _depth(start: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]) -> int:
    base = np.repeat(start[:-1], np.diff(start))
    level, depth = start[:-1], 0
    while level.size and depth <= MAX_DEPTH:
        inner = level[left[level] >= 0]
        level = np.concatenate([base[inner] + left[inner], base[inner] + right[inner]])
        depth += 1
    return depth


def _take(arrays: dict[str, NDArray[Any]], name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    _require(name in arrays, f"{name} is missing")
    array = arrays.pop(name)
    _require(array.shape == shape, f"{name} has shape {array.shape}, not {shape}")
    return array


def _require(holds: bool, complaint: str) -> None:
    if not holds:
        raise ArrayRuleError(complaint)


_ESTIMATORS = {
    "clinical": _check_lr,
    "lr": _check_lr,
    "mlp": _check_mlp,
    "probability": _check_lr,
    "rf": _check_rf,
}
ESTIMATORS = tuple(_ESTIMATORS)
