"""The records that answer a checklist: what the stages left, read once, and what an answer from them looks like."""

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from featurestore.tables import centers_of, read_frame
from pipelines.params import Params
from pipelines.reporting.study_files import ModelFiles, StudyFiles
from pipelines.workspace import ROLES, Workspace


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """An answer from a record.

    Args:
        record: Where it stands: a file of the study, with the key in it.
        value: What it says.
        is_done: Whether it says that the thing was done; a record can also say that it was not.
    """

    record: str
    value: str
    is_done: bool = True


Rule = Callable[["Records"], Evidence | None]
"""Answers from the records, or returns None where they do not tell."""


@dataclass(frozen=True, eq=False)
class Records:
    """What rules read."""

    workspace: Workspace
    params: Params
    files: StudyFiles

    @cached_property
    def cases(self) -> pd.DataFrame:
        """Stored cases of both roles."""
        return self._views("cases")

    @cached_property
    def acquisition(self) -> pd.DataFrame:
        """How images were made, of both roles."""
        return self._views("acquisition")

    @property
    def best(self) -> ModelFiles | None:
        """The records of the best model; none while no model was judged or its package is gone."""
        found = self.files.models.get(self.files.best or "")
        return found if found is not None and found.manifest else None

    @property
    def best_cohorts(self) -> dict[str, Any]:
        """The best model's measures by cohort; empty while there are none."""
        return self.files.metrics[self.files.best] if self.files.best is not None else {}

    @property
    def package(self) -> str:
        """Where the best model's manifest stands."""
        return f"data/models/{self.files.best}/package/manifest.json"

    @cached_property
    def search(self) -> dict[str, Any]:
        """The best model's search history."""
        return self.of_best("search.json")

    def of_best(self, name: str) -> dict[str, Any]:
        """Returns a JSON record of the best model; empty where it has none."""
        path = self.workspace.model(self.files.best or "none") / name
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def rows_of_best(self, name: str) -> pd.DataFrame:
        """Returns the best model's rows of one of the evaluation's tables; empty where there are none."""
        found = self.table(name)
        if found is None or "model" not in found[1]:
            return pd.DataFrame()
        return found[1][found[1]["model"] == self.files.best]

    @property
    def service(self) -> str | None:
        """The feature service of the best model, where it has one of its own; else the first that was assembled."""
        name = self.best.manifest.get("service", {}).get("name") if self.best is not None else None
        return str(name) if name in self.files.records else next(iter(self.files.records), None)

    @property
    def training(self) -> dict[str, Any]:
        """The record of that service's training set."""
        found = self.files.records.get(self.service or "", {})
        return dict(found.get("record", found))

    def training_path(self, key: str) -> str:
        """Returns where a key of that record stands."""
        return f"data/training/{self.service}/record.json: {key}"

    @property
    def settings(self) -> dict[str, Any]:
        """Extraction settings by phase, as the training set was made with; empty where none are on record."""
        return dict(self.training.get("extraction", {}).get("by_phase", {}))

    def table(self, *names: str) -> tuple[str, pd.DataFrame] | None:
        """Returns the first of the evaluation's tables that is there and has rows, with its place."""
        for name in names:
            path = self.workspace.evaluation / "tables" / f"{name}.csv"
            if path.is_file():
                frame = pd.read_csv(io.StringIO(path.read_text(encoding="utf-8")))
                if len(frame):
                    return f"data/evaluation/tables/{name}.csv", frame
        return None

    def has_view(self, view: str) -> bool:
        """Returns whether extraction left a view of the development centers, such as other observers' features."""
        return bool(centers_of(self.workspace.features("development", view)))

    def _views(self, name: str) -> pd.DataFrame:
        parts = [part for role in ROLES if len(part := read_frame(self.workspace.view(role, name)))]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def by_phase(settings: dict[str, Any], say: Callable[[dict[str, Any]], str]) -> str:
    """Returns what is said of each phase's settings, phases that say the same together."""
    groups: dict[str, list[str]] = {}
    for phase, own in settings.items():
        groups.setdefault(say(own), []).append(phase)
    if len(groups) == 1:
        return next(iter(groups))
    return "; ".join(f"{', '.join(phases)}: {words}" for words, phases in groups.items())


def listed(values: Iterable[object], most: int = 8) -> str:
    """Returns values with commas, cut where there are too many to read."""
    texts = [str(value) for value in values]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
