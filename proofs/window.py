"""What MLflow shows of a study, in a form that two servers can be compared by: no ids, no times, no places."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OWN_TO_A_SERVER = ("mlflow.parentRunId", "mlflow.user", "mlflow.log-model.history", "mlflow.source.git.commit")
"""Tags that name a run, a person or a moment of one server."""


def shown(client: Any, name: str) -> dict[str, Any]:
    """Returns everything that a study's mirror put into MLflow: experiments, runs, versions and aliases.

    Args:
        client: An MLflow client; of an HTTP address it asks the REST API that the UI asks.
        name: The registered model's name.
    """
    experiments = [e for e in client.search_experiments() if "radmill_study" in e.tags]
    runs = [run for e in experiments for run in _runs(client, e.experiment_id)]
    known = {run.info.run_id: _name(run) for run in runs}
    return {
        "experiments": {e.name: dict(e.tags) for e in experiments},
        "runs": {_key(run, known): _run(client, run) for run in runs},
        "n_runs": len(runs),
        "models": [m for e in experiments for m in _logged(client, e.experiment_id, known)],
        **_registered(client, name, known),
    }


def _runs(client: Any, experiment_id: str) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_runs([experiment_id], max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _name(run: Any) -> str:
    return f"{run.data.tags.get('package', '')[:12]} {run.info.run_name}".strip()


def _key(run: Any, known: dict[str, str]) -> str:
    parent = known.get(run.data.tags.get("mlflow.parentRunId", ""), "")
    return f"{parent} / {_name(run)}" if parent else _name(run)


def _run(client: Any, run: Any) -> dict[str, Any]:
    run_id = run.info.run_id
    curves = {
        metric: sorted((point.step, point.value) for point in client.get_metric_history(run_id, metric))
        for metric in run.data.metrics
    }
    inputs = [(one.dataset.name, one.dataset.digest, [(t.key, t.value) for t in one.tags]) for one in _inputs(run)]
    return {
        "status": run.info.status,
        "params": dict(run.data.params),
        "metrics": curves,
        "tags": {key: value for key, value in run.data.tags.items() if key not in OWN_TO_A_SERVER},
        "datasets": sorted(inputs),
        "artifacts": dict(sorted(_artifacts(client, run_id))),
    }


def _inputs(run: Any) -> list[Any]:
    return list(run.inputs.dataset_inputs) if run.inputs else []


def _artifacts(client: Any, run_id: str, path: str = "") -> Iterator[tuple[str, str]]:
    for item in client.list_artifacts(run_id, path):
        if item.is_dir:
            yield from _artifacts(client, run_id, item.path)
        else:
            data = Path(client.download_artifacts(run_id, item.path)).read_bytes()
            yield item.path, hashlib.sha256(data).hexdigest()


def _logged(client: Any, experiment_id: str, known: dict[str, str]) -> Iterator[dict[str, str]]:
    for model in client.search_logged_models([experiment_id]):
        yield {"name": model.name, "run": known.get(model.source_run_id, ""), "status": str(model.status)}


def _registered(client: Any, name: str, known: dict[str, str]) -> dict[str, Any]:
    model = client.get_registered_model(name)
    versions = client.search_model_versions(f"name = '{name}'", max_results=1000)
    return {
        "description": model.description,
        "model_tags": dict(model.tags),
        "aliases": {alias: str(number) for alias, number in model.aliases.items()},
        "versions": {
            str(v.version): {"tags": dict(v.tags), "description": v.description, "run": known.get(v.run_id, "")}
            for v in versions
        },
    }
