"""What was chosen for a study, and how `params.yaml` says it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featurestore.files import write_text
from pipelines.looking.columns import declared
from pipelines.looking.found import SeenColumn, as_name
from pipelines.looking.phases import SeenPhase
from pipelines.params import edit_params
from pipelines.params.writing import written

ESTIMATORS = ("lr", "rf", "mlp")
PET_BIN_SUV = 0.25
"""A bin of 25, right for HU, would leave a PET image one bin."""

_FEWEST_A_FOLD = 2


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a new study is told.

    Args:
        name: The study's name.
        development: Folder of each development center (empty: as the center is named), by name.
        external: The same of external centers.
        own_columns: What a center calls its patients' column, where not patient_id.
        phases: The phases.
        label: The outcome's column.
        positive: Its positive values.
        negative: Its negative values.
        n_fewest: Patients of the rarer of the two, where known.
        has_dicom: Whether files name the scanner.
        clinical: The clinical columns to read.
        n_tables: Clinical tables there are.
        roi_pattern: The expression on names of regions.
        roi_label: The value of the region in masks, or `auto`.
        observer: Whose outlines features come from, or `majority`, or `staple`.
    """

    name: str
    development: Mapping[str, str]
    external: Mapping[str, str]
    own_columns: Mapping[str, str] = field(default_factory=dict)
    phases: tuple[SeenPhase, ...]
    label: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    n_fewest: int = 0
    has_dicom: bool = False
    clinical: tuple[SeenColumn, ...] = ()
    n_tables: int = 1
    roi_pattern: str
    roi_label: int | str = "auto"
    observer: str = "majority"

    def write(self, path: Path) -> None:
        """Writes these choices into a study's settings, whose comments stay."""

        def fill(content: Any) -> None:
            content["study"]["name"] = written(self.name)
            content["registry"]["name"] = as_name(self.name) or "study"
            for role in ("development", "external"):
                content["centers"][role] = written(self._centers(role))
            content["phases"] = written({phase.name: _phase(phase) for phase in self.phases})
            content["label"].update(written(self._label(), flow=False))
            content["ingest"]["roi"] = written(
                {"name": "tumor", "pattern": self.roi_pattern, "label": self.roi_label}, flow=True
            )
            content["ingest"]["observer_policy"] = self.observer
            columns = {column.name: declared(column, self.n_tables) for column in self.clinical}
            content["ingest"]["clinical"] = written(columns)
            self._fill_models(content)

        edit_params(path, fill)
        write_text(path, spaced(path.read_text(encoding="utf-8")))

    def _centers(self, role: str) -> dict[str, dict[str, object]]:
        folders = self.development if role == "development" else self.external
        return {
            name: ({"folder": folder} if folder else {})
            | ({"clinical": {"patient_id": self.own_columns[name]}} if name in self.own_columns else {})
            for name, folder in folders.items()
        }

    def _label(self) -> dict[str, object]:
        return {
            "name": as_name(self.label) or "outcome",
            "column": self.label,
            "positive": list(self.positive),
            "negative": list(self.negative),
        }

    def _fill_models(self, content: Any) -> None:
        names = [phase.name for phase in self.phases]
        services: dict[str, dict[str, object]] = {name: {"phases": [name]} for name in names}
        if len(names) > 1:
            services["all_phases"] = {"phases": names}
        whole = "all_phases" if len(names) > 1 else names[0]
        models = {
            f"radiomics_{estimator}_{service}": {"service": service, "estimator": estimator}
            for service in services
            for estimator in ESTIMATORS
        }
        if self.clinical:
            services["clinical"] = {"view": "clinical", "columns": "|".join(column.name for column in self.clinical)}
            models["clinical"] = {"service": "clinical", "estimator": "clinical"}
            late = {"members": [f"radiomics_lr_{whole}", "clinical"]}
            content["fusion"] = written({"fusion_late": late})
        content["services"], content["models"] = written(services), written(models)
        by_phase = {name: {"setting": {"binWidth": PET_BIN_SUV}} for name in names if name.startswith("pet")}
        content["extraction"]["by_phase"] = written(by_phase)
        content["validation"]["batches"] = written(self._batches(), flow=True)
        content["evaluation"]["subgroups"] = written(self._subgroups())
        content["tuning"]["folds"] = self._folds(float(content["split"]["internal_fraction"]))

    def _batches(self) -> list[str]:
        scanner = ["manufacturer", "kernel"] if self.has_dicom else []
        return [*(["center"] if len(self.development) > 1 else []), *scanner]

    def _subgroups(self) -> list[dict[str, object]]:
        named = {column.name.casefold(): column.name for column in self.clinical}
        found: list[dict[str, object]] = [{"column": named["sex"]}] if "sex" in named else []
        return found + ([{"column": named["age"], "cuts": [65]}] if "age" in named else [])

    def _folds(self, kept_aside: float) -> int:
        """Returns as many folds as leave each a few of the rarer outcome, of what is not kept aside."""
        training = int(self.n_fewest * (1 - kept_aside))
        return max(2, min(5, training // _FEWEST_A_FOLD)) if self.n_fewest else 5


def spaced(text: str) -> str:
    """Returns settings with a blank line before each section and none behind a section's own comment."""
    tight = re.sub(r"(:[ ]+#[^\n]*)\n\n(?=[ ]+\S)", r"\1\n", text)
    return re.sub(r"(?<=[^\n])\n(?=[a-z_]+:)", "\n\n", tight)


def _phase(phase: SeenPhase) -> dict[str, object]:
    entry: dict[str, object] = {"series_description": phase.pattern}
    return entry if phase.delay_s is None else entry | {"delay_s": list(phase.delay_s)}
