"""Registered versions and aliases in the window, as the ledger has them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from featurestore.visible import in_markdown, visible
from registry.card import version_card
from registry.errors import PackageAbsentError
from registry.gates import metric
from registry.lifecycle import Registry
from registry.mirror.aliases import LEDGER_TAG, set_aliases
from registry.mirror.place import set_missing
from registry.states import ModelVersion

_LONGEST_DESCRIPTION = 5000
"""MLflow's column for it."""
_SERVING = Path(__file__).with_name("serving.py")


def fill_versions(
    client: Any, registry: Registry, name: str, runs: Mapping[str, str], intended_use: str, *, restore: bool
) -> tuple[int, list[str]]:
    """Registers what the window lacks and sets aliases and tags.

    Args:
        client: The MLflow client.
        registry: The study's registry.
        name: The registered model's name.
        runs: The id of each package's run.
        intended_use: The statement of the settings, for the model's description.
        restore: Whether aliases that a person moved are put back.

    Returns:
        How many versions were added, and remarks for people.
    """
    versions = registry.versions()
    if not versions:
        return 0, []
    remarks: list[str] = []
    present = _present(client, name, versions, intended_use)
    added = 0
    for version in versions:
        if version.number not in present:
            found = _add(client, registry, name, version, runs)
            if found is None:
                remarks.append(f"version {version.number} is not shown: its bytes are absent (`dvc pull`)")
                continue
            present[version.number] = found
            added += 1
        mirrored = present[version.number]
        set_missing(
            mirrored.tags,
            _tags(version),
            lambda key, value, number=mirrored.version: client.set_model_version_tag(name, number, key, value),
        )
        _describe(client, registry, name, version, mirrored, intended_use)
        if version.digest in runs:
            _label_run(client, runs[version.digest], version)
    remarks += set_aliases(client, name, versions, present, registry.events()[-1].hash, restore=restore)
    return added, remarks


def _present(client: Any, name: str, versions: Sequence[ModelVersion], intended_use: str) -> dict[int, Any]:
    """Returns the versions in the window by ledger number, after making the model or dropping one out of order."""
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
        present = {int(v.tags[LEDGER_TAG]): v for v in _listed(client, name) if LEDGER_TAG in v.tags}
        if _in_order(present, len(versions)):
            return present
        client.delete_registered_model(name)  # bytes that came late took a wrong number
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    client.create_registered_model(
        name, description=f"{in_markdown(intended_use)} Decisions: `radmill promote`, `rollback`."
    )
    return {}


def _in_order(present: Mapping[int, Any], n_versions: int) -> bool:
    return all(number <= n_versions and number == int(found.version) for number, found in present.items())


def _listed(client: Any, name: str) -> list[Any]:
    found, token = [], None
    while True:
        page = client.search_model_versions(f"name = '{name}'", max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _add(client: Any, registry: Registry, name: str, version: ModelVersion, runs: Mapping[str, str]) -> Any | None:
    import mlflow

    try:
        package = registry.package(version)
    except PackageAbsentError:
        return None
    run_id = runs[version.digest]
    model_uri, model_id = _logged(client, run_id) or (None, None)
    if model_id is None:
        with mlflow.start_run(run_id=run_id):
            info = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(_SERVING),
                artifacts={"package": str(registry.package_folder(version))},
                model_config={"digest": version.digest},
                pip_requirements=[f"radmill=={package.manifest['release']}"],
            )
        model_uri, model_id = info.model_uri, info.model_id
    return client.create_model_version(
        name,
        source=model_uri,
        run_id=run_id,
        tags={LEDGER_TAG: str(version.number)},
        model_id=model_id,
    )


def _logged(client: Any, run_id: str) -> tuple[str, str] | None:
    """Returns address and id of the model that a run has already, after deleting those that were cut short."""
    experiment = client.get_run(run_id).info.experiment_id
    whole = None
    for found in client.search_logged_models([experiment], f"source_run_id = '{run_id}'"):
        if found.status == "READY" and whole is None:
            whole = found.model_uri, found.model_id
        else:
            client.delete_logged_model(found.model_id)
    return whole


def _describe(
    client: Any, registry: Registry, name: str, version: ModelVersion, mirrored: Any, intended_use: str
) -> None:
    """Puts the card into the description; the list of versions shows its beginning, so that is plain text."""
    try:
        package = registry.package(version)
    except PackageAbsentError:
        return
    evidence = registry.evidence(version)
    auc = metric(evidence, "auc")
    head = "no external AUC" if auc is None else f"external AUC {auc:.3f}"
    text = f"{head}\n\n{version_card(version, package, evidence, intended_use)}"[:_LONGEST_DESCRIPTION]
    if mirrored.description != text:
        client.update_model_version(name, mirrored.version, description=text)


def _label_run(client: Any, run_id: str, version: ModelVersion) -> None:
    label = " ".join([f"v{version.number}", *version.aliases])
    if client.get_run(run_id).data.tags.get("registered") != label:
        client.set_tag(run_id, "registered", label)


def _tags(version: ModelVersion) -> dict[str, str]:
    return {
        "model": version.model,
        "state": version.state,
        "package": version.digest[:12],
        "override": visible("; ".join(version.overrides)) or "none",
    }
