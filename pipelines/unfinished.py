"""A run that the machine cut short: what DVC had not brought to the disk by then is taken away before the next.

radmill synchronizes what it writes; DVC does not. After a power failure, or where a disk fell away, an object of its
cache can be shorter than what its name says, and `dvc.lock` can be cut off. DVC trusts both, for ever.
"""

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from featurestore.files import write_text
from pipelines.workspace import Workspace

_SLACK_S = 10.0
"""Clocks of file systems are coarse, and a note may lie on another one."""


@contextmanager
def noted(workspace: Workspace) -> Iterator[None]:
    """Notes that a run is at work, and that it ended well; where one before did not, mends what it left torn."""
    note = workspace.state / "unfinished"
    if note.exists():
        forget_torn(workspace, note.stat().st_mtime - _SLACK_S)
    else:
        write_text(note, "a run is at work, or was cut short\n")
    yield
    os.sync()
    note.unlink(missing_ok=True)


def forget_torn(workspace: Workspace, since: float) -> list[Path]:
    """Removes what DVC wrote since then and is not whole; it makes all of it again.

    Args:
        workspace: The study.
        since: When the run began that was cut short, in seconds since the epoch.

    Returns:
        What was removed.
    """
    cache = workspace.root / ".dvc" / "cache"
    objects = [path for path in (cache / "files" / "md5").glob("??/*") if _changed(path) >= since]
    torn = [path for path in objects if not _is_named_by_bytes(path)]
    torn += [path for path in (workspace.root / "dvc.lock", *cache.glob("runs/*/*/*")) if not _is_whole_yaml(path)]
    for path in torn:
        path.unlink(missing_ok=True)
    state = workspace.state / "dvc"
    if not all(_is_sound(path) for path in state.rglob("cache.db")):
        shutil.rmtree(state)
        torn.append(state)
    return torn


def _changed(path: Path) -> float:
    """Returns when a file was last written, linked or moved."""
    stat = path.stat()
    return max(stat.st_mtime, stat.st_ctime)


def _is_named_by_bytes(path: Path) -> bool:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return f"{path.parent.name}{path.name}".removesuffix(".dir") == found


def _is_whole_yaml(path: Path) -> bool:
    """Whether a file of DVC is absent or whole; one that was cut off ends within a line, or has no bytes at all."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if not path.exists():
        return True
    text = path.read_bytes()
    try:
        return text.endswith(b"\n") and isinstance(YAML(typ="safe").load(text), dict)
    except (YAMLError, UnicodeDecodeError):
        return False


def _is_sound(path: Path) -> bool:
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(path)) as connection:
        return bool(connection.execute("PRAGMA quick_check").fetchone() == ("ok",))
    return False
