"""Making a registered package again from its record: kept training sets and the recipe, in a process of its own.

A tabular model needs what the registry keeps, and nothing else. A network needs the study's stored images besides, and
a fusion makes its members again first.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurestore.errors import FaultError, InputError, RadmillError
from featurestore.files import write_json
from featurestore.tables import read_frame
from featurestore.training_sets import TrainingSet
from pipelines.params import Params
from pipelines.params.deep import DeepModel
from pipelines.params.fusion import Fusion
from pipelines.record import installed
from pipelines.retraining import DEEP, FUSION, ORIGINAL, OUTCOME, RECIPE, TABULAR, Recipe, bases, has_network
from pipelines.stored_views import service_of
from pipelines.workspace import Workspace
from registry.lifecycle import Registry
from registry.package import ModelPackage, load_package
from registry.states import ModelVersion

TOLERANCE = 1e-6
"""So far may a network's probabilities lie from those of the one made again: sums in single precision."""

_PULL = "fetch it with `dvc pull`"
_IMAGES = "images are in no cache: do it where they are, or make them with `radmill run` from raw files and their keys"


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
        same: Whether it came out the same: the same digest, or of a network the same predictions to 1e-6.
        digest: The digest of the one made again.
        note: What differs, as far as can be told.
        difference: With networks, the largest difference in probability over the patients of the training sets.
    """

    version: int
    model: str
    same: bool
    digest: str
    note: str = ""
    difference: float | None = None


def recipe_of(params: Params, name: str) -> dict[str, object]:
    """Returns all settings that a model was made by, for the evidence of its registration."""
    section = params.all_models()[name]
    told: dict[str, Any] = {
        "name": name,
        "model": section.model_dump(mode="json"),
        "tuning": params.tuning.model_dump(mode="json"),
        "target_sensitivity": params.evaluation.target_sensitivity,
    }
    if isinstance(section, Fusion):
        members = {member: recipe_of(params, member) for member in section.members}
        return {**told, "kind": FUSION, "members": members, "margin": params.margin.model_dump(mode="json")}
    if isinstance(section, DeepModel):
        phases = list(section.phases or service_of(params, section.service).phases)
        told["model"] |= {"phases": phases}
        return {**told, "kind": DEEP, "margin": params.margin.model_dump(mode="json")}
    return {**told, "kind": TABULAR}


def reproduce(registry: Registry, selector: str, why: str) -> Remade:
    """Makes a version's package again, compares both, and writes the outcome into the ledger.

    Args:
        registry: The study's registry.
        selector: An alias, a number, a digest's beginning or a model's name.
        why: The reason, for the ledger.

    Raises:
        UnknownVersionError: There is no such version.
        NotTriedError: There is no recipe, a patient withdrew, or training sets, images or weights are not here.
        PackageAbsentError: The package's bytes are not here.
        RemakingFailedError: The process ended with an error.
    """
    version = registry.version(selector)
    package, recipe = registry.package(version), _recipe(registry, version)
    with tempfile.TemporaryDirectory(prefix="radmill-") as folder:
        _lay_out(Workspace(Path(folder)), registry, version, recipe)
        again, difference = _made_again(Path(folder), recipe)
    same = again.digest == version.digest or (difference is not None and difference <= TOLERANCE)
    note = "" if again.digest == version.digest else _differing(package, again)
    told = {} if difference is None else {"difference": difference}
    registry.note_reproduction(version.digest, {"same": same, "digest": again.digest, "note": note, **told}, why)
    return Remade(version=version.number, model=version.model, same=same, digest=again.digest, note=note, **told)


def _recipe(registry: Registry, version: ModelVersion) -> dict[str, Any]:
    recipe: dict[str, Any] = registry.evidence(version).get("recipe") or {}
    if not recipe:
        raise NotTriedError("it was registered without a recipe", where=_where(version))
    if not version.is_reproducible:
        told = f"{version.withdrawn} of its patients withdrew, and their rows are gone"
        raise NotTriedError(told, where=_where(version))
    if (recipe["kind"] == FUSION and "members" not in recipe) or (has_network(recipe) and "margin" not in recipe):
        raise NotTriedError("its recipe was written by a release that kept less", where=_where(version))
    return recipe


def _lay_out(target: Workspace, registry: Registry, version: ModelVersion, recipe: dict[str, Any]) -> None:
    """Fills the folder in which a package is made again: copies of tables, links to images, the original."""
    study, where = Workspace(registry.study), _where(version)
    wanted = _training_sets(registry, version, recipe)
    for name, one in bases(recipe).items():
        service = str(one["model"]["service"])
        kept = _kept(registry, study.training(service), wanted[name], f"{where}, {name}")
        shutil.copytree(kept, target.training(service), dirs_exist_ok=True)
        if one["kind"] == DEEP:
            _link_images(target, study, TrainingSet.load(kept), one, where)
    shutil.copytree(registry.package_folder(version), target.root / ORIGINAL)
    write_json(target.root / RECIPE, recipe)


def _training_sets(registry: Registry, version: ModelVersion, recipe: dict[str, Any]) -> dict[str, str]:
    """Returns the digest of the training set of each model that is trained on a service."""
    if recipe["kind"] != FUSION:
        return {str(recipe["name"]): version.training_set}
    own = registry.models / "training" / version.training_set
    if not own.is_dir():
        raise NotTriedError("its training set is not here", where=_where(version), remedy=_PULL)
    members = TrainingSet.load(own).record["members"]
    return {name: str(members[name]["training_set"]) for name in recipe["members"]}


def _kept(registry: Registry, candidate: Path, digest: str, where: str) -> Path:
    """Returns where a training set lies: in the registry, or in the study as long as it is still the same."""
    kept = registry.models / "training" / digest
    if kept.is_dir():
        return kept
    try:
        if TrainingSet.load(candidate).digest == digest:
            return candidate
    except (RadmillError, OSError):
        pass
    told = f"training set {digest[:12]} is not here"
    raise NotTriedError(told, where=where, remedy="`dvc pull`; of a fusion's member, register the member as well")


def _link_images(target: Workspace, study: Workspace, kept: TrainingSet, recipe: Recipe, where: str) -> None:
    """Lets a network see the study's stored images, if all its patients still have some."""
    own, views = study.cases("development"), study.view("development", "cases")
    if not own.is_dir() or not views.is_dir():
        raise NotTriedError("a network needs data/cases, which is not here", where=where, remedy=_IMAGES)
    cases = read_frame(views)
    there = set(zip(cases["center"], cases["case_id"], strict=True))
    lacking = len(set(zip(kept.center.tolist(), kept.case_id.tolist(), strict=True)) - there)
    if lacking:
        raise NotTriedError(f"images of {lacking} of its patients are no longer in data/cases", where=where)
    for source, link in ((own, target.cases("development")), (views, target.view("development", "cases"))):
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(source.resolve())
    _link_weights(target, study, recipe["model"].get("weights"), where)


def _link_weights(target: Workspace, study: Workspace, weights: dict[str, Any] | None, where: str) -> None:
    if weights is None:
        return
    source, link = study.root / weights["file"], target.root / weights["file"]
    if not source.is_file():
        raise NotTriedError(f"the weights it started from ({weights['file']}) are not here", where=where)
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(source.resolve())


def _made_again(folder: Path, recipe: dict[str, Any]) -> tuple[ModelPackage, float | None]:
    """Returns the package made again, and how far a network's answers are from the original's."""
    command = [sys.executable, "-m", "pipelines.retraining", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RemakingFailedError(told, where=f"model {recipe['name']}")
    found = load_package(Workspace(folder).model(str(recipe["name"])) / "package")
    return found, json.loads((folder / OUTCOME).read_bytes())["difference"]


def _differing(package: ModelPackage, again: ModelPackage) -> str:
    made, here = str(package.manifest["release"]), installed("radmill")["radmill"]
    if made != here:
        return f"made by radmill {made}, here is {here}"
    own, other = package.manifest, again.manifest
    parts = sorted(key for key in (own.keys() | other.keys()) - {"files"} if own.get(key) != other.get(key))
    return f"differs in {', '.join(parts) or 'arrays'}"


def _where(version: ModelVersion) -> str:
    return f"version {version.number} ({version.model})"
