"""All that is known of a hospital's drift under one package, as plain tables for a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.evaluation.estimates import wilson
from pipelines.scoring.drift_explained import family_and_image
from pipelines.scoring.drift_history import read_cases, read_looks, read_moved, read_shifts, unpacked
from pipelines.scoring.drift_looks import FEWEST, next_look
from pipelines.scoring.drift_message import alarm_message, explained_share
from pipelines.scoring.drift_statistics import MISSING
from pipelines.scoring.drift_variables import FEATURES, SCORES, variables
from pipelines.scoring.places import Deployment
from registry.package import ModelPackage
from registry.reference import reference_of

TOO_FEW, UNKNOWN, NONE_SEEN, SEEN = "too_few", "no_reference", "none_seen", "drift"
CONFIDENCE = 0.95
STRONGEST = 6
"""So many features have their curves drawn."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DriftReport:
    """What a page shows of drift.

    Args:
        state: too_few, no_reference, none_seen or drift.
        message: The same in words.
        n: Cases that have had a score.
        next_look: After how many cases it is looked again.
        looks: A row a look and family: look, family, tested, moved, strongest, p_value, limit, rings.
        moved: The features, components and scores that the last look measured, the strongest first, with their
            family and image type in words; `moved` says which are told as moved.
        groups: By family of features and image type: features, moved, and the mean score with these put back.
        shift: Mean scores, their difference, its standard error, and the share that moved features explain.
        curves: For the strongest features and the score: name, source (development or hospital), value, share below.
        prevalence: A row for development and the hospital: n, positive, share, low, high.
        acquisition: By phase and property: development's range or values, the hospital's, cases, and how many of
            them lie outside.
    """

    state: str
    message: str
    n: int
    next_look: int
    looks: pd.DataFrame
    moved: pd.DataFrame
    groups: pd.DataFrame
    shift: Mapping[str, float | None]
    curves: pd.DataFrame
    prevalence: pd.DataFrame
    acquisition: pd.DataFrame


def drift_report(
    deployment: Deployment, center: str, package: ModelPackage, scores: pd.DataFrame, images: pd.DataFrame | None = None
) -> DriftReport:
    """Returns what is known of a hospital's drift.

    Args:
        deployment: The folders.
        center: The hospital.
        package: The package.
        scores: Its current scores under the package: `probability`, `threshold`, `positive`.
        images: A row an image, with `phase` and the properties that the package's `acquisition` names, as
            `pipelines.training.acquisitions.image_facts` returns them; without it the table is empty.
    """
    root, digest = deployment.drift, package.digest
    cases, looks = read_cases(root, center, digest), read_looks(root, center, digest)
    moved, shifts = read_moved(root, center, digest), read_shifts(root, center, digest)
    state, message = _state(package, len(cases), looks, alarm_message(root, center, digest))
    return DriftReport(
        state=state,
        message=message,
        n=len(cases),
        next_look=next_look(len(cases)),
        looks=looks.drop(columns=["center", "package", "look", "alpha"]),
        moved=_named(_last(moved)),
        groups=_last(shifts).drop(columns=["center", "package", "look"]),
        shift=_shift(_last(shifts)),
        curves=_curves(package, cases, _last(moved)),
        prevalence=_prevalence(package, scores),
        acquisition=acquisition_shift(package, images) if images is not None else pd.DataFrame(),
    )


def acquisition_shift(package: ModelPackage, images: pd.DataFrame) -> pd.DataFrame:
    """Returns, by phase and property, what development's images had and what the hospital's have.

    Args:
        package: The package.
        images: A row an image: `phase` and the properties.
    """
    reference = reference_of(package)
    rows: list[dict[str, object]] = []
    for phase, told in (reference.acquisition if reference else {}).items():
        own = images[images["phase"] == phase]
        for name, before in told["numbers"].items():
            if name in own:
                rows.append({"phase": phase, "property": name, **_numbers(before, own[name].to_numpy(np.float64))})
        for name, levels in told["categories"].items():
            if name in own:
                rows.append({"phase": phase, "property": name, **_levels(levels, own[name].fillna("").astype(str))})
    return pd.DataFrame(rows, columns=["phase", "property", "development", "hospital", "n", "outside"])


def _numbers(before: list[float], values: NDArray[np.float64]) -> dict[str, object]:
    known = values[np.isfinite(values)]
    outside = int(((known < before[0]) | (known > before[-1])).sum()) if before else len(known)
    return {"development": _range(np.array(before)), "hospital": _range(known), "n": len(known), "outside": outside}


def _range(values: NDArray[np.float64]) -> str:
    if not len(values):
        return "not told"
    low, middle, high = (f"{value:.4g}" for value in (values.min(), np.median(values), values.max()))
    return low if low == high else f"{low} to {high}, median {middle}"


def _levels(before: Mapping[str, int], values: pd.Series) -> dict[str, object]:
    told = values[values != ""]
    return {
        "development": _counted({k: n for k, n in before.items() if k}),
        "hospital": _counted({str(k): int(n) for k, n in told.value_counts().items()}),
        "n": len(told),
        "outside": int((~told.isin(list(before))).sum()),
    }


def _counted(counts: Mapping[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} ({n})" for name, n in most) or "not told"


def _state(package: ModelPackage, n: int, looks: pd.DataFrame, alarm: str) -> tuple[str, str]:
    if not variables(package):
        return UNKNOWN, "the package remembers nothing of its development patients; train it anew to have drift told"
    if alarm:
        return SEEN, alarm
    if looks.empty:
        return TOO_FEW, f"too few to tell: {n} of the {FEWEST} cases that the first look needs"
    return NONE_SEEN, f"no drift seen at {int(looks['n'].max())} cases; the next look is at {next_look(n)}"


def _last(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["look"] == rows["look"].max()].reset_index(drop=True)


def _named(moved: pd.DataFrame) -> pd.DataFrame:
    words = [family_and_image(name) if family == FEATURES else ("", "") for family, name in _pairs(moved)]
    told = moved.drop(columns=["center", "package", "look"])
    return told.assign(of_family=[one for one, _ in words], of_image=[one for _, one in words])


def _pairs(moved: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(moved["family"].astype(str), moved["name"].astype(str), strict=True))


def _shift(shifts: pd.DataFrame) -> dict[str, float | None]:
    if shifts.empty:
        return {}
    row = shifts[shifts["kind"] == "all"].iloc[0]
    return {
        "mean_before": float(row["mean_before"]),
        "mean": float(row["mean"]),
        "difference": float(row["mean"]) - float(row["mean_before"]),
        "standard_error": float(row["standard_error"]),
        "explained": explained_share(row),
    }


def _curves(package: ModelPackage, cases: pd.DataFrame, moved: pd.DataFrame) -> pd.DataFrame:
    """Returns distribution functions at development's kept values: what places are enough for."""
    found = variables(package)
    features = [name for family, name in _pairs(moved) if family == FEATURES][:STRONGEST]
    wanted = [i for i, one in enumerate(found) if one.family == SCORES or one.name in features]
    tables = []
    places = unpacked(cases["places"].tolist(), len(found)) if len(cases) else np.empty((0, len(found)), np.uint16)
    for number in wanted:
        scale, own = found[number].scale, places[:, number]
        own = np.sort(own[own != MISSING])
        at = np.arange(len(scale.values)) * 2 + 1
        share = np.searchsorted(own, at, "right") / max(len(own), 1)
        common = {"family": found[number].family, "name": found[number].name, "value": scale.values}
        tables.append(pd.DataFrame({**common, "source": "development", "share": (scale.low + scale.high) / 2}))
        if len(own):
            tables.append(pd.DataFrame({**common, "source": "hospital", "share": share}))
    columns = ["family", "name", "value", "source", "share"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def _prevalence(package: ModelPackage, scores: pd.DataFrame) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    reference = reference_of(package)
    if reference is not None and len(reference.scores) and len(scores):
        threshold = float(scores["threshold"].iloc[-1])
        told = reference.held_out
        n = int(told.get("negative", 0)) + int(told.get("positive", 0)) or len(reference.scores)
        share = float((reference.scores >= threshold).mean())
        rows.append({"source": "development", **_share(round(share * n), n)})
    rows.append({"source": "hospital", **_share(int(scores["positive"].sum()), len(scores))})
    return pd.DataFrame(rows)


def _share(positive: int, n: int) -> dict[str, Any]:
    found = wilson(positive, n, CONFIDENCE)
    return {"n": n, "positive": positive, "share": found.value, "low": found.low, "high": found.high}
