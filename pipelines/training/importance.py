"""Which features a model listens to, carried back through its components, from training patients alone.

Two answers, because each alone misleads when features say the same: Shapley values of the fitted model's log odds, and
how far the cross-validated area falls when a feature's values are dealt among held-out patients.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.evaluation.discrimination import auc
from pipelines.models.base import Floats, Labels
from pipelines.models.estimators import for_share, log_odds
from pipelines.models.steps import RowFacts
from pipelines.models.tabular import TabularModel
from pipelines.training.splits import Fold

LISTED = 50
"""How many features are written; the rest is summed."""

PERMUTED, DEALS = 30, 10
EVALUATIONS = 40_000
"""The answers a model may be asked for while its Shapley values are sampled."""

FEWEST_PATIENTS, MOST_PATIENTS = 8, 60
DIGITS = 6
Groups = Sequence[tuple[int, ...]]
FAMILY = re.compile(r"(shape|firstorder|glcm|glrlm|glszm|gldm|ngtdm)")


@dataclass(frozen=True, kw_only=True, eq=False)
class Contributions:
    """Shapley values against the average training patient.

    Args:
        values: In log odds, shape (n, m).
        features: Standardized features of the same patients, shape (n, m).
        is_exact: Whether they were computed and not sampled.
    """

    values: Floats
    features: Floats
    is_exact: bool


def contributions(model: TabularModel, X: Floats, facts: RowFacts, seed: int) -> Contributions:
    """Returns how much each feature moves each patient's log odds, before recalibration.

    The baseline is the mean of the standardized features. A logistic regression on components is linear in the
    features, so its values are exact. Others are sampled over orders of the features, each order also backward, for
    patients spread evenly over what the model says.

    Source: Lundberg and Lee 2017, NeurIPS 30; sampling, Castro et al. 2009, Computers & Operations Research 36:1726.

    Args:
        model: A fitted model.
        X: Features of its training patients, shape (n, p).
        facts: What its steps need to know of the rows.
        seed: Of the orders.
    """
    S = model.preparation.standardized(X, facts)
    A = model.preparation.matrix(model.n_components, model.scores).T
    mean = S.mean(axis=0)
    if model.estimator == "lr":
        return Contributions(values=(S - mean) * (A @ model.classifier.coef_[0]), features=S, is_exact=True)
    origin = (mean - model.preparation.center) @ A
    said = log_odds(model.classifier, (S - model.preparation.center) @ A)
    n_rows = min(max(EVALUATIONS // (2 * S.shape[1]), FEWEST_PATIENTS), MOST_PATIENTS, len(S))
    rows = np.argsort(said, kind="stable")[np.linspace(0, len(S) - 1, n_rows).round().astype(int)]
    rng = np.random.default_rng(seed)
    values = np.zeros((n_rows, S.shape[1]))
    for number, row in enumerate(rows):
        order = rng.permutation(S.shape[1])
        for path in (order, order[::-1]):
            steps = np.cumsum((S[row] - mean)[path, None] * A[path], axis=0)
            along = log_odds(model.classifier, np.vstack([origin, origin + steps]))
            values[number, path] += np.diff(along) / 2
    return Contributions(values=values, features=S[rows], is_exact=False)


def permutation_drops(
    model: TabularModel, X: Floats, y: Labels, facts: RowFacts, folds: Sequence[Fold], groups: Groups, seed: int
) -> Floats:
    """Returns how far the area falls, by fold, when features' values are dealt anew among held-out patients.

    The features of a group are dealt together: one alone hardly matters where others say the same.

    Source: Breiman 2001, Machine Learning 45:5; on held-out rows, so that what was only remembered does not count.

    Args:
        model: Its estimator, settings and steps are fitted anew on each fold.
        X: Features of the training patients, shape (n, p).
        y: Labels, shape (n,).
        facts: What the steps need to know of the rows.
        folds: The first repeat's folds are used.
        groups: Columns of X, a group each.
        seed: Of the deals.

    Returns:
        Shape (n_folds, n_groups); 0 where a fold's model uses none of them, NaN for a fold with one class.
    """
    drops = []
    for fold in (fold for fold in folds if fold.repeat == 0):
        values = for_share(model.estimator, model.values, len(fold.fit) / len(y))
        fitted = TabularModel(model.estimator, values, model.seed, model.rule, model.steps)
        fitted.fit(X[fold.fit], y[fold.fit], facts.at(fold.fit))
        drops.append(_drops(fitted, X[fold.held_out], y[fold.held_out], facts.at(fold.held_out), groups, seed))
    return np.array(drops)


def importance(
    model: TabularModel, X: Floats, y: Labels, names: Sequence[str], facts: RowFacts, folds: Sequence[Fold], seed: int
) -> dict[str, Any]:
    """Returns the content of `importance.json`: features by their mean absolute contribution, and sums by family.

    Args:
        model: The fitted model.
        X: Features of its training patients, shape (n, p).
        y: Labels, shape (n,).
        names: The features' names.
        facts: What its steps need to know of the rows.
        folds: Cross-validation folds.
        seed: Decides all sampling.
    """
    found = contributions(model, X, facts, seed)
    size = np.abs(found.values).mean(axis=0)
    used = [int(column) for column in model.preparation.keep]
    order = [int(at) for at in np.argsort(-size, kind="stable")[:LISTED] if size[at] > 0]
    families = _families([names[column] for column in used])
    singles = [(used[at],) for at in order[:PERMUTED]]
    together = [tuple(used[at] for at in members) for members in families.values()]
    drops = permutation_drops(model, X, y, facts, folds, [*singles, *together], seed)
    total = float(size.sum()) or 1.0
    return {
        "scale": "log odds",
        "method": "exact" if found.is_exact else "sampled",
        "patients": len(found.values),
        "features": [
            {"name": names[used[at]], **_contribution(found, at, total)} | _drop(drops, number, len(singles))
            for number, at in enumerate(order)
        ],
        "families": [
            {"phase": phase, "class": family, "features": len(members)}
            | {"share": round(float(size[members].sum() / total), DIGITS)}
            | _drop(drops, len(singles) + number, drops.shape[1])
            for number, ((phase, family), members) in enumerate(families.items())
        ],
    }


def _drops(fitted: TabularModel, X: Floats, y: Labels, facts: RowFacts, groups: Groups, seed: int) -> Floats:
    if len(np.unique(y)) < 2:
        return np.full(len(groups), np.nan)
    S = fitted.preparation.standardized(X, facts)
    A = fitted.preparation.matrix(fitted.n_components, fitted.scores).T
    Z = (S - fitted.preparation.center) @ A
    before = auc(y, log_odds(fitted.classifier, Z))
    rng = np.random.default_rng(seed)
    deals = np.array([rng.permutation(len(y)) for _ in range(DEALS)])
    place = {int(column): at for at, column in enumerate(fitted.preparation.keep)}
    drops = np.zeros(len(groups))
    for number, columns in enumerate(groups):
        at = [place[column] for column in columns if column in place]
        if at:
            part = S[:, at] @ A[at]
            said = log_odds(fitted.classifier, (Z - part + part[deals]).reshape(-1, Z.shape[1]))
            drops[number] = before - float(np.mean([auc(y, deal) for deal in said.reshape(DEALS, -1)]))
    return drops


def _contribution(found: Contributions, at: int, total: float) -> dict[str, Any]:
    values, feature = found.values[:, at], found.features[:, at]
    direction = float(np.sign(np.corrcoef(values, feature)[0, 1])) if values.std() and feature.std() else 0.0
    mean = float(np.abs(values).mean())
    return {"shapley": round(mean, DIGITS), "share": round(mean / total, DIGITS), "direction": int(direction)}


def _drop(drops: Floats, number: int, n_dealt: int) -> dict[str, Any]:
    """Returns the mean fall of the area over folds; nothing for a feature that was not dealt."""
    if number >= n_dealt:
        return {}
    known = drops[np.isfinite(drops[:, number]), number]
    spread = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    mean = float(known.mean()) if len(known) else 0.0
    return {"auc_drop": round(mean, DIGITS), "auc_drop_sd": round(spread, DIGITS)}


def _families(names: Sequence[str]) -> dict[tuple[str, str], list[int]]:
    """Returns the places of the features of each phase and class, in the order of their names."""
    found: dict[tuple[str, str], list[int]] = {}
    for at, name in enumerate(names):
        phase, _, feature = name.rpartition(".")
        family = FAMILY.search(feature)
        found.setdefault((phase, family.group(1) if family else "other"), []).append(at)
    return dict(sorted(found.items()))
