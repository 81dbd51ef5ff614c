"""Whose rows are meant, and where they lie: a patient of a study's role, or of a hospital whose cases are scored."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from featurestore.errors import InputError
from featurestore.tables import centers_of, read_frame
from pipelines.ingest.places import IngestPlaces, study_places
from pipelines.ingest.pseudonyms import case_id, key_path, load_key
from pipelines.params import Params
from pipelines.scoring.places import Deployment
from pipelines.workspace import ROLES, Workspace

INCOMING = "incoming"
SHORTEST = 6
"""So many first characters of a case_id, or more, may stand for it."""


class UnknownCaseError(InputError):
    """No patient, or several, answer to the name."""

    default_remedy = "give the whole case_id and --center; `radmill status` and the qc tables list them"


@dataclass(frozen=True, kw_only=True)
class Room:
    """The tables of one role, or of one hospital under one package's rules.

    Args:
        role: development, external or incoming.
        centers: Whose rows are here.
        places: Raw data, intake, cases, views, outcomes.
        features: The folders of feature tables.
    """

    role: str
    centers: tuple[str, ...]
    places: IngestPlaces
    features: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class Whose:
    """One patient and the rooms his tables are in: several of a hospital whose cases are read under several rules."""

    center: str
    case_id: str
    rooms: tuple[Room, ...]

    @property
    def room(self) -> Room:
        """The first room; role, raw data and keys are the same in all."""
        return self.rooms[0]

    def __str__(self) -> str:
        return f"{self.center} / {self.case_id}"


def rooms(workspace: Workspace, params: Params) -> Iterator[Room]:
    """Yields the rooms of a study, those of hospitals that are scored last."""
    for role in ROLES:
        features = workspace.features(role).parent
        places = study_places(workspace, params, role)
        yield Room(role=role, centers=tuple(sorted(places.raw)), places=places, features=(features,))
    deployment = Deployment(workspace)
    folder = workspace.deployment / "centers"
    for center in sorted(path.name for path in folder.glob("*") if path.is_dir()):
        for store in deployment.stores(center):
            tables = tuple(sorted((store / "features").glob("*")))
            places = deployment.ingest_into(center, store)
            yield Room(role=INCOMING, centers=(center,), places=places, features=tables)


def find_patients(workspace: Workspace, params: Params, name: str, center: str | None = None) -> list[Whose]:
    """Returns everybody whom a name can mean: a case_id, its beginning, or a center's own patient identifier.

    Args:
        workspace: The study.
        params: Its settings.
        name: What a person typed.
        center: Only this center.
    """
    found: dict[tuple[str, str, str], list[Room]] = {}
    for room in rooms(workspace, params):
        for own in room.centers:
            for one in _matches(room, own, name) if center in (None, own) else ():
                found.setdefault((room.role, own, one), []).append(room)
    return [Whose(center=own, case_id=one, rooms=tuple(held)) for (_, own, one), held in found.items()]


def find_patient(workspace: Workspace, params: Params, name: str, center: str | None = None) -> Whose:
    """Returns the one patient whom a name means.

    Raises:
        UnknownCaseError: Nobody, or several, are called so.
    """
    found = find_patients(workspace, params, name, center)
    if len(found) == 1:
        return found[0]
    told = ", ".join(f"{one.center} / {one.case_id[:12]}" for one in found[:5])
    what = f"{len(found)} patients answer to it ({told})" if found else "no patient of any table answers to it"
    raise UnknownCaseError(what, where="the name given")


def _matches(room: Room, center: str, name: str) -> list[str]:
    known = sorted(_known(room, center))
    wanted = {name, *_pseudonym(room, center, name)}
    exact = [one for one in known if one in wanted]
    return exact or [one for one in known if len(name) >= SHORTEST and one.startswith(name)]


def _known(room: Room, center: str) -> set[str]:
    """Returns who has a row: in what ingest says of files, or in a table made elsewhere that a hospital sent alone."""
    tables = [root for folder in room.features for root in sorted(folder.glob("*")) if root.is_dir()]
    roots = [root for root in (room.places.views / "qc", *tables) if center in centers_of(root)]
    rows = (read_frame(root, centers=[center], columns=["case_id"])["case_id"] for root in roots)
    return {str(one) for own in rows for one in own if one}


def _pseudonym(room: Room, center: str, name: str) -> list[str]:
    keys = room.places.keys
    return [case_id(load_key(keys, center), name)] if key_path(keys, center).is_file() else []
