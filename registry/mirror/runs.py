"""Writing runs: one for each package, its best search trials beneath it, and one for the study page."""

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from featurestore.fingerprints import file_digest
from registry.mirror.content import DatasetNote, RunContent, Table, TrialNote
from registry.mirror.place import MODEL_STAGE, STAGE_TAG

HASH_TAG = "content_hash"
PACKAGE_TAG = "package"
TRIAL_STAGE, PAGE_STAGE, FORMER_STAGE = "trial", "study page", "former"
_PARENT_TAG = "mlflow.parentRunId"
_TABLES_TAG = "mlflow.loggedArtifacts"
_NOTE_TAG = "mlflow.note.content"
_PAGE_SIZE = 1000
_BATCH = 900
"""MLflow takes 1,000 metrics a call."""


def known_runs(client: Any, experiment_id: str) -> dict[str, Any]:
    """Returns the runs of models by the digest of their package."""
    runs, token = [], None
    while True:
        page = client.search_runs(
            [experiment_id], f"tags.{PACKAGE_TAG} != ''", max_results=_PAGE_SIZE, page_token=token
        )
        runs += page
        token = page.token
        if not token:
            return {run.data.tags[PACKAGE_TAG]: run for run in runs}


def write_run(client: Any, experiment_id: str, content: RunContent, known: Any | None) -> tuple[str, bool]:
    """Brings one model's run up to date.

    Args:
        client: The MLflow client.
        experiment_id: The study's experiment.
        content: What the run shall show.
        known: The run of the same package, if there is one; its metrics, tags and artifacts are renewed.

    Returns:
        The run's id, and whether anything was written.
    """
    sha = content.content_hash()
    if known is not None and known.data.tags.get(HASH_TAG) == sha:
        return known.info.run_id, False
    if known is not None and HASH_TAG not in known.data.tags:
        _forget(client, experiment_id, known.info.run_id)
        known = None
    is_new = known is None
    run_id = _create(client, experiment_id, content) if known is None else known.info.run_id
    _log(client, run_id, content, is_new=is_new)
    if is_new:
        client.log_inputs(run_id, [_dataset_input(note) for note in content.datasets])
        for trial in content.trials:
            _write_trial(client, experiment_id, run_id, trial)
    client.set_terminated(run_id)
    client.set_tag(run_id, HASH_TAG, sha)  # last: it says that all before it was done
    return run_id, True


def write_page(client: Any, experiment_id: str, page: Path) -> bool:
    """Shows the study page as a run of its own; returns whether anything was written."""
    if not page.is_file():
        return False
    found = client.search_runs([experiment_id], f"tags.{STAGE_TAG} = '{PAGE_STAGE}'", max_results=1)
    sha = file_digest(page)
    if found and found[0].data.tags.get(HASH_TAG) == sha:
        return False
    tags = {STAGE_TAG: PAGE_STAGE, "mlflow.source.name": "radmill"}
    run_id = (
        found[0].info.run_id
        if found
        else client.create_run(experiment_id, run_name="study page", tags=tags).info.run_id
    )
    client.log_artifact(run_id, str(page))
    client.set_terminated(run_id)
    client.set_tag(run_id, HASH_TAG, sha)  # last: it says that all before it was done
    return True


def mark_former(client: Any, known: dict[str, Any], current: set[str]) -> int:
    """Takes runs of packages that are neither candidate nor registered any more out of the table of models."""
    gone = [run for package, run in known.items() if package not in current]
    gone = [run for run in gone if run.data.tags.get(STAGE_TAG) == MODEL_STAGE]
    for run in gone:
        client.set_tag(run.info.run_id, STAGE_TAG, FORMER_STAGE)
    return len(gone)


def _forget(client: Any, experiment_id: str, run_id: str) -> None:
    """Deletes a run whose writing was cut short, and its trials: written on, its curves and trials would be doubled."""
    for trial in client.search_runs([experiment_id], f"tags.`{_PARENT_TAG}` = '{run_id}'", max_results=_PAGE_SIZE):
        client.delete_run(trial.info.run_id)
    client.delete_run(run_id)


def _create(client: Any, experiment_id: str, content: RunContent) -> str:
    tags = {PACKAGE_TAG: content.package, STAGE_TAG: MODEL_STAGE, "mlflow.source.name": "radmill"}
    return str(client.create_run(experiment_id, run_name=content.name, tags=tags).info.run_id)


def _log(client: Any, run_id: str, content: RunContent, *, is_new: bool) -> None:
    from mlflow.entities import Metric, Param, RunTag

    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, 0) for name, value in sorted(content.metrics.items())]
    if is_new:
        metrics += [
            Metric(name, value, now, step) for name, curve in content.curves.items() for step, value in enumerate(curve)
        ]
    tables = [{"path": path, "type": "table"} for path in sorted(content.tables)]
    tags = {
        **content.tags,
        STAGE_TAG: MODEL_STAGE,
        _TABLES_TAG: json.dumps(tables),
        _NOTE_TAG: content.texts.get("card.md", ""),
    }
    first, *others = list(_chunks(metrics)) or [[]]
    client.log_batch(
        run_id,
        metrics=first,
        params=[Param(name, value) for name, value in content.params.items()] if is_new else [],
        tags=[RunTag(name, value) for name, value in tags.items()],
    )
    for chunk in others:
        client.log_batch(run_id, metrics=chunk)
    _log_artifacts(client, run_id, content)


def _log_artifacts(client: Any, run_id: str, content: RunContent) -> None:
    texts = {**content.texts, **{path: _split_json(table) for path, table in content.tables.items()}}
    with tempfile.TemporaryDirectory() as staging:
        for name, text in texts.items():
            _place(Path(staging) / name).write_text(text, encoding="utf-8")
        for name, source in content.files.items():
            _place(Path(staging) / name).write_bytes(source.read_bytes())
        client.log_artifacts(run_id, staging)


def _place(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _split_json(table: Table) -> str:
    """Returns the form in which MLflow's UI reads a table."""
    return json.dumps({"columns": list(table), "data": [list(row) for row in zip(*table.values(), strict=True)]})


def _write_trial(client: Any, experiment_id: str, parent: str, trial: TrialNote) -> None:
    from mlflow.entities import Metric, Param

    tags = {_PARENT_TAG: parent, STAGE_TAG: TRIAL_STAGE, "mlflow.source.name": "radmill"}
    run_id = client.create_run(experiment_id, run_name=f"trial {trial.number}", tags=tags).info.run_id
    params = [Param(name, value) for name, value in trial.params.items()]
    client.log_batch(run_id, metrics=[Metric("search/auc", trial.value, int(time.time() * 1000), 0)], params=params)
    client.set_terminated(run_id)


def _dataset_input(note: DatasetNote) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=note.name,
        digest=note.digest[:32],  # MLflow takes 36 characters
        source_type="local",
        source=json.dumps({"uri": f"radmill:{note.digest}"}),
        profile=json.dumps(note.profile),
    )
    return DatasetInput(dataset=dataset, tags=[InputTag(key="mlflow.data.context", value=note.context)])


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for first in range(0, len(items), _BATCH):
        yield items[first : first + _BATCH]
