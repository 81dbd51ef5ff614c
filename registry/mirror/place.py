"""Where the window is: the tracking store, the study's experiment in it, and the link to its table of models.

MLflow opens an experiment in a mode for language models and sorts runs by date. The stored view, a JSON in a tag that
the UI reads, lands people on a table of models sorted by external AUC instead.
"""

import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from featurestore.visible import in_markdown, visible

VIEW = "radmill"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
STUDY_TAG = "radmill_study"
STAGE_TAG = "stage"
MODEL_STAGE = "model"
DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"

SETTINGS = {
    "MLFLOW_MODEL_CATALOG_URI": "",  # asks the internet for a catalog of language models otherwise
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines a run
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",  # half a minute for a server that is gone, where MLflow waits four
    "GIT_PYTHON_REFRESH": "quiet",
}

_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_AUTHORIZATION = re.compile(
    r"((?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?(?:(?:basic|bearer)\s+)?)[^\s\"',;<]+", re.IGNORECASE
)
_ADDRESSES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
_METRICS = ("external/auc", "internal/auc", "training/auc", "external/brier", "external/calibration_slope")
_PARAMS = ("estimator", "service", "components")
_TAGS = ("registered", "n_events")
_RUN_NAME, _RUN_NAME_WIDTH = "attributes.`Run Name`", 300


def default_uri(study: Path) -> str:
    """Returns `MLFLOW_TRACKING_URI`, or the study's own SQLite database."""
    return os.environ.get("MLFLOW_TRACKING_URI") or own_uri(study)


def own_uri(study: Path) -> str:
    """Returns the address of the database that lies in the study."""
    return sqlite_uri(study / DATABASE)


def sqlite_uri(database: Path) -> str:
    """Returns the address of a database file."""
    return f"sqlite:///{database.resolve()}"


def without_password(text: str) -> str:
    """Returns a message without users, passwords and tokens in it.

    MLflow quotes the whole address, and what a server answers, which may repeat the headers that it was sent.
    """
    return _AUTHORIZATION.sub(r"\1…", _CREDENTIALS.sub("…@", text))


def _is_server(uri: str) -> bool:
    """Returns whether a tracking store has somebody who serves it, and its artifacts."""
    return urlsplit(uri).scheme in ("http", "https")


def models_link(study: Path, tracking_uri: str | None = None) -> str:
    """Returns the path of the table of models, to be put behind the UI's address.

    The start page when nothing was mirrored yet.
    """
    uri = tracking_uri or default_uri(study)
    if uri == own_uri(study) and not (study / DATABASE).is_file():
        return "#/experiments"
    with connection(uri) as client:
        experiments = client.search_experiments(filter_string=f"tags.{STUDY_TAG} = '{study_key(study)}'")
        found = experiments or [e for e in client.search_experiments() if VIEW_TAG in e.tags][:1]
    return link(found[0].experiment_id) if found else "#/experiments"


def link(experiment_id: str) -> str:
    """Returns the path of an experiment's table of models."""
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={VIEW}"


def study_key(study: Path) -> str:
    """Returns what tells this study from others on one server: its folder's name, fit for MLflow's filters."""
    return re.sub(r"['\"`]", "_", visible(study.resolve().name))


@contextmanager
def connection(tracking_uri: str) -> Iterator[Any]:
    """Yields an MLflow client, with MLflow's own settings quiet, and puts back what was set before."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow
        from mlflow.tracking import MlflowClient

        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.ERROR)
        before = {name: os.environ.pop(name, None) for name in _ADDRESSES}
        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_registry_uri(tracking_uri)
        try:
            yield MlflowClient(tracking_uri, tracking_uri)
        finally:
            # MLflow writes the address into the environment, where later commands would take it for the user's wish
            mlflow.set_tracking_uri(before[_ADDRESSES[0]])
            mlflow.set_registry_uri(before[_ADDRESSES[1]])
            for name in _ADDRESSES:
                os.environ.pop(name, None)
            os.environ |= {name: value for name, value in before.items() if value is not None}


def open_experiment(client: Any, study: Path, name: str, tracking_uri: str) -> str:
    """Returns the id of the study's experiment, made when absent, with note, mode and stored view set."""
    name = visible(name)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        # a database alone would put them wherever the command happens to run; a server knows its own place
        location = None if _is_server(tracking_uri) else (study / ARTIFACTS).resolve().as_uri()
        experiment = client.get_experiment(client.create_experiment(name, artifact_location=location))
    elif experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    wanted = {
        VIEW_TAG: json.dumps(view_state(), sort_keys=True),
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.note.content": _note(name),
        STUDY_TAG: study_key(study),
    }
    set_missing(
        experiment.tags, wanted, lambda key, value: client.set_experiment_tag(experiment.experiment_id, key, value)
    )
    return str(experiment.experiment_id)


def set_missing(present: Mapping[str, str], wanted: Mapping[str, str], put: Any) -> None:
    """Calls `put` for each wanted tag that is absent or different."""
    for key, value in wanted.items():
        if present.get(key) != value:
            put(key, value)


def view_state() -> dict[str, Any]:
    """Returns the stored view: models only, best external AUC first, the columns that tell them apart.

    Source: the keys of MLflow 3.17's search facets and page state (`viewStateShareKey` in its UI).
    """
    columns = [
        *(f"metrics.`{name}`" for name in _METRICS),
        *(f"params.`{name}`" for name in _PARAMS),
        *(f"tags.`{name}`" for name in _TAGS),
    ]
    return {
        "searchFilter": f"tags.{STAGE_TAG} = '{MODEL_STAGE}'",
        "orderByKey": "metrics.`external/auc`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": [_RUN_NAME, *columns],
        "columnWidths": {_RUN_NAME: _RUN_NAME_WIDTH},
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "viewMaximized": False,
        "runListHidden": False,
    }


def _note(name: str) -> str:
    return (
        f"**{in_markdown(name)}**: one run a model, filled by `radmill mirror` from ledger, packages and search "
        "histories. This database may be deleted; the next mirror brings it back. Decisions are made with "
        "`radmill promote`, which asks the gates and writes the ledger; an alias moved here is put back."
    )
