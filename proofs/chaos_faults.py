"""What is done to a run: each fault strikes at its moment, and says what it did; `mend` takes away what outlasts it."""

import fcntl
import os
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from proofs.chaos_run import Run

MOUNT_MB = 160
"""A study, DVC's cache of it and the MLflow window need about a fifth of it."""

_FILLER = "filler"
_SHUTDOWN = 0x8004587D
"""FS_IOC_SHUTDOWN of the kernel: the file system takes and writes nothing more, not even its journal."""
_NO_FLUSH = 2


class Mount:
    """A small ext4 file system in a file, on a folder: it can be filled, fail, and lose what no one synchronized.

    Args:
        folder: Where it is mounted; its image lies beside.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._image = folder.with_name(f"{folder.name}.img")

    def make(self) -> None:
        """Makes an empty one, whatever was there before."""
        self.remove()
        self.folder.mkdir(parents=True)
        with self._image.open("wb") as file:
            file.truncate(MOUNT_MB * 1_000_000)
        _call("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
        _call("mount", "-o", "loop", str(self._image), str(self.folder))

    def again(self) -> None:
        """Takes it off and on, as after a failure of the machine: the journal is played back, errors are cleared."""
        self.off()
        check = subprocess.run(["e2fsck", "-p", "-f", str(self._image)], capture_output=True, check=False)
        if check.returncode > 1:
            raise SystemExit(f"e2fsck: {check.stdout.decode()}")
        _call("mount", "-o", "loop", str(self._image), str(self.folder))

    def remove(self) -> None:
        """Takes it off and removes its image."""
        subprocess.run(["umount", str(self.folder)], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._image.unlink(missing_ok=True)

    def fill(self, left_bytes: int) -> None:
        """Leaves so much room."""
        free = os.statvfs(self.folder).f_bavail * os.statvfs(self.folder).f_frsize
        with suppress(OSError), (self.folder / _FILLER).open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(free - left_bytes, 1))

    def free(self) -> None:
        """Gives the room back."""
        (self.folder / _FILLER).unlink(missing_ok=True)

    def fail(self) -> None:
        """Lets the kernel meet an error: all is read-only at once, whoever has files open."""
        _call("mount", "-o", "remount,abort", str(self.folder))

    def cut_power(self) -> None:
        """Lets nothing reach the disk any more."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_FLUSH))
        finally:
            os.close(descriptor)

    def off(self) -> None:
        """Takes it off, when the last process has let go of it."""
        for _ in range(100):
            if subprocess.run(["umount", str(self.folder)], capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.1)
        _call("umount", str(self.folder))


@dataclass
class Scene:
    """A run that is at work, where it is, and the dice."""

    run: Run
    mount: Mount | None
    rng: random.Random


@dataclass(frozen=True)
class Fault:
    """One way to disturb a run.

    Args:
        strike: Does it, and says in a few words what; nothing when there was nothing to strike any more.
        rounds: How many of a hundred.
        needs_workers: Whether it strikes at a moment with worker processes.
        needs_mount: Whether the study lies on a file system of its own.
        ends_run: Whether the run cannot answer, because it is ended from outside.
        spares_results: Whether no more may be under a final name than an undisturbed run puts there; else a case may
            have failed for a reason of the machine.
        loses_unsynced: Whether what nobody synchronized is gone: DVC's copies may be torn then until the next run.
    """

    strike: Callable[[Scene], str]
    rounds: int
    needs_workers: bool = False
    needs_mount: bool = False
    ends_run: bool = False
    spares_results: bool = True
    loses_unsynced: bool = False


def _stop(scene: Scene) -> str:
    scene.run.kill()
    return "all killed"


def _cut_power(scene: Scene) -> str:
    mount = _mount(scene)
    mount.cut_power()
    scene.run.kill()
    mount.again()
    return "disk cut off, all killed, what was not synchronized lost"


def _kill_worker(scene: Scene) -> str:
    worker = _worker(scene)
    return "a worker killed" if worker and _signal(worker, signal.SIGKILL) else ""


def _kill_driver(scene: Scene) -> str:
    driver = scene.run.driver()
    return "the stage's driver and scheduler killed" if driver and _signal(driver, signal.SIGKILL) else ""


def _fill(scene: Scene) -> str:
    left = int(scene.rng.choice([0, 4_096, 10 ** scene.rng.uniform(4, 6.7)]))
    _mount(scene).fill(left)
    return f"{left // 1000} kB left on the disk"


def _fail(scene: Scene) -> str:
    _mount(scene).fail()
    return "file system read-only after an error"


def _tighten(scene: Scene) -> str:
    worker = _worker(scene)
    if not worker:
        return ""
    more = int(10 ** scene.rng.uniform(4, 7.7))
    with suppress(OSError, AttributeError, ValueError):
        pages = int(Path(f"/proc/{worker}/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + more
        resource.prlimit(worker, resource.RLIMIT_AS, (limit, limit))
        return f"a worker has {more // 1000} kB of memory left"
    return ""


def _part_from_network(scene: Scene) -> str:
    return _cut_connections(scene) if scene.rng.random() < 0.5 else _silence(scene)


def _silence(scene: Scene) -> str:
    """Stops a worker for longer than any of Dask's heartbeats: what it is sent waits, and it says nothing."""
    worker, seconds = _worker(scene), scene.rng.uniform(2, 8)
    if not worker or not _signal(worker, signal.SIGSTOP):
        return ""
    time.sleep(seconds)
    _signal(worker, signal.SIGCONT)
    return f"a worker unreachable for {seconds:.1f} s"


def _cut_connections(scene: Scene) -> str:
    """Resets every connection of a worker, as a router does that was started anew."""
    worker = _worker(scene)
    told = subprocess.run(["ss", "-tnpH"], capture_output=True, text=True, check=False).stdout
    ends = [line.split()[3].rpartition(":")[2] for line in told.splitlines() if re.search(rf"\bpid={worker}\b", line)]
    for port in ends if worker else []:
        command = ["ss", "-K", "-tn", "src", "127.0.0.1", "sport", "=", f":{port}"]
        subprocess.run(command, capture_output=True, check=False)
    return f"{len(ends)} connections of a worker cut" if worker and ends else ""


FAULTS: dict[str, Fault] = {
    "machine stopped": Fault(_stop, 16, ends_run=True),
    "power cut": Fault(_cut_power, 8, needs_mount=True, ends_run=True, loses_unsynced=True),
    "worker killed": Fault(_kill_worker, 14, needs_workers=True),
    "driver killed": Fault(_kill_driver, 14),
    "disk full": Fault(_fill, 14, needs_mount=True, spares_results=False),
    "disk read-only": Fault(_fail, 12, needs_mount=True, spares_results=False, loses_unsynced=True),
    "out of memory": Fault(_tighten, 11, needs_workers=True, spares_results=False),
    "network cut": Fault(_part_from_network, 11, needs_workers=True),
}


def mend(name: str, mount: Mount | None) -> None:
    """Takes away what outlasts a fault, as a person would before the next run."""
    if mount is not None and name == "disk full":
        mount.free()
    if mount is not None and name == "disk read-only":
        mount.again()


def _mount(scene: Scene) -> Mount:
    assert scene.mount is not None
    return scene.mount


def _worker(scene: Scene) -> int | None:
    workers = scene.run.workers()
    return scene.rng.choice(workers) if workers else None


def _signal(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
