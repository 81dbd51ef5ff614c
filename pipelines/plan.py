"""What a run would do before it does it: cases to read, features to compute, rows and columns that come and go.

Files are listed and hashed as intake would, into a scratch place; no image is read, no key kept, no table written. What
an image that was never read will turn out to be is not known: such a case counts as one that can be used.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from featurestore.entities import KEY_COLUMNS
from featurestore.schemas import columns_of
from featurestore.tables import centers_of, read_frame, read_schema
from featurestore.views import BOOKKEEPING
from pipelines.execution.feature_tables import OBSERVERS, RADIOMICS, kept_features
from pipelines.execution.regions import Recipe, Region, stored_settings
from pipelines.ingest.center_data import read_center
from pipelines.ingest.center_tables import Job, center_tables
from pipelines.ingest.eligibility import check_rules, read_rejected
from pipelines.ingest.ingest import center_jobs
from pipelines.ingest.intake import list_centers, write_intake
from pipelines.ingest.places import IngestPlaces, has_raw, image_centers, study_places
from pipelines.ingest.pseudonyms import create_key, key_id, key_path
from pipelines.params import Params
from pipelines.params.data import Center
from pipelines.radiomics.catalog import columns_of_phases
from pipelines.radiomics.settings import settings_by_phase
from pipelines.record import FEATURE_SET
from pipelines.runner import Progress, Silent
from pipelines.workspace import ROLES, Role, Workspace

CaseName = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class CenterPlan:
    """What a run would do with one center.

    Args:
        read: Cases (patient × phase × region) whose images would be read: new ones, and those whose files or rules
            changed.
        kept: Cases that stay as they are.
        removed: Stored cases that would go: withdrawn, excluded, or not sent any more.
        computed: Regions (a case outlined by one observer) whose features would be computed.
        reused: Regions whose features stay.
        dropped: Rows of features that would go.
    """

    read: int = 0
    kept: int = 0
    removed: int = 0
    computed: int = 0
    reused: int = 0
    dropped: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would do.

    Args:
        centers: By role and center.
        columns_added: Feature columns that would be new.
        columns_dropped: Feature columns that would go.
        feature_set: The pinned version, and the installed one where it differs.
        minutes: How long reading and computing would take, from the costs of earlier runs here; none when not known.
        disk_mb: How much more disk cases and features would take.
        notes: What else a person should know.
    """

    centers: dict[str, dict[str, CenterPlan]] = field(default_factory=dict)
    columns_added: list[str] = field(default_factory=list)
    columns_dropped: list[str] = field(default_factory=list)
    feature_set: str = ""
    minutes: float | None = None
    disk_mb: float = 0.0
    notes: list[str] = field(default_factory=list)

    def total(self, name: str) -> int:
        """Returns a count over all centers."""
        return sum(getattr(center, name) for own in self.centers.values() for center in own.values())

    def plain(self) -> dict[str, object]:
        """Returns the plan as JSON types."""
        return asdict(self)


def plan(workspace: Workspace, params: Params, progress: Progress | None = None) -> Plan:
    """Returns what `radmill run` would do to cases and features.

    Raises:
        InputError: What the run itself would stop at: a folder, a key, a clinical table, a rule.
    """
    recipe = _recipe(workspace, params)
    found = {str(role): _of_role(workspace, params, role, recipe, progress or Silent()) for role in ROLES}
    added, dropped = _columns(workspace, recipe)
    whole = Plan(centers=found, columns_added=added, columns_dropped=dropped)
    pinned = params.radmill.feature_set
    notes = [] if pinned == FEATURE_SET else [f"{FEATURE_SET} is installed: the run stops until `radmill upgrade`"]
    return replace(
        whole,
        feature_set=pinned,
        minutes=_minutes(workspace, whole),
        disk_mb=_disk_mb(workspace, whole),
        notes=notes,
    )


def _recipe(workspace: Workspace, params: Params) -> Recipe:
    settings = settings_by_phase(params.extraction, list(params.phases), workspace.root)
    by_phase = {phase: stored_settings(one) for phase, one in settings.items()}
    return Recipe(by_phase=by_phase, engine=params.extraction.engine, feature_set=params.radmill.feature_set)


def _of_role(
    workspace: Workspace, params: Params, role: Role, recipe: Recipe, progress: Progress
) -> dict[str, CenterPlan]:
    places, centers = study_places(workspace, params, role), image_centers(workspace, params, role)
    if centers and not has_raw(workspace, places):
        return {}
    places.check_folders()
    rules = params.case_rules()
    if centers:
        check_rules(rules.cohort, rules.ingest.clinical)
    rejected = read_rejected(places.rejected)
    plans = {}
    with _scratch(workspace, places, centers) as (scratch, sections):
        write_intake(scratch, list_centers(scratch, sections, progress))
        for center, section in sections.items():
            data = read_center(scratch, center, section, rules, rejected)
            assert data is not None, "only a center that is waited for has no data, and nothing is waited for here"
            jobs = center_jobs(scratch, data)
            known = center_tables(data, [job for job in jobs if not _is_due(job)]).cases
            plans[center] = _of_center(workspace, role, center, jobs, known, recipe)
    gone = set(centers_of(workspace.view(role, "cases"))) - set(centers)
    return {**plans, **{center: _of_gone(workspace, role, center) for center in sorted(gone)}}


@contextmanager
def _scratch(
    workspace: Workspace, places: IngestPlaces, centers: Mapping[str, Center]
) -> Iterator[tuple[IngestPlaces, dict[str, Center]]]:
    """Yields places whose intake and keys are thrown away afterwards; a center without a key gets one for the while."""
    workspace.private.mkdir(exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=workspace.private, prefix=".plan-") as folder:
        keys = Path(folder) / "keys"
        sections = {}
        for center, section in centers.items():
            own = key_path(places.keys, center)
            if section.key_id is None and not own.exists():
                sections[center] = section.model_copy(update={"key_id": key_id(create_key(keys, center))})
                continue
            if own.exists():
                keys.mkdir(exist_ok=True)
                shutil.copy2(own, key_path(keys, center))
            sections[center] = section
        yield replace(places, keys=keys, intake=Path(folder) / "intake"), sections


def _is_due(job: Job) -> bool:
    return bool(job.source) and job.part is None


def _of_center(
    workspace: Workspace, role: Role, center: str, jobs: list[Job], known: list[dict[str, object]], recipe: Recipe
) -> CenterPlan:
    due = [job for job in jobs if _is_due(job)]
    regions = [Region.of_row(row) for row in known if row["phase"] in recipe.by_phase]
    marks = {region: recipe.fingerprint(region) for region in regions}
    reused = 0
    for table in (RADIOMICS, OBSERVERS):
        own = {region: mark for region, mark in marks.items() if region.is_primary == (table == RADIOMICS)}
        reused += len(kept_features(workspace.features(role, table), center, recipe, own))
    before = _stored(workspace, role, center)
    after = {(str(row["case_id"]), str(row["phase"]), str(row["roi"])) for row in known}
    expected = after | {(job.case_id, job.unit.phase, job.unit.roi) for job in due}
    new = sum(_observers(job) for job in due)
    rows = _feature_rows(workspace, role, center)
    again = [row for row in rows if row in {(job.case_id, job.unit.phase, job.unit.roi) for job in due}]
    staying = len([row for row in rows if row in expected])
    return CenterPlan(
        read=len(due),
        kept=len(after),
        removed=len(before - expected),
        computed=len(regions) - reused + max(new, len(again)),
        reused=reused,
        dropped=len(rows) - staying,
    )


def _of_gone(workspace: Workspace, role: Role, center: str) -> CenterPlan:
    n_rows = len(_feature_rows(workspace, role, center))
    return CenterPlan(removed=len(_stored(workspace, role, center)), dropped=n_rows)


def _observers(job: Job) -> int:
    """Returns how many outlines were sent with a case."""
    return max(len({mask.observer for image in job.unit.images for mask in image.masks}), 1)


def _stored(workspace: Workspace, role: Role, center: str) -> set[CaseName]:
    return set(_names(workspace.view(role, "cases"), center))


def _feature_rows(workspace: Workspace, role: Role, center: str) -> list[CaseName]:
    return [name for t in (RADIOMICS, OBSERVERS) for name in _names(workspace.features(role, t), center)]


def _names(root: Path, center: str) -> list[CaseName]:
    rows = read_frame(root, centers=[center], columns=["case_id", "phase", "roi"])
    if not len(rows):
        return []
    return [(str(c), str(p), str(r)) for c, p, r in rows[["case_id", "phase", "roi"]].itertuples(index=False)]


def _columns(workspace: Workspace, recipe: Recipe) -> tuple[list[str], list[str]]:
    root = workspace.features("development", RADIOMICS)
    after = [column.name for column in columns_of_phases(recipe.by_phase.values())] if recipe.by_phase else []
    if not centers_of(root):
        return after, []
    before = [column.name for column in columns_of(read_schema(root), keys=(*KEY_COLUMNS, *BOOKKEEPING))]
    return [name for name in after if name not in set(before)], [name for name in before if name not in set(after)]


def _minutes(workspace: Workspace, whole: Plan) -> float | None:
    path = workspace.state / "costs.json"
    if not path.exists():
        return 0.0 if not whole.total("read") + whole.total("computed") else None
    costs: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    seconds = costs.get("ingest", 0.0) * whole.total("read") + costs.get("extract", 0.0) * whole.total("computed")
    return round(seconds / 60, 2)


def _disk_mb(workspace: Workspace, whole: Plan) -> float:
    """Returns the growth expected from what stored cases and rows take on average."""
    cases = [path.stat().st_size for role in ROLES for path in workspace.cases(role).rglob("*") if path.is_file()]
    n_cases = sum(len(read_frame(workspace.view(role, "cases"), columns=["case_id"])) for role in ROLES)
    rows = [p.stat().st_size for role in ROLES for p in workspace.features(role).rglob("*.parquet")]
    n_rows = whole.total("reused") + whole.total("dropped")
    a_case = sum(cases) / n_cases if n_cases else 0.0
    a_row = sum(rows) / n_rows if n_rows else 0.0
    more = whole.total("read") - whole.total("removed")
    return round((a_case * more + a_row * (whole.total("computed") - whole.total("dropped"))) / 1e6, 2)
