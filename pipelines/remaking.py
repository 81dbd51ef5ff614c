"""Making a registered package again from its record: the kept training set and the recipe, in a process of its own."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurestore.errors import FaultError, InputError
from featurestore.files import write_json
from pipelines.params import Params
from pipelines.params.modelling import EvaluationSection, Model, TuningSection
from pipelines.record import installed
from pipelines.workspace import Workspace
from registry.lifecycle import Registry
from registry.package import ModelPackage, load_package
from registry.states import ModelVersion

TABULAR = "tabular"
RECIPE = "recipe.json"


class NotTriedError(InputError):
    """The package cannot be made again from what is kept here."""

    default_remedy = "nothing was recorded; the gate `reproducible` stays unmet for this version"


class RemakingFailedError(FaultError):
    """The process that was to make the package again ended with an error."""

    default_remedy = "nothing was recorded; mend what the message names and repeat"


@dataclass(frozen=True, kw_only=True)
class Remade:
    """What came of it.

    Args:
        version: The version's number.
        model: Its model.
        same: Whether the package made again has the same digest.
        digest: The digest of the one made again.
        note: What differs, as far as can be told.
    """

    version: int
    model: str
    same: bool
    digest: str
    note: str = ""


def recipe_of(params: Params, name: str) -> dict[str, object]:
    """Returns all settings that a model was made by, for the evidence of its registration."""
    section = params.all_models()[name]
    kinds: dict[str, Mapping[str, object]] = {TABULAR: params.models, "deep": params.deep, "fusion": params.fusion}
    return {
        "kind": next(kind for kind, own in kinds.items() if name in own),
        "name": name,
        "model": section.model_dump(mode="json"),
        "tuning": params.tuning.model_dump(mode="json"),
        "target_sensitivity": params.evaluation.target_sensitivity,
    }


def reproduce(registry: Registry, selector: str, why: str) -> Remade:
    """Makes a version's package again, compares the digests, and writes the outcome into the ledger.

    Args:
        registry: The study's registry.
        selector: An alias, a number, a digest's beginning or a model's name.
        why: The reason, for the ledger.

    Raises:
        UnknownVersionError: There is no such version.
        NotTriedError: There is no recipe, a patient withdrew, or models of this kind need more than is kept.
        PackageAbsentError: The package's bytes are not here.
        RemakingFailedError: The process ended with an error.
    """
    version = registry.version(selector)
    package, recipe = registry.package(version), _recipe(registry, version)
    kept = registry.models / "training" / version.training_set
    if not kept.is_dir():
        raise NotTriedError("its training set is not here", where=_where(version), remedy="fetch it with `dvc pull`")
    with tempfile.TemporaryDirectory(prefix="radmill-") as folder:
        again = _made_again(Path(folder), recipe, kept)
    same = again.digest == version.digest
    note = "" if same else _difference(package, again)
    registry.note_reproduction(version.digest, {"same": same, "digest": again.digest, "note": note}, why)
    return Remade(version=version.number, model=version.model, same=same, digest=again.digest, note=note)


def _recipe(registry: Registry, version: ModelVersion) -> dict[str, Any]:
    recipe: dict[str, Any] = registry.evidence(version).get("recipe") or {}
    if not recipe:
        raise NotTriedError("it was registered without a recipe", where=_where(version))
    if not version.is_reproducible:
        told = f"{version.withdrawn} of its patients withdrew, and their rows are gone"
        raise NotTriedError(told, where=_where(version))
    if recipe["kind"] != TABULAR:
        lacking = "images, which are not kept" if recipe["kind"] == "deep" else "its members' predictions by fold"
        raise NotTriedError(f"making it again needs {lacking}", where=_where(version))
    return recipe


def _made_again(folder: Path, recipe: dict[str, Any], kept: Path) -> ModelPackage:
    workspace = Workspace(folder)
    shutil.copytree(kept, workspace.training(str(recipe["model"]["service"])))
    write_json(folder / RECIPE, recipe)
    command = [sys.executable, "-m", "pipelines.remaking", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RemakingFailedError(told, where=f"model {recipe['name']}")
    return load_package(workspace.model(str(recipe["name"])) / "package")


def _difference(package: ModelPackage, again: ModelPackage) -> str:
    made, here = str(package.manifest["release"]), installed("radmill")["radmill"]
    if made != here:
        return f"made by radmill {made}, here is {here}"
    own, other = package.manifest, again.manifest
    parts = sorted(key for key in (own.keys() | other.keys()) - {"files"} if own.get(key) != other.get(key))
    return f"differs in {', '.join(parts) or 'arrays'}"


def _where(version: ModelVersion) -> str:
    return f"version {version.number} ({version.model})"


def _remake(folder: Path) -> None:
    """Does the work, in the process of its own."""
    from pipelines.training.tune import tune

    recipe = json.loads((folder / RECIPE).read_bytes())
    params = Params.model_construct(
        models={recipe["name"]: Model.model_validate(recipe["model"])},
        tuning=TuningSection.model_validate(recipe["tuning"]),
        evaluation=EvaluationSection.model_construct(target_sensitivity=float(recipe["target_sensitivity"])),
    )
    tune(Workspace(folder), params, str(recipe["name"]))


if __name__ == "__main__":
    _remake(Path(sys.argv[1]))
