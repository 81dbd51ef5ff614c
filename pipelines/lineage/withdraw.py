"""Takes a patient out of a study: of every table and kept training set, and names who still holds him."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurestore.entities import PATIENT_COLUMNS
from featurestore.erasure import erase, erase_where, parquet_files
from featurestore.files import write_text
from featurestore.tables import centers_of, partition, read_frame
from pipelines.ingest.pseudonyms import write_private
from pipelines.lineage import uses
from pipelines.lineage.holders import Holder, holders
from pipelines.lineage.places import UnknownCaseError, Whose, find_patients, rooms
from pipelines.lineage.raw import paths_on_disk
from pipelines.params import Params, edit_params
from pipelines.workspace import Workspace
from registry.lifecycle import Registry
from registry.states import ModelVersion

TABLES = (
    "views", "outcomes", "features", "shuffled", "imported", "training", "models", "fusion", "controls", "evaluation",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Withdrawal:
    """What was done, and what is left to do by hand.

    Args:
        center: The patient's center.
        case_id: The patient's pseudonym, now in cohort.withdrawn.
        rows: Rows taken out, by file.
        volumes: Stored images and masks deleted.
        candidates: Models of `params.yaml` that were made with the patient; the next run makes them anew.
        versions: Registered versions that were; they cannot be made again.
        holders: Who still holds him, with the commands that clean them.
    """

    center: str
    case_id: str
    rows: dict[str, int]
    volumes: int
    candidates: tuple[str, ...]
    versions: tuple[ModelVersion, ...]
    holders: tuple[Holder, ...]

    def plain(self) -> dict[str, Any]:
        """Returns the result as JSON types."""
        names = ("center", "case_id", "rows", "volumes")
        versions = [
            {"version": v.number, "model": v.model, "package": v.digest, "state": v.state} for v in self.versions
        ]
        told = {"candidates": list(self.candidates), "versions": versions}
        return {**{n: getattr(self, n) for n in names}, **told, "holders": [one.plain() for one in self.holders]}


def withdraw(
    workspace: Workspace, params: Params, name: str, *, center: str | None = None, why: str = ""
) -> Withdrawal:
    """Withdraws a patient; repeating it completes what was cut short and names again who still holds him.

    Args:
        workspace: The study.
        params: Its settings.
        name: A case_id, its beginning, or the center's own patient identifier.
        center: Where the name could mean several.
        why: The reason, for the ledger.

    Raises:
        UnknownCaseError: Nobody, or several, are called so.
    """
    whose = _whose(workspace, params, name, center)
    sets = uses.training_sets(workspace, whose)
    made = uses.candidates(workspace, sets)
    listed = _list_raw(workspace, whose)
    edit_params(workspace.params, lambda content: _name_withdrawn(content, whose.case_id))
    versions: tuple[ModelVersion, ...] = ()
    if (workspace.models / "ledger.jsonl").is_file():
        versions = Registry(workspace.root).withdraw(whose.center, whose.case_id, why or "withdrew").versions
    rows = _erase_rows(workspace, whose)
    volumes = _delete_volumes(workspace, whose)
    return Withdrawal(
        center=whose.center,
        case_id=whose.case_id,
        rows=rows,
        volumes=volumes,
        candidates=tuple(row["model"] for row in made),
        versions=versions,
        holders=tuple(holders(workspace, whose, listed)),
    )


def _whose(workspace: Workspace, params: Params, name: str, center: str | None) -> Whose:
    found = find_patients(workspace, params, name, center)
    if not found and name in params.cohort.withdrawn and center is not None:
        own = [room for room in rooms(workspace, params) if center in room.centers]
        roles = dict.fromkeys(room.role for room in own)
        found = [Whose(center=center, case_id=name, rooms=tuple(r for r in own if r.role == one)) for one in roles]
    if len(found) == 1:
        return found[0]
    told = ", ".join(f"{one.center} / {one.case_id}" for one in found[:5])
    what = f"{len(found)} patients answer to it ({told})" if found else "no patient of any table answers to it"
    remedy = "give the whole case_id with --center"
    raise UnknownCaseError(what, where="the name given", remedy=remedy)


def _name_withdrawn(content: Any, case_id: str) -> None:
    cohort = content.setdefault("cohort", {})
    if not cohort.get("withdrawn"):
        cohort["withdrawn"] = []
    if case_id not in cohort["withdrawn"]:
        cohort["withdrawn"].append(case_id)


def _list_raw(workspace: Workspace, whose: Whose) -> Path:
    """Writes where the patient's raw files lie into a private file, for the command that deletes them."""
    path = workspace.private / "withdrawn" / f"{whose.case_id}.txt"
    found = [file.relative_to(workspace.root).as_posix() for file in paths_on_disk(whose)]
    if found or not path.is_file():
        write_private(path, "".join(f"{line}\n" for line in found).encode())
    return path


def _erase_rows(workspace: Workspace, whose: Whose) -> dict[str, int]:
    ids = _file_ids(whose)
    roots = [workspace.root / "data" / name for name in TABLES]
    rows: dict[str, int] = {}
    for path in parquet_files([*roots, workspace.deployment]):
        n_rows = erase(path, whose.center, whose.case_id)
        if n_rows:
            rows[path.relative_to(workspace.root).as_posix()] = n_rows
    intake = whose.room.places.intake
    if whose.center in centers_of(intake) and ids:
        path = partition(intake, whose.center)
        rows[path.relative_to(workspace.root).as_posix()] = erase_where(path, "path_id", ids)
    for path in sorted(workspace.deployment.rglob("*.csv")):
        _erase_lines(path, whose)
    for path in sorted((workspace.deployment / "pages").glob("*.html")):
        if whose.case_id in path.read_text(encoding="utf-8"):
            path.unlink()  # the next scoring run makes it anew without him
    return rows


def _file_ids(whose: Whose) -> set[str]:
    own: set[str] = set()
    others: set[str] = set()
    for root in (room.places.views / "sources" for room in whose.rooms):
        if whose.center in centers_of(root):
            rows = read_frame(root, centers=[whose.center], columns=[*PATIENT_COLUMNS, "path_id"])
            own |= set(rows.loc[rows["case_id"] == whose.case_id, "path_id"])
            others |= set(rows.loc[rows["case_id"] != whose.case_id, "path_id"])
    return own - others  # a file that holds several patients' data (a table, a folder's list) is not his alone


def _erase_lines(path: Path, whose: Whose) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if whose.case_id not in line]
    if len(kept) < len(lines):
        write_text(path, "".join(kept))


def _delete_volumes(workspace: Workspace, whose: Whose) -> int:
    found = list(_volumes(whose))
    for path in found:
        path.unlink()
    shutil.rmtree(workspace.state / "parts", ignore_errors=True)
    return len(found)


def _volumes(whose: Whose) -> Iterator[Path]:
    for room in whose.rooms:
        yield from sorted((room.places.cases / whose.center).glob(f"{whose.case_id}_*"))
