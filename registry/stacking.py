"""Late fusion: weights on what members say, and the arrays that hold them.

| array | rule |
|---|---|
| `m<i>.<name>` | the arrays of member i, as a package of its own kind has them |
| `stack.coef` | float64 (members,), on the members' log odds |
| `stack.intercept` | float64 (1,) |
| `calibration.coefficients` | float64 (2,), as for a tabular model |

The manifest's `members` say of each what its own manifest said: kind, model, features, service.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from registry.arrays import CALIBRATION, ArrayRuleError, Arrays, check_calibration

KIND, ESTIMATOR = "fusion", "stack"
COEFFICIENTS, INTERCEPT = "stack.coef", "stack.intercept"
DROP, RENORMALIZE = "drop", "renormalize"
POLICIES = (DROP, RENORMALIZE)
MAX_MEMBERS = 64

EDGE = 1e-6
"""Members' probabilities are kept so far from 0 and 1, when a stack learns and when it predicts."""

_MEMBER = re.compile(r"m(\d+)\.(.+)")


def member_arrays(arrays: Arrays, number: int) -> Arrays:
    """Returns the arrays of one member under their own names."""
    prefix = f"m{number}."
    return MappingProxyType({k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)})


def with_prefix(arrays: Mapping[str, NDArray[Any]], number: int) -> dict[str, NDArray[Any]]:
    """Returns a member's arrays under the names that a fusion's package has for them."""
    return {f"m{number}.{name}": array for name, array in arrays.items()}


def check_stack(arrays: Arrays, n_members: int) -> None:
    """Checks a fusion's own arrays, and that every other belongs to a member; members' own rules are checked apart.

    Raises:
        ArrayRuleError: The first rule that is broken.
    """
    own = {name: array for name, array in arrays.items() if not _MEMBER.fullmatch(name)}
    numbers = {int(found.group(1)) for name in arrays if (found := _MEMBER.fullmatch(name))}
    if numbers != set(range(n_members)):
        raise ArrayRuleError(f"arrays are of members {sorted(numbers)[:5]}, the manifest names {n_members}")
    for name, array in own.items():
        if array.dtype != np.float64 or not np.isfinite(array).all():
            raise ArrayRuleError(f"{name} is no finite float64")
    for name, shape in ((COEFFICIENTS, (n_members,)), (INTERCEPT, (1,))):
        if name not in own or own.pop(name).shape != shape:
            raise ArrayRuleError(f"{name} is missing or has not shape {shape}")
    check_calibration(own)
    if own:
        raise ArrayRuleError(f"unknown arrays {sorted(own)[:5]}")


def member_log_odds(p: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns the log odds of members' probabilities, as a stack learns from them and weighs them."""
    return np.asarray(logit(np.clip(p, EDGE, 1 - EDGE)), dtype=np.float64)


def weighed(arrays: Arrays, log_odds: NDArray[np.float64], absent_member: str) -> NDArray[np.float64]:
    """Returns a fusion's probabilities, shape (n,); NaN where too little is known.

    With `renormalize` the weight of a member who says nothing is shared out among the others in proportion.

    Args:
        arrays: The fusion's.
        log_odds: Of its members, shape (n, members); NaN where one says nothing.
        absent_member: `drop` or `renormalize`.
    """
    weights = np.asarray(arrays[COEFFICIENTS], dtype=np.float64)
    known = ~np.isnan(log_odds)
    # one product a row, summed in one order, so that a patient alone gets the same bits
    total = (np.where(known, log_odds, 0.0) * weights).sum(axis=1)
    if absent_member == RENORMALIZE:
        present = (known * weights).sum(axis=1)
        usable = known.any(axis=1) & (present > 0)
        total = np.where(usable, total * weights.sum() / np.where(usable, present, 1.0), np.nan)
    else:
        total = np.where(known.all(axis=1), total, np.nan)
    score = total + arrays[INTERCEPT][0]
    if CALIBRATION in arrays:
        score = arrays[CALIBRATION][0] + arrays[CALIBRATION][1] * score
    return np.asarray(expit(score))


def phases_absent(features: tuple[str, ...], X: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Returns which rows of X (n, p) have no value at all in one of the phases that the features are of, shape (n,)."""
    phases = np.array([name.partition(".")[0] for name in features])
    empty = np.isnan(X)
    parts = [empty[:, phases == phase].all(axis=1) for phase in dict.fromkeys(phases.tolist())]
    return np.any(parts, axis=0) if parts else np.zeros(len(X), dtype=bool)
