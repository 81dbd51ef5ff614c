"""Who stops a run stops all of it: no stage goes on writing behind the back of the person who ended it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.study import environment
from pipelines.workspace import Workspace

SCRIPT = """
import sys
from pathlib import Path
from pipelines.study import _wait_for
from pipelines.workspace import Workspace
command = ["sh", "-c", "sleep 60 & echo $! > stage.pid; wait"]
sys.exit(abs(_wait_for(command, Workspace(Path(sys.argv[1])))))
"""


def test_a_terminated_run_takes_its_stages_with_it(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], env=_paths()) as run:
        note = tmp_path / "stage.pid"
        _until(lambda: note.exists() and note.read_text().strip() != "")
        run.send_signal(signal.SIGTERM)
        assert run.wait(timeout=10) == signal.SIGTERM
    _until(lambda: not _runs(int(note.read_text())))


WARNS = """
import warnings
for text in ("resource_tracker: There appear to be 1 leaked semaphore objects", "something else"):
    warnings.warn(text)
"""


@pytest.mark.parametrize(("own", "told"), [("", ["else"]), ("always", ["leaked", "else"])])
def test_what_a_killed_stage_left_is_not_the_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, told: list[str]
) -> None:
    """Python's resource tracker warned below the remedy; other warnings are told, and the user's own setting holds."""
    monkeypatch.setenv("PYTHONWARNINGS", own)
    env = environment(Workspace(tmp_path))
    assert env["PYTHONWARNINGS"].split(",")[0] == "ignore:resource_tracker:UserWarning"
    done = subprocess.run([sys.executable, "-S", "-c", WARNS], env=env, capture_output=True, text=True, check=True)
    assert [word for word in ("leaked", "else") if word in done.stderr] == told


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def _paths() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
