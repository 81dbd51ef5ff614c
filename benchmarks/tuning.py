"""Tuning: radmill's search beside a plain scikit-learn Pipeline under the same Optuna search, trial by trial.

    python benchmarks/tuning.py [--rounds 3] [--plain-trials 100] [--out benchmarks/results/tuning.json]

100 trials on 5 folds of PCA and logistic regression, and of PCA and a multilayer perceptron, on 100 patients with 1,000
features and 400 with 4,000. The pipeline does what radmill does (fill, scale, clip, project, scale scores, estimate;
the same estimators, penalties and folds) in scikit-learn's own words, and is fitted anew for each trial and fold, as
`cross_val_score` does; areas are of log odds rounded to 5 digits in both, as radmill compares them. Both are asked by
the same sampler. The pipeline's sampler is told radmill's answers, so that both do the same trials; how far its own
answers are from these is reported. One thread; rounds alternate; medians of wall-clock and processor seconds.

With `--plain-trials` below 100 the pipeline is timed on the first so many trials, and its time is scaled up.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logit
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils._testing import ignore_warnings
from threadpoolctl import threadpool_limits

from featurestore.files import write_json
from pipelines.models.base import Values
from pipelines.models.components import ComponentRule
from pipelines.models.estimators import for_share
from pipelines.models.preparation import SCALE_LIMIT
from pipelines.models.spaces import space
from pipelines.record import installed
from pipelines.training.crossval import ALIKE_DIGITS, CrossValidation
from pipelines.training.search import Trial, search
from pipelines.training.splits import Fold, repeated_folds

RESULTS = Path(__file__).parent / "results" / "tuning.json"
SIZES = ((100, 1000), (400, 4000))
ESTIMATORS = ("lr", "mlp")
TRIALS, FOLDS, BATCH, SEED = 100, 5, 5, 7


class Scores(TransformerMixin, BaseEstimator):
    """PCA whose scores are divided by the first component's standard deviation, or each by its own."""

    def __init__(self, n_components: int, scores: str) -> None:
        self.n_components, self.scores = n_components, scores

    def fit(self, X: np.ndarray, y: object = None) -> "Scores":
        self.pca_ = PCA(self.n_components, svd_solver="full").fit(X)
        variance = self.pca_.explained_variance_
        self.scale_ = np.sqrt(variance if self.scores == "whitened" else variance[:1])
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        return self.pca_.transform(X) / self.scale_


def clipped(X: np.ndarray) -> np.ndarray:
    return np.clip(X, -SCALE_LIMIT, SCALE_LIMIT)


def classifier(estimator: str, values: Values) -> Any:
    if estimator == "lr":
        return LogisticRegression(C=values["C"], solver="newton-cholesky", tol=1e-10, max_iter=200)
    return MLPClassifier(
        tuple(int(size) for size in str(values["hidden"]).split("-")),
        activation=values["activation"],
        alpha=values["alpha"],
        max_iter=values["iterations"],
        solver="lbfgs",
        random_state=SEED,
    )


def pipeline(estimator: str, values: Values) -> Pipeline:
    return Pipeline(
        [
            ("fill", SimpleImputer(strategy="median")),
            ("scale", StandardScaler()),
            ("clip", FunctionTransformer(clipped)),
            ("pca", Scores(int(values["components"]), str(values["scores"]))),
            ("estimator", classifier(estimator, values)),
        ]
    )


@ignore_warnings()
def plain_score(estimator: str, X: np.ndarray, y: np.ndarray, folds: tuple[Fold, ...], values: Values) -> list[float]:
    """Areas of a pipeline that is fitted anew on each fold."""
    areas = []
    for fold in folds:
        own = for_share(estimator, values, len(fold.fit) / len(y))
        model = pipeline(estimator, own).fit(X[fold.fit], y[fold.fit])
        p = model.predict_proba(X[fold.held_out])[:, 1]
        areas.append(float(roc_auc_score(y[fold.held_out], np.round(np.nan_to_num(logit(p)), ALIKE_DIGITS))))
    return areas


def cohort(n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Correlated features; a hundred of them lean with the label, and one value in a thousand is missing."""
    rng = np.random.default_rng([n, p])
    y = (np.arange(n) % 2).astype(np.int8)
    X = rng.normal(size=(n, 40)) @ rng.normal(size=(40, p)) + 2 * rng.normal(size=(n, p))
    X[:, :100] += 0.8 * y[:, None]
    X[rng.random(X.shape) < 0.001] = np.nan
    return X, y


class EnoughError(Exception):
    """So many trials were to be timed."""


def asked(estimator: str, score: Callable[[Values], list[float]]) -> list[Trial]:
    return search(space(estimator, 30), score, trials=TRIALS, batch=BATCH, seed=SEED)


def radmill_trials(estimator: str, X: np.ndarray, y: np.ndarray, folds: tuple[Fold, ...]) -> list[Trial]:
    validation = CrossValidation(estimator, ComponentRule(), X, y, folds, SEED)
    return asked(estimator, validation.score)


def timed(function: Callable[[], Any]) -> tuple[Any, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = function()
    return found, time.perf_counter() - wall, time.process_time() - cpu


def one_round(
    estimator: str, X: np.ndarray, y: np.ndarray, folds: tuple[Fold, ...], plain_trials: int
) -> tuple[dict[str, float], np.ndarray]:
    """Times of both, and the differences of the folds' areas, shape (trials, folds)."""
    own, wall, cpu = timed(lambda: radmill_trials(estimator, X, y, folds))
    times, answers = {"radmill": wall, "radmill_cpu": cpu}, {}

    def score(values: Values) -> list[float]:
        if len(answers) == plain_trials:
            raise EnoughError
        mine = own[len(answers)]
        assert mine.values == values
        answers[mine.number] = plain_score(estimator, X, y, folds, values)
        return list(mine.folds)

    def plain() -> None:
        with suppress(EnoughError):
            asked(estimator, score)

    _, wall, cpu = timed(plain)
    times |= {"plain": wall * TRIALS / plain_trials, "plain_cpu": cpu * TRIALS / plain_trials}
    return times, np.array([np.subtract(own[number].folds, theirs) for number, theirs in answers.items()])


def compare(estimator: str, n: int, p: int, rounds: int, plain_trials: int) -> dict[str, Any]:
    X, y = cohort(n, p)
    folds = repeated_folds(y, np.full(n, "all"), FOLDS, 1, SEED)
    radmill_trials(estimator, *cohort(40, 50), repeated_folds(cohort(40, 50)[1], np.full(40, "all"), FOLDS, 1, SEED))
    found = [one_round(estimator, X, y, folds, plain_trials) for _ in range(rounds)]
    times = {key: float(np.median([times[key] for times, _ in found])) for key in found[0][0]}
    return {
        "estimator": estimator,
        "patients": n,
        "features": p,
        "trials": TRIALS,
        "plain_trials": plain_trials,
        "rounds": rounds,
        "seconds": {key: round(value, 3) for key, value in times.items()},
        "ratio": round(times["plain"] / times["radmill"], 2),
        "ratio_cpu": round(times["plain_cpu"] / times["radmill_cpu"], 2),
        "difference": {
            "largest_of_a_fold": float(max(np.abs(differences).max() for _, differences in found)),
            "median_of_a_trial": float(np.median(np.abs(found[0][1].mean(axis=1)))),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain-trials", type=int, default=TRIALS)
    parser.add_argument("--sizes", nargs="*", default=[f"{n}x{p}" for n, p in SIZES])
    parser.add_argument("--estimators", nargs="*", default=list(ESTIMATORS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    rows = []
    with threadpool_limits(1):
        for size in chosen.sizes:
            n, p = map(int, size.split("x"))
            for estimator in chosen.estimators:
                rows.append(compare(estimator, n, p, chosen.rounds, chosen.plain_trials))
                print(rows[-1], flush=True)
    machine = {"system": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    write_json(
        chosen.out,
        {"machine": machine, "versions": installed("radmill", "numpy", "scikit-learn", "optuna"), "rows": rows},
    )


if __name__ == "__main__":
    main()
