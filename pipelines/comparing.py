"""Compares a view with itself as it was at a commit of the study, which DVC brings back."""

import tempfile
from pathlib import Path

from featurestore.differences import Difference, difference
from featurestore.errors import FaultError, InputError
from featurestore.tables import centers_of, read_frame, read_notes
from pipelines.params import Params
from pipelines.stored_views import view_root
from pipelines.study import run_dvc
from pipelines.workspace import Role, Workspace


class VersionGoneError(InputError):
    """The view is not to be had as it was then."""

    default_remedy = "name a commit in which `radmill run` had ended, and get its data with `dvc fetch --all-commits`"


def compare(workspace: Workspace, params: Params, view: str, role: Role, revision: str) -> Difference:
    """Compares a view's rows now with those at a commit.

    Args:
        workspace: The study.
        params: Its settings.
        view: Which view.
        role: Whose centers.
        revision: A commit, branch or tag of the study.

    Raises:
        VersionGoneError: The commit has no such view, or its bytes are nowhere.
    """
    root = view_root(workspace, params, role, view)
    if not centers_of(root):
        raise VersionGoneError("the view has no rows now", where=f"view {view}, {role}", remedy="`radmill run` first")
    workspace.state.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workspace.state, prefix="version-") as folder:
        old = Path(folder) / view
        place = root.relative_to(workspace.root)
        try:
            run_dvc(workspace, "get", ".", str(place), "--rev", revision, "--out", str(old), "--quiet")
        except FaultError as error:
            raise VersionGoneError(error.what.splitlines()[-1], where=f"view {view} at {revision}") from error
        own = [
            center for center in centers_of(root) if view not in params.imported or center in params.centers.of(role)
        ]
        before, after = read_frame(old), read_frame(root, centers=own)
        notes = [next(iter(read_notes(place).values()), {}) for place in (old, root)]
    return difference(before, after, notes[0], notes[1])
