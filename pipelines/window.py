"""The MLflow window: figures are drawn, then candidates, versions and aliases are shown there."""

import json
from typing import TYPE_CHECKING

from featurestore.files import write_json
from featurestore.fingerprints import file_digest
from pipelines.cards import write_cards
from pipelines.params import Params
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from registry.mirror import MirrorSummary


def refresh_window(workspace: Workspace, params: Params) -> None:
    """Fills the window if anything it shows changed since it was last filled, or if it is gone."""
    shown = [workspace.root / "dvc.lock", workspace.params, workspace.models / "ledger.jsonl"]
    state = {path.name: file_digest(path) for path in shown if path.exists()}
    note = workspace.state / "window.json"
    is_there = (workspace.root / "mlflow.db").exists() and note.exists()
    if is_there and json.loads(note.read_text(encoding="utf-8")) == state:
        return
    fill_window(workspace, params)
    write_json(note, state)


def fill_window(workspace: Workspace, params: Params, *, restore: bool = False) -> "MirrorSummary":
    """Fills the study's MLflow database; what is there already is left as it is.

    Args:
        workspace: The study.
        params: Its settings.
        restore: Whether aliases that a person moved in MLflow are put back.

    Raises:
        WindowError: MLflow failed; a later call completes the work.
    """
    from pipelines.reporting.report import write_figures
    from registry.mirror import mirror

    write_cards(workspace, params)
    write_figures(workspace, params)
    return mirror(
        workspace.root,
        experiment=params.study.name,
        registry_name=params.registry.name,
        intended_use=params.registry.intended_use,
        figures=workspace.reports / "figures",
        restore=restore,
    )
