"""Folds that all training sets of a study share, so that models of different patients can be weighed together.

Folds are dealt over the training patients of all services at once. A set that has all of them is dealt as if it were
alone; one that lacks some has the others in the same folds as every other set.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np

from featurestore.training_sets import TRAINING, TrainingSet
from pipelines.params.modelling import TuningSection
from pipelines.training.search import derived_seed
from pipelines.training.splits import Fold, TooFewPatientsError, repeated_folds

DEALING = "dealing"
"""In the record of a set that lacks patients: the labels of all, and how many each center has. It names nobody."""


def dealt_together(sets: Mapping[str, TrainingSet]) -> dict[str, TrainingSet]:
    """Returns the sets; those that lack training patients of others know their rows' places among all.

    Args:
        sets: By service.
    """
    parts = {name: whole.part(TRAINING) for name, whole in sets.items()}
    own = {name: _labels(part) for name, part in parts.items()}
    everybody = dict(sorted({key: y for labels in own.values() for key, y in labels.items()}.items()))
    place = {key: number for number, key in enumerate(everybody)}
    told: dict[str, Any] = {
        "labels": "".join(str(y) for y in everybody.values()),
        "centers": [[center, len(list(rows))] for center, rows in groupby(everybody, key=lambda key: key[0])],
    }
    return {
        name: whole if len(own[name]) == len(everybody) else _placed(whole, place, told) for name, whole in sets.items()
    }


def folds_of(part: TrainingSet, tuning: TuningSection) -> tuple[Fold, ...]:
    """Returns the folds of all repeats, which every model of the study shares.

    Args:
        part: The training patients of a set.
        tuning: How many folds and repeats, and the seed.

    Raises:
        TooFewPatientsError: A label has fewer patients than there are folds, or a fold has one label only.
    """
    seed = derived_seed(tuning.seed, "folds")
    told = part.record.get(DEALING)
    if told is None or part.position is None:
        return repeated_folds(part.y, part.center, tuning.folds, tuning.repeats, seed)
    y = np.array([int(label) for label in told["labels"]], dtype=np.int8)
    center = np.repeat([name for name, _ in told["centers"]], [n for _, n in told["centers"]]).astype(np.str_)
    return tuple(
        _within(fold, part, part.position) for fold in repeated_folds(y, center, tuning.folds, tuning.repeats, seed)
    )


def _within(fold: Fold, part: TrainingSet, position: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Fold:
    is_out = np.isin(position, fold.held_out)
    for rows in (part.y[is_out], part.y[~is_out]):
        if len(set(rows.tolist())) < 2:
            raise TooFewPatientsError(
                f"fold {fold.number} of repeat {fold.repeat} has one label only on one side", where="tuning.folds"
            )
    return replace(fold, fit=np.flatnonzero(~is_out), held_out=np.flatnonzero(is_out))


def _placed(whole: TrainingSet, place: Mapping[tuple[str, str], int], told: dict[str, Any]) -> TrainingSet:
    keys = zip(whole.center.tolist(), whole.case_id.tolist(), whole.split.tolist(), strict=True)
    position = np.array([place[(center, case)] if split == TRAINING else -1 for center, case, split in keys], np.int64)
    return replace(whole, position=position, record={**whole.record, DEALING: told})


def _labels(part: TrainingSet) -> dict[tuple[str, str], int]:
    keys = zip(part.center.tolist(), part.case_id.tolist(), strict=True)
    return dict(zip(keys, part.y.tolist(), strict=True))
