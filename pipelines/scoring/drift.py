"""Drift of a hospital: each look is made once, when its last case has its first score, and kept.

Called at the end of a hospital's scoring, by any version in force: first the new cases are put down in the order in
which they came, then the looks that have become due are made. A run that died in between is taken up by the next.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.models.predicting import CaseInputs
from pipelines.scoring.drift_explained import ALL, can_explain, explained
from pipelines.scoring.drift_history import (
    add,
    look_name,
    packed,
    read_cases,
    read_looks,
    unpacked,
)
from pipelines.scoring.drift_looks import LookVerdict, directions, look, looks_due
from pipelines.scoring.drift_message import CODE, alarm_message
from pipelines.scoring.drift_statistics import Codes, codes
from pipelines.scoring.drift_variables import FEATURES, SCORE, SCORES, Variable, values, variables
from pipelines.scoring.results import Alarm
from pipelines.scoring.scorer import UNHARMONIZED
from registry.package import ModelPackage

Floats = NDArray[np.float64]

NEAREST = 20
"""So many variables of a family are told at each look though they did not move."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """A hospital's cases under one package.

    Args:
        center: The hospital.
        package: The package.
        rows: Returns its patients as they are now: `center`, `case_id`, `inputs` and the package's features.
        history: Its scores, all packages' or the package's own.
        inputs: Returns what prediction needs of some of the rows.
    """

    center: str
    package: ModelPackage
    rows: Callable[[], pd.DataFrame]
    history: pd.DataFrame
    inputs: Callable[[pd.DataFrame], CaseInputs]


def record_looks(root: Path, seen: Seen, alpha: float) -> tuple[Alarm, ...]:
    """Puts down new cases and makes the looks that are due; returns the hospital's alarm, new or old, if there is one.

    Args:
        root: `deployment/drift`.
        seen: The hospital's cases.
        alpha: The error allowed over all looks.
    """
    found = variables(seen.package)
    if not found:
        return ()
    cases = _put_down(root, seen, read_cases(root, seen.center, seen.package.digest))
    known = read_looks(root, seen.center, seen.package.digest)
    due = [n for n in looks_due(len(cases)) if n not in set(known["n"])]
    if due:
        places = unpacked(cases["places"].tolist(), len(found))
        for n in due:
            _make(root, seen, found, look(found, places, n, alpha), cases.iloc[:n], alpha)
    message = alarm_message(root, seen.center, seen.package.digest)
    return (Alarm(center=seen.center, code=CODE, message=message),) if message else ()


def first_scores(history: pd.DataFrame, package: str) -> pd.DataFrame:
    """Returns each case's first score under the package; of a model that harmonizes the first harmonized one."""
    own = history[(history["package"] == package) & ~history["inputs"].str.startswith(UNHARMONIZED)]
    return own.sort_values("sequence", kind="stable").drop_duplicates("case_id")


def _put_down(root: Path, seen: Seen, cases: pd.DataFrame) -> pd.DataFrame:
    """Adds the cases that are new, in the order of their pseudonyms, after those that came in earlier runs."""
    first = first_scores(seen.history, seen.package.digest)[["case_id", "inputs", "probability"]]
    first = first[~first["case_id"].isin(cases["case_id"])]
    if first.empty:
        return cases
    fresh = seen.rows().drop(columns="inputs").merge(first, on="case_id").sort_values("case_id", ignore_index=True)
    if fresh.empty:
        return cases
    places = coded(seen.package, seen.inputs(fresh), fresh["probability"].to_numpy(np.float64))
    last = int(cases["position"].max()) if len(cases) else 0
    rows = fresh[["center", "case_id", "inputs", "probability"]].assign(
        package=seen.package.digest, position=np.arange(len(fresh)) + last + 1, places=packed(places)
    )
    add(root, "cases", seen.center, rows.to_dict("records"))
    return pd.concat([cases, rows[list(cases)]], ignore_index=True) if len(cases) else rows


def coded(package: ModelPackage, inputs: CaseInputs, scores: Floats) -> Codes:
    """Returns the cases' places among development's patients, shape (n, v)."""
    return codes([one.scale for one in variables(package)], values(package, inputs, scores))


def _make(
    root: Path, seen: Seen, found: Sequence[Variable], verdict: LookVerdict, cases: pd.DataFrame, alpha: float
) -> None:
    """Writes what a look found; its verdict last, so that a run that dies before makes the look again."""
    key = {"center": seen.center, "package": seen.package.digest, "look": look_name(verdict.n)}
    add(root, "moved", seen.center, [{**key, **row} for row in _moved_rows(found, verdict)])
    if verdict.rings:
        add(root, "shifts", seen.center, [key | row for row in _shift_rows(seen, found, verdict, cases)])
    rows = [key | {"n": verdict.n, "alpha": alpha} | vars(one) for one in verdict.families]
    add(root, "looks", seen.center, rows)


def _moved_rows(found: Sequence[Variable], verdict: LookVerdict) -> list[dict[Hashable, object]]:
    measured = verdict.moves
    table = pd.DataFrame(
        {
            "family": [one.family for one in found],
            "name": [one.name for one in found],
            "n": measured.n,
            "distance": measured.distance,
            "p_value": measured.p_value,
            "adjusted": verdict.adjusted,
            "moved": verdict.moved,
            "direction": directions(measured),
            "delta": measured.delta,
            "median": measured.median,
            "median_before": measured.before,
        }
    ).sort_values(["family", "p_value", "name"], kind="stable")
    is_near = table.groupby("family").cumcount() < NEAREST
    return table[table["moved"] | is_near].to_dict("records")


def _shift_rows(
    seen: Seen, found: Sequence[Variable], verdict: LookVerdict, cases: pd.DataFrame
) -> list[dict[str, object]]:
    """Returns the shift of mean scores, and what putting moved features back does to it."""
    scale = next((one.scale for one in found if one.family == SCORES and one.name == SCORE), None)
    scores = cases["probability"].to_numpy(np.float64)
    if scale is None:
        return []
    kept = scale.values
    weights = np.diff(np.append(0.0, (scale.low + scale.high) / 2))
    before = float(np.average(kept, weights=weights))
    spread = float(np.average((kept - before) ** 2, weights=weights)) / scale.n + scores.var() / len(scores)
    common: dict[str, object] = {"mean_before": before, "standard_error": float(np.sqrt(spread))}
    scales = {one.name: one.scale for one in found if one.family == FEATURES}
    moved = {one.name for one, is_moved in zip(found, verdict.moved, strict=True) if is_moved} & set(scales)
    rows = seen.rows().merge(cases[["case_id", "inputs"]], on=["case_id", "inputs"])  # as they were at first
    whole = {"group": ALL, "kind": ALL, "moved": len(moved), "features": len(scales)}
    if not can_explain(seen.package) or not moved or rows.empty:
        return [common | whole | {"mean": float(scores.mean()), "mean_without": None}]
    mean, told = explained(seen.package, rows, scales, moved)
    return [common | {"mean": mean} | vars(one) for one in told]
