"""A model package: a folder of data, named by its content, trusted only after every byte was checked.

The digest of a package is the SHA-256 of `manifest.json`, which holds the SHA-256 of all other files. Nothing in a
package is executable. The order of loading is the defense: sizes, then digests, then the manifest's rules, then array
shapes and indices, then the golden inputs.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import DamagedTableError
from featurestore.files import TEMPORARY, write_bytes
from featurestore.fingerprints import bytes_digest
from featurestore.matrices import matrix_bytes, matrix_from_bytes
from registry.arrays import ArrayRuleError, Arrays, check_arrays, width
from registry.errors import DamagedPackageError, PackageAbsentError, PackageContentError, WrongFeaturesError
from registry.manifest import DATA_FILES, FORMAT, Manifest, ManifestRuleError, manifest_bytes, parse_manifest
from registry.networks import KIND, check_network_arrays
from registry.parts import Part
from registry.predict import predict
from registry.reference import check_reference, without_reference
from registry.stacking import KIND as FUSION
from registry.stacking import check_stack, member_arrays

MANIFEST = "manifest.json"
ARRAYS, CARD, GOLDEN = DATA_FILES
FILES = (MANIFEST, *DATA_FILES)

MAX_BYTES = {MANIFEST: 64 << 20, ARRAYS: 512 << 20, CARD: 4 << 20, GOLDEN: 16 << 20}
"""A larger file is refused unread. The largest arrays known are a 3D ResNet50's, 190 MB."""

GOLDEN_TOLERANCE = 1e-9
"""BLAS libraries of different processors differ by some 1e-15; a wrong array differs by far more."""

MAX_GOLDEN = 64
_PROBABILITY = "probability"
GIVEN = "says."
"""Before the name of a network whose probabilities a fusion's golden inputs hold."""


@dataclass(frozen=True, kw_only=True)
class ModelPackage(Part):
    """A checked package, ready to predict with `registry.predict.predict`.

    Args:
        digest: The SHA-256 of the manifest's bytes.
        manifest: What `manifest.json` holds.
        arrays: The arrays by name, read-only.
        golden: The golden inputs, shape (n, p); of a fusion with its networks' probabilities as further columns.
        card: What was known when the model was made, as Markdown.
    """

    digest: str
    golden: NDArray[np.float64] = field(repr=False)
    card: str = field(repr=False)

    @property
    def thresholds(self) -> dict[str, float]:
        """Operating points by name."""
        return {name: float(value) for name, value in self.manifest["thresholds"].items()}


def save_package(
    folder: Path,
    manifest: Mapping[str, object],
    arrays: Mapping[str, NDArray[np.generic]],
    golden_inputs: NDArray[np.float64],
    card: str,
) -> str:
    """Writes a package and returns its digest; same content, same bytes.

    Args:
        folder: Where to; what lies there is replaced.
        manifest: All keys of `registry.manifest` but `format` and `files`, which are added.
        arrays: As `registry.arrays` names them.
        golden_inputs: A few synthetic rows, shape (n, p), at least one; NaN allowed where the model imputes. Not looked
            at for a network.
        card: Markdown.

    Raises:
        PackageContentError: A rule of manifest, arrays or golden inputs is broken; nothing was written.
    """
    from safetensors.numpy import save

    little = {name: np.ascontiguousarray(a, a.dtype.newbyteorder("<")) for name, a in sorted(arrays.items())}
    contents = {ARRAYS: save(little), CARD: card.encode(), GOLDEN: b""}
    try:
        contents[GOLDEN] = _golden_bytes(manifest, contents, golden_inputs)
        package = _assemble(manifest, contents)
    except (ManifestRuleError, ArrayRuleError, WrongFeaturesError, DamagedPackageError) as error:
        raise PackageContentError(str(error).splitlines()[0], where=f"package for {folder.parent.name}") from error
    _replace(folder, {**contents, MANIFEST: manifest_bytes(package.manifest)})
    return package.digest


def load_package(folder: Path, digest: str | None = None) -> ModelPackage:
    """Reads a package, checking everything before anything is used.

    Args:
        folder: The package's folder.
        digest: The digest it must have; left out, the package is only checked against itself.

    Raises:
        PackageAbsentError: There is no such folder, or it has no manifest.
        DamagedPackageError: A file is missing, too large, changed, or breaks a rule; the message names it.
    """
    if not (folder / MANIFEST).is_file():
        raise PackageAbsentError("its bytes are not here", where=_short(folder))
    strange = sorted(path.name for path in folder.iterdir() if path.name not in FILES)
    if strange:
        raise DamagedPackageError(f"holds files that belong to no package: {strange[:3]}", where=_short(folder))
    return parse_package({name: _read(folder / name) for name in FILES}, digest, where=_short(folder))


def parse_package(contents: Mapping[str, bytes], digest: str | None = None, where: str = "package") -> ModelPackage:
    """Checks the bytes of a package's files and returns it; `load_package` says what is checked."""
    try:
        found = bytes_digest(contents[MANIFEST])
        if digest is not None and found != digest:
            raise DamagedPackageError(f"{MANIFEST} has digest {found[:12]}, not {digest[:12]}", where=where)
        manifest = parse_manifest(contents[MANIFEST])
        return _check(manifest, contents, found)
    except (ManifestRuleError, ArrayRuleError, DamagedTableError, WrongFeaturesError) as error:
        raise DamagedPackageError(str(error).splitlines()[0], where=where) from error


def _assemble(manifest: Mapping[str, object], contents: Mapping[str, bytes]) -> ModelPackage:
    files = {name: bytes_digest(contents[name]) for name in DATA_FILES}
    data = manifest_bytes({**manifest, "format": FORMAT, "files": files})
    return _check(parse_manifest(data), contents, bytes_digest(data))


def _check(manifest: Manifest, contents: Mapping[str, bytes], digest: str) -> ModelPackage:
    for name in DATA_FILES:
        if bytes_digest(contents[name]) != manifest["files"][name]:
            raise DamagedPackageError(f"{name} was changed after the package was made", where=digest[:12])
    arrays = _arrays(contents[ARRAYS])
    _check_arrays(manifest, arrays)
    _check_centers(manifest, arrays)
    golden, wanted = _golden(contents[GOLDEN], manifest)
    package = ModelPackage(
        digest=digest, manifest=manifest, arrays=arrays, golden=golden, card=contents[CARD].decode(errors="replace")
    )
    _check_golden(package, wanted)
    return package


def _check_arrays(manifest: Mapping[str, Any], arrays: Arrays) -> None:
    predicting, n_features, n_components = without_reference(arrays), 0, 0
    if manifest["kind"] == KIND:
        check_network_arrays(predicting)
    elif manifest["kind"] == FUSION:
        check_stack(predicting, len(manifest["members"]))
        for number, member in enumerate(manifest["members"]):
            own = member_arrays(arrays, number)
            _check_arrays(member, own)
            _check_centers(member, own)
    else:
        n_features = len(manifest["features"])
        check_arrays(predicting, n_features, manifest["model"]["estimator"])
        n_components = width(predicting, n_features)
    check_reference(arrays, n_features, n_components)


def _check_centers(manifest: Mapping[str, Any], arrays: Arrays) -> None:
    named = len(manifest["harmonization"]["centers"]) if "harmonization" in manifest else 0
    stored = len(arrays["combat.gamma"]) if "combat.gamma" in arrays else 0
    if named != stored:
        raise ArrayRuleError(f"combat.gamma holds {stored} centers, the manifest names {named}")


def _arrays(data: bytes) -> Arrays:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
    except (SafetensorError, KeyError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise ArrayRuleError(f"{ARRAYS} is unreadable: {error}") from error
    for array in arrays.values():
        array.flags.writeable = False
    return MappingProxyType(arrays)


def _golden_bytes(manifest: Mapping[str, object], contents: Mapping[str, bytes], inputs: NDArray[np.float64]) -> bytes:
    """Predicts the golden inputs with exactly the arrays that are stored."""
    draft = _draft(manifest, contents)
    if draft.is_deep:
        return b""  # golden patches are drawn from the seed in the manifest
    inputs = np.asarray(inputs, dtype=np.float64)
    if not 0 < len(inputs) <= MAX_GOLDEN:
        raise ManifestRuleError(f"{len(inputs)} golden inputs; 1 to {MAX_GOLDEN} are allowed")
    values = np.column_stack([inputs, _tried(draft, inputs)]).T
    return matrix_bytes(
        [*_golden_names(draft.manifest), _PROBABILITY], [f"input_{i}" for i in range(len(inputs))], values
    )


def _draft(manifest: Mapping[str, object], contents: Mapping[str, bytes]) -> ModelPackage:
    files = dict.fromkeys(DATA_FILES, "0" * 64)
    checked = parse_manifest(manifest_bytes({**manifest, "format": FORMAT, "files": files}))
    arrays = _arrays(contents[ARRAYS])
    _check_arrays(checked, arrays)
    return ModelPackage(digest="", manifest=checked, arrays=arrays, golden=np.empty((0, 0)), card="")


def _golden_names(manifest: Mapping[str, Any]) -> list[str]:
    """Returns the columns of golden inputs: features, and what a fusion's networks say."""
    return [*(item["name"] for item in manifest["features"]), *(f"{GIVEN}{name}" for name in _given(manifest))]


def _given(manifest: Mapping[str, Any]) -> list[str]:
    return [one["model"]["name"] for one in manifest.get("members", ()) if one["kind"] == KIND]


def _tried(package: ModelPackage, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns what a package makes of golden inputs."""
    n, names = len(package.features), _given(package.manifest)
    if inputs.shape[1] != n + len(names):
        raise WrongFeaturesError(f"golden inputs have {inputs.shape[1]} columns, the model needs {n + len(names)}")
    return predict(package, inputs[:, :n], {name: inputs[:, n + i] for i, name in enumerate(names)})


def _golden(data: bytes, manifest: Manifest) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if manifest["kind"] == KIND:
        if data:
            raise ManifestRuleError(f"{GOLDEN} of a network is not empty")
        return np.empty((0, 0)), np.empty(0)
    names = [*_golden_names(manifest), _PROBABILITY]
    rows, _, values = matrix_from_bytes(data, max_rows=len(names), max_columns=MAX_GOLDEN, where=GOLDEN)
    if rows != names or values.shape[1] == 0:
        raise ManifestRuleError(f"{GOLDEN} names other features than {MANIFEST}")
    return np.ascontiguousarray(values[:-1].T), values[-1]


def _check_golden(package: ModelPackage, wanted: NDArray[np.float64]) -> None:
    if package.is_deep:
        return  # tried where the network is built
    difference = float(np.max(np.abs(_tried(package, package.golden) - wanted)))
    if not difference <= GOLDEN_TOLERANCE:
        raise DamagedPackageError(
            f"golden inputs give other probabilities (by {difference:.2g}, allowed {GOLDEN_TOLERANCE:g})",
            where=package.digest[:12],
        )


def _read(path: Path) -> bytes:
    limit = MAX_BYTES[path.name]
    try:
        with path.open("rb") as handle:
            data = handle.read(limit + 1)
    except OSError as error:
        raise DamagedPackageError(f"{path.name} is missing or unreadable", where=_short(path.parent)) from error
    if len(data) > limit:
        raise DamagedPackageError(f"{path.name} is larger than {limit >> 20} MiB", where=_short(path.parent))
    return data


def _replace(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Writes all files into a folder beside `folder` and puts it in its place."""
    fresh = folder.with_name(f"{TEMPORARY}{os.getpid()}-{folder.name}")
    shutil.rmtree(fresh, ignore_errors=True)
    for name in (*DATA_FILES, MANIFEST):
        write_bytes(fresh / name, contents[name])
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def _short(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name[:12]}"
