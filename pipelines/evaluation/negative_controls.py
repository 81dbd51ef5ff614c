"""Negative controls as rows: what the same search reaches on shuffled labels, and on shuffled voxels.

Shuffled labels hold nothing to be found. The mean area over shuffles must be near one half on every cohort; one that is
not, and is surely not, tells of a leak in the search or in how it is judged.
Shuffled voxels hold size, shape and histogram of a region and no texture. What the model reaches beyond such a control,
on the same patients, is what texture adds.

The searches were done by `radmill controls`, which sees no external patient. The labels of external patients are
shuffled here.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from featurestore.training_sets import INTERNAL, TRAINING
from pipelines.evaluation.cohorts import (
    EXTERNAL,
    Candidate,
    DevelopmentData,
    ExternalData,
    StaleModelError,
    of_external,
    of_training_set,
    out_of_fold,
    said_of_external,
)
from pipelines.evaluation.discrimination import auc, auc_estimate, delong_test, fold_auc_estimate
from pipelines.evaluation.estimates import Estimate, Floats
from pipelines.evaluation.metrics import CohortPredictions
from pipelines.images.shuffling import SHUFFLED
from pipelines.params import Params
from pipelines.shuffled_views import sees_voxels, shuffled_frame, shuffled_set
from pipelines.workspace import Workspace
from registry.arrays import Arrays
from registry.package import MANIFEST, load_package
from registry.parts import Part
from registry.stacking import member_arrays

LABELS, VOXELS = "shuffled_labels", "shuffled_voxels"
JUDGED = (TRAINING, INTERNAL, EXTERNAL)
NEAR_HALF = (0.45, 0.55)

SHUFFLES = ("model", "cohort", "shuffle", "auc", "low", "high")
"""The columns of the area of each shuffle."""

Rows = list[dict[str, object]]
Cohorts = Mapping[str, CohortPredictions]


@dataclass(frozen=True, kw_only=True)
class NegativeControls:
    """What the controls say.

    Args:
        rows: One a control, model and cohort, as `size_control.CONTROLS` names their columns.
        shuffles: The area of each shuffle of the labels, one row a model, cohort and shuffle.
    """

    rows: Rows
    shuffles: Rows


@dataclass(frozen=True, kw_only=True, eq=False)
class ShuffledSearches:
    """What `radmill controls` left of one model's searches on shuffled labels.

    Args:
        folder: Where it lies.
    """

    folder: Path

    @cached_property
    def content(self) -> dict[str, Any]:
        """The record."""
        return dict(json.loads((self.folder / "shuffles.json").read_text(encoding="utf-8")))

    @cached_property
    def arrays(self) -> Arrays:
        """The arrays of all fitted models."""
        from safetensors.numpy import load

        return load((self.folder / "models.safetensors").read_bytes())

    @property
    def training_set(self) -> str:
        """The digest of the training set whose labels were shuffled."""
        return str(self.content["manifest"].get("training_set", ""))

    def parts(self) -> Iterator[Part]:
        """Yields the model that each shuffle gave."""
        for number, one in enumerate(self.content["shuffles"]):
            manifest = {**self.content["manifest"], **one["manifest"]}
            yield Part(manifest=manifest, arrays=member_arrays(self.arrays, number))


def negative_controls(
    workspace: Workspace,
    params: Params,
    found: Sequence[Candidate],
    data: tuple[DevelopmentData, ExternalData],
    judged: Sequence[Sequence[CohortPredictions]],
) -> NegativeControls:
    """Judges what the controls left, beside the models they are controls of.

    Args:
        workspace: The study.
        params: Its settings.
        found: The models.
        data: The development patients, and the tables of the external centers.
        judged: Each model's cohorts.

    Raises:
        StaleModelError: A control was made from another training set than its model.
    """
    rows, shuffles = Rows(), Rows()
    for candidate, predictions in zip(found, judged, strict=True):
        folder = workspace.controls / candidate.name
        if not folder.is_dir():
            continue
        cohorts = {one.cohort: one for one in predictions if one.cohort in JUDGED and len(one.y)}
        searches = ShuffledSearches(folder=folder / "labels")
        if searches.content["shuffles"]:
            areas = _shuffled_areas(candidate, searches, data[1])
            shuffles += areas
            rows += _label_rows(cohorts, areas, params.evaluation.confidence)
        rows += _voxel_rows(workspace, params, candidate, data, cohorts)
    return NegativeControls(rows=rows, shuffles=shuffles)


def _shuffled_areas(candidate: Candidate, searches: ShuffledSearches, external: ExternalData) -> Rows:
    if searches.training_set != candidate.training.digest:
        raise StaleModelError("its control is of another training set", where=f"model {candidate.name}")
    rows: Rows = []
    for number, one in enumerate(searches.content["shuffles"]):
        own, told = {"model": candidate.name, "shuffle": number}, one["training"]
        rows.append({**own, "cohort": TRAINING, **{key: told[f"auc{end}"] for key, end in _ENDS.items()}})
        rows.append({**own, "cohort": INTERNAL, "auc": one["internal"], "low": None, "high": None})
    for number, part in enumerate(searches.parts() if external.centers else ()):
        pooled = said_of_external(candidate.name, part, external)[0]
        area = auc(np.random.default_rng([number, 1]).permutation(pooled.y), pooled.p)
        value = None if np.isnan(area) else area
        rows.append({"model": candidate.name, "shuffle": number, "cohort": EXTERNAL, "auc": value})
    return [{"low": None, "high": None, **row} for row in rows]


_ENDS = {"auc": "", "low": "_low", "high": "_high"}


def _label_rows(cohorts: Cohorts, areas: Rows, confidence: float) -> Rows:
    """Compares the areas of shuffled labels with one half, and the model's own with them."""
    rows: Rows = []
    for cohort, item in cohorts.items():
        own = [row for row in areas if row["cohort"] == cohort and row["auc"] is not None]
        values = np.array([row["auc"] for row in own], dtype=np.float64)
        real = _area(item, confidence)
        mean = mean_estimate(values, confidence)
        passed, reason = verdict(values, mean, *_held(own))
        above = int((values >= (real.value or 0.0)).sum())
        known = real.value is not None and mean.value is not None
        rows.append(
            {
                **_head(LABELS, item, real),
                **mean.columns("control"),
                "difference": (real.value or 0.0) - (mean.value or 0.0) if known else None,
                # a permutation test: how often do labels that mean nothing reach as much
                "p_value": (1 + above) / (1 + len(values)) if known else None,
                "passed": passed,
                "reason": reason,
            }
        )
    return rows


def mean_estimate(values: Floats, confidence: float) -> Estimate:
    """Returns the mean over shuffles with Student's interval; without one of fewer than two."""
    if len(values) == 0:
        return Estimate(reason="no shuffle has both classes")
    mean = float(values.mean())
    if len(values) < 2:
        return Estimate(value=mean, reason="one shuffle has no interval")
    from scipy.stats import t

    half = float(t.ppf(0.5 + confidence / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate(value=mean, low=mean - half, high=mean + half)


def verdict(values: Floats, mean: Estimate, held: int, intervals: int) -> tuple[bool | None, str]:
    """Returns whether nothing was found where nothing is, and the grounds.

    Something was found where the mean is neither near one half nor, by its interval, one half. The single intervals are
    told and decide nothing: of folds that share patients they hold the truth less often than they say.

    Args:
        values: The area of each shuffle.
        mean: Their mean.
        held: How many of the shuffles' own intervals hold one half.
        intervals: How many have one.
    """
    if mean.value is None:
        return None, mean.reason
    low, high = NEAR_HALF
    is_near = low <= mean.value <= high
    holds_half = mean.low is None or mean.high is None or mean.low <= 0.5 <= mean.high
    told = [f"mean of {len(values)} shuffles {'within' if is_near else 'outside'} {low:.2f}–{high:.2f}"]
    told += [] if is_near else [f"its interval {'holds' if holds_half else 'does not hold'} 0.5"]
    told += [f"{held} of {intervals} single intervals hold 0.5"] if intervals else []
    return bool(is_near or holds_half), ", ".join(told)


def _held(rows: Rows) -> tuple[int, int]:
    known = [(float(str(row["low"])), float(str(row["high"]))) for row in rows if row["low"] is not None]
    return sum(low <= 0.5 <= high for low, high in known), len(known)


def _voxel_rows(
    workspace: Workspace,
    params: Params,
    candidate: Candidate,
    data: tuple[DevelopmentData, ExternalData],
    cohorts: Cohorts,
) -> Rows:
    folder = workspace.controls / candidate.name / "voxels"
    if not (folder / "package" / MANIFEST).is_file():
        seen = sees_voxels(params, candidate.name)
        reason = "evaluation.controls.voxels is off" if seen else "none of its columns was computed from voxels here"
        first = [item for cohort, item in cohorts.items() if cohort == TRAINING]
        return [{**_head(VOXELS, item, Estimate()), "reason": reason} for item in first]
    made = shuffled_set(workspace, params, candidate.training)
    package = load_package(folder / "package")
    if package.manifest["training_set"] != made.digest:
        raise StaleModelError("its control is of other shuffled voxels", where=f"model {candidate.name}")
    control = replace(candidate, package=package, training=made, folder=folder)
    tables = {**data[1].tables, SHUFFLED: shuffled_frame(workspace, params, "external")}
    said = _control_cohorts(control, data[0], replace(data[1], tables=tables), [c for c in JUDGED if c in cohorts])
    confidence = params.evaluation.confidence
    return [_voxel_row(cohorts[name], one, confidence) for name, one in said.items()]


def _control_cohorts(
    control: Candidate, development: DevelopmentData, external: ExternalData, wanted: Sequence[str]
) -> dict[str, CohortPredictions]:
    found = {TRAINING: out_of_fold(control), INTERNAL: of_training_set(control, INTERNAL, INTERNAL, development)}
    if EXTERNAL in wanted:
        found[EXTERNAL] = of_external(control, external)[0]
    return {name: found[name] for name in wanted}


def _voxel_row(item: CohortPredictions, control: CohortPredictions, confidence: float) -> dict[str, object]:
    """Compares a model with the same search on shuffled voxels, on the patients of both."""
    both = sorted(set(item.patients()) & set(control.patients()))
    ours, theirs = (_places(one, both) for one in (item, control))
    item, control = _rows(item, ours), _rows(control, theirs)
    own, other = _area(item, confidence), _area(control, confidence)
    known = own.value is not None and other.value is not None
    row = {
        **_head(VOXELS, item, own),
        **other.columns("control"),
        "difference": (own.value or 0.0) - (other.value or 0.0) if known else None,
    }
    if item.out_of_fold is not None:
        return {**row, "reason": "no paired test within folds"}
    test = delong_test(item.y, item.p, control.p, confidence)
    low, high = test.difference.low, test.difference.high
    passed = None if low is None else low > 0
    return {**row, "low": low, "high": high, "p_value": test.p_value, "passed": passed, "reason": test.reason}


def _places(item: CohortPredictions, patients: Sequence[tuple[str, str]]) -> list[int]:
    place = {patient: number for number, patient in enumerate(item.patients())}
    return [place[patient] for patient in patients]


def _rows(item: CohortPredictions, at: list[int]) -> CohortPredictions:
    own = {name: getattr(item, name)[at] for name in ("center", "case_id", "y", "p")}
    folds = item.out_of_fold
    if folds is not None:
        folds = replace(folds, p=folds.p[at], fold=folds.fold[at], on_scale=folds.on_scale[at])
    return replace(item, **own, out_of_fold=folds)


def _area(item: CohortPredictions, confidence: float) -> Estimate:
    folds = item.out_of_fold
    if folds is None:
        return auc_estimate(item.y, item.p, confidence)
    return fold_auc_estimate(item.y, folds.p, folds.fold, confidence)


def _head(name: str, item: CohortPredictions, own: Estimate) -> dict[str, object]:
    events = int(item.y.sum())
    nothing = dict.fromkeys(("control", "control_low", "control_high", "difference", "low", "high", "p_value"))
    told = {"name": name, "model": item.model, "cohort": item.cohort, "n": len(item.y), "events": events}
    return {**told, "auc": own.value, **nothing, "passed": None, "reason": ""}
