"""Packages of fusions: nothing is predicted from one whose members, weights or words are not what they must be."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from registry.errors import PackageContentError
from registry.package import load_package, save_package
from registry.predict import predict
from registry.stacking import with_prefix

Arrays = dict[str, NDArray[Any]]


def member(name: str, phase: str, estimator: str = "lr") -> dict[str, Any]:
    return {
        "kind": "tabular",
        "model": {"name": name, "estimator": estimator},
        "features": [{"name": f"{phase}.x", "unit": ""}, {"name": f"{phase}.y", "unit": ""}],
        "service": {"view": "radiomics", "phases": [phase], "columns": ".*"},
        "training_set": "a" * 64,
    }


def manifest() -> dict[str, Any]:
    members = [member("one", "early"), member("two", "clinical", "clinical")]
    return {
        "kind": "fusion",
        "model": {"name": "both", "estimator": "stack", "absent_member": "renormalize"},
        "features": [item for one in members for item in one["features"]],
        "members": members,
        "service": {"view": "radiomics", "phases": ["early"], "columns": ".*"},
        "rules": {},
        "extraction": {},
        "feature_set": "1",
        "training_set": "b" * 64,
        "label": "her2",
        "thresholds": {"youden": 0.5},
        "metrics_oof": {},
        "release": "0",
    }


def arrays() -> Arrays:
    own = {"impute.median": np.zeros(2), "lr.coef": np.array([1.0, -0.5]), "lr.intercept": np.array([0.2])}
    return {
        **with_prefix(own, 0),
        **with_prefix(own, 1),
        "stack.coef": np.array([0.7, 0.4]),
        "stack.intercept": np.array([-0.1]),
        "calibration.coefficients": np.array([0.1, 1.2]),
    }


GOLDEN = np.array([[0.1, 0.2, 0.3, 0.4], [1.0, np.nan, -1.0, 0.0]])


def test_it_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    digest = save_package(tmp_path / "package", manifest(), arrays(), GOLDEN, "card")
    package = load_package(tmp_path / "package", digest)
    assert package.is_fusion
    assert [one.name for one in package.members] == ["one", "two"]
    p = predict(package, np.array([[0.1, 0.2, np.nan, np.nan]]))
    score = 0.2 + 0.1 - 0.1  # the first member alone carries both weights
    assert p[0] == pytest.approx(1 / (1 + np.exp(-(0.1 + 1.2 * (1.1 * score - 0.1)))))


def _nested(told: dict[str, Any], own: Arrays) -> None:
    told["members"][0] = {**told["members"][0], "kind": "fusion", "members": []}


def _unnamed(told: dict[str, Any], own: Arrays) -> None:
    own |= {name.replace("m1.", "m2."): own.pop(name) for name in list(own) if name.startswith("m1.")}


def _short(told: dict[str, Any], own: Arrays) -> None:
    own["stack.coef"] = np.array([1.0])


def _infinite(told: dict[str, Any], own: Arrays) -> None:
    own["stack.intercept"] = np.array([np.inf])


def _broken_member(told: dict[str, Any], own: Arrays) -> None:
    own["m0.lr.coef"] = np.zeros(3)


def _foreign_features(told: dict[str, Any], own: Arrays) -> None:
    told["features"].reverse()


def _twice(told: dict[str, Any], own: Arrays) -> None:
    told["members"][1]["model"]["name"] = "one"


def _policy(told: dict[str, Any], own: Arrays) -> None:
    told["model"]["absent_member"] = "guess"


@pytest.mark.parametrize(
    "damage", [_nested, _unnamed, _short, _infinite, _broken_member, _foreign_features, _twice, _policy]
)
def test_what_breaks_a_rule_is_not_saved(tmp_path: Path, damage: Callable[[dict[str, Any], Arrays], None]) -> None:
    told, own = deepcopy(manifest()), arrays()
    damage(told, own)
    with pytest.raises(PackageContentError):
        save_package(tmp_path / "package", told, own, GOLDEN, "card")
    assert not (tmp_path / "package").exists()
