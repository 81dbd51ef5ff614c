"""Extract: from stored cases to tables of features.

A row carries the fingerprint of all that decides it and the hash of its values. Where both still hold it is taken over,
so that one new case costs one case and an incremental run gives the same bytes as a full rebuild. What was measured
before a run was cut short lies in small parts and is not measured again. One center after another is planned, handed
out and written, so that memory follows the largest center and not the study.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from featurestore.errors import InputError
from featurestore.tables import centers_of
from pipelines.execution.center_work import (
    DUE,
    KEPT,
    RESUMED,
    CenterWork,
    ExtractPlaces,
    Job,
    Outlook,
    Tally,
    publish,
)
from pipelines.execution.feature_tables import OBSERVERS, RADIOMICS, TABLES
from pipelines.execution.region_work import extract_region
from pipelines.execution.regions import Recipe, Region, check_margins, read_regions, spacings, stored_settings
from pipelines.images.perturbation import Perturbation
from pipelines.images.shuffling import SHUFFLED
from pipelines.params import Params
from pipelines.radiomics.engines import engine as make_engine
from pipelines.radiomics.settings import ExtractionSettings, settings_by_phase
from pipelines.record import FEATURE_SET
from pipelines.runner import CaseTask, Progress, Runner, Silent
from pipelines.workspace import Role, Workspace


class FeatureSetError(InputError):
    """The study pins another version of what decides feature values than the one installed."""

    default_remedy = "`radmill upgrade` shows what would be recomputed, and pins the installed one"


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
    cases = places.views / "cases"

    def regions(center: str) -> list[Region]:
        return [one.shuffled() for one in read_regions(cases, center, settings) if one.is_primary]

    recipe = _recipe(settings, params.extraction.engine, params.radmill.feature_set)
    job = Job(places=places, recipe=recipe, tables=(SHUFFLED,), always=(SHUFFLED,), regions=regions)
    return _extracted(job, centers_of(cases) if phases else [], runner, progress or Silent())


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
    check_margins(spacings(places.views / "cases", settings), settings, params.margin)
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
    cases = places.views / "cases"

    def regions(center: str) -> list[Region]:
        own = read_regions(cases, center, settings_by_phase)
        return own + [region.perturbed(name) for region in own if region.is_primary for name in perturbations]

    job = Job(places=places, recipe=recipe, tables=TABLES, always=(RADIOMICS, OBSERVERS), regions=regions)
    return _extracted(job, centers_of(cases), runner, progress or Silent())


def _recipe(settings_by_phase: Mapping[str, ExtractionSettings], engine: str, feature_set: str) -> Recipe:
    stored = {phase: stored_settings(settings) for phase, settings in settings_by_phase.items()}
    return Recipe(by_phase=stored, engine=engine, feature_set=feature_set)


def _extracted(job: Job, centers: Sequence[str], runner: Runner, progress: Progress) -> ExtractSummary:
    outlooks = [Outlook.of(job, center) for center in centers]
    for phase in sorted({phase for outlook in outlooks for phase in outlook.phases}):
        make_engine(job.recipe.engine, job.recipe.by_phase[phase])  # complains before any case does
    tally = Tally()
    _measure(job, outlooks, runner, progress, tally)
    publish(job, centers)
    shutil.rmtree(job.places.parts, ignore_errors=True)
    return _summary(tally, job.recipe)


def _measure(job: Job, outlooks: Sequence[Outlook], runner: Runner, progress: Progress, tally: Tally) -> None:
    at_work: dict[str, tuple[CenterWork, Region]] = {}

    def tasks() -> Iterator[CaseTask]:
        for outlook in outlooks:
            if outlook.n_due:
                work = CenterWork(job, outlook)
                for region, task in work.tasks():
                    at_work[task.payload["part"]] = work, region
                    yield task

    n_due = sum(outlook.n_due for outlook in outlooks)
    progress.start("extract", n_due, unchanged=sum(len(outlook.states) for outlook in outlooks) - n_due)
    try:
        for outlook in outlooks:
            if not outlook.n_due:
                CenterWork(job, outlook).write(tally)
        for outcome in runner.run(extract_region, tasks()) if n_due else ():
            work, region = at_work.pop(outcome.task.payload["part"])
            work.take(region, outcome.error)
            progress.advance(failed=outcome.error is not None)
            if not work.n_left:
                work.write(tally)
    finally:
        progress.finish()


def _summary(tally: Tally, recipe: Recipe) -> ExtractSummary:
    return ExtractSummary(
        regions=tally.statuses.total(),
        unchanged=tally.states[KEPT],
        resumed=tally.states[RESUMED],
        computed=tally.states[DUE],
        refused=tally.statuses["refused"],
        failed=tally.statuses["failed"],
        warned=tally.statuses["warned"],
        codes=dict(sorted(tally.codes.items())),
        notes=tuple(dict.fromkeys(note for settings in recipe.by_phase.values() for note in settings.notes())),
    )
