"""Scores the cases of new hospitals: the same ingest and extraction as the study's, under the packages' own settings.

A second run writes nothing; a hospital that cannot be read does not hold up the others; a run that died is taken up.
The champion goes through all hospitals first, so that nothing that happens in its shadow can reach it.
"""

import time
from dataclasses import replace

from pipelines.params import load_operation
from pipelines.params.operation import ScoringSection
from pipelines.runner import Progress, Runner, Silent
from pipelines.scoring.drifting import watch
from pipelines.scoring.following import follow
from pipelines.scoring.in_force import Force, InForce, absence, problem_of, versions_in_force
from pipelines.scoring.places import Deployment, check_center_name
from pipelines.scoring.results import CenterResult, Counts, ScoreSummary, ShadowResult
from pipelines.scoring.scorer import RunMemory, Scorer, list_keeper
from pipelines.scoring.shadow import ShadowComparison, shadow_comparison
from pipelines.scoring.table import doubt_told, write_table
from pipelines.workspace import Workspace
from registry.lifecycle import Registry


def score(
    workspace: Workspace, scoring: ScoringSection, runner: Runner, progress: Progress | None = None
) -> ScoreSummary:
    """Scores every due case of every hospital in `incoming` with the versions in force.

    Raises:
        NoChampionError: No version was promoted.
        ForeignFeaturesError: The champion needs columns that nobody makes of a new hospital's files.
        PackageAbsentError: The champion's package is not on this machine.
        OtherFeatureSetError: The installed version computes other values than the champion was made with.
    """
    registry, deployment = Registry(workspace.root), Deployment(workspace)
    force, events = versions_in_force(registry), tuple(registry.events())
    withdrawn = tuple(load_operation(workspace.params).cohort.withdrawn)

    memory = RunMemory()

    def scorer(own: InForce) -> Scorer:
        keeps = list_keeper(force.champion, own)
        return Scorer(deployment, own, runner, progress or Silent(), scoring, withdrawn, events, keeps, memory)

    champion = scorer(force.champion)
    results = [score_center(champion, center) for center in deployment.hospitals()]
    beside = [scorer(own) for own in force.shadow]
    for own in beside:
        results = [_with_shadow(own, force.champion, result) for result in results]
    results = doubt_told(champion, follow(registry, champion, beside, watch(champion, beside, results)))
    return ScoreSummary(
        model=force.champion.version.model,
        version=force.champion.version.number,
        centers=tuple(results),
        notes=_notes(force, results),
    )


def score_center(scorer: Scorer, center: str) -> CenterResult:
    """Scores one hospital's due cases with the champion and writes its table; a fault stays the hospital's own."""
    began = time.monotonic()
    try:
        check_center_name(center)
        scorer.take_in(center)
        counts = scorer.score(center)
        write_table(scorer, center)
    except Exception as error:  # whatever one hospital's files do to the code, the others have their scores
        return CenterResult(center=center, problem=problem_of(error))
    return CenterResult(center=center, duration_s=time.monotonic() - began, **vars(counts))


def _with_shadow(scorer: Scorer, champion: InForce, result: CenterResult) -> CenterResult:
    """Adds what a version in the champion's shadow makes of the same files."""
    if result.problem:
        return result
    version, role = scorer.force.version, scorer.force.role
    counts, problem, beside = Counts(), "", ShadowComparison(n=0)
    try:
        counts = scorer.score(result.center)
        history = scorer.history(result.center)
        beside = shadow_comparison(history, champion.package.digest, scorer.package.digest)
    except Exception as error:  # nothing in the shadow may reach the champion's results
        problem = problem_of(error)
    found = ShadowResult(
        version=version.number, model=version.model, role=role, problem=problem, beside=beside, **vars(counts)
    )
    return replace(result, shadow=(*result.shadow, found))


def _notes(force: Force, results: list[CenterResult]) -> tuple[str, ...]:
    told = list(force.notes)
    for own in force.shadow:
        for result in results:
            told += [
                f"{absence(own.role, own.version, shadow.problem)} (center {result.center})"
                for shadow in result.shadow
                if shadow.problem and shadow.version == own.version.number
            ]
    return tuple(told)
