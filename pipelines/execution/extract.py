"""Extract: from stored cases to tables of features.

A row carries the fingerprint of all that decides it and the hash of its values. Where both still hold it is taken over,
so that one new case costs one case and an incremental run gives the same bytes as a full rebuild. What was measured
before a run was cut short lies in small parts and is not measured again.
"""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

from featurestore.errors import CaseError, InputError
from featurestore.fingerprints import canonical_json
from featurestore.tables import centers_of, keep_centers
from pipelines.execution.feature_tables import (
    PERTURBED,
    TABLES,
    completed,
    keep_only,
    kept_features,
    measured_row,
    stopped_row,
    table_of,
    write_features,
    write_qc,
)
from pipelines.execution.region_work import extract_region, part_lost, part_path, read_part, region_task
from pipelines.execution.regions import Recipe, Region, check_margins, read_regions, stored_settings
from pipelines.images.perturbation import Perturbation
from pipelines.images.shuffling import SHUFFLED
from pipelines.params import Params
from pipelines.radiomics.base import Features
from pipelines.radiomics.catalog import names
from pipelines.radiomics.engines import engine as make_engine
from pipelines.radiomics.settings import ExtractionSettings, settings_by_phase
from pipelines.record import FEATURE_SET
from pipelines.runner import Progress, Runner, Silent
from pipelines.workspace import Role, Workspace

_Value = TypeVar("_Value")


class FeatureSetError(InputError):
    """The study pins another version of what decides feature values than the one installed."""

    default_remedy = "`radmill upgrade` shows what would be recomputed, and pins the installed one"


@dataclass(frozen=True, kw_only=True)
class ExtractPlaces:
    """The folders of one run.

    Args:
        cases: Stored volumes.
        views: The tables of ingest.
        features: Where the tables of features go.
        parts: Scratch for what is measured and not yet in a table.
    """

    cases: Path
    views: Path
    features: Path
    parts: Path


@dataclass(frozen=True, kw_only=True)
class ExtractSummary:
    """What extract did.

    Args:
        regions: Regions attempted.
        unchanged: Regions whose rows were taken over.
        resumed: Regions that a run before had measured and not written.
        computed: Regions measured in this run.
        refused: Regions at fault.
        failed: Regions on which the work broke.
        warned: Regions with features that have no value.
        codes: How often each code stands in `qc`.
        notes: What a person should know about the settings.
    """

    regions: int = 0
    unchanged: int = 0
    resumed: int = 0
    computed: int = 0
    refused: int = 0
    failed: int = 0
    warned: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether nothing was refused and nothing failed."""
        return self.refused + self.failed == 0

    def plain(self) -> dict[str, object]:
        """Returns the summary as JSON types."""
        return asdict(self)


def extract(
    workspace: Workspace, params: Params, role: Role, runner: Runner, progress: Progress | None = None
) -> ExtractSummary:
    """Computes the features of a role's stored cases.

    Raises:
        FeatureSetError: The installed version decides values otherwise than the study pins.
        SettingsError: The extraction settings are not legal.
        EngineError: The engine is not installed or cannot do what they ask.
        MarginTooSmallError: Filters reach beyond what ingest stored.
    """
    check_feature_set(params.radmill.feature_set)
    places = _places(workspace, role, workspace.features(role).parent, "extract")
    settings = _checked_settings(places, workspace, params, list(params.phases))
    # stability is judged where models are made
    asked = params.extraction.perturbations if role == "development" else []
    ways = [Perturbation.parse(name).name for name in asked]
    feature_set = params.radmill.feature_set
    return extract_cases(places, settings, params.extraction.engine, feature_set, runner, progress, ways)


def shuffle(
    workspace: Workspace,
    params: Params,
    role: Role,
    phases: Sequence[str],
    runner: Runner,
    progress: Progress | None = None,
) -> ExtractSummary:
    """Computes the features of a role's stored cases with the voxels of each region dealt anew.

    They lie in `data/shuffled/<role>`, in a table of a name of its own, whose notes say so: nothing takes them for the
    real ones.

    Args:
        workspace: The study.
        params: Its settings.
        role: Whose cases.
        phases: Which phases; without any the tables are removed.
        runner: Runs the cases.
        progress: Is told how it goes.

    Raises:
        FeatureSetError: The installed version decides values otherwise than the study pins.
        MarginTooSmallError: Filters reach beyond what ingest stored.
    """
    check_feature_set(params.radmill.feature_set)
    places = _places(workspace, role, workspace.shuffled(role), "shuffle")
    settings = _checked_settings(places, workspace, params, phases)
    recipe = _recipe(settings, params.extraction.engine, params.radmill.feature_set)
    found = read_regions(places.views / "cases", settings) if phases else {}
    regions = {center: [one.shuffled() for one in own if one.is_primary] for center, own in found.items()}
    return _extracted(places, recipe, regions, (SHUFFLED,), runner, progress or Silent())


def _places(workspace: Workspace, role: Role, features: Path, work: str) -> ExtractPlaces:
    return ExtractPlaces(
        cases=workspace.cases(role),
        views=workspace.view(role, "cases").parent,
        features=features,
        parts=workspace.state / "parts" / work / role,
    )


def _checked_settings(
    places: ExtractPlaces, workspace: Workspace, params: Params, phases: Sequence[str]
) -> dict[str, ExtractionSettings]:
    settings = settings_by_phase(params.extraction, list(phases), workspace.root)
    regions = [region for own in read_regions(places.views / "cases", settings).values() for region in own]
    check_margins(regions, settings, params.margin)
    return settings


def check_feature_set(pinned: str) -> None:
    """Checks that the installed version decides values as pinned.

    Raises:
        FeatureSetError: It does not.
    """
    if pinned != FEATURE_SET:
        raise FeatureSetError(f"the study pins {pinned}, installed is {FEATURE_SET}", where="radmill.feature_set")


def extract_cases(
    places: ExtractPlaces,
    settings_by_phase: Mapping[str, ExtractionSettings],
    engine: str,
    feature_set: str,
    runner: Runner,
    progress: Progress | None = None,
    perturbations: Sequence[str] = (),
) -> ExtractSummary:
    """Computes the features of all stored cases whose phase has settings, and writes their tables.

    Args:
        places: Where to read and write.
        settings_by_phase: What is computed in each phase.
        engine: Which engine computes.
        feature_set: The version of radmill's own part, for the fingerprint.
        runner: Runs the cases.
        progress: Is told how it goes.
        perturbations: Ways to perturb the regions that models use, each measured as well.

    Raises:
        EngineError: The engine is not installed or cannot do what the settings ask; nothing was written.
    """
    recipe = _recipe(settings_by_phase, engine, feature_set)
    regions = read_regions(places.views / "cases", settings_by_phase)
    for own in regions.values():
        own += [region.perturbed(name) for region in own if region.is_primary for name in perturbations]
    return _extracted(places, recipe, regions, TABLES, runner, progress or Silent())


def _recipe(settings_by_phase: Mapping[str, ExtractionSettings], engine: str, feature_set: str) -> Recipe:
    stored = {phase: stored_settings(settings) for phase, settings in settings_by_phase.items()}
    return Recipe(by_phase=stored, engine=engine, feature_set=feature_set)


def _extracted(
    places: ExtractPlaces,
    recipe: Recipe,
    regions: Mapping[str, list[Region]],
    tables: Sequence[str],
    runner: Runner,
    progress: Progress,
) -> ExtractSummary:
    recipe.check_crops([region for own in regions.values() for region in own])
    batches = [_Batch.planned(places, recipe, center, own, tables) for center, own in sorted(regions.items())]
    _measure(places, recipe, batches, runner, progress)
    for batch in batches:
        batch.write(places, recipe, tables)
    keep_only(places.features, sorted(regions), tables)
    shutil.rmtree(places.parts, ignore_errors=True)
    return _summary(batches, recipe)


@dataclass(frozen=True)
class _Batch:
    """One center's regions with their fingerprints, and what became of them."""

    center: str
    marks: dict[Region, str]
    kept: dict[Region, Features]
    resumed: set[Region]
    errors: dict[Region, CaseError]
    qc: list[dict[str, object]]

    @classmethod
    def planned(
        cls, places: ExtractPlaces, recipe: Recipe, center: str, regions: list[Region], tables: Sequence[str]
    ) -> "_Batch":
        marks = {region: recipe.fingerprint(region) for region in regions}
        kept: dict[Region, Features] = {}
        for table in tables:
            kept |= kept_features(places.features / table, center, recipe, _in_table(marks, table))
        resumed = {
            region
            for region, mark in marks.items()
            if region not in kept and read_part(part_path(places.parts, region, mark), mark) is not None
        }
        return cls(center, marks, kept, resumed, {}, [])

    def due(self) -> list[Region]:
        return [region for region in self.marks if region not in self.kept and region not in self.resumed]

    def write(self, places: ExtractPlaces, recipe: Recipe, tables: Sequence[str]) -> None:
        measured = {
            region: (mark, self._features(places, recipe, region, mark))
            for region, mark in self.marks.items()
            if region not in self.errors
        }
        for table in tables:
            rows = _in_table(measured, table)
            if rows or table != PERTURBED:
                write_features(places.features / table, self.center, recipe, rows, table)
            else:
                keep_centers(places.features / table, set(centers_of(places.features / table)) - {self.center})
        # a perturbation that cannot be measured is no case that cannot be used
        own = {region: features for region, (_, features) in measured.items() if not region.is_perturbed}
        stopped = {region: error for region, error in self.errors.items() if not region.is_perturbed}
        self.qc.extend(measured_row(region, features) for region, features in own.items())
        self.qc.extend(stopped_row(region, error, places.cases) for region, error in stopped.items())
        write_qc(places.features / "qc", self.center, self.qc)

    def _features(self, places: ExtractPlaces, recipe: Recipe, region: Region, mark: str) -> Features:
        if region in self.kept:
            return self.kept[region]
        path = part_path(places.parts, region, mark)
        features = read_part(path, mark)
        if features is None:
            raise part_lost(path)
        return completed(features, names(recipe.by_phase[region.key.phase]))


def _measure(places: ExtractPlaces, recipe: Recipe, batches: list[_Batch], runner: Runner, progress: Progress) -> None:
    due = [(batch, region) for batch in batches for region in batch.due()]
    for phase in sorted({region.key.phase for _, region in due}):
        make_engine(recipe.engine, recipe.by_phase[phase])  # complains before any case does
    plain = {phase: canonical_json(settings.plain()).decode() for phase, settings in recipe.by_phase.items()}
    owners, tasks = {}, []
    for batch, region in due:
        mark = batch.marks[region]
        part = part_path(places.parts, region, mark)
        owners[str(part)] = batch, region
        tasks.append(region_task(region, plain[region.key.phase], recipe.engine, places.cases, part, mark))
    progress.start("extract", len(due), unchanged=sum(len(batch.kept) + len(batch.resumed) for batch in batches))
    try:
        for outcome in runner.run(extract_region, tasks):
            batch, region = owners[outcome.task.payload["part"]]
            if outcome.error is not None:
                batch.errors[region] = outcome.error
            progress.advance(failed=outcome.error is not None)
    finally:
        progress.finish()


def _in_table(rows: Mapping[Region, _Value], table: str) -> dict[Region, _Value]:
    return {region: value for region, value in rows.items() if table_of(region) == table}


def _summary(batches: list[_Batch], recipe: Recipe) -> ExtractSummary:
    rows = [row for batch in batches for row in batch.qc]
    statuses = Counter(str(row["status"]) for row in rows)
    return ExtractSummary(
        regions=len(rows),
        unchanged=sum(len(batch.kept) for batch in batches),
        resumed=sum(len(batch.resumed) for batch in batches),
        computed=sum(len(batch.due()) for batch in batches),
        refused=statuses["refused"],
        failed=statuses["failed"],
        warned=statuses["warned"],
        codes=dict(sorted(Counter(str(row["code"]) for row in rows if row["code"]).items())),
        notes=tuple(dict.fromkeys(note for settings in recipe.by_phase.values() for note in settings.notes())),
    )
