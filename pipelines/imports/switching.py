"""Makes all tables of an import new at once: written aside first, then moved, and a move that was cut short is ended.

The moment of the switch is the file that says the tables aside are whole. Before it the old tables hold; after it the
next command that looks at imported tables moves what is left, so that labels are never newer than features.
"""

import json
import shutil
from pathlib import Path

from featurestore.files import write_json
from pipelines.workspace import Workspace

READY = "ready.json"


def aside(workspace: Workspace) -> Path:
    """Returns the folder in which an import's tables are written before they are switched to."""
    return workspace.state / "importing"


def take_up(workspace: Workspace) -> bool:
    """Ends a switch that was cut short, or removes tables that were not whole; returns whether it ended one."""
    folder = aside(workspace)
    is_whole = (folder / READY).is_file()
    if is_whole:
        _move(workspace)
    shutil.rmtree(folder, ignore_errors=True)
    return is_whole


def switch(workspace: Workspace) -> None:
    """Puts the tables that lie aside in the place of the old ones."""
    folder = aside(workspace)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet"))
    write_json(folder / READY, {"files": names})
    _move(workspace)
    shutil.rmtree(folder)


def _move(workspace: Workspace) -> None:
    folder = aside(workspace)
    root = workspace.imported("any").parent
    for name in json.loads((folder / READY).read_bytes())["files"]:
        if (folder / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).replace(root / name)
