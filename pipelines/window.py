"""The MLflow window: figures are drawn, then candidates, versions and aliases are shown there."""

from typing import TYPE_CHECKING

from pipelines.params import Params
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from registry.mirror import MirrorSummary


def fill_window(workspace: Workspace, params: Params) -> "MirrorSummary":
    """Fills the study's MLflow database; what is there already is left as it is.

    Raises:
        WindowError: MLflow failed; a later call completes the work.
    """
    from pipelines.reporting.report import write_figures
    from registry.mirror import mirror

    write_figures(workspace, params)
    return mirror(
        workspace.root,
        experiment=params.study.name,
        registry_name=params.registry.name,
        intended_use=params.registry.intended_use,
        figures=workspace.reports / "figures",
    )
