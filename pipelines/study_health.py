"""Is this study in order? What a person or a killed program left wrong, why it matters, and what can be mended safely.

Nothing here touches tables, keys, images or models: what `radmill doctor --fix` does can be done at any time.
"""

import configparser
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from featurestore.errors import RadmillError
from featurestore.files import TEMPORARY, write_text
from pipelines.cluster_health import cluster_findings
from pipelines.doctor import Finding, has_torch, private_files, sees_gpu
from pipelines.params import Params, load_params
from pipelines.params.plain_yaml import PlainYamlError, read_plain_yaml
from pipelines.record import FEATURE_SET
from pipelines.status import key_state
from pipelines.study import DVC_SETTINGS, run_dvc, settle
from pipelines.workspace import NoStudyError, Workspace
from registry.keeping import dead_dvc_note, dead_git_locks

PRIVATE = ("private", "data/raw", "incoming")
"""What must never be in git."""

_TEMPORARY = re.compile(rf"^{re.escape(TEMPORARY)}(\d+)-")
_ROOMS = ("data", "models", "reports", "deployment", "private", ".radmill")


def examine_study(folder: Path) -> list[Finding]:
    """Looks at the study that a folder lies in; nothing where there is none.

    Args:
        folder: Any folder of the study.
    """
    try:
        workspace = Workspace.find(folder)
    except NoStudyError:
        return []
    root = workspace.root
    found = [
        *_git(root),
        *_ignored(root),
        *_tracked(root),
        *_dvc(workspace),
        *private_files(root),
        *_settings(workspace),
    ]
    return [*found, *_links(root), *_locks(root), *_orphans(workspace)]


def mend(findings: list[Finding]) -> list[str]:
    """Mends what can be mended without a person, and returns what was done."""
    done = []
    for finding in findings:
        if finding.verdict != "fit" and finding.mend is not None:
            try:
                done.append(f"{finding.subject}: {finding.mend()}")
            except (OSError, RadmillError) as error:
                told = error.what if isinstance(error, RadmillError) else type(error).__name__
                done.append(f"{finding.subject}: not mended ({told})")
    return done


def _git(root: Path) -> Iterator[Finding]:
    if _asked(root, "rev-parse", "--git-dir") is not None:
        return

    def begin() -> str:
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], cwd=root, check=True)
        return 'made a git repository; now: git add . && git commit -m "…"'

    yield Finding(
        subject="study: git",
        found="in no repository",
        verdict="unfit",
        why="settings, stage graph and the registry's ledger have no history, and nothing can be registered",
        remedy="git init",
        mend=begin,
    )


def _ignored(root: Path) -> Iterator[Finding]:
    """Complains about lines of `.gitignore` and `.gitattributes` that every study has."""
    for name, template in ((".gitignore", "gitignore"), (".gitattributes", "gitattributes")):
        path = root / name
        there = path.read_text(encoding="utf-8") if path.is_file() else ""
        wanted = (files("pipelines") / "template" / template).read_text(encoding="utf-8").splitlines()
        lines = {line.strip() for line in there.splitlines()}
        missing = [line for line in wanted if line and not line.startswith("#") and line not in lines]
        if missing:
            yield _lines_missing(path, there, missing)


def _lines_missing(path: Path, there: str, missing: list[str]) -> Finding:
    def add() -> str:
        write_text(path, "\n".join([*there.splitlines(), *missing]) + "\n")
        return f"added {len(missing)} lines"

    is_grave = any(line.strip("/") in PRIVATE for line in missing)
    return Finding(
        subject=f"study: {path.name}",
        found=f"{len(missing)} lines are missing, such as {missing[0]}",
        verdict="unfit" if is_grave else "note",
        why="the next `git add .` would take in what hospitals sent" if is_grave else "git would keep what is rebuilt",
        remedy="radmill doctor --fix adds them",
        mend=add,
    )


def _tracked(root: Path) -> Iterator[Finding]:
    listed = _asked(root, "ls-files", "-z", "--", *PRIVATE) or ""
    n = len([name for name in listed.split("\0") if name])
    if n:
        yield Finding(
            subject="study: git",
            found=f"{n} files under {', '.join(PRIVATE)} are in git",
            verdict="unfit",
            why="they name patients or hold keys, and go wherever the repository is pushed",
            remedy="git rm -r --cached private data/raw incoming, commit, and take them out of the history too",
        )


def _dvc(workspace: Workspace) -> Iterator[Finding]:
    root = workspace.root
    if not (root / ".dvc").is_dir():
        yield Finding(
            subject="study: DVC",
            found="not begun",
            verdict="unfit",
            why="`radmill run` is `dvc repro`, and tables are kept in DVC's cache",
            remedy="radmill doctor --fix begins it",
            mend=lambda: _begin_dvc(workspace),
        )
        return
    config = configparser.ConfigParser(strict=False, interpolation=None)
    config.read(root / ".dvc" / "config", encoding="utf-8")
    told = {key: config.get("core", key.partition(".")[2], fallback="") for key in DVC_SETTINGS}
    wrong = {key: value for key, value in DVC_SETTINGS.items() if told[key] != value}
    if wrong:
        yield Finding(
            subject="study: DVC",
            found=f"{', '.join(wrong)} not off",
            verdict="note",
            why="DVC would tell its makers of each command, look for updates, or stage files by itself",
            remedy="radmill doctor --fix sets it",
            mend=lambda: _set_dvc(workspace, wrong),
        )


def _begin_dvc(workspace: Workspace) -> str:
    run_dvc(workspace, "init", "--quiet")
    _set_dvc(workspace, DVC_SETTINGS)
    settle(workspace)
    return 'begun, analytics off; now: git add .dvc && git commit -m "…"'


def _set_dvc(workspace: Workspace, wanted: dict[str, str]) -> str:
    for key, value in wanted.items():
        run_dvc(workspace, "config", key, value)
    return f"set {', '.join(f'{key} {value}' for key, value in wanted.items())}"


def _settings(workspace: Workspace) -> Iterator[Finding]:
    yield from _pin(workspace)
    try:
        params = load_params(workspace.params)
    except RadmillError as error:
        yield Finding(
            subject="study: params.yaml",
            found="; ".join(line.strip() for line in error.what.splitlines() if line.strip())[:300],
            verdict="unfit",
            why="every command stops with exit 2 until it is corrected",
            remedy=error.remedy,
        )
        return
    yield from _keys(workspace, params)
    yield from _networks(params)
    yield from cluster_findings(params.cluster, workspace.root)


def _networks(params: Params) -> Iterator[Finding]:
    insisting = [name for name, model in params.deep.items() if model.device == "cuda"]
    if params.deep and not has_torch():
        yield Finding(
            subject="study: networks",
            found=f"PyTorch is not installed, which {', '.join(params.deep)} need",
            verdict="unfit",
            why="the networks under `deep` in params.yaml are trained and applied with it",
            remedy="pip install 'radmill[deep]', or write `deep: {}` into params.yaml",
        )
    elif insisting and not sees_gpu():
        yield Finding(
            subject="study: networks",
            found=f"no GPU, which {', '.join(insisting)} ask for",
            verdict="unfit",
            why="`device: cuda` stops with exit 2 where there is none",
            remedy="set device to auto or cpu in params.yaml",
        )


def _pin(workspace: Workspace) -> Iterator[Finding]:
    try:
        content = read_plain_yaml(workspace.params)
    except (PlainYamlError, OSError):
        return
    section = content.get("radmill") if isinstance(content, dict) else None
    pinned = section.get("feature_set") if isinstance(section, dict) else None
    if pinned != FEATURE_SET:
        yield Finding(
            subject="study: feature set",
            found=f"{pinned or 'none'} pinned, {FEATURE_SET} installed",
            verdict="unfit",
            why="values of two feature sets must not stand in one table, so nothing is computed",
            remedy="`radmill upgrade` says what would be computed again"
            if pinned
            else f'write `radmill: {{feature_set: "{FEATURE_SET}"}}` into params.yaml; then `radmill upgrade`',
        )


def _keys(workspace: Workspace, params: Params) -> Iterator[Finding]:
    for row in key_state(workspace, params):
        if row["key"] not in ("here", "made by `radmill run`"):
            yield Finding(
                subject=f"study: key of {row['center']}",
                found=str(row["key"]),
                verdict="unfit",
                why="new data of the center cannot be joined to what is there",
                remedy=f"radmill key import {row['center']} FILE, from your copy of the keys",
            )


def _links(root: Path) -> Iterator[Finding]:
    for path in sorted((root / "data" / "raw").glob("*")):
        if path.is_symlink() and not path.exists():
            yield Finding(
                subject=f"study: data/raw/{path.name}",
                found="a link that leads nowhere",
                verdict="unfit",
                why="the center's files cannot be read; tables made of them stay",
                remedy=f"mount the disk it was on, or set it anew: ln -sfn FOLDER data/raw/{path.name}",
            )


def _locks(root: Path) -> Iterator[Finding]:
    note = dead_dvc_note(root)
    dead = [*([note] if note is not None else [])]
    dead += dead_git_locks(root) if _asked(root, "rev-parse", "--git-dir") is not None else []
    if dead:
        yield Finding(
            subject="study: locks",
            found=f"{len(dead)} of programs that are gone: {', '.join(sorted({path.name for path in dead}))}",
            verdict="note",
            why="git or DVC would wait for a program that no longer runs",
            remedy="radmill doctor --fix removes them",
            mend=lambda: _remove(dead),
        )


def _orphans(workspace: Workspace) -> Iterator[Finding]:
    if not _is_free(workspace.state / "study.lock"):
        return
    orphans = [path for room in _ROOMS for path in _temporary(workspace.root / room)]
    if orphans:
        yield Finding(
            subject="study: temporary files",
            found=f"{len(orphans)} of programs that are gone",
            verdict="note",
            why="they take space and serve nobody",
            remedy="radmill doctor --fix removes them",
            mend=lambda: _remove(orphans),
        )


def _temporary(room: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(room):
        if Path(folder) == room and room.name == "data" and "raw" in folders:
            folders.remove("raw")
        for name in (*folders, *names):
            match = _TEMPORARY.match(name)
            if match and not _runs(int(match[1])):
                yield Path(folder, name)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _is_free(lock: Path) -> bool:
    if not lock.is_file():
        return True
    with lock.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def _remove(paths: list[Path]) -> str:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return f"removed {len(paths)}"


def _asked(root: Path, *arguments: str) -> str | None:
    """Returns what git says, none where it cannot."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
