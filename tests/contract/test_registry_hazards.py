"""What a registry meets in the world: two people at once, a disk that fills up, a package of another release."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registry import lifecycle
from registry.lifecycle import Registry
from registry.package import load_package, save_package
from registry.predict import predict

PROMOTE = """
import sys
from pathlib import Path
from registry.lifecycle import Registry
print(Path(sys.argv[1]).name, flush=True)
sys.stdin.readline()
Registry(Path(sys.argv[1])).promote(sys.argv[2], {}, "at once")
"""

ON_A_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from registry import lifecycle
from registry.lifecycle import Registry
lifecycle.dvc_add = lambda _, folder: folder.with_name(f"{folder.name}.dvc").touch()
study = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
if sys.argv[3] == "promote":
    Registry(study).promote("1", {}, "no room")
else:
    Registry(study).register("lr", study / "data/models/lr/package", study / "data/training/biphasic", {}, "no room")
"""


@pytest.fixture
def begun(study: Path, candidates: Any, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Two registered versions; DVC is left out."""
    monkeypatch.setattr(lifecycle, "dvc_add", lambda _, folder: folder.with_name(f"{folder.name}.dvc").touch())
    registry = Registry(study)
    for seed, name in enumerate(("one", "two")):
        package, training = candidates.write(study, name, seed)
        registry.register(name, package, training, candidates.metrics(), "a test")
    return registry


def test_two_promotions_at_once_leave_one_chain_and_one_champion(begun: Registry) -> None:
    """One waits for nobody: it is done, or refused by the other's name. Nothing is half done."""
    command = [sys.executable, "-c", PROMOTE, str(begun.study)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    both = [subprocess.Popen([*command, number], text=True, **pipes) for number in ("1", "2")]
    for one in both:
        one.stdout.readline()  # both stand ready
    for one in both:
        one.stdin.write("go\n")
        one.stdin.flush()
    told = [one.communicate()[1] for one in both]
    done = [one.returncode == 0 for one in both]
    assert any(done)
    assert all(ok or "is running" in said for ok, said in zip(done, told, strict=True))
    assert [event.verb for event in begun.events()] == ["register"] * 2 + ["promote"] * sum(done)
    assert begun.verify() == []
    assert begun.champion() is not None


def test_a_disk_that_fills_up_loses_nothing_and_the_same_command_completes_it(begun: Registry, candidates: Any) -> None:
    """Files end where the room ends: in the package's copy, in its evidence, in the ledger."""
    package, training = candidates.write(begun.study, "lr", 7)
    before = begun.ledger.path.read_bytes()
    for room in (200, 1200, len(before)):
        on_full_disk(begun.study, room, "register")
        assert begun.ledger.path.read_bytes() == before
    on_full_disk(begun.study, len(before), "promote")
    assert begun.ledger.path.read_bytes() == before
    begun.register("lr", package, training, {}, "room again")
    begun.promote("1", {})
    assert [event.verb for event in begun.events()] == ["register"] * 3 + ["promote"]
    assert begun.verify() == []
    assert not list(begun.models.rglob(".tmp*"))


def on_full_disk(study: Path, room: int, verb: str) -> None:
    """Runs a command whose files, git's too, may not grow beyond `room` bytes; it must fail."""
    command = [sys.executable, "-c", ON_A_FULL_DISK, str(study), str(room), verb]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0, done.stderr


def test_a_package_of_another_release_says_so_and_predicts_the_same(tmp_path: Path, candidates: Any) -> None:
    """A release is told, not obeyed: what decides is the format, and in scoring the feature set."""
    manifest, golden = candidates.manifest("lr", "0" * 64), np.zeros((1, 3))
    ours = save_package(tmp_path / "ours" / "package", manifest, candidates.arrays(), golden, "")
    theirs = save_package(
        tmp_path / "theirs" / "package", manifest | {"release": "9.9"}, candidates.arrays(), golden, ""
    )
    X = np.random.default_rng(1).normal(size=(5, 3))
    one, other = (load_package(tmp_path / name / "package") for name in ("ours", "theirs"))
    assert ours != theirs
    assert other.manifest["release"] == "9.9"
    assert np.array_equal(predict(one, X), predict(other, X))
