"""The hospital's table of scores, as its policy on doubt lets them be seen, and the alarm about all of its cases."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from featurestore.files import write_text
from featurestore.sheets import csv_frame
from pipelines.scoring.conformal import recalibrated
from pipelines.scoring.doubt import OTHER_ACQUISITION, OTHER_DATA, other_acquisition, other_data, shown
from pipelines.scoring.in_force import problem_of
from pipelines.scoring.results import Alarm, CenterResult
from pipelines.scoring.scorer import UNHARMONIZED, Scorer

NAME = "scores.csv"
NOT_SHOWN = ("inputs", "role", "distance", "doubts")
"""Columns of the history that the hospital's table leaves out: a champion's earlier scores may be of its time in
shadow, and doubt is told in words."""

DOUBT_UNTOLD = "doubt_untold"


def write_table(scorer: Scorer, center: str) -> None:
    """Writes the hospital's current scores as a table for people, if it changed."""
    path = scorer.deployment.center(center) / NAME
    text = csv_frame(table(scorer, center))
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def table(scorer: Scorer, center: str) -> pd.DataFrame:
    """Returns the hospital's current scores as they may be seen."""
    scores = scorer.own_scores(center)
    adapter = recalibrated(scorer.deployment.center(center), scorer.package.digest)
    told = shown(scores, scorer.package, scorer.scoring.doubt, adapter)
    flags = scores["inputs"].str.startswith(UNHARMONIZED).map({True: UNHARMONIZED.rstrip(":"), False: ""})
    seen = told[[name for name in told if name not in NOT_SHOWN]]
    return seen.assign(flag=flags) if flags.any() else seen


def doubt_told(scorer: Scorer, results: Sequence[CenterResult]) -> list[CenterResult]:
    """Rings where more than half of a hospital's cases are in doubt, and writes tables anew where labels changed them.

    Args:
        scorer: The champion's.
        results: What scoring did for each hospital, labels taken in.
    """
    return [result if result.problem else _told(scorer, result) for result in results]


def _told(scorer: Scorer, result: CenterResult) -> CenterResult:
    center, alpha = result.center, scorer.scoring.doubt.alpha
    try:
        write_table(scorer, center)
        scores = scorer.own_scores(center)
        told = {
            OTHER_DATA: other_data(scores, scorer.package, alpha),
            OTHER_ACQUISITION: other_acquisition(scores, scorer.package, alpha),
        }
    except Exception as error:  # scores are written; what is said of them may fail
        told = {DOUBT_UNTOLD: problem_of(error)}
    own = tuple(Alarm(center=center, code=code, message=message) for code, message in told.items() if message)
    return replace(result, alarms=(*result.alarms, *own))
