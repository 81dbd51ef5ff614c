"""Nothing is ever half written, and a second run is told who is at work."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from featurestore.errors import CaseError, InputError
from featurestore.files import atomic_path, exclusive, sweep, write_json, write_text


def _write_half(target: Path) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text("half of the n")
        raise OSError("disk full")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "table.json"
    write_text(target, "old")
    with pytest.raises(OSError, match="disk full"):
        _write_half(target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["table.json"]


def test_same_content_gives_same_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1.5, "a": [1, None, float("nan")]})
    write_json(tmp_path / "b.json", {"a": (1, None, None), "b": 1.5})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_sweep_removes_what_is_not_expected_and_empty_folders(tmp_path: Path) -> None:
    keep, gone, orphan = tmp_path / "a" / "keep", tmp_path / "b" / "gone", tmp_path / "a" / ".tmp-1-x"
    for path in (keep, gone, orphan):
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    assert sweep(tmp_path, {keep}) == [gone]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "keep"]


def test_a_second_run_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "study.lock"
    code = f"""
from pathlib import Path
from featurestore.files import exclusive
with exclusive(Path({str(lock)!r}), "second"):
    pass
"""
    with exclusive(lock, "radmill run"):
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "LockedError" in other.stderr
    assert "radmill run (process" in other.stderr
    assert subprocess.run([sys.executable, "-c", code], check=True).returncode == 0


def test_errors_cross_process_borders_whole() -> None:
    """Workers send errors by pickle; what, where and remedy must arrive."""
    error = pickle.loads(pickle.dumps(CaseError("slices missing", where="north / ab12", remedy="send them")))
    assert (error.what, error.where, error.remedy, error.exit_code) == (
        "slices missing",
        "north / ab12",
        "send them",
        1,
    )
    assert str(InputError("wrong", where="params.yaml", remedy="mend")) == "params.yaml: wrong\n  remedy: mend"
