"""Who still holds a withdrawn patient: raw files, caches, remotes, history, pages; and what cleans them."""

import configparser
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from featurestore.erasure import rows_of
from pipelines.lineage.places import Whose
from pipelines.workspace import Workspace

TEXTS = (".csv", ".html", ".json", ".jsonl", ".md", ".svg")
SHORT = 12
"""So many characters of a case_id stand in messages."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A place that still holds a withdrawn patient.

    Args:
        place: What it is.
        what: What it holds of him.
        command: What cleans it.
    """

    place: str
    what: str
    command: str

    def plain(self) -> dict[str, str]:
        """Returns the place as JSON types."""
        return dict(vars(self))


def holders(workspace: Workspace, whose: Whose, listed: Path) -> Iterator[Holder]:
    """Yields every place that is known to hold a patient after his rows were taken out.

    Args:
        workspace: The study.
        whose: The patient.
        listed: The private file that lists his raw files.
    """
    yield from _raw(workspace, listed)
    yield from _pages(workspace, whose)
    yield from _window(workspace, whose)
    yield from _evidence(workspace, whose)
    yield from _caches(workspace)


def _raw(workspace: Workspace, listed: Path) -> Iterator[Holder]:
    names = listed.read_text(encoding="utf-8").splitlines()
    there = [name for name in names if (workspace.root / name).is_file()]
    if there:
        path = listed.relative_to(workspace.root).as_posix()
        command = f"xargs -d '\\n' -a {path} rm -- && radmill run && rm {path}"
        yield Holder(
            place="raw data", what=f"{len(there)} files, and his rows in the center's clinical.csv", command=command
        )


def _pages(workspace: Workspace, whose: Whose) -> Iterator[Holder]:
    found = [*_texts(workspace.reports, whose), *_texts(workspace.root / "data", whose)]
    if found:
        names = ", ".join(path.relative_to(workspace.root).as_posix() for path in found[:5])
        yield Holder(place="pages and notes of the study", what=f"his pseudonym in {names}", command="radmill run")


def _window(workspace: Workspace, whose: Whose) -> Iterator[Holder]:
    folder = workspace.root / "mlartifacts"
    tables = [path for path in folder.rglob("*.parquet") if rows_of(path, whose.center, whose.case_id)]
    found = [*tables, *_texts(folder, whose)]
    if found:
        what = f"{len(found)} artifacts with his pseudonym"
        yield Holder(
            place="MLflow", what=what, command="radmill run && rm -r mlartifacts mlflow.db && radmill registry rebuild"
        )


def _evidence(workspace: Workspace, whose: Whose) -> Iterator[Holder]:
    for path in _texts(workspace.models / "evidence", whose):
        name = path.relative_to(workspace.root).as_posix()
        yield Holder(
            place="git history",
            what=f"his pseudonym and predictions in {name}, which the ledger cites",
            command=f"git filter-repo --invert-paths --path {name}  # the ledger's evidence is then missing",
        )


def _caches(workspace: Workspace) -> Iterator[Holder]:
    cache = workspace.root / ".dvc" / "cache"
    if any(path.is_file() for path in cache.rglob("*")):
        yield Holder(
            place="DVC cache",
            what="earlier versions of the tables and training sets",
            command="radmill run && dvc gc --workspace --force  # keeps only what the study names now",
        )
    for name in remotes(workspace):
        yield Holder(
            place=f"DVC remote {name}",
            what="earlier versions of the tables and training sets, if they were pushed",
            command=f"dvc push --remote {name} && dvc gc --workspace --cloud --remote {name} --force",
        )
    for name in _git_remotes(workspace):
        yield Holder(
            place=f"git remote {name}",
            what="earlier settings and records, if they were pushed; other clones as well",
            command=f"git push {name}",
        )


def remotes(workspace: Workspace) -> list[str]:
    """Returns the names of the study's DVC remotes."""
    found: list[str] = []
    for name in ("config", "config.local"):
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.read(workspace.root / ".dvc" / name)
        found += [part.strip("'").split('"')[1] for part in parser.sections() if part.strip("'").startswith("remote ")]
    return sorted(set(found))


def _git_remotes(workspace: Workspace) -> list[str]:
    asked = subprocess.run(["git", "remote"], cwd=workspace.root, capture_output=True, text=True, check=False)
    return asked.stdout.split()


def _texts(folder: Path, whose: Whose) -> list[Path]:
    """Returns the text files below a folder, raw data left out, that name the patient."""
    name = whose.case_id[:SHORT].encode()
    files = (path for path in sorted(folder.rglob("*")) if path.suffix in TEXTS and path.is_file())
    return [path for path in files if "raw" not in path.relative_to(folder).parts[:1] and name in path.read_bytes()]
