"""Where scoring keeps its things: a root of its own, one folder a hospital, so that none can hold up another.

A hospital's cases are kept by the rules they were read under. So a package finds them as it always read them, whatever
other packages came into force or went; packages with equal rules share a store.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from featurestore.errors import InputError
from featurestore.files import write_json
from featurestore.fingerprints import digest
from pipelines.ingest.places import IngestPlaces
from pipelines.ingest.pseudonyms import create_key, key_id, key_path, load_key
from pipelines.params import CaseRules
from pipelines.params.base import Name
from pipelines.params.data import Center
from pipelines.workspace import Workspace


class CenterNameError(InputError):
    """A folder in `incoming` is not named as a center can be."""

    default_remedy = "rename the folder: lower-case letters, digits, - and _, at most 41; the name stands in all tables"


def check_center_name(name: str) -> None:
    """Checks a folder's name by the rule that `params.yaml` has for centers.

    Raises:
        CenterNameError: The name may not stand in tables and paths.
    """
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        raise CenterNameError("the folder's name cannot be a center's", where="incoming") from error


@dataclass(frozen=True)
class Deployment:
    """The folders of scoring in a study."""

    workspace: Workspace

    @property
    def scores(self) -> Path:
        """The history of scores."""
        return self.workspace.deployment / "scores"

    @property
    def drift(self) -> Path:
        """How each hospital's cases came, and what the looks at them found."""
        return self.workspace.deployment / "drift"

    @property
    def performance(self) -> Path:
        """What is known of each package's performance at each hospital."""
        return self.workspace.deployment / "performance"

    @property
    def summaries(self) -> Path:
        """What hospitals told that score by themselves and keep their patients."""
        return self.workspace.deployment / "summaries"

    def center(self, center: str) -> Path:
        """All that was derived from one hospital's files."""
        return self.workspace.deployment / "centers" / center

    def features(self, center: str, rules: CaseRules, settings: str) -> Path:
        """Features under rules and settings with this fingerprint; packages with the same ones share them."""
        return self.store(center, rules) / "features" / settings[:16]

    def store(self, center: str, rules: CaseRules) -> Path:
        """All that was derived from one hospital's files under these rules."""
        return self.center(center) / "rules" / rules_digest(rules)[:16]

    def stores(self, center: str) -> list[Path]:
        """Returns the stores that a hospital has, whether their packages are in force or not.

        The hospital's folder itself was one before each package had a store of its own; who withdraws leaves it too.
        """
        own = self.center(center)
        before = [own] if (own / "cases").is_dir() else []
        return [*before, *sorted(path for path in (own / "rules").glob("*") if path.is_dir())]

    def ingest(self, center: str, rules: CaseRules) -> IngestPlaces:
        """The folders that intake and ingest work in."""
        return self.ingest_into(center, self.store(center, rules))

    def ingest_into(self, center: str, store: Path) -> IngestPlaces:
        """The folders that intake and ingest work in, of one of the hospital's stores."""
        index = self.workspace.private / "index" / "incoming"
        return IngestPlaces(
            raw={center: self.workspace.incoming / center},
            intake=self.center(center) / "intake",
            cases=store / "cases",
            views=store / "views",
            outcomes=store / "outcomes",
            keys=self.workspace.keys,
            index=index,
            stored=index / "cases" / store.name,
        )

    def hospitals(self) -> list[str]:
        """Returns the hospitals that have put something into `incoming`."""
        folder = self.workspace.incoming
        found = sorted(path.name for path in folder.glob("[!.]*") if path.is_dir()) if folder.is_dir() else []
        return [name for name in found if any(path.is_file() for path in (folder / name).rglob("*"))]

    def section(self, center: str) -> Center:
        """Returns the hospital's settings: its `key_id`, which is recorded when its key is first made.

        Raises:
            KeyMissingError: The key that its tables were made with is not here.
        """
        record = self.center(center) / "key.json"
        if record.exists():
            return Center(key_id=json.loads(record.read_text(encoding="utf-8"))["key_id"])
        keys = self.workspace.keys
        key = load_key(keys, center) if key_path(keys, center).exists() else create_key(keys, center)
        write_json(record, {"key_id": key_id(key)})
        return Center(key_id=key_id(key))


def rules_digest(rules: CaseRules) -> str:
    """Returns what names a store: all that decides cases, but for who withdrew, which may change at any time.

    Defaults are left out, so that a setting that a later release adds makes no store of an old package anew.
    """
    plain = rules.model_dump(mode="json", exclude_defaults=True)
    cohort = {name: value for name, value in plain.pop("cohort", {}).items() if name != "withdrawn"}
    return digest({**plain, "cohort": cohort})
