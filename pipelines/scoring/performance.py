"""How a package really does at a hospital, once labels are there; before, what its probabilities promise.

One file a hospital and package, made of nothing but scores, labels and the package's own figures: the same content
gives the same bytes. Labels are read here and never by scoring.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from featurestore.files import write_json
from featurestore.fingerprints import digest
from featurestore.history import append, read_history
from featurestore.schemas import Column, TableSchema
from pipelines.evaluation.calibration import flexible_curve
from pipelines.evaluation.estimates import Floats, Labels, z_value
from pipelines.evaluation.metrics import CohortPredictions, draws, judge, rounded
from pipelines.evaluation.utility import decision_curve, thresholds
from pipelines.scoring.expected import expected_performance

FORMAT = 1
CONFIDENCE = 0.95
SEED = 20240501
MOST_DRAWS, FEWEST_DRAWS, NUMBERS = 1000, 200, 4_000_000
"""Bootstrap draws: as many as this many numbers hold, within bounds."""
TREATED_FROM, TREATED_TO, STEP = 0.02, 0.8, 0.02
"""The decision curve's threshold probabilities."""
LABEL_REVERSED, LABEL_UNDECLARED = "label_reversed", "label_undeclared"
_IN_HISTORY = ("auc", "auc_low", "auc_high", "brier", "calibration_slope", "calibration_intercept", "observed_expected")

HISTORY = TableSchema(
    name="performance",
    keys=("center", "package", "made_from"),
    columns=(
        Column(name="sequence", kind="integer", description="1 for the first figures of the package at the hospital"),
        Column(name="n", kind="integer", description="labelled cases"),
        Column(name="events", kind="integer", description="of them with the outcome"),
        *(Column(name=name, kind="float", description=name.replace("_", " ")) for name in _IN_HISTORY),
        Column(name="expected_auc", kind="float", description="AUC that the probabilities alone promised"),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What is judged, and against what.

    Args:
        center: The hospital.
        package: The package's digest.
        model: The registered model.
        version: The registered version.
        thresholds: The package's operating points.
        internal: The package's own figures on patients it was not trained on: `cohort`, `auc`, `auc_low` and others.
        minimum: So many cases of each class must be there before any figure is given.
        expected_minimum: So many cases must be there before anything is promised without labels.
        has_drifted: Whether the drift alarm rings for the hospital.
    """

    center: str
    package: str
    model: str
    version: int
    thresholds: Mapping[str, float]
    internal: Mapping[str, Any] = field(default_factory=dict)
    minimum: int = 10
    expected_minimum: int = 30
    has_drifted: bool = False


def performance_path(root: Path, center: str, package: str) -> Path:
    """Returns the file of a hospital and a package."""
    return root / center / f"{package[:16]}.json"


def read_performance(root: Path, center: str, package: str) -> dict[str, Any] | None:
    """Returns what is known of a package's performance at a hospital; none before the first run."""
    path = performance_path(root, center, package)
    return json.loads(path.read_bytes()) if path.is_file() else None


def record_performance(
    root: Path,
    judged: Judged,
    scores: pd.DataFrame,
    labels: pd.DataFrame,
    left_out: Mapping[str, Collection[str]],
) -> dict[str, Any]:
    """Writes what is known now and returns it; nothing is computed or written while nothing changed.

    Args:
        root: `deployment/performance`.
        judged: The hospital, the package and its own figures.
        scores: The current scores of the hospital's cases under the package: case_id, inputs, probability.
        labels: `case_id` and `label` of those whose label is known.
        left_out: By reason, cases whose labels were used for something that the figures would flatter.
    """
    rows = scores.merge(labels, on="case_id", how="left").sort_values("case_id", ignore_index=True)
    mark = _made_from(judged, rows, left_out)
    known = read_performance(root, judged.center, judged.package)
    if known is not None and known["made_from"] == mark:
        return known
    content = {"made_from": mark, **_content(judged, rows, left_out)}
    content["history"] = _with_history(root, judged, content)
    content = rounded(content)
    write_json(performance_path(root, judged.center, judged.package), content)
    return content


def alarms_of(content: Mapping[str, Any], label: str) -> list[tuple[str, str]]:
    """Returns code and message of what a person must look at.

    Args:
        content: As `record_performance` returns it.
        label: How the label's column is called in `clinical.csv`.
    """
    metrics = content["metrics"] or {}
    high = metrics.get("auc_high")
    if high is None or high >= 0.5:
        return []
    told = (
        f"AUC {metrics['auc']:.2f} ({metrics['auc_low']:.2f} to {high:.2f}) on {content['n']} labelled cases: the "
        f"scores order them the wrong way round. Check first whether column {label!r} of clinical.csv is coded the "
        "other way round (which value means the outcome?), then whether its rows belong to these patients (sorted "
        "apart, shifted by a row), and only then whether the model fails here"
    )
    return [(LABEL_REVERSED, told)]


def _made_from(judged: Judged, rows: pd.DataFrame, left_out: Mapping[str, Collection[str]]) -> str:
    cases = rows[["case_id", "inputs", "label"]].astype(str).to_numpy().tolist()
    used = {reason: sorted(cases) for reason, cases in left_out.items()}
    return digest({"format": FORMAT, "judged": asdict(judged), "cases": cases, "left_out": used})


def _content(judged: Judged, rows: pd.DataFrame, left_out: Mapping[str, Collection[str]]) -> dict[str, Any]:
    used = {case for cases in left_out.values() for case in cases}
    labelled = rows.dropna(subset=["label"])
    own = labelled[~labelled["case_id"].isin(used)]
    y, p = own["label"].to_numpy(np.int8), own["probability"].to_numpy(np.float64)
    too_few = _too_few(y, judged.minimum)
    counted = {reason: int(labelled["case_id"].isin(list(cases)).sum()) for reason, cases in left_out.items()}
    metrics = None if too_few else _metrics(judged, own, y, p)
    everybody = rows["probability"].to_numpy(np.float64)
    expected = expected_performance(everybody, judged.expected_minimum, has_drifted=judged.has_drifted, seed=SEED)
    return {
        "center": judged.center,
        "package": judged.package,
        "model": judged.model,
        "version": judged.version,
        "scored": len(rows),
        "n": len(own),
        "events": int(y.sum()),
        "left_out": {reason: n for reason, n in counted.items() if n},
        "too_few": too_few,
        "metrics": metrics,
        "decision": None if too_few else _decision(y, p),
        "calibration": None if too_few else _calibration(y, p),
        "internal": dict(judged.internal),
        "difference": None if metrics is None else difference(metrics, judged.internal),
        "expected": expected.plain(),
    }


def _too_few(y: Labels, minimum: int) -> str:
    events = int(y.sum())
    if min(events, len(y) - events) >= max(minimum, 1):
        return ""
    return (
        f"{events} labelled cases with the outcome and {len(y) - events} without; "
        f"{max(minimum, 1)} of each are asked for"
    )


def _metrics(judged: Judged, own: pd.DataFrame, y: Labels, p: Floats) -> dict[str, Any]:
    predictions = CohortPredictions(
        model=judged.model,
        cohort=judged.center,
        center=np.full(len(own), judged.center),
        case_id=own["case_id"].to_numpy(np.str_),
        y=y.astype(np.int8),
        p=p,
        left_out={},
    )
    return judge(predictions, judged.thresholds, _counts(len(y)), CONFIDENCE)


def _counts(n: int) -> Floats:
    return draws("hospital", n, max(FEWEST_DRAWS, min(MOST_DRAWS, NUMBERS // max(n, 1))), SEED)


def _decision(y: Labels, p: Floats) -> dict[str, list[float]]:
    curve = decision_curve(y, p, thresholds(TREATED_FROM, TREATED_TO, STEP), _counts(len(y)), CONFIDENCE)
    return {name: np.asarray(values).tolist() for name, values in vars(curve).items()}


def _calibration(y: Labels, p: Floats) -> dict[str, list[float | None]] | None:
    curve = flexible_curve(y, p, _counts(len(y)), CONFIDENCE, n_points=21)
    if curve is None:
        return None
    return {
        name: [None if value != value else value for value in np.asarray(values).tolist()]
        for name, values in vars(curve).items()
    }


def difference(metrics: Mapping[str, Any], internal: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the area here less the package's own, on different patients, with interval and p-value; none without one.

    The variance of each area is read off its DeLong interval, whose lower end is not cut as the upper may be.

    Source: Hanley and McNeil 1982, Radiology 143:29, independent samples.
    """
    own, other = _error(metrics), _error(internal)
    if own is None or other is None:
        return None
    gap, error = own[0] - other[0], float(np.hypot(own[1], other[1]))
    half = z_value(CONFIDENCE) * error
    p_value = float(2 * ndtr(-abs(gap) / error))
    cohort = str(internal.get("cohort", "internal"))
    return {"against": cohort, "auc": gap, "auc_low": gap - half, "auc_high": gap + half, "p_value": p_value}


def _error(block: Mapping[str, Any]) -> tuple[float, float] | None:
    area, low = block.get("auc"), block.get("auc_low")
    if area is None or low is None or not 0 < low < area:
        return None
    return float(area), float(area - low) / z_value(CONFIDENCE)


def _with_history(root: Path, judged: Judged, content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the package's figures at the hospital over time, these the last; a hospital without figures adds none."""
    folder = root / "history"
    history = read_history(folder, HISTORY, judged.center)
    own = history[history["package"] == judged.package].sort_values("sequence")
    metrics = content["metrics"]
    if metrics is not None and (own.empty or own.iloc[-1]["made_from"] != content["made_from"]):
        row = {
            "center": judged.center,
            "package": judged.package,
            "sequence": len(own) + 1,
            **{name: content[name] for name in ("made_from", "n", "events")},
            **{name: metrics[name] for name in _IN_HISTORY},
            "expected_auc": content["expected"]["auc"],
        }
        append(folder, judged.center, [row], HISTORY)
        own = pd.concat([own, pd.DataFrame([row])]) if len(own) else pd.DataFrame([row])
    shown = own.drop(columns=["center", "package"]).to_dict("records")
    return [{str(key): None if value != value else value for key, value in row.items()} for row in shown]
