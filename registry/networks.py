"""The arrays of a network: what must hold before anything is built from them.

| array | type |
|---|---|
| `net.<tensor>` | float32, finite; the network that the manifest describes names them |
| `calibration.coefficients` | float64 (2,), as for a tabular model |

Names and shapes are compared with the network's own where it is built, outside the registry, which knows no network;
there the manifest's golden patches are tried as well.
"""

from typing import Any

import numpy as np

from registry.arrays import CALIBRATION, ArrayRuleError, Arrays, check_calibration

KIND = "deep"
PREFIX = "net."
ARCHITECTURES = ("resnet10", "resnet18", "resnet34", "resnet50", "resnet101")
MAX_GOLDEN_PATCHES = 16
MAX_SIDE, MAX_CHANNELS = 512, 4096


def check_network_arrays(arrays: Arrays) -> None:
    """Checks names, types and values of a network's arrays.

    Raises:
        ArrayRuleError: The first rule that is broken.
    """
    left_over = dict(arrays)
    for name, array in arrays.items():
        if name.startswith(PREFIX):
            if array.dtype != np.float32:
                raise ArrayRuleError(f"{name} is {array.dtype}, not float32")
            if not np.isfinite(array).all():
                raise ArrayRuleError(f"{name} has values that are not finite")
            del left_over[name]
    if len(left_over) == len(arrays):
        raise ArrayRuleError(f"there is no {PREFIX} array")
    if CALIBRATION in left_over and left_over[CALIBRATION].dtype != np.float64:
        raise ArrayRuleError(f"{CALIBRATION} is {left_over[CALIBRATION].dtype}, not float64")
    check_calibration(left_over)
    if left_over:
        raise ArrayRuleError(f"unknown arrays {sorted(left_over)[:5]}")


def is_network(value: Any) -> bool:
    """Returns whether a manifest's `model` tells all that a network and its patches are built from."""
    if not isinstance(value, dict) or value.get("estimator") not in ARCHITECTURES:
        return False
    told = value.get("network")
    if not isinstance(told, dict) or not all(isinstance(told.get(key), dict) for key in ("spec", "recipe")):
        return False
    shape = told.get("shape")
    if not isinstance(shape, list) or len(shape) not in (3, 4) or not all(type(side) is int for side in shape):
        return False
    return 0 < shape[0] <= MAX_CHANNELS and all(0 < side <= MAX_SIDE for side in shape[1:])


def is_golden(value: Any) -> bool:
    """Returns whether a manifest's `golden` is what a network says of seeded patches."""
    if not isinstance(value, dict) or set(value) != {"seed", "n", "probabilities"}:
        return False
    n, told = value["n"], value["probabilities"]
    return (
        type(value["seed"]) is int
        and value["seed"] >= 0
        and type(n) is int
        and 0 < n <= MAX_GOLDEN_PATCHES
        and isinstance(told, list)
        and len(told) == n
        and all(isinstance(p, float) and 0 <= p <= 1 for p in told)
    )
