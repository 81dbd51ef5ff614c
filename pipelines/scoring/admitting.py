"""A hospital whose cases were scored, and whose labels have come, becomes an external center of the study.

Its folder moves from `incoming/` to `data/raw/`, its key and so its pseudonyms stay, `params.yaml` names it, and the
ledger has the event last. A call that was cut short is completed by the next: a note says that it was under way.
"""

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from featurestore.entities import KEY_COLUMNS
from featurestore.errors import InputError
from featurestore.files import TEMPORARY, write_json
from featurestore.history import read_history
from featurestore.tables import read_schema
from featurestore.views import BOOKKEEPING
from pipelines.imports.importing import ImportRequest, import_table
from pipelines.ingest.clinical import CLINICAL_FILE, read_clinical
from pipelines.params import Params, edit_params, load_params
from pipelines.scoring.foreign import ID_COLUMN, PHASE_COLUMN, TableMissingError, table_path
from pipelines.scoring.labels import clinical_table
from pipelines.scoring.performance import HISTORY
from pipelines.scoring.places import Deployment, check_center_name
from pipelines.workspace import Workspace
from registry.admitting import admit, is_admitted
from registry.lifecycle import Registry

NOTE = "admission.json"
TABLES = "_tables"
"""Below `data/raw`: folders of centers that sent tables of features alone, where no stage looks for images."""


class HospitalMissingError(InputError):
    """There is no such hospital in `incoming`."""

    default_remedy = "give the name of a folder in incoming/; `radmill score` lists them"


class CenterExistsError(InputError):
    """A center of this name is in the study already."""

    default_remedy = "rename the hospital's folder in incoming/ before anything of it is scored; names are for ever"


class LabelsAbsentError(InputError):
    """The hospital's labels have not come."""

    default_remedy = "put clinical.csv with the label's column into its folder: models are judged by it"


@dataclass(frozen=True, kw_only=True)
class Admission:
    """What is moved, and how.

    Args:
        center: The hospital.
        key_id: Its key's public name.
        n: Patients in its clinical table.
        labelled: Those whose label is known.
        views: Imported views whose tables it sent.
        has_images: Whether it sent anything but tables.
        was_read: Whether performance on its labels was shown before.
    """

    center: str
    key_id: str
    n: int
    labelled: int
    views: tuple[str, ...]
    has_images: bool
    was_read: bool


def admit_center(workspace: Workspace, center: str, why: str = "") -> Admission:
    """Makes the hospital an external center; a call that was cut short is completed.

    Raises:
        HospitalMissingError: There is no such folder.
        CenterExistsError: The study has a center of this name.
        LabelsAbsentError: No label of the hospital is known.
        ClinicalTableError: Its clinical table is not what the study declares.
        InputError: A table of features does not go with those of the study.
    """
    check_center_name(center)
    deployment, registry = Deployment(workspace), Registry(workspace.root)
    note = deployment.center(center) / NOTE
    if note.is_file() and not is_admitted(registry.events(), center):
        content = json.loads(note.read_bytes())
        planned = Admission(**{**content, "views": tuple(content["views"])})
    else:
        planned = _planned(workspace, deployment, center)
        write_json(note, asdict(planned))
    try:
        _import(workspace, planned)
    except InputError:
        note.unlink(missing_ok=True)
        raise
    _move(workspace, planned)
    _declare(workspace, planned)
    details: dict[str, Any] = {"center": center, "n": planned.n, "labelled": planned.labelled}
    read = {"read": [center]} if planned.was_read else {}
    admit(workspace.root, registry.ledger, {**details, **read}, why or "its labels have come")
    note.unlink(missing_ok=True)
    return planned


def target(workspace: Workspace, planned: Admission) -> Path:
    """Returns where the hospital's folder goes."""
    return workspace.raw(planned.center) if planned.has_images else workspace.raw(TABLES) / planned.center


def _planned(workspace: Workspace, deployment: Deployment, center: str) -> Admission:
    params, folder = load_params(workspace.params), workspace.incoming / center
    known = {**params.centers.development, **params.centers.external}
    if center in known or workspace.raw(center).exists() or (workspace.raw(TABLES) / center).exists():
        where = "params.yaml" if center in known else "data/raw"
        raise CenterExistsError(f"a center of this name is in {where}", where=f"center {center}")
    if not folder.is_dir():
        raise HospitalMissingError("there is no such folder", where=f"incoming/{center}")
    n, labelled = _labels(params, folder, center)
    tables = {view: path for view in params.imported if (path := _table(folder, view, center)) is not None}
    own = {*tables.values(), clinical_table(folder)}
    history = read_history(workspace.deployment / "performance" / "history", HISTORY, center)
    return Admission(
        center=center,
        key_id=str(deployment.section(center).key_id),
        n=n,
        labelled=labelled,
        views=tuple(tables),
        has_images=any(path.is_file() and path not in own for path in folder.rglob("*")),
        was_read=len(history) > 0,
    )


def _labels(params: Params, folder: Path, center: str) -> tuple[int, int]:
    path, column = clinical_table(folder), params.label.column
    if path is None:
        raise LabelsAbsentError(f"there is no {CLINICAL_FILE} in its folder", where=f"center {center}")
    patients = read_clinical(path, center, params.ingest.clinical, params.label).patients
    labelled = sum(patient.label is not None for patient in patients.values())
    if not labelled:
        seen = f"column {column!r} of {CLINICAL_FILE} is empty for all {len(patients)} patients"
        raise LabelsAbsentError(seen, where=f"center {center}")
    return len(patients), labelled


def _table(folder: Path, view: str, center: str) -> Path | None:
    try:
        return table_path(folder, view, center)
    except TableMissingError:
        return None


def _import(workspace: Workspace, planned: Admission) -> None:
    """Imports the hospital's tables, as long as they lie where it sent them: what was moved was imported before."""
    folder, params = _lying(workspace, planned), load_params(workspace.params)
    if folder is None:
        return
    for view in planned.views:
        path = table_path(folder, view, planned.center)
        import_table(workspace, path, _request(workspace, params, view, planned.center, path))


def _request(workspace: Workspace, params: Params, view: str, center: str, path: Path) -> ImportRequest:
    from pipelines.imports.reading import read_file

    stored = [name for name in read_schema(workspace.imported(view)).names if name not in (*KEY_COLUMNS, *BOOKKEEPING)]
    texts, phases = tuple(params.imported[view].texts), params.imported[view].phases
    header = set(read_file(path, (ID_COLUMN,)))
    prefixes = tuple(f"{phase}_" for phase in phases)
    by_prefix = PHASE_COLUMN not in header and not header & set(stored)
    either = "|".join(re.escape(name) for name in stored)
    start = f"(?:{'|'.join(map(re.escape, prefixes))})" if by_prefix else ""
    return ImportRequest(
        view=view,
        id_column=ID_COLUMN,
        center=center,
        role="external",
        label=params.label.column,
        clinical=clinical_table(path.parent),
        texts=texts,
        columns=f"^{start}(?:{either})$",
        is_for_models=params.imported[view].is_for_models,
        source=params.imported[view].source,
        phase_prefixes=prefixes if by_prefix else (),
        phase_column=PHASE_COLUMN if PHASE_COLUMN in header else None,
        phase=None if by_prefix or PHASE_COLUMN in header else phases[0],
    )


def _aside(workspace: Workspace, center: str) -> Path:
    return workspace.incoming / f"{TEMPORARY}admit-{center}"


def _lying(workspace: Workspace, planned: Admission) -> Path | None:
    """Returns where the hospital's folder lies before it is in its place; none afterwards."""
    if target(workspace, planned).exists():
        return None
    aside = _aside(workspace, planned.center)
    return aside if aside.is_dir() else workspace.incoming / planned.center


def _move(workspace: Workspace, planned: Admission) -> None:
    """Moves the folder in one step; between file systems it is copied, put in place, and then taken away.

    It is set aside first, so that what the hospital sends from now on is never taken for it.
    """
    aside, goal = _aside(workspace, planned.center), target(workspace, planned)
    lying = _lying(workspace, planned)
    if lying is not None:
        goal.parent.mkdir(parents=True, exist_ok=True)
        if lying != aside:
            lying.rename(aside)
        try:
            aside.rename(goal)
        except OSError:
            fresh = goal.with_name(f"{TEMPORARY}{goal.name}")
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(aside, fresh, symlinks=True)
            fresh.rename(goal)
    shutil.rmtree(aside, ignore_errors=True)


def _declare(workspace: Workspace, planned: Admission) -> None:
    if planned.center in load_params(workspace.params).centers.external:
        return

    def edit(content: Any) -> None:
        content["centers"]["external"][planned.center] = {"key_id": planned.key_id}

    edit_params(workspace.params, edit)
