"""Where things lie in a study, and which study a command is in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from featurestore.errors import InputError
from featurestore.files import exclusive

Role = Literal["development", "external"]
ROLES: tuple[Role, ...] = ("development", "external")
VIEWS = ("cases", "clinical", "acquisition", "qc")


class NoStudyError(InputError):
    """The command needs a study and there is none here."""

    default_remedy = "change into a study's folder, or make one with `radmill init DIR`"


@dataclass(frozen=True)
class Workspace:
    """The paths of one study. `root` holds `params.yaml` and `dvc.yaml`."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> "Workspace":
        """Returns the study that `start`, or the current folder, lies in.

        Raises:
            NoStudyError: No folder upwards has both `params.yaml` and `dvc.yaml`.
        """
        here = (start or Path.cwd()).resolve()
        for folder in (here, *here.parents):
            if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
                return cls(folder)
        raise NoStudyError("no params.yaml and dvc.yaml here or in a folder above", where=here.name)

    @property
    def params(self) -> Path:
        """The study's settings."""
        return self.root / "params.yaml"

    @property
    def incoming(self) -> Path:
        """Where new hospitals drop data, one folder each."""
        return self.root / "incoming"

    @property
    def keys(self) -> Path:
        """One pseudonym key a center; in neither git nor DVC."""
        return self.root / "private" / "keys"

    @property
    def private(self) -> Path:
        """What may name patients (file index by hash); in neither git nor DVC."""
        return self.root / "private"

    @property
    def state(self) -> Path:
        """Scratch that may be deleted at any time: locks, partial results, search journals."""
        return self.root / ".radmill"

    def raw(self, center: str) -> Path:
        """What a labelled center sent."""
        return self.root / "data" / "raw" / center

    def intake(self, role: Role) -> Path:
        """Sizes and hashes of the files of a role's centers."""
        return self.root / "data" / "intake" / role

    @property
    def settings_files(self) -> Path:
        """Hashes of the parameter files that `extraction` names, so that a change in one runs stages again."""
        return self.root / "data" / "intake" / "settings.json"

    def cases(self, role: Role) -> Path:
        """Cropped volumes and masks."""
        return self.root / "data" / "cases" / role

    def view(self, role: Role, name: str) -> Path:
        """A table made by ingest: cases, clinical, acquisition or qc."""
        return self.root / "data" / "views" / role / name

    def outcomes(self, role: Role) -> Path:
        """The labels, apart from everything else."""
        return self.root / "data" / "outcomes" / role

    def features(self, role: Role, view: str = "radiomics") -> Path:
        """A table made by extract: radiomics, or qc of extraction."""
        return self.root / "data" / "features" / role / view

    def imported(self, view: str) -> Path:
        """A table of features made elsewhere; `outcomes` and `qc` hold the labels and remarks that came with them."""
        return self.root / "data" / "imported" / view

    def shuffled(self, role: Role) -> Path:
        """Features of the same regions with their voxels shuffled, for the negative controls alone."""
        return self.root / "data" / "shuffled" / role

    @property
    def controls(self) -> Path:
        """What models learned where there is nothing to learn."""
        return self.root / "data" / "controls"

    @property
    def validation(self) -> Path:
        """The report of the validation rules."""
        return self.root / "data" / "validation.json"

    def training(self, service: str) -> Path:
        """The frozen training set of a feature service."""
        return self.root / "data" / "training" / service

    def model(self, name: str) -> Path:
        """A candidate of any kind: package, out-of-fold predictions, search history."""
        fused = self.fusion(name)
        return fused if fused.is_dir() else self.root / "data" / "models" / name

    def fusion(self, name: str) -> Path:
        """A fusion as a candidate, apart from its members because the stage that makes it reads all of these."""
        return self.root / "data" / "fusion" / name

    def candidates(self) -> list[Path]:
        """The folders of all candidates that were made, by name."""
        folders = [path for kind in ("models", "fusion") for path in (self.root / "data" / kind).glob("*")]
        return sorted((path for path in folders if path.is_dir()), key=lambda path: path.name)

    def undeclared(self, models: set[str], fusions: set[str]) -> list[Path]:
        """Returns the folders of candidates that are no longer declared, or are of another kind by now."""
        kinds = {"models": models, "fusion": fusions}
        return [path for path in self.candidates() if path.name not in kinds[path.parent.name]]

    def training_of(self, name: str, service: str) -> Path:
        """The training set of a candidate: its service's, or a fusion's own."""
        own = self.fusion(name) / "training"
        return own if own.is_dir() else self.training(service)

    @property
    def evaluation(self) -> Path:
        """Metrics, tables and curves of every model on every cohort."""
        return self.root / "data" / "evaluation"

    @property
    def reports(self) -> Path:
        """Pages for people."""
        return self.root / "reports"

    @property
    def models(self) -> Path:
        """The registry: ledger, evidence, packages, training sets."""
        return self.root / "models"

    @property
    def deployment(self) -> Path:
        """Scoring's own root; nothing in it belongs to the stage graph."""
        return self.root / "deployment"

    @contextmanager
    def lock(self, work: str, name: str = "study") -> Iterator[None]:
        """Holds the study's (or the deployment's) lock; a second run is told who holds it."""
        with exclusive(self.state / f"{name}.lock", work):
            yield
