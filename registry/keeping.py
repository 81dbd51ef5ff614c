"""Keeping what is registered: copies under its digest, DVC for the bytes, git for the record.

Every step here may be repeated: what is there already and holds is left alone, so that a command that was cut short is
completed by the next one.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from featurestore.files import TEMPORARY, write_bytes
from featurestore.fingerprints import bytes_digest, canonical_json
from registry.errors import CommandFailedError, NoRepositoryError
from registry.ledger import git_user


def place(source: Path, target: Path, holds: Callable[[Path], object]) -> None:
    """Copies a folder of files to `target`, whole or not at all.

    Args:
        source: Where it lies now.
        target: Its place, named by its digest.
        holds: Reads a folder and raises when it is not what it should be; decides whether a copy there is kept.
    """
    if target.is_dir() and _is_sound(target, holds):
        return
    fresh = target.with_name(f"{TEMPORARY}{os.getpid()}-{target.name}")
    for path in sorted(path for path in source.iterdir() if path.is_file()):
        write_bytes(fresh / path.name, path.read_bytes())
    holds(fresh)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def dvc_add(root: Path, folder: Path) -> Path:
    """Hands a folder to DVC, unless it has it already, and returns its `.dvc` file.

    Raises:
        CommandFailedError: DVC failed.
    """
    pointer = folder.with_name(f"{folder.name}.dvc")
    if not pointer.is_file():
        forget_dead_dvc(root)
        _run([sys.executable, "-m", "dvc", "add", str(folder.relative_to(root))], root)
    return pointer


def dvc_add_again(root: Path, folder: Path) -> Path:
    """Tells DVC that a folder it has was changed, and returns its `.dvc` file; the former bytes stay in its cache.

    Raises:
        CommandFailedError: DVC failed.
    """
    forget_dead_dvc(root)
    _run([sys.executable, "-m", "dvc", "add", str(folder.relative_to(root))], root)
    return folder.with_name(f"{folder.name}.dvc")


def forget_dead_dvc(root: Path) -> None:
    """Removes the note of who works on which path, where a DVC that was killed left it torn or in its name.

    DVC asks whether a process of that number lives; a zombie or a stranger with the number would block it for ever.
    """
    note = dead_dvc_note(root)
    if note is not None:
        note.unlink(missing_ok=True)


def dead_dvc_note(root: Path) -> Path | None:
    """Returns DVC's note of who works on which path, where nobody does."""
    note = root / ".dvc" / "tmp" / "rwlock"
    try:
        told = json.loads(note.read_text(encoding="utf-8"))
        readers = [info for infos in told.get("read", {}).values() for info in infos]
        holders = {int(info["pid"]) for info in (*told.get("write", {}).values(), *readers)}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return note
    is_dead = Path("/proc").is_dir() and holders and not any(_is_dvc(pid) for pid in holders)
    return note if is_dead else None


def _is_dvc(pid: int) -> bool:
    try:
        return b"dvc" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def write_evidence(folder: Path, content: Mapping[str, object]) -> str:
    """Writes an evidence file named by the hash of its bytes, and returns the hash."""
    data = canonical_json(content, indent=2) + b"\n"
    sha = bytes_digest(data)
    path = folder / f"{sha}.json"
    if not path.is_file() or bytes_digest(path.read_bytes()) != sha:
        write_bytes(path, data)
    return sha


def require_repository(root: Path) -> None:
    """Checks that the study is under git.

    Raises:
        NoRepositoryError: It is not.
    """
    asked = subprocess.run(["git", "rev-parse", "--git-dir"], cwd=root, capture_output=True, check=False)
    if asked.returncode:
        raise NoRepositoryError("the study is in no git repository, and the ledger lives in one", where=root.name)


def commit(root: Path, paths: Iterable[Path], message: str) -> bool:
    """Commits those of `paths` that differ from git's last commit, and nothing else.

    Args:
        root: The study.
        paths: Files under `root`; absent ones are passed over.
        message: The commit message.

    Returns:
        Whether there was anything to commit.

    Raises:
        CommandFailedError: git failed; the files stay, and the next event commits them.
    """
    _remove_dead_locks(root)
    asked = {path.relative_to(root).as_posix() for path in paths if path.is_file()}
    changed = sorted(asked & set(_uncommitted(root)))
    if not changed:
        return False
    _run(["git", "add", "--", *changed], root)
    _run([*_git(root), "commit", "--quiet", "--message", message, "--", *changed], root)
    return True


def stage(root: Path, paths: Iterable[Path]) -> None:
    """Puts files into git's index, for a commit that somebody else makes.

    Raises:
        CommandFailedError: git failed.
    """
    _run(["git", "add", "--", *(path.relative_to(root).as_posix() for path in paths)], root)


def ledger_diff(root: Path, ledger: Path, commit_name: str | None = None) -> str:
    """Returns what a commit, or what is not committed yet, changed in the ledger, without context."""
    verb = ["show", "--format=", commit_name] if commit_name else ["diff", "HEAD"]
    asked = ["git", *verb, "--unified=0", "--no-color", "--no-ext-diff", "--", ledger.relative_to(root).as_posix()]
    return subprocess.run(asked, cwd=root, capture_output=True, text=True, check=False).stdout


def committed_ledger(root: Path, ledger: Path) -> bytes:
    """Returns the ledger as git's last commit has it; empty when it has none."""
    name = ledger.relative_to(root).as_posix()
    shown = subprocess.run(["git", "show", f"HEAD:./{name}"], cwd=root, capture_output=True, check=False)
    return shown.stdout if shown.returncode == 0 else b""


def rewriting_commits(root: Path, ledger: Path) -> list[str]:
    """Returns the commits that took lines away from the ledger, as short hashes."""
    name = ledger.relative_to(root).as_posix()
    asked = ["git", "log", "--format=commit %h", "--numstat", "--", name]
    log = subprocess.run(asked, cwd=root, capture_output=True, text=True, check=False).stdout
    found, now = [], ""
    for line in filter(None, log.splitlines()):
        if line.startswith("commit "):
            now = line.removeprefix("commit ")
        elif line.split("\t")[1] != "0":
            found.append(now)
    return found


def _remove_dead_locks(root: Path) -> None:
    """Removes the locks that a git which was killed left behind; git itself waits for a person to do it."""
    for lock in dead_git_locks(root):
        lock.unlink(missing_ok=True)


def dead_git_locks(root: Path) -> list[Path]:
    """Returns git's locks where it can be seen that no git works in this repository: on Linux."""
    processes, told = Path("/proc"), _run(["git", "rev-parse", "--git-dir", "--git-common-dir"], root)
    own = {(root / line).resolve() for line in told.splitlines()}
    locks = [lock for folder in own for lock in (*folder.glob("*.lock"), *folder.glob("refs/**/*.lock"))]
    is_dead = processes.is_dir() and not any(_is_git_in(path, root) for path in processes.glob("[0-9]*"))
    return sorted(locks) if is_dead else []


def _is_git_in(process: Path, root: Path) -> bool:
    try:
        return (process / "comm").read_text().strip() == "git" and (process / "cwd").resolve().is_relative_to(
            root.resolve()
        )
    except OSError:  # it has ended since
        return False


def _uncommitted(root: Path) -> list[str]:
    """Returns the files under `models` that differ from the last commit, relative to `root`."""
    prefix = _run(["git", "rev-parse", "--show-prefix"], root).strip()
    listed = _run(["git", "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", "models"], root)
    return [entry[3:].removeprefix(prefix) for entry in listed.split("\0") if entry]


def _git(root: Path) -> list[str]:
    asked = subprocess.run(["git", "config", "user.email"], cwd=root, capture_output=True, text=True, check=False)
    if asked.stdout.strip():
        return ["git"]
    return ["git", "-c", f"user.name={git_user(root)}", "-c", "user.email=radmill@localhost"]


def _run(arguments: list[str], root: Path) -> str:
    own = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(root / ".radmill" / "dvc")}
    try:
        done = subprocess.run(
            arguments, cwd=root, env={**os.environ, **own}, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise CommandFailedError(f"{arguments[0]} is not installed") from error
    if done.returncode:
        shown = " ".join(part for part in arguments[:5] if not part.startswith("/"))
        raise CommandFailedError(f"`{shown}` failed: {(done.stderr or done.stdout).strip()}", where=root.name)
    return done.stdout


def _is_sound(folder: Path, holds: Callable[[Path], object]) -> bool:
    try:
        holds(folder)
    except Exception:  # whatever is wrong with it, a sound copy takes its place
        return False
    return True


def sweep_halves(models: Path) -> None:
    """Removes what a writer that died left half written; the caller holds the registry's lock, so nobody is writing."""
    for path in [*models.glob(f"{TEMPORARY}*"), *models.glob(f"*/{TEMPORARY}*")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
