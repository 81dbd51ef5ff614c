"""Writes an imported view into `params.yaml`: centers, view, service, and first models where there is none."""

from collections.abc import Sequence
from typing import Any

from pipelines.imports.problems import CenterUnknownError
from pipelines.params import Params, edit_params, load_params
from pipelines.params.tables import ImportedView
from pipelines.workspace import Role, Workspace

ESTIMATORS = ("lr", "rf", "mlp")


def check_centers(params: Params, centers: Sequence[str], role: Role | None) -> None:
    """Refuses a center that is not declared, unless it is told which role it has.

    Raises:
        CenterUnknownError: It is not, or is declared in the other role.
    """
    for center in centers:
        known = [name for name in ("development", "external") if center in params.centers.of(name)]
        if not known and role is None:
            raise CenterUnknownError("is not declared in params.yaml", where=f"center {center}")
        if known and role is not None and known[0] != role:
            raise CenterUnknownError(
                f"is declared as {known[0]}", where=f"center {center}", remedy=f"leave --role {role} out"
            )


def declare(
    workspace: Workspace, params: Params, name: str, view: ImportedView, centers: Sequence[str], role: Role | None
) -> tuple[Params, list[str]]:
    """Declares what is missing and returns the settings as they are then, with what was added in words."""
    added: list[str] = []
    new = [c for c in centers if c not in params.centers.development and c not in params.centers.external]
    stated = view.model_dump(mode="json", exclude_defaults=True)

    def edit(content: Any) -> None:
        for center in new:
            content["centers"][role][center] = {}
            added.append(f"centers.{role}.{center}")
        if params.imported.get(name) != view:
            if not content.get("imported"):
                content["imported"] = {}
            content["imported"][name] = stated
            added.append(f"imported.{name}")
        if view.is_for_models and not _is_served(params, name):
            content["services"][name] = {"view": name}
            added.append(f"services.{name}")
            if not params.models:
                content["models"] = {f"{name}_{kind}": {"service": name, "estimator": kind} for kind in ESTIMATORS}
                added.append(f"models {', '.join(content['models'])}")

    if new or params.imported.get(name) != view or (view.is_for_models and not _is_served(params, name)):
        edit_params(workspace.params, edit)
    return load_params(workspace.params), added


def _is_served(params: Params, view: str) -> bool:
    return any(view in (s.view, *(join.view for join in s.joins)) for s in params.services.values())
