"""The learning curve: how well the best settings do, seen and unseen, with fewer training patients.

No search is done anew, and only training patients take part. A gap that closes as patients are added says that more
of them would help; two curves that meet low say that they would not.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import InputError
from pipelines.evaluation.discrimination import auc
from pipelines.models.base import Floats, Labels, Values
from pipelines.models.components import ComponentRule
from pipelines.models.estimators import for_search
from pipelines.models.steps import RowFacts, Steps
from pipelines.training.crossval import CrossValidation
from pipelines.training.splits import Fold

SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
MAXIMUM_FOLDS = 5
FEWEST_OF_A_CLASS = 3
DIGITS = 6


def learning_curve(
    estimator: str,
    values: Values,
    rule: ComponentRule,
    X: Floats,
    y: Labels,
    folds: Sequence[Fold],
    seed: int,
    steps: Steps,
    facts: RowFacts,
) -> list[dict[str, Any]]:
    """Returns the area on the patients fitted on and on the held-out ones, by number of patients fitted on.

    Smaller sets are parts of larger ones, each with the fold's share of events. A forest has fewer trees here, as in
    the search.

    Args:
        estimator: `lr`, `rf` or `mlp`.
        values: Its hyperparameters.
        rule: How many components are kept.
        X: Features of the training patients, shape (n, p).
        y: Their labels, shape (n,).
        folds: Folds; of the first repeat some are used.
        seed: Decides what is random.
        steps: Optional steps.
        facts: What these need to know of the rows.
    """
    first = [fold for fold in folds if fold.repeat == 0][:MAXIMUM_FOLDS]
    points = []
    for share in SHARES:
        areas = []
        for fold in first:
            rows = _part(y, fold, share, seed)
            areas.append(_areas(estimator, values, rule, X, y, fold, rows, seed, steps, facts))
        known = [found for found in areas if found is not None]
        if known:
            points.append(_point(share, known))
    return points


def _areas(
    estimator: str,
    values: Values,
    rule: ComponentRule,
    X: Floats,
    y: Labels,
    fold: Fold,
    rows: NDArray[np.int64],
    seed: int,
    steps: Steps,
    facts: RowFacts,
) -> tuple[int, float, float] | None:
    """Returns how many were fitted on and both areas; none where so few cannot be fitted on."""
    if min(np.bincount(y[rows], minlength=2)) < FEWEST_OF_A_CLASS:
        return None
    both = Fold(repeat=0, number=0, fit=rows, held_out=np.concatenate([fold.held_out, rows]))
    try:
        validation = CrossValidation(estimator, rule, X, y, [both], seed, steps, facts)
    except InputError:  # a filter or harmonization needs more patients than this
        return None
    p, n = validation.held_out(0, for_search(estimator, values)), len(fold.held_out)
    return len(rows), auc(y[rows], p[n:]), auc(y[fold.held_out], p[:n])


def _part(y: Labels, fold: Fold, share: float, seed: int) -> NDArray[np.int64]:
    """Returns the first share of each class of a fold's rows, in an order that is the same for every share."""
    rng = np.random.default_rng([seed, fold.number])
    order = rng.permutation(fold.fit)
    parts = [order[y[order] == label] for label in (0, 1)]
    return np.sort(np.concatenate([part[: round(share * len(part))] for part in parts])).astype(np.int64)


def _point(share: float, areas: Sequence[tuple[int, float, float]]) -> dict[str, Any]:
    table = np.array(areas, dtype=np.float64)
    spread = table.std(axis=0, ddof=1) if len(table) > 1 else np.zeros(3)
    return {
        "share": share,
        "patients": round(float(table[:, 0].mean()), 1),
        "folds": len(table),
        "training": round(float(table[:, 1].mean()), DIGITS),
        "training_sd": round(float(spread[1]), DIGITS),
        "validation": round(float(np.nanmean(table[:, 2])), DIGITS),
        "validation_sd": round(float(spread[2]), DIGITS),
    }
