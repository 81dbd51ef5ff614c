"""A tabular package as an ONNX graph in double precision, for runtimes that know no radmill.

The graph has the steps of `registry.predict`, in their order. It is tried before it is written: on the golden inputs
and on random rows the runtime must give the package's own probabilities. Without a package's rules, checks and digest
a graph is no package: radmill never reads one.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import FaultError, InputError
from featurestore.files import write_bytes
from registry.arrays import CALIBRATION, Arrays, mlp_layers
from registry.package import ModelPackage
from registry.predict import SHARE_EDGE, predict

SUFFIX = ".onnx"
OPSET, IR_VERSION = 17, 8
TOLERANCE = 1e-9
"""Largest difference in probability that is allowed; sums in another order move some 1e-15."""

N_ROWS, SEED = 1000, 20240501
INPUT, OUTPUT = "features", "probability"
_ACTIVATIONS = {"identity": "Identity", "logistic": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}

Floats = NDArray[np.float64]


class NoGraphError(InputError):
    """The package has no form as a graph on a table of features."""

    default_remedy = "carry it as a package (`radmill export MODEL FILE.radmill`)"


class OnnxMissingError(InputError):
    """The libraries that write and try graphs are not installed."""

    default_remedy = "`pip install radmill[onnx]`"


class ParityError(FaultError):
    """The graph gives other probabilities than the package."""

    default_remedy = "nothing was written; report it with the versions of onnx and onnxruntime"


def export_onnx(package: ModelPackage, target: Path) -> float:
    """Writes a package as a graph and returns the largest difference in probability that was seen when it was tried.

    Args:
        package: A tabular package that does not harmonize centers.
        target: The file to write.

    Raises:
        NoGraphError: It is a network or a fusion, or needs to know the center of a row.
        OnnxMissingError: onnx or onnxruntime is not installed.
        ParityError: The difference is above `TOLERANCE`; nothing was written.
    """
    if package.is_deep or package.is_fusion:
        raise NoGraphError(f"a {package.manifest['kind']} package sees more than a table", where=package.name)
    if package.is_harmonized:
        raise NoGraphError("it harmonizes centers, and a graph is told no center", where=package.name)
    try:
        data = graph_bytes(package)
        difference = parity(package, data)
    except ImportError as error:
        raise OnnxMissingError(f"{error.name} is not installed") from error
    if not difference <= TOLERANCE:
        raise ParityError(f"differs by {difference:.2g}, allowed {TOLERANCE:g}", where=package.name)
    write_bytes(target, data)
    return difference


def graph_bytes(package: ModelPackage) -> bytes:
    """Returns the graph: input `features` (n, p) in the package's order, NaN where missing; output `probability` (n,).

    What a reader has to know besides stands in its metadata: features, thresholds, digest.
    """
    import onnx
    from onnx import TensorProto, helper

    graph = _Graph()
    last = _probability(graph, package, _transformed(graph, package.arrays))
    graph.add("Identity", last, to=OUTPUT)
    doubles = TensorProto.DOUBLE
    body = helper.make_graph(
        graph.nodes,
        "radmill",
        [helper.make_tensor_value_info(INPUT, doubles, ["n", len(package.features)])],
        [helper.make_tensor_value_info(OUTPUT, doubles, ["n"])],
        graph.constants,
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="radmill")
    model.ir_version = IR_VERSION
    helper.set_model_props(model, _told(package))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def parity(package: ModelPackage, data: bytes) -> float:
    """Returns the largest difference in probability between graph and package, on golden inputs and random rows."""
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    X = np.vstack([package.golden, _random_rows(package)])
    (found,) = session.run([OUTPUT], {INPUT: np.ascontiguousarray(X)})
    return float(np.max(np.abs(found - predict(package, X))))


def _told(package: ModelPackage) -> dict[str, str]:
    told = {
        "model": package.name,
        "package": package.digest,
        "features": list(package.manifest["features"]),
        "thresholds": package.thresholds,
        "extraction": package.manifest["extraction"],
        "feature_set": package.manifest["feature_set"],
        "unseen": list(package.manifest["model"].get("unseen", ())),
    }
    return {name: text if isinstance(text, str) else json.dumps(text, sort_keys=True) for name, text in told.items()}


def _random_rows(package: ModelPackage) -> Floats:
    """Returns rows spread as the patients were, and twice as wide; some values are missing where the model imputes."""
    rng, p, arrays = np.random.default_rng(SEED), len(package.features), package.arrays
    keep = arrays.get("keep.index", np.arange(p))
    center, spread = np.array(arrays.get("impute.median", np.zeros(p)), copy=True), np.ones(p)
    if "scale.mean" in arrays and "logit.edge" not in arrays:
        center[keep], spread[keep] = arrays["scale.mean"], arrays["scale.sd"]
    X = center + spread * rng.normal(size=(N_ROWS, p)) * rng.choice([0.5, 1.0, 2.0], size=(N_ROWS, 1))
    if "impute.median" in arrays:
        X[rng.random(X.shape) < 0.05] = np.nan
    return np.asarray(X)


class _Graph:
    """Nodes and constants in the making; every value has a number for a name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._names: dict[int, tuple[str, NDArray[Any]]] = {}

    def add(self, operator: str, *inputs: "str | NDArray[Any]", to: str = "", **more: Any) -> str:
        """Adds a node and returns the name of what it gives; arrays among its inputs become constants."""
        from onnx import helper

        attributes = more.pop("attributes", more)
        name = to or f"v{len(self.nodes)}"
        named = [one if isinstance(one, str) else self._constant(one) for one in inputs]
        self.nodes.append(helper.make_node(operator, named, [name], **attributes))
        return name

    def _constant(self, array: NDArray[Any]) -> str:
        from onnx import numpy_helper

        if id(array) not in self._names:
            name = f"c{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
            self._names[id(array)] = name, array  # kept, so that its id stays its own
        return self._names[id(array)][0]


def _transformed(graph: _Graph, arrays: Arrays) -> str:
    """Adds the steps before the estimator; as `registry.predict.transform`."""
    X = INPUT
    if "impute.median" in arrays:
        X = graph.add("Where", graph.add("IsNaN", X), arrays["impute.median"], X)
    if "keep.index" in arrays:
        X = graph.add("Gather", X, arrays["keep.index"], axis=1)
    if "logit.edge" in arrays:
        X = _log_odds(graph, X, float(arrays["logit.edge"][0]))
    if "scale.mean" in arrays:
        X = graph.add("Div", graph.add("Sub", X, arrays["scale.mean"]), arrays["scale.sd"])
    if "scale.limit" in arrays:
        limit = np.float64(arrays["scale.limit"][0])
        X = graph.add("Clip", X, np.array(-limit), np.array(limit))
    if "pca.mean" in arrays:
        axes = np.asarray(arrays["pca.components"], dtype=np.float64).T
        X = graph.add("Sub", graph.add("MatMul", X, axes), arrays["pca.mean"] @ axes)
    return X


def _log_odds(graph: _Graph, p: str, edge: float) -> str:
    kept = graph.add("Clip", p, np.array(edge), np.array(1 - edge))
    return graph.add("Log", graph.add("Div", kept, graph.add("Sub", np.array(1.0), kept)))


def _probability(graph: _Graph, package: ModelPackage, X: str) -> str:
    """Adds the estimator and the recalibration."""
    score, arrays = _SCORES[package.estimator](graph, package, X), package.arrays
    is_share = package.estimator == "rf"
    if CALIBRATION not in arrays:
        return score if is_share else graph.add("Sigmoid", score)
    odds = _log_odds(graph, score, SHARE_EDGE) if is_share else score
    intercept, slope = arrays[CALIBRATION]
    return graph.add("Sigmoid", graph.add("Add", graph.add("Mul", odds, np.array(slope)), np.array(intercept)))


def _lr(graph: _Graph, package: ModelPackage, X: str) -> str:
    product = graph.add("MatMul", X, np.asarray(package.arrays["lr.coef"], dtype=np.float64))
    return graph.add("Add", product, package.arrays["lr.intercept"])


def _mlp(graph: _Graph, package: ModelPackage, X: str) -> str:
    layers = list(mlp_layers(package.arrays))
    for number, (weight, bias) in enumerate(layers):
        X = graph.add("Add", graph.add("MatMul", X, package.arrays[weight]), package.arrays[bias])
        is_last = number == len(layers) - 1
        X = graph.add("Identity" if is_last else _ACTIVATIONS[package.activation], X)
    return graph.add("Squeeze", X, np.array([1]))


def _rf(graph: _Graph, package: ModelPackage, X: str) -> str:
    """Adds one step for each level of the deepest tree; leaves point at themselves.

    ONNX's own operator for trees gives single precision.
    """
    from onnx import TensorProto

    arrays = package.arrays
    start, left, right = (np.asarray(arrays[f"rf.{name}"], np.int64) for name in ("start", "left", "right"))
    base, own = np.repeat(start[:-1], np.diff(start)), np.arange(left.size)
    low, high = (np.where(left < 0, own, base + child) for child in (left, right))
    single = _cast(graph, _cast(graph, X, TensorProto.FLOAT), TensorProto.DOUBLE)
    n = graph.add("Shape", single, start=0, end=1)
    node = graph.add("Expand", start[None, :-1], graph.add("Concat", n, np.array([start.size - 1]), axis=0))
    feature = np.where(left < 0, 0, arrays["rf.feature"])
    for _ in range(_depth(start[:-1], low, high)):
        value = graph.add("GatherElements", single, graph.add("Gather", feature, node), axis=1)
        goes_low = graph.add("LessOrEqual", value, graph.add("Gather", arrays["rf.threshold"], node))
        node = graph.add("Where", goes_low, graph.add("Gather", low, node), graph.add("Gather", high, node))
    shares = graph.add("Gather", arrays["rf.value"], node)
    return graph.add("ReduceMean", shares, axes=[1], keepdims=0)


def _cast(graph: _Graph, value: str, kind: int) -> str:
    return graph.add("Cast", value, attributes={"to": kind})


def _depth(roots: NDArray[np.int64], low: NDArray[np.int64], high: NDArray[np.int64]) -> int:
    level, depth = roots, 0
    while True:
        inner = level[low[level] != level]
        if not inner.size:
            return depth
        level, depth = np.concatenate([low[inner], high[inner]]), depth + 1


_SCORES: dict[str, Callable[[_Graph, ModelPackage, str], str]] = {
    "clinical": _lr,
    "lr": _lr,
    "probability": _lr,
    "mlp": _mlp,
    "rf": _rf,
}
