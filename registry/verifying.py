"""Finding every fault of a registry: its chain, its moves, its evidence, its packages and training sets."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from featurestore.errors import RadmillError
from featurestore.fingerprints import bytes_digest
from featurestore.training_sets import TrainingSet
from registry.errors import MoveRefusedError
from registry.keeping import committed_ledger, ledger_diff, rewriting_commits
from registry.ledger import Complaint, Event, Ledger, parsed
from registry.package import load_package
from registry.states import MEND, RegistryState, after

_PULL = "fetch it with `dvc pull`"
_RESTORE = "delete the folder and fetch it again with `dvc pull`"


def verify(study: Path, ledger: Ledger) -> list[Complaint]:
    """Returns every fault, those of the ledger first; empty when all holds.

    Args:
        study: The study's root, a git repository.
        ledger: Its ledger; evidence, packages and training sets lie beside it.
    """
    chain, history = ledger.complaints(), list(_against_git(study, ledger.path))
    if chain:
        return [*chain, *history]
    events, models = ledger.events(), ledger.path.parent
    return [*history, *_moves(events), *_evidence(models, events), *_bytes(models, events)]


def _against_git(study: Path, path: Path) -> Iterator[Complaint]:
    now = path.read_bytes() if path.is_file() else b""
    mended = mended_away([event for line in now.splitlines(keepends=True) if (event := parsed(line)) is not None])
    if not now.startswith(committed_ledger(study, path)) and not _only(mended, ledger_diff(study, path)):
        yield Complaint(where=path.name, what="lines that git has were changed or taken away")
    for commit in rewriting_commits(study, path):
        if not _only(mended, ledger_diff(study, path, commit)):
            yield Complaint(where=path.name, what=f"commit {commit} took lines away from it")


def _only(mended: set[str], diff: str) -> bool:
    """Returns whether all lines that went are remembered by the event that mended a fork."""
    return bool(mended) and set(removed_lines(diff)) <= mended


def mended_away(events: Sequence[Event]) -> set[str]:
    """Returns the hashes of lines that mending took out and remembered."""
    return {str(line["hash"]) for event in events if event.verb == MEND for line in event.details["taken"]}


def removed_lines(diff: str) -> list[str]:
    """Returns the hashes of ledger lines that a diff takes away; an unreadable one as an empty text."""
    lines = [line[1:] for line in diff.splitlines() if line.startswith("-") and not line.startswith("---")]
    return [_hash_of(line) for line in lines]


def _hash_of(line: str) -> str:
    try:
        return str(json.loads(line).get("hash", ""))
    except (ValueError, AttributeError):
        return ""


def _moves(events: list[Event]) -> Iterator[Complaint]:
    state = RegistryState()
    for event in events:
        try:
            state = after(state, event)
        except MoveRefusedError as error:
            yield Complaint(where=f"ledger.jsonl line {event.number}", what=error.what)


def _evidence(models: Path, events: list[Event]) -> Iterator[Complaint]:
    for event in events:
        if not event.evidence:
            continue
        path = models / "evidence" / f"{event.evidence}.json"
        where = f"evidence {event.evidence[:12]}"
        if not path.is_file():
            yield Complaint(where=where, what=f"is missing (event {event.number})", remedy="take it back from git")
        elif bytes_digest(path.read_bytes()) != event.evidence:
            yield Complaint(where=where, what="was changed after it was written", remedy="take it back from git")


def _bytes(models: Path, events: list[Event]) -> Iterator[Complaint]:
    for event in events:
        if event.verb != "register":
            continue
        training = str(event.details.get("training_set", ""))
        package, whole = models / "packages" / event.package, models / "training" / training
        yield from _stored(package, f"package {event.package[:12]}", event.package, _package_digest)
        yield from _stored(whole, f"training set {training[:12]}", training, lambda at: TrainingSet.load(at).digest)


def _package_digest(folder: Path) -> str:
    return load_package(folder, folder.name).digest


def _stored(folder: Path, where: str, digest: str, digest_of: Callable[[Path], str]) -> Iterator[Complaint]:
    if not folder.with_name(f"{folder.name}.dvc").is_file():
        yield Complaint(where=where, what="has no .dvc file", remedy="take it back from git")
    if not folder.is_dir():
        yield Complaint(where=where, what="its bytes are not here", remedy=_PULL)
        return
    try:
        found = digest_of(folder)
    except RadmillError as error:
        yield Complaint(where=where, what=error.what, remedy=_RESTORE)
        return
    if found != digest:
        yield Complaint(where=where, what=f"has digest {found[:12]}", remedy=_RESTORE)
