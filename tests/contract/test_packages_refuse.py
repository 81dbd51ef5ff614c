"""What a package refuses: everything that is not exactly what was saved, before it is used."""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from featurestore.errors import InputError, RadmillError
from featurestore.fingerprints import bytes_digest, canonical_json
from registry.errors import DamagedPackageError, PackageAbsentError, PackageContentError, WrongFeaturesError
from registry.manifest import DATA_FILES
from registry.package import FILES, MAX_BYTES, ModelPackage, load_package, save_package
from registry.predict import predict

Arrays = dict[str, NDArray[Any]]


def save_lr(place: Path, candidates: Any, **changes: Any) -> str:
    manifest = {**candidates.manifest("lr", "0" * 64), **changes.pop("manifest", {})}
    arrays = {**candidates.arrays(), **changes.pop("arrays", {})}
    golden = np.array([[0.1, np.nan, 0.3], [1.0, 2.0, 3.0]])
    return save_package(place, manifest, arrays, golden, "# card\n")


@pytest.fixture
def digest(tmp_path: Path, candidates: Any) -> str:
    return save_lr(tmp_path / "package", candidates)


@pytest.fixture
def forest(candidates: Any) -> Arrays:
    """Two trees: a split on component 1 and a lone leaf."""
    base = {name: array for name, array in candidates.arrays().items() if not name.startswith("lr.")}
    return base | {
        "rf.start": np.array([0, 3, 4]),
        "rf.left": np.array([1, -1, -1, -1]),
        "rf.right": np.array([2, -1, -1, -1]),
        "rf.feature": np.array([1, -2, -2, -2]),
        "rf.threshold": np.array([0.5, -2.0, -2.0, -2.0]),
        "rf.value": np.array([0.4, 0.0, 1.0, 0.5]),
    }


def forge(place: Path, name: str, data: bytes) -> None:
    """Replaces a file and mends the manifest, as a forger without the digest would."""
    (place / name).write_bytes(data)
    manifest = json.loads((place / "manifest.json").read_bytes())
    manifest["files"][name] = bytes_digest(data)
    (place / "manifest.json").write_bytes(canonical_json(manifest, indent=2) + b"\n")


def forge_manifest(place: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((place / "manifest.json").read_bytes())
    change(manifest)
    (place / "manifest.json").write_bytes(canonical_json(manifest, indent=2) + b"\n")


def test_the_same_content_gives_the_same_bytes(tmp_path: Path, candidates: Any) -> None:
    """The digest names the content, so two savings must not differ."""
    first, second = (save_lr(tmp_path / name, candidates) for name in ("a", "b"))
    assert first == second
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in FILES)


def test_a_package_tells_what_it_was_made_with(tmp_path: Path, digest: str) -> None:
    package = load_package(tmp_path / "package", digest)
    assert isinstance(package, ModelPackage)
    assert (package.name, package.estimator, package.thresholds["youden"]) == ("lr", "lr", 0.5)
    assert package.features == ("early.texture", "late.texture", "early.volume")
    assert not any(array.flags.writeable for array in package.arrays.values())


@pytest.mark.parametrize("name", FILES)
def test_any_flipped_byte_is_refused(tmp_path: Path, digest: str, name: str) -> None:
    path = tmp_path / "package" / name
    sound = path.read_bytes()
    for position in np.random.default_rng(0).choice(len(sound), size=min(40, len(sound)), replace=False):
        flipped = bytearray(sound)
        flipped[position] ^= 1 << int(position) % 8
        path.write_bytes(flipped)
        with pytest.raises(DamagedPackageError):
            load_package(tmp_path / "package", digest)
    path.write_bytes(sound)
    load_package(tmp_path / "package", digest)


@pytest.mark.parametrize("name", DATA_FILES)
def test_a_flipped_byte_is_refused_without_knowing_the_digest(tmp_path: Path, digest: str, name: str) -> None:
    path = tmp_path / "package" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    with pytest.raises(DamagedPackageError, match=name):
        load_package(tmp_path / "package")


@pytest.mark.parametrize("name", FILES)
def test_a_cut_or_missing_file_is_refused(tmp_path: Path, digest: str, name: str) -> None:
    path = tmp_path / "package" / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedPackageError):
        load_package(tmp_path / "package", digest)
    path.unlink()
    with pytest.raises(PackageAbsentError if name == "manifest.json" else DamagedPackageError):
        load_package(tmp_path / "package", digest)


def test_files_of_another_package_are_refused(tmp_path: Path, digest: str, candidates: Any) -> None:
    save_lr(tmp_path / "other", candidates, manifest={"label": "other"}, arrays=candidates.arrays(seed=5))
    for name in ("arrays.safetensors", "golden.parquet"):
        place = Path(shutil.copytree(tmp_path / "package", tmp_path / f"mixed-{name}"))
        shutil.copy(tmp_path / "other" / name, place / name)
        with pytest.raises(DamagedPackageError, match=name):
            load_package(place, digest)


def test_a_stranger_in_the_folder_is_refused(tmp_path: Path, digest: str) -> None:
    (tmp_path / "package" / "run_me.pkl").write_bytes(b"")
    with pytest.raises(DamagedPackageError, match=r"run_me\.pkl"):
        load_package(tmp_path / "package", digest)


def test_a_file_over_its_size_limit_is_refused_unread(tmp_path: Path, digest: str) -> None:
    with (tmp_path / "package" / "card.md").open("r+b") as handle:
        handle.truncate(MAX_BYTES["card.md"] + 1)
    with pytest.raises(DamagedPackageError, match="larger than 4 MiB"):
        load_package(tmp_path / "package", digest)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda m: m["files"].update({"../../params.yaml": "0" * 64}), "files is not"),
        (lambda m: m["files"].pop("card.md"), "files is not"),
        (lambda m: m.update(format=2), "the format this radmill reads"),
        (lambda m: m.update(kind="pickle"), "kind is not"),
        (lambda m: m["model"].update(estimator="svm"), "model is not"),
        (lambda m: m["features"].append(m["features"][0]), "no name twice"),
        (lambda m: m.update(thresholds={"youden": 1.5}), "thresholds is not"),
        (lambda m: m.update(extra=1), "unknown keys"),
        (lambda m: m.pop("rules"), "rules is missing"),
        (lambda m: m["features"].pop(), "shape"),
    ],
)
def test_a_manifest_that_breaks_a_rule_is_refused(
    tmp_path: Path, digest: str, change: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    forge_manifest(tmp_path / "package", change)
    with pytest.raises(DamagedPackageError, match=complaint):
        load_package(tmp_path / "package")


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 100_000, b"\xff\xfe", b'{"format": 1, "format": 1}', b"NaN"])
def test_a_manifest_that_is_no_manifest_is_refused(tmp_path: Path, digest: str, data: bytes) -> None:
    (tmp_path / "package" / "manifest.json").write_bytes(data)
    with pytest.raises(DamagedPackageError):
        load_package(tmp_path / "package")


def test_a_manifest_in_another_spelling_is_refused(tmp_path: Path, digest: str) -> None:
    """One content has one digest, so the byte form is fixed."""
    path = tmp_path / "package" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text())))
    with pytest.raises(DamagedPackageError, match="canonical"):
        load_package(tmp_path / "package")


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"impute.median": np.zeros(4)}, r"impute\.median has shape"),
        ({"scale.sd": np.array([1.0, 0.0, 1.0])}, "not above 0"),
        ({"scale.sd": np.array([1.0, np.nan, 1.0])}, "not finite"),
        ({"scale.limit": np.array([0.0])}, r"scale\.limit is not above 0"),
        ({"scale.limit": np.array([np.inf])}, "not finite"),
        ({"scale.limit": np.ones(3)}, r"scale\.limit has shape"),
        ({"calibration.coefficients": np.array([0.0, 0.0])}, "slope .* is 0, not above 0"),
        ({"calibration.coefficients": np.array([0.0, -1.0])}, "slope .* is -1, not above 0"),
        ({"calibration.coefficients": np.array([0.0, 1e9])}, r"slope .* is 1e\+09, not above 0 up to 10000"),
        ({"calibration.coefficients": np.array([1e9, 1.0])}, r"intercept .* is 1e\+09"),
        ({"calibration.coefficients": np.array([np.nan, 1.0])}, "not finite"),
        ({"calibration.coefficients": np.array([0.0, np.inf])}, "not finite"),
        ({"calibration.coefficients": np.array([1.0])}, r"calibration\.coefficients has shape"),
        ({"calibration.coefficients": np.array([0, 1])}, "int64"),
        ({"lr.coef": np.zeros(2, np.float32)}, "float32"),
        ({"pca.components": np.zeros((2, 9))}, r"pca\.components has shape"),
        ({"keep.index": np.array([0, 2, 3])}, r"leaves 0\.\.2"),
        ({"keep.index": np.array([0, 0, 1])}, "does not rise"),
        ({"keep.index": np.array([-1, 0, 1])}, r"leaves 0\.\.2"),
        ({"surprise": np.zeros(1)}, "unknown arrays"),
    ],
)
def test_arrays_that_break_a_rule_are_neither_saved_nor_loaded(
    tmp_path: Path, digest: str, candidates: Any, arrays: Arrays, complaint: str
) -> None:
    with pytest.raises(PackageContentError, match=complaint):
        save_lr(tmp_path / "new", candidates, arrays=arrays)
    assert not (tmp_path / "new").exists()
    forge(tmp_path / "package", "arrays.safetensors", save({**candidates.arrays(), **arrays}))
    with pytest.raises(DamagedPackageError, match=complaint):
        load_package(tmp_path / "package")


@pytest.mark.parametrize(
    ("name", "values", "complaint"),
    [
        ("rf.left", [3, -1, -1, -1], "points outside its tree"),
        ("rf.left", [0, -1, -1, -1], "points back"),
        ("rf.right", [1, -1, -1, -1], "share a child"),
        ("rf.left", [-1, -1, -1, -1], "no tree reaches"),
        ("rf.left", [-5, -1, -1, -1], "leaf is not -1"),
        ("rf.feature", [2, -2, -2, -2], r"leaves 0\.\.1"),
        ("rf.start", [0, 3, 40], "has shape"),
        ("rf.start", [1, 3, 4], "does not begin"),
        ("rf.value", [0.4, 0.0, 1.5, 0.5], r"leaves 0\.\.1"),
    ],
)
def test_trees_that_point_astray_are_refused(
    tmp_path: Path, candidates: Any, forest: Arrays, name: str, values: list[float], complaint: str
) -> None:
    manifest = candidates.manifest("rf", "0" * 64, "rf")
    golden = np.zeros((1, 3))
    save_package(tmp_path / "sound", manifest, forest, golden, "")
    with pytest.raises(PackageContentError, match=complaint):
        save_package(tmp_path / "new", manifest, {**forest, name: np.array(values)}, golden, "")


def test_a_tree_as_deep_as_a_well_is_refused(tmp_path: Path, candidates: Any, forest: Arrays) -> None:
    """A chain of a hundred thousand nodes would make every prediction crawl."""
    n = 100_001
    chain = np.arange(1, n, 2)
    left, right, feature = np.full(n, -1), np.full(n, -1), np.zeros(n, np.int64)
    left[np.r_[0, chain[:-1] + 1]], right[np.r_[0, chain[:-1] + 1]] = chain, chain + 1
    deep = {"rf.start": np.array([0, n]), "rf.left": left, "rf.right": right, "rf.feature": feature}
    deep |= {"rf.threshold": np.zeros(n), "rf.value": np.full(n, 0.5)}
    with pytest.raises(PackageContentError, match="deeper than"):
        save_package(
            tmp_path / "new", candidates.manifest("rf", "0" * 64, "rf"), {**forest, **deep}, np.zeros((1, 3)), ""
        )


def test_golden_inputs_that_give_other_probabilities_are_refused(tmp_path: Path, digest: str, candidates: Any) -> None:
    """Arrays of the right shape with wrong numbers, the manifest mended."""
    forge(tmp_path / "package", "arrays.safetensors", save({**candidates.arrays(), "lr.coef": np.zeros(2)}))
    with pytest.raises(DamagedPackageError, match="golden inputs give other probabilities"):
        load_package(tmp_path / "package")


def test_a_golden_table_of_absurd_size_is_refused_unread(tmp_path: Path, digest: str) -> None:
    import pandas as pd

    path = tmp_path / "bomb.parquet"
    pd.DataFrame({"row": ["x"] * 2_000_000, "input_0": 0.0}).to_parquet(path)
    forge(tmp_path / "package", "golden.parquet", path.read_bytes())
    with pytest.raises(DamagedPackageError, match="has 2000000 rows"):
        load_package(tmp_path / "package")


def test_forged_packages_never_crash(tmp_path: Path, digest: str) -> None:
    """Random damage with a mended manifest ends in a refusal or in a package that keeps every rule."""
    rng = np.random.default_rng(4)
    sound = {name: (tmp_path / "package" / name).read_bytes() for name in DATA_FILES}
    for _ in range(150):
        name = str(rng.choice(DATA_FILES))
        data = bytearray(sound[name])
        for position in rng.integers(len(data), size=3):
            data[position] = rng.integers(256)
        forge(tmp_path / "package", name, bytes(data[: rng.integers(1, len(data) + 1)]))
        with suppress(InputError):
            predict(load_package(tmp_path / "package"), np.zeros((2, 3)))
        for restored, content in sound.items():
            forge(tmp_path / "package", restored, content)


@pytest.mark.parametrize(
    ("X", "complaint"),
    [
        (np.zeros((2, 4)), "needs"),
        (np.zeros(3), "needs"),
        (np.array([[1.0, np.inf, 0.0]]), "infinite values in late.texture"),
    ],
)
def test_wrong_features_are_refused(tmp_path: Path, digest: str, X: NDArray[np.float64], complaint: str) -> None:
    with pytest.raises(WrongFeaturesError, match=complaint):
        predict(load_package(tmp_path / "package"), X)


def test_missing_values_without_an_imputer_are_refused(tmp_path: Path, candidates: Any) -> None:
    arrays = {name: array for name, array in candidates.arrays().items() if name != "impute.median"}
    golden = np.zeros((1, 3))
    save_package(tmp_path / "package", candidates.manifest("lr", "0" * 64), arrays, golden, "")
    with pytest.raises(RadmillError, match="no step that fills them"):
        predict(load_package(tmp_path / "package"), np.full((1, 3), np.nan))
