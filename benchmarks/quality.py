"""Quality on radMLBench: radmill's models on 14 radiomics tables beside the published maximum and a plain floor.

    python benchmarks/quality.py [--tables Li2020 …] [--out benchmarks/results/quality.json]

Per table six model families are tuned with radmill's own code and default spaces: logistic regression, random forest
and multilayer perceptron, each on principal components and on ranked single features. Reported are

- nested: what radmill promises of itself. Repeated nested cross-validation; in each outer fold the family is chosen,
  like the trial, by areas that did not see the fold.
- maximum: computed as the published one, the best mean over repeated 10-fold cross-validation among what was tried. The
  best trials of each family by the search's own folds are cross-validated anew on folds that chose nothing; so this
  maximum is over fewer means than the published one (616 trials) and flatters less.
- floor: scaling, PCA to 95 % of the variance and logistic regression, all of scikit-learn as it comes, on the nested
  estimate's outer folds.

Results are written after each table, and tables that are there already are not computed again. One thread.
"""

import argparse
import json
import os
import time
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from featurestore.files import write_json
from featurestore.training_sets import TRAINING, TrainingSet
from pipelines.evaluation.discrimination import auc, fold_auc_estimate
from pipelines.models.components import ComponentRule
from pipelines.params.modelling import Model, Reduction, TuningSection
from pipelines.record import installed
from pipelines.training.crossval import CrossValidation, OutOfFold
from pipelines.training.results import Tuned
from pipelines.training.search import derived_seed
from pipelines.training.splits import repeated_folds
from pipelines.training.tune import fit_best

DATA = Path(os.environ.get("RADMILL_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "radmlbench"
RESULTS = Path(__file__).parent / "results" / "quality.json"
SEED = 20240615
FOLDS, REPEATS = 5, 2
TRIALS = {"lr": 60, "rf": 30, "mlp": 30}
FINALISTS = {"lr": 5, "rf": 2, "mlp": 3}
"""How many trials of a family are cross-validated as the published ones were."""
TEN, TEN_REPEATS = 10, {"lr": 30, "rf": 10, "mlp": 30}
"""Folds and repeats of the maximum. Published: 10 × 30; forests take too long for more than 10."""
RULES = {"components": "tuned", "features": "features"}
CONFIDENCE = 0.95
DIGITS = 4


def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    frame = pd.read_csv(DATA / f"{name}.csv.gz")
    y = frame["Target"].astype(int).to_numpy(np.int8)
    X = frame.drop(columns=["ID", "Target"]).to_numpy(np.float64)
    return np.where(np.isfinite(X), X, np.nan), y


def training_set(X: np.ndarray, y: np.ndarray) -> TrainingSet:
    n = len(y)
    return TrainingSet(
        X=X,
        y=y,
        center=np.full(n, "all"),
        case_id=np.array([f"{i:06d}" for i in range(n)]),
        split=np.full(n, TRAINING),
        columns=(),
        record={},
    )


def tuned(part: TrainingSet, estimator: str, inputs: str) -> Tuned:
    settings = Model(service="all", estimator=estimator, reduction=Reduction(rule=RULES[inputs]))
    tuning = TuningSection(trials=TRIALS[estimator], folds=FOLDS, repeats=REPEATS, nested_repeats=REPEATS, seed=SEED)
    return fit_best(part, settings, tuning)


def finalists(ten: CrossValidation, estimator: str, found: Tuned) -> list[dict[str, Any]]:
    """The family's best trials on folds of their own: mean area over all folds of repeated 10-fold cross-validation."""
    validation, rows = copy(ten), []
    validation.estimator = estimator
    numbers = [i for i, p in enumerate(ten.prepared) if p.fold.repeat < TEN_REPEATS[estimator]]
    for trial in sorted(found.trials, key=lambda t: (-round(t.value, 12), t.number))[: FINALISTS[estimator]]:
        areas = [auc(ten.y[ten.prepared[i].fold.held_out], validation.held_out(i, trial.values)) for i in numbers]
        rows.append({"trial": trial.number, "values": trial.values, "mean": float(np.mean(areas))})
    return rows


def floor(X: np.ndarray, y: np.ndarray) -> OutOfFold:
    folds = repeated_folds(y, np.full(len(y), "all"), FOLDS, REPEATS, derived_seed(SEED, "folds"))
    p, number = np.full((len(y), REPEATS), np.nan), np.full((len(y), REPEATS), -1)
    for fold in folds:
        plain = make_pipeline(
            SimpleImputer(strategy="median"), StandardScaler(), PCA(0.95), LogisticRegression(max_iter=5000)
        )
        plain.fit(X[fold.fit], y[fold.fit])
        p[fold.held_out, fold.repeat] = plain.predict_proba(X[fold.held_out])[:, 1]
        number[fold.held_out, fold.repeat] = fold.number
    return OutOfFold(y=y, p=p, fold=number)


def chosen_family(families: dict[str, Tuned]) -> OutOfFold:
    """In each outer fold the probabilities of the family that was best on the others without it."""
    first = next(iter(families.values())).nested
    p = np.full_like(first.p, np.nan)
    for index in range(FOLDS * REPEATS):
        repeat, number = divmod(index, FOLDS)
        best = max(families.values(), key=lambda found: found.honest.judged[index])
        rows = first.fold[:, repeat] == number
        p[rows, repeat] = best.nested.p[rows, repeat]
    return OutOfFold(y=first.y, p=p, fold=first.fold)


def area(found: OutOfFold) -> dict[str, float | None]:
    estimate = fold_auc_estimate(found.y, found.p, found.fold, CONFIDENCE)
    return {key: None if value is None else round(value, DIGITS) for key, value in estimate.columns("auc").items()}


def table(name: str, X: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    began = time.process_time()
    part, families, rows = training_set(X, y), {}, {}
    for inputs, rule in RULES.items():
        folds = repeated_folds(y, part.center, TEN, max(TEN_REPEATS.values()), derived_seed(SEED, "ten folds", name))
        seed = derived_seed(SEED, "estimator")
        ten = CrossValidation("lr", ComponentRule(rule=rule), X, y, folds, seed)
        for estimator in TRIALS:
            found = tuned(part, estimator, inputs)
            key, last = f"{estimator} on {inputs}", finalists(ten, estimator, found)
            families[key] = found
            rows[key] = {
                "search_best": round(found.best.value, DIGITS),
                "maximum": round(max(row["mean"] for row in last), DIGITS),
                "nested": area(found.nested),
                "finalists": last,
            }
    return {
        "n": len(y),
        "positive": int(y.sum()),
        "features": X.shape[1],
        "maximum": max(row["maximum"] for row in rows.values()),
        "maximum_of": max(rows, key=lambda key: rows[key]["maximum"]),
        "nested": area(chosen_family(families)),
        "floor": area(floor(X, y)),
        "families": rows,
        "cpu_s": round(time.process_time() - began, 1),
    }


def settings() -> dict[str, Any]:
    return {
        "trials": TRIALS,
        "search": f"{FOLDS}-fold x {REPEATS}",
        "nested": f"{FOLDS}-fold x {REPEATS}",
        "finalists": FINALISTS,
        "maximum": {estimator: f"{TEN}-fold x {repeats}" for estimator, repeats in TEN_REPEATS.items()},
        "versions": installed("radmill", "numpy", "scikit-learn", "optuna"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="*")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    known = pd.read_csv(DATA / "datasets.csv").set_index("dataset")
    names = chosen.tables or sorted(known.index, key=lambda name: known.n[name] * known.n_features[name])
    content = json.loads(chosen.out.read_text()) if chosen.out.exists() else {"settings": settings(), "tables": {}}
    for name in names:
        if name in content["tables"]:
            continue
        with threadpool_limits(1):
            found = table(name, *load(name))
        content["tables"][name] = {"published": float(known.published_best_auc[name]), **found}
        write_json(chosen.out, content)
        print(name, {key: found[key] for key in ("maximum", "nested", "floor", "cpu_s")}, flush=True)


if __name__ == "__main__":
    main()
