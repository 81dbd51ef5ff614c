"""After scoring: looks whether a hospital's cases still come from where development's came from, and rings if not."""

from collections.abc import Sequence
from dataclasses import replace

from pipelines.scoring.drift import Seen, record_looks
from pipelines.scoring.in_force import problem_of
from pipelines.scoring.results import Alarm, CenterResult
from pipelines.scoring.scorer import Scorer

UNSEEN = "looks_failed"


def watch(champion: Scorer, shadow: Sequence[Scorer], results: Sequence[CenterResult]) -> list[CenterResult]:
    """Makes the looks that are due and returns the results with what rings; whatever goes wrong, scores are written.

    Args:
        champion: The champion's scorer, whose alarms are told.
        shadow: Those of the versions in its shadow, whose looks are kept for pages.
        results: What scoring did for each hospital.
    """
    told = [replace(result, alarms=(*result.alarms, *_alarms(champion, result))) for result in results]
    for scorer in shadow:
        for result in told:
            _alarms(scorer, result)
    return told


def _alarms(scorer: Scorer, result: CenterResult) -> tuple[Alarm, ...]:
    if result.problem:
        return ()
    center = result.center
    seen = Seen(
        center=center,
        package=scorer.package,
        rows=lambda: scorer.patients(center),
        history=scorer.history(center),
        inputs=scorer.inputs,
    )
    try:
        return record_looks(scorer.deployment.drift, seen, scorer.scoring.drift.alpha)
    except Exception as error:  # scores are written, and a later run makes the look
        return (Alarm(center=center, code=UNSEEN, message=problem_of(error)),)
