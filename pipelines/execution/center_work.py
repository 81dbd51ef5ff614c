"""The regions of one center on their way from the view `cases` to the tables of features.

A study may have a million regions, so that nothing is held for all of them but one byte each: what a region needs is
read again from its center's view when its turn comes. A center's tables are written beside the parts as soon as its
last region is measured, and its parts are removed; they take their place when all centers are done.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from featurestore.errors import CaseError
from featurestore.fingerprints import canonical_json
from featurestore.tables import keep_centers, move_center, partition
from pipelines.execution.feature_tables import (
    Values,
    kept_features,
    measured_row,
    stopped_row,
    table_of,
    write_features,
    write_qc,
)
from pipelines.execution.region_parts import part_lost, part_path, read_part
from pipelines.execution.region_work import region_task
from pipelines.execution.regions import Recipe, Region
from pipelines.runner import CaseTask

QC = "qc"
DUE, KEPT, RESUMED = range(3)
"""A region is to be measured; or its row is in the table; or an earlier run measured it and did not end."""

_T = TypeVar("_T")


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

    @property
    def staged(self) -> Path:
        """Tables of centers that are done while others are not."""
        return self.parts / "tables"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is computed of whom.

    Args:
        places: Where to read and write.
        recipe: What decides features.
        tables: The tables of features; a center without a row has no partition in the others than the `always` ones.
        always: Tables that have a partition for every center.
        regions: Returns a center's regions, the same in the same order whenever it is asked.
    """

    places: ExtractPlaces
    recipe: Recipe
    tables: Sequence[str]
    always: Sequence[str]
    regions: Callable[[str], list[Region]]


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What is to be done for a center.

    Args:
        center: Its name.
        states: One byte a region: `DUE`, `KEPT` or `RESUMED`.
        phases: The phases of the regions that are due.
    """

    center: str
    states: bytes
    phases: frozenset[str]

    @classmethod
    def of(cls, job: Job, center: str) -> "Outlook":
        """Looks which rows and parts of a center still hold.

        Raises:
            EngineError: The engine would need the whole image.
        """
        regions = job.regions(center)
        job.recipe.check_crops(regions)
        marks = {region: job.recipe.fingerprint(region) for region in regions}
        kept, staged = stored_values(job, center, marks)

        def state(region: Region, mark: str) -> int:
            if region in kept:
                return KEPT
            if region in staged:
                return RESUMED
            path = part_path(job.places.parts, region, mark)
            there = path.is_file() and read_part(path, mark, job.recipe.names[region.key.phase]) is not None
            return RESUMED if there else DUE

        states = bytes(state(region, mark) for region, mark in marks.items())
        due = {region.key.phase for region, one in zip(regions, states, strict=True) if one == DUE}
        return cls(center=center, states=states, phases=frozenset(due))

    @property
    def n_due(self) -> int:
        """How many regions are to be measured."""
        return self.states.count(DUE)


@dataclass
class Tally:
    """What became of regions, over all centers."""

    states: Counter[int] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)


class CenterWork:
    """One center while its regions are measured."""

    def __init__(self, job: Job, outlook: Outlook) -> None:
        self.outlook = outlook
        self.n_left = outlook.n_due
        self._job = job
        regions = job.regions(outlook.center)
        self._marks = {region: job.recipe.fingerprint(region) for region in regions}
        self._states = dict(zip(regions, outlook.states, strict=True))
        self._errors: dict[Region, CaseError] = {}

    def tasks(self) -> Iterator[tuple[Region, CaseTask]]:
        """Yields the regions to measure with their tasks."""
        recipe, places = self._job.recipe, self._job.places
        plain = {phase: canonical_json(one.plain()).decode() for phase, one in recipe.by_phase.items()}
        for region, mark in self._marks.items():
            if self._states[region] == DUE:
                part = part_path(places.parts, region, mark)
                yield region, region_task(region, plain[region.key.phase], recipe.engine, places.cases, part, mark)

    def take(self, region: Region, error: CaseError | None) -> None:
        """Notes that a region's work ended."""
        self.n_left -= 1
        if error is not None:
            self._errors[region] = error

    def write(self, tally: Tally) -> None:
        """Writes the center's tables beside the parts, and removes its parts."""
        job, center = self._job, self.outlook.center
        measured = self._measured()
        for table in job.tables:
            rows = _in_table(measured, table)
            if rows or table in job.always:
                write_features(job.places.staged / table, center, job.recipe, rows, table)
            else:
                partition(job.places.staged / table, center).unlink(missing_ok=True)
        # a perturbation that cannot be measured is no case that cannot be used
        own = {region: values for region, (_, values) in measured.items() if not region.is_perturbed}
        stopped = {region: error for region, error in self._errors.items() if not region.is_perturbed}
        qc = [measured_row(region, job.recipe.names[region.key.phase], values) for region, values in own.items()]
        qc += [stopped_row(region, error, job.places.cases) for region, error in stopped.items()]
        write_qc(job.places.staged / QC, center, qc)
        tally.states.update(self.outlook.states)
        tally.statuses.update(str(row["status"]) for row in qc)
        tally.codes.update(str(row["code"]) for row in qc if row["code"])
        for region, mark in self._marks.items():
            if self._states[region] != KEPT:
                part_path(job.places.parts, region, mark).unlink(missing_ok=True)

    def _measured(self) -> dict[Region, tuple[str, Values]]:
        known = {region: mark for region, mark in self._marks.items() if self._states[region] != DUE}
        kept, staged = stored_values(self._job, self.outlook.center, known)
        found = {}
        for region, mark in self._marks.items():
            if region not in self._errors:
                values = kept.get(region, staged.get(region))
                found[region] = mark, self._part(region, mark) if values is None else values
        return found

    def _part(self, region: Region, mark: str) -> Values:
        path = part_path(self._job.places.parts, region, mark)
        values = read_part(path, mark, self._job.recipe.names[region.key.phase])
        if values is None:
            raise part_lost(str(region.key))
        return values


def stored_values(
    job: Job, center: str, marks: Mapping[Region, str]
) -> tuple[dict[Region, Values], dict[Region, Values]]:
    """Returns the values of regions whose rows still hold: those in the tables, and of the others those set aside."""
    found: tuple[dict[Region, Values], dict[Region, Values]] = ({}, {})
    for own, root in zip(found, (job.places.features, job.places.staged), strict=True):
        for table in job.tables:
            left = {region: mark for region, mark in _in_table(marks, table).items() if region not in found[0]}
            own |= kept_features(root / table, center, job.recipe, left)
    return found


def publish(job: Job, centers: Sequence[str]) -> None:
    """Puts the tables of all centers into their place, and removes those of others."""
    features = job.places.features
    features.mkdir(parents=True, exist_ok=True)
    for table in (*job.tables, QC):
        staged = [center for center in centers if partition(job.places.staged / table, center).is_file()]
        for center in staged:
            move_center(job.places.staged / table, features / table, center)
        keep_centers(features / table, staged)


def _in_table(rows: Mapping[Region, _T], table: str) -> dict[Region, _T]:
    return {region: value for region, value in rows.items() if table_of(region) == table}
