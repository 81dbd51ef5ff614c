"""What a package remembers of development: it comes back, and nothing forged in it crashes, hangs or is believed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from registry.errors import PackageContentError
from registry.manifest import MAX_FEATURES
from registry.package import ModelPackage, load_package, save_package
from registry.predict import predict
from registry.reference import MAX_HELD_OUT, MAX_VALUES, reference_of

Arrays = dict[str, NDArray[Any]]
GOLDEN = np.array([[0.1, np.nan, 0.3], [1.0, 2.0, 3.0]])

REFERENCE: Arrays = {
    "reference.features.start": np.array([0, 2, 2, 5]),
    "reference.features.n": np.array([2, 0, 9]),
    "reference.features": np.array([3.0, 4.0, -1.0, 0.0, 2.0]),
    "reference.mean": np.array([1.0, -1.0]),
    "reference.whiten": np.array([[2.0, 0.0], [0.0, 0.5]]),
    "reference.distances": np.array([0.5, 1.5]),
    "reference.components": np.array([[0.0, 1.0, 2.0], [-1.0, -1.0, 0.0]]),
    "reference.scores": np.array([0.2, 0.7]),
    "reference.conformal.0": np.array([0.2]),
    "reference.conformal.1": np.array([0.3]),
}
ACQUISITION = {"early": {"n": 3, "numbers": {"kvp": [100, 120.5]}, "categories": {"kernel": {"B30f": 2, "": 1}}}}


def saved(place: Path, candidates: Any, arrays: Arrays, **manifest: Any) -> ModelPackage:
    told = candidates.manifest("lr", "0" * 64) | manifest
    digest = save_package(place / "package", told, {**candidates.arrays(), **arrays}, GOLDEN, "# card\n")
    return load_package(place / "package", digest)


def test_a_reference_comes_back(tmp_path: Path, candidates: Any) -> None:
    package = saved(tmp_path, candidates, REFERENCE, acquisition=ACQUISITION, reference={"rows": "internal", "n": 2})
    found = reference_of(package)
    assert found is not None
    assert found.has_space
    assert found.features["early.texture"].tolist() == [3.0, 4.0]
    assert found.features["late.texture"].size == 0
    assert found.counts == {"early.texture": 2, "late.texture": 0, "early.volume": 9}
    assert found.held_out["n"] == 2
    assert found.acquisition["early"]["categories"]["kernel"][""] == 1
    assert found.conformal[1].tolist() == [0.3]
    distance = found.distance(np.array([[1.0, -1.0], [2.0, 1.0], [np.nan, 0.0]]))
    assert distance.tolist() == [0.0, np.hypot(2.0, 1.0), np.inf]


def test_a_reference_changes_no_prediction(tmp_path: Path, candidates: Any) -> None:
    plain, told = (saved(tmp_path / name, candidates, own) for name, own in (("a", {}), ("b", REFERENCE)))
    assert reference_of(plain) is None
    X = np.random.default_rng(0).normal(size=(20, 3))
    assert predict(plain, X).tobytes() == predict(told, X).tobytes()


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("reference.features.start", np.array([0, 2, 1, 5])),
        ("reference.features.start", np.array([0, 2, 2, 4])),
        ("reference.features.start", np.array([0, 2, 5])),
        ("reference.features.start", np.array([0, -(2**62), 2**62, 5])),
        ("reference.features.start", np.array([0.0, 2.0, 2.0, 5.0])),
        ("reference.features.n", np.array([1, 0, 9])),
        ("reference.features.n", np.array([2, 0, 2**60])),
        ("reference.features", np.array([4.0, 3.0, -1.0, 0.0, 2.0])),
        ("reference.features", np.array([3.0, 4.0, -1.0, 0.0, np.nan])),
        ("reference.features", np.array([3.0, 4.0, -1.0, 0.0, 1e305])),
        ("reference.features", np.array([3.0, 4.0, -1.0, 0.0, 2.0], np.float32)),
        ("reference.mean", np.array([1.0])),
        ("reference.whiten", np.zeros((3, 2))),
        ("reference.whiten", np.zeros((0, 2))),
        ("reference.whiten", np.array([[2.0, np.inf], [0.0, 0.5]])),
        ("reference.distances", np.array([-0.5, 1.5])),
        ("reference.distances", np.array([1.5, 0.5])),
        ("reference.distances", np.zeros(MAX_HELD_OUT + 1)),
        ("reference.components", np.zeros((3, 3))),
        ("reference.components", np.array([[0.0, 2.0, 1.0], [-1.0, -1.0, 0.0]])),
        ("reference.components", np.zeros((2, MAX_VALUES + 1))),
        ("reference.scores", np.array([0.2, 1.7])),
        ("reference.scores", np.array([[0.2, 0.7]])),
        ("reference.conformal.1", np.array([0.3, 0.2])),
        ("reference.conformal.2", np.array([0.3])),
        ("reference.rows", np.zeros((2, 3))),
    ],
)
def test_a_forged_reference_is_refused(tmp_path: Path, candidates: Any, name: str, array: NDArray[Any]) -> None:
    with pytest.raises(PackageContentError, match="reference"):
        saved(tmp_path, candidates, {**REFERENCE, name: array})


@pytest.mark.parametrize("name", [n for n in REFERENCE if n != "reference.components"])
def test_half_a_reference_is_refused(tmp_path: Path, candidates: Any, name: str) -> None:
    with pytest.raises(PackageContentError, match="reference"):
        saved(tmp_path, candidates, {key: array for key, array in REFERENCE.items() if key != name})


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"early": []},
        {"early": {"n": 3, "numbers": {}}},
        {"early": {"n": -1, "numbers": {}, "categories": {}}},
        {"early": {"n": True, "numbers": {}, "categories": {}}},
        {"early": {"n": 3, "numbers": {"kvp": [120, 100]}, "categories": {}}},
        {"early": {"n": 3, "numbers": {"kvp": [10**400]}, "categories": {}}},
        {"early": {"n": 3, "numbers": {"kvp": ["120"]}, "categories": {}}},
        {"early": {"n": 3, "numbers": {"kvp": [1.0] * 300}, "categories": {}}},
        {"early": {"n": 3, "numbers": {}, "categories": {"kernel": {"x" * 300: 1}}}},
        {"early": {"n": 3, "numbers": {}, "categories": {"kernel": {"B": 1.5}}}},
        {str(number): ACQUISITION["early"] for number in range(100)},
    ],
)
def test_a_forged_acquisition_is_refused(tmp_path: Path, candidates: Any, value: Any) -> None:
    with pytest.raises(PackageContentError, match="acquisition"):
        saved(tmp_path, candidates, {}, acquisition=value)


def test_the_largest_reference_is_bounded(tmp_path: Path, candidates: Any) -> None:
    """A reference can not be larger than the arrays of a package may be."""
    assert MAX_FEATURES * MAX_VALUES * 8 < 512 << 20
    long = np.sort(np.random.default_rng(0).uniform(size=MAX_HELD_OUT))
    package = saved(tmp_path, candidates, {**REFERENCE, "reference.distances": long, "reference.scores": long})
    found = reference_of(package)
    assert found is not None
    assert found.scores.size == MAX_HELD_OUT
