"""Files that are never half written: temporary name, fsync, rename; and a lock that dies with its holder."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from featurestore.errors import LockedError
from featurestore.fingerprints import canonical_json

TEMPORARY = ".tmp-"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` and moves it into place when the block ends well.

    The temporary name keeps the suffixes of `path`, because image writers choose the format by them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Writes `data` whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Writes `text` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: object) -> None:
    """Writes `content` as canonical, indented JSON: same content, same bytes."""
    write_bytes(path, canonical_json(content, indent=2) + b"\n")


def sweep(folder: Path, expected: set[Path]) -> list[Path]:
    """Removes every file under `folder` that is not expected, then empty folders.

    Returns:
        The files that were removed, orphaned temporary files left out.
    """
    removed = []
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        if path.is_file() and path not in expected and path.name != ".gitignore":
            path.unlink()
            if not path.name.startswith(TEMPORARY):
                removed.append(path)
    for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        with suppress(OSError):
            path.rmdir()
    return removed


def drop_orphans(folder: Path) -> None:
    """Removes temporary files that a killed writer left; to be called where no other writer can be at work."""
    for path in folder.rglob(f"{TEMPORARY}*"):
        path.unlink(missing_ok=True)


def free_bytes(folder: Path) -> int:
    """Returns the free space of the file system that holds `folder` or its nearest existing parent."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


@contextmanager
def exclusive(path: Path, work: str) -> Iterator[None]:
    """Holds the lock at `path` while the block runs.

    The operating system frees it when the holder dies, so a killed run leaves no stale lock.

    Raises:
        LockedError: Another process holds it; the message names its work and process number.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.seek(0)
            holder = handle.read().strip() or "another run"
            raise LockedError(f"{holder} is running", where=path.name) from error
        handle.seek(0)
        handle.truncate()
        handle.write(f"{work} (process {os.getpid()})")
        handle.flush()
        yield


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
