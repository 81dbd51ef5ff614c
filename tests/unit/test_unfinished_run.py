"""After a power failure DVC's cache and lock file may be torn: the next run takes away what is, and nothing else."""

import hashlib
import os
import sqlite3
from pathlib import Path

import pytest

from pipelines.unfinished import noted
from pipelines.workspace import Workspace

LOCK = "schema: '2.0'\nstages:\n  intake:\n    cmd: radmill intake\n"


def put(root: Path, data: bytes, suffix: str = "", cut: int | None = None) -> Path:
    """Puts bytes into DVC's cache under their name, cut off where that is asked."""
    name = hashlib.md5(data).hexdigest()
    path = root / ".dvc" / "cache" / "files" / "md5" / name[:2] / f"{name[2:]}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data[:cut])
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "dvc.lock").write_text(LOCK)
    return Workspace(tmp_path)


def cut_short(workspace: Workspace) -> None:
    with pytest.raises(SystemExit), noted(workspace):
        raise SystemExit


def test_only_what_is_torn_is_taken_away_after_a_run_that_was_cut_short(workspace: Workspace) -> None:
    root = workspace.root
    cut_short(workspace)
    whole, folder = put(root, b"whole"), put(root, b'[{"md5": "1"}]', ".dir")
    torn, empty = put(root, b"half of this is gone", cut=7), put(root, b'[{"md5": "2"}]', ".dir", cut=0)
    runs = root / ".dvc" / "cache" / "runs" / "aa" / "aabb"
    runs.mkdir(parents=True)
    (runs / "one").write_text("cmd: radmill fuse\n")
    (runs / "two").write_text("cmd: radmill fuse\nou")
    with noted(workspace):
        assert whole.exists()
        assert folder.exists()
        assert not torn.exists()
        assert not empty.exists()
        assert sorted(path.name for path in runs.iterdir()) == ["one"]
        assert (root / "dvc.lock").read_text() == LOCK


def test_a_lock_file_that_was_cut_off_is_taken_away(workspace: Workspace) -> None:
    for content in ("", LOCK[:-4], "\0" * 40, LOCK + "  }:\n"):
        cut_short(workspace)
        (workspace.root / "dvc.lock").write_text(content)
        with noted(workspace):
            assert not (workspace.root / "dvc.lock").exists(), repr(content)


def test_a_damaged_memory_of_hashes_is_forgotten(workspace: Workspace) -> None:
    state = workspace.state / "dvc" / "repo" / "hashes"
    state.mkdir(parents=True)
    with sqlite3.connect(state / "cache.db") as connection:
        connection.execute("create table t (a)")
    connection.close()
    cut_short(workspace)
    with noted(workspace):
        assert state.exists()
    cut_short(workspace)
    (state / "cache.db").write_bytes((state / "cache.db").read_bytes()[:100] + b"x" * 8092)
    with noted(workspace):
        assert not state.exists()


def test_after_a_run_that_ended_well_nothing_is_read(workspace: Workspace) -> None:
    with noted(workspace):
        pass
    damaged_since = put(workspace.root, b"long ago", cut=3)
    with noted(workspace):
        assert damaged_since.exists()


def test_what_was_there_before_that_run_is_not_read_again(workspace: Workspace) -> None:
    """A cache of years is not hashed after each power failure."""
    old = put(workspace.root, b"years ago", cut=3)
    cut_short(workspace)
    later = old.stat().st_mtime + 3600
    os.utime(workspace.state / "unfinished", (later, later))
    with noted(workspace):
        assert old.exists()
