"""Filling the window: experiment, runs, versions, aliases; doing it twice changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from featurestore.errors import FaultError, RadmillError
from registry.lifecycle import Registry
from registry.mirror.content import RunContent, candidate_contents, package_content, read_json, with_search
from registry.mirror.database import begin
from registry.mirror.place import connection, default_uri, link, open_experiment, without_password
from registry.mirror.runs import known_runs, mark_former, write_page, write_run
from registry.mirror.versions import fill_versions


class WindowError(FaultError):
    """MLflow did not take what it was given."""

    default_remedy = "the study is untouched; when MLflow answers and has room, `radmill mirror` completes the window"


@dataclass(frozen=True, kw_only=True)
class MirrorSummary:
    """What the window shows now.

    Args:
        uri: The tracking store.
        experiment_id: The study's experiment.
        link: The path of its table of models, to be put behind the UI's address.
        runs: How many models have a run.
        runs_written: How many of them were written or renewed.
        versions_added: How many registered versions were added.
        remarks: What a person should know.
    """

    uri: str
    experiment_id: str
    link: str
    runs: int
    runs_written: int
    versions_added: int
    remarks: tuple[str, ...] = ()


def mirror(
    study_root: Path,
    tracking_uri: str | None = None,
    *,
    experiment: str,
    registry_name: str,
    intended_use: str = "",
    figures: Path | None = None,
    restore: bool = False,
) -> MirrorSummary:
    """Fills the MLflow window from ledger, packages, search histories and metrics.

    Args:
        study_root: The study.
        tracking_uri: The tracking store; `MLFLOW_TRACKING_URI` or the study's own database when left out.
        experiment: The experiment's name: the study's.
        registry_name: The registered model's name.
        intended_use: The statement of the settings.
        figures: Where figures of models lie, as PNG.
        restore: Whether aliases that a person moved in MLflow are put back.

    Raises:
        WindowError: MLflow failed; a later call completes the work.
    """
    uri = tracking_uri or default_uri(study_root)
    try:
        remarks = [remark for remark in [begin(study_root, uri)] if remark]
        return _fill(study_root, uri, experiment, registry_name, intended_use, figures, restore, remarks)
    except RadmillError:
        raise
    except Exception as error:  # MLflow, SQLAlchemy and HTTP clients share no base class
        raise WindowError(f"{type(error).__name__}: {_first_line(error)}", where="MLflow") from None


def _first_line(error: Exception) -> str:
    """Returns what happened, without passwords; SQLAlchemy adds its statement, which fills a screen."""
    return next(iter(without_password(str(error)).strip().splitlines()), "")


def _fill(
    study: Path,
    uri: str,
    experiment: str,
    registry_name: str,
    intended_use: str,
    figures: Path | None,
    restore: bool,
    remarks: list[str],
) -> MirrorSummary:
    registry = Registry(study)
    contents = candidate_contents(study, figures)
    contents += _registered_contents(registry, {content.package for content in contents})
    with connection(uri) as client:
        experiment_id = open_experiment(client, study, experiment, uri)
        known = known_runs(client, experiment_id)
        written = {c.package: write_run(client, experiment_id, c, known.get(c.package)) for c in contents}
        mark_former(client, known, set(written) | set(registry.state().versions))
        write_page(client, experiment_id, study / "reports" / "study.html")
        runs = {package: run_id for package, (run_id, _) in written.items()}
        added, notes = fill_versions(client, registry, registry_name, runs, intended_use, restore=restore)
    return MirrorSummary(
        uri=uri,
        experiment_id=experiment_id,
        link=link(experiment_id),
        runs=len(runs),
        runs_written=sum(is_written for _, is_written in written.values()),
        versions_added=added,
        remarks=(*remarks, *notes),
    )


def _registered_contents(registry: Registry, shown: set[str]) -> list[RunContent]:
    """Returns what to show of registered packages that are no candidate any more: as their evidence has it."""
    contents = []
    for version in registry.versions():
        if version.digest in shown or not registry.package_folder(version).is_dir():
            continue
        evidence = registry.evidence(version)
        record = read_json(registry.models / "training" / version.training_set / "record.json").get("record", {})
        content = package_content(
            registry.package(version), version.model, evidence.get("metrics", {}), record, _predictions(evidence)
        )
        contents.append(with_search(content, evidence.get("search", [])))
    return contents


def _predictions(evidence: Mapping[str, Any]) -> pd.DataFrame:
    rows = pd.DataFrame(evidence.get("predictions", []))
    return rows.assign(cohort="external") if len(rows) else rows
