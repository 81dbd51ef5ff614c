"""What a hospital that keeps its patients tells the coordinating study: counts and figures, never a row.

Counts below `SMALLEST`, and figures from which one could be told, are left out. The study reads the file with every key
checked, and only for a package that its ledger knows.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from featurestore.errors import InputError
from featurestore.files import write_json
from pipelines.evaluation.metrics import rounded
from pipelines.params.base import Name
from pipelines.record import FEATURE_SET, installed
from pipelines.scoring.drift_history import read_looks, read_moved
from pipelines.scoring.places import Deployment, check_center_name
from pipelines.workspace import Workspace
from registry.lifecycle import Registry
from registry.package import ModelPackage

SMALLEST = 5
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
MINIMUM_QUANTILES = 20
"""With fewer cases a quantile is nearly somebody's score."""
GROUP = 20
"""So many cases a group of the calibration table has at least."""
MAX_BYTES = 1 << 20
_FIGURES = ("auc", "brier", "calibration_slope", "calibration_intercept", "observed_expected")
_ENDS = ("", "_low", "_high")
_MOVED = ("family", "name", "direction", "distance", "adjusted", "delta")


class SummaryUnreadableError(InputError):
    """The file is no summary of a hospital."""

    default_remedy = "have the hospital write it again: `radmill score --package … --summary FILE`"


class SummaryPackageError(InputError):
    """The summary is about a package that this study does not know."""

    default_remedy = "read it in the study whose ledger has the package; `radmill models` lists this one's"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Group(_Strict):
    """A group of cases by probability; what is too small to tell is absent."""

    n: int = Field(ge=SMALLEST)
    predicted: float = Field(ge=0, le=1)
    observed: float | None = Field(default=None, ge=0, le=1)


class Point(_Strict):
    """An operating point; shares that a small count could be told from are absent."""

    threshold: float = Field(ge=0, le=1)
    sensitivity: float | None = None
    sensitivity_low: float | None = None
    sensitivity_high: float | None = None
    specificity: float | None = None
    specificity_low: float | None = None
    specificity_high: float | None = None


class Look(_Strict):
    """What the last look at the hospital's cases found in a family of variables."""

    family: str = Field(max_length=40)
    n: int
    moved: int
    tested: int
    p_value: float
    limit: float
    rings: bool


class Moved(_Strict):
    """A variable that moved."""

    family: str = Field(max_length=40)
    name: str = Field(max_length=200)
    direction: str = Field(max_length=20)
    distance: float
    adjusted: float
    delta: float


class CenterSummary(_Strict):
    """All that a hospital tells.

    Args:
        format: The version of this form.
        package: The package's digest.
        release: The radmill that scored.
        feature_set: What it computes features as.
        scored: Cases with a score.
        positive: Of them at or above the threshold.
        refused: Cases without one, by reason code; a small count is absent.
        scores: Quantiles of the probabilities.
        expected: What the probabilities promise.
        labelled: Cases with a label.
        events: Of them with the outcome.
        performance: Figures with intervals, once there are enough labels.
        at: What the operating points do.
        calibration: Groups of cases by probability.
        drift: The last look at the hospital's cases.
        moved: What moved then.
    """

    format: Literal[1] = 1
    package: str = Field(pattern=r"^[0-9a-f]{64}$")
    release: str = Field(max_length=40)
    feature_set: str = Field(max_length=40)
    scored: int | None = Field(default=None, ge=SMALLEST)
    positive: int | None = Field(default=None, ge=SMALLEST)
    refused: dict[Name, int | None] = {}
    scores: dict[str, float] = {}
    expected: dict[str, float | str | int | None] = {}
    labelled: int | None = Field(default=None, ge=SMALLEST)
    events: int | None = Field(default=None, ge=SMALLEST)
    performance: dict[str, float | None] = {}
    at: dict[str, Point] = {}
    calibration: list[Group] = Field(default=[], max_length=10)
    drift: list[Look] = []
    moved: list[Moved] = Field(default=[], max_length=50)


def summarized_center(
    deployment: Deployment,
    center: str,
    package: ModelPackage,
    scores: pd.DataFrame,
    labels: pd.DataFrame,
    refused: Mapping[str, int],
    known: Mapping[str, Any] | None,
) -> CenterSummary:
    """Returns what may leave the hospital.

    Args:
        deployment: Where its looks lie.
        center: What the hospital is called there.
        package: The package that scored.
        scores: Its current scores.
        labels: `case_id` and `label` of those whose label is known.
        refused: Cases without a score, by reason code.
        known: What is known of performance; see `pipelines.scoring.performance`.
    """
    p = scores["probability"].to_numpy(np.float64)
    positive = int(scores["positive"].sum())
    told = len(p) - positive >= SMALLEST  # one count tells the other
    content = known or {}
    metrics = content.get("metrics") or {}
    if metrics and min(content["events"], content["n"] - content["events"]) < SMALLEST:
        metrics = {}
    return CenterSummary(
        package=package.digest,
        release=installed("radmill")["radmill"],
        feature_set=FEATURE_SET,
        scored=_large(len(p)),
        positive=_large(positive) if told else None,
        refused={code: _large(n) for code, n in sorted(refused.items())},
        scores=_quantiles(p),
        expected=rounded(content.get("expected") or {}) if len(p) >= SMALLEST else {},
        labelled=_large(int(content.get("n", 0))),
        events=_large(int(content.get("events", 0))) if metrics else None,
        performance=rounded({f"{name}{end}": metrics.get(f"{name}{end}") for name in _FIGURES for end in _ENDS})
        if metrics
        else {},
        at={name: _point(one) for name, one in (metrics.get("at") or {}).items()},
        calibration=_groups(scores.merge(labels, on="case_id")) if metrics else [],
        **_drift(deployment, center, package),
    )


def read_summary(workspace: Workspace, path: Path, center: str) -> CenterSummary:
    """Checks a hospital's summary and keeps it for the study's pages; one that was there is replaced.

    Args:
        workspace: The study.
        path: The file.
        center: What the study calls the hospital.

    Raises:
        SummaryUnreadableError: It is no summary, or one of another form.
        SummaryPackageError: The study's ledger has no such package.
    """
    check_center_name(center)
    if path.stat().st_size > MAX_BYTES:
        raise SummaryUnreadableError(f"is larger than {MAX_BYTES >> 20} MiB", where="the summary")
    try:
        found = CenterSummary.model_validate(json.loads(path.read_bytes()))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise SummaryUnreadableError(f"{place}: {first['msg']}", where="the summary") from error
    except (ValueError, RecursionError) as error:
        raise SummaryUnreadableError("is no JSON", where="the summary") from error
    known = Registry(workspace.root).state().versions
    if found.package not in known:
        raise SummaryPackageError(f"no version has the package {found.package[:12]}", where="the summary")
    deployment = Deployment(workspace)
    write_json(deployment.summaries / f"{center}.json", found.model_dump(mode="json"))
    return found


def write_summary(path: Path, told: CenterSummary) -> None:
    """Writes the file that leaves the hospital."""
    write_json(path, told.model_dump(mode="json"))


def _large(n: int) -> int | None:
    return n if n >= SMALLEST else None


def _quantiles(p: Any) -> dict[str, float]:
    if len(p) < MINIMUM_QUANTILES:
        return {}
    return {f"{q:g}": round(float(value), 3) for q, value in zip(QUANTILES, np.quantile(p, QUANTILES), strict=True)}


def _point(one: Mapping[str, Any]) -> Point:
    shares = {"sensitivity": ("tp", "fn"), "specificity": ("tn", "fp")}
    large = [name for name, (hit, missed) in shares.items() if min(one[hit], one[missed]) >= SMALLEST]
    told = {f"{name}{end}": one[f"{name}{end}"] for name in large for end in _ENDS}
    return Point(threshold=one["threshold"], **rounded(told))


def _groups(rows: pd.DataFrame) -> list[Group]:
    k = min(10, len(rows) // GROUP)
    if not k:
        return []
    ordered = rows.sort_values(["probability", "case_id"], ignore_index=True)
    found = []
    for part in np.array_split(ordered.index.to_numpy(), k):
        own = ordered.loc[part]
        events = int(own["label"].sum())
        observed = round(events / len(own), 3) if min(events, len(own) - events) >= SMALLEST else None
        found.append(Group(n=len(own), predicted=round(float(own["probability"].mean()), 3), observed=observed))
    return found


def _drift(deployment: Deployment, center: str, package: ModelPackage) -> dict[str, Any]:
    looks = read_looks(deployment.drift, center, package.digest)
    if looks.empty:
        return {}
    last = looks[looks["n"] == looks["n"].max()]
    moved = read_moved(deployment.drift, center, package.digest)
    own = moved[moved["look"].isin(last["look"]) & moved["moved"]].sort_values("p_value").head(50)
    rows = rounded(last[list(Look.model_fields)].to_dict("records"))
    return {"drift": rows, "moved": rounded(own[list(_MOVED)].to_dict("records"))}
