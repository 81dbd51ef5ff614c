"""Where intake and ingest read and write: once for a study's roles, once for hospitals whose cases are scored."""

from dataclasses import dataclass
from pathlib import Path

from featurestore.errors import InputError
from featurestore.tables import PART, centers_of
from pipelines.params import Params
from pipelines.params.data import Center
from pipelines.workspace import Role, Workspace


class CenterFolderMissingError(InputError):
    """A center that the settings name has no folder."""

    default_remedy = "put its data there, set centers.<role>.<center>.folder, or take the center out of params.yaml"


class CenterEmptyError(InputError):
    """A center's folder has no files."""

    default_remedy = "put the center's data there, or take the center out of params.yaml"


class NothingTakenInError(InputError):
    """There are neither raw data nor tables made of them before."""

    default_remedy = "put each center's data into data/raw/<center>/, or get the tables with `dvc pull`"


@dataclass(frozen=True, kw_only=True)
class IngestPlaces:
    """The folders of one run.

    Args:
        raw: What each center sent.
        intake: The table of files as they were taken.
        cases: Cropped volumes, and a small part with what was found for each.
        views: Tables cases, clinical, acquisition and qc.
        outcomes: The labels.
        keys: One pseudonym key a center.
        index: Caches that name files; private.
        rejected: The table of cases put aside by hand.
        stored: Caches of stored volumes, where several places share `index`.
    """

    raw: dict[str, Path]
    intake: Path
    cases: Path
    views: Path
    outcomes: Path
    keys: Path
    index: Path
    rejected: Path | None = None
    stored: Path | None = None

    def stored_index(self, center: str) -> Path:
        """Returns where the hashes of a center's stored volumes are remembered."""
        return (self.stored or self.index / "cases") / f"{center}.json"

    def texts(self, center: str) -> Path:
        """Returns where a center's names of series and regions are listed; private."""
        return self.index.parent / "texts" / f"{center}.csv"

    def check_folders(self) -> None:
        """Complains about every center without a folder at once.

        Raises:
            CenterFolderMissingError: A folder is missing.
        """
        missing = sorted(center for center, folder in self.raw.items() if not folder.is_dir())
        if missing:
            raise CenterFolderMissingError("there is no folder of the raw data", where=f"center {', '.join(missing)}")


def study_places(workspace: Workspace, params: Params, role: Role) -> IngestPlaces:
    """Returns the places of a role of a study."""
    rejected = params.cohort.rejected
    return IngestPlaces(
        raw={
            center: _raw(workspace, center, section)
            for center, section in image_centers(workspace, params, role).items()
        },
        intake=workspace.intake(role),
        cases=workspace.cases(role),
        views=workspace.view(role, "cases").parent,
        outcomes=workspace.outcomes(role),
        keys=workspace.keys,
        index=workspace.private / "index",
        rejected=workspace.root / rejected if rejected else None,
    )


def image_centers(workspace: Workspace, params: Params, role: Role) -> dict[str, Center]:
    """Returns a role's centers without those that sent tables of features only: no folder, and nothing taken in."""
    imported = {path.parent.name for path in workspace.imported("any").parent.glob(f"*/center=*/{PART}")}
    taken_in = set(centers_of(workspace.intake(role)))
    return {
        center: section
        for center, section in params.centers.of(role).items()
        if f"center={center}" not in imported or center in taken_in or _raw(workspace, center, section).is_dir()
    }


def has_raw(workspace: Workspace, places: IngestPlaces) -> bool:
    """Returns whether raw data are here at all; a clone that only pulled tables has none and keeps them."""
    return (workspace.root / "data" / "raw").is_dir() or any(folder.is_dir() for folder in places.raw.values())


def _raw(workspace: Workspace, center: str, section: Center) -> Path:
    return workspace.root / section.folder if section.folder else workspace.raw(center)
