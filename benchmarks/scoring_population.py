"""A generated population with the correlation and the skew of real radiomics, and packages fitted on some of it.

A Gaussian copula of a real table: rows are drawn from a normal law with the correlation of the table's normal scores,
and each feature gets the table's own distribution back. The label follows from a few of the normal scores.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from featurestore.schemas import Column
from featurestore.training_sets import INTERNAL, TRAINING, TrainingSet
from pipelines.models.predicting import CaseInputs
from pipelines.params.modelling import Model, TuningSection
from pipelines.training.candidate import save_tabular, tabular_manifest
from pipelines.training.out_of_fold import out_of_fold_metrics, thresholds
from pipelines.training.tune import fit_best
from registry.package import ModelPackage, load_package

Floats = NDArray[np.float64]
DATA = Path(os.environ.get("RADMILL_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SIZE, SEED = 5_000, 7
FEWEST_VALUES = 30
"""A column with fewer distinct values is a count or a constant, and has no copula."""

SEARCH = TuningSection(trials=4, folds=3, repeats=1, batch=4, seed=SEED)
SPACES: dict[str, dict[str, Any]] = {"lr": {}, "rf": {"trees": [60], "max_depth": [3, 6]}}
SENSITIVITY = 0.9


@dataclass(frozen=True, kw_only=True, eq=False)
class Population:
    """Patients.

    Args:
        z: Normal scores, shape (n, p).
        sorted: The real table's values of each feature, rising, shape (rows, p).
        y: Labels, shape (n,).
        names: The features.
    """

    z: Floats
    sorted: Floats
    y: NDArray[np.int8]
    names: tuple[str, ...]

    def features(self, z: Floats) -> Floats:
        """Returns features from normal scores, shape (n, p)."""
        shares = np.linspace(0, 1, len(self.sorted))
        u = norm.cdf(z)
        return np.column_stack([np.interp(u[:, j], shares, self.sorted[:, j]) for j in range(z.shape[1])])


def real_table(name: str = "HarvardRT") -> tuple[Floats, tuple[str, ...]]:
    """Returns the features of a real center, and their names."""
    table = pd.read_csv(DATA / "multicentre_nsclc" / f"{name}.csv.gz")
    notes = ("general_info_", "diagnostics_", "logit_")
    names = [n for n in table.select_dtypes("number") if n not in ("id", "surv2yr") and not n.startswith(notes)]
    rows = table.loc[table[names].notna().any(axis=1), names]
    rows = rows.fillna(rows.median())
    kept = tuple(n for n in names if rows[n].nunique() > FEWEST_VALUES)
    return rows[list(kept)].to_numpy(np.float64), kept


def population(seed: int = SEED, size: int = SIZE) -> Population:
    """Returns the population; the same seed, the same patients."""
    X, names = real_table()
    rng = np.random.default_rng(seed)
    scores = norm.ppf((rankdata(X, axis=0) - 0.5) / len(X))
    z = rng.standard_normal((size, len(X))) @ (scores - scores.mean(axis=0)) / np.sqrt(len(X))
    z /= z.std(axis=0)
    signal = z[:, rng.choice(len(names), 12, replace=False)] @ rng.choice([-1.0, 1.0], 12)
    odds = 1.6 * signal / signal.std() - 0.3
    y = (rng.uniform(size=size) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    return Population(z=z, sorted=np.sort(X, axis=0), y=y, names=names)


def training_set(X: Floats, y: NDArray[np.int8], names: tuple[str, ...], internal: float) -> TrainingSet:
    """Returns a training set; the last share of the rows is kept aside."""
    return TrainingSet(
        X=X,
        y=y,
        center=np.array(["east"] * len(y)),
        case_id=np.array([f"{i:016x}" for i in range(len(y))]),
        split=np.where(np.arange(len(y)) < round((1 - internal) * len(y)), TRAINING, INTERNAL),
        columns=tuple(Column(name=f"ct.{name}") for name in names),
        record={
            "service": {"name": "ct", "view": "radiomics", "phases": ["ct"], "columns": ".*"},
            "rules": {"phases": {"ct": {}}},
            "extraction": {"engine": "fast", "by_phase": {}, "fingerprint": "0" * 64},
            "feature_set": "1",
            "label": "label",
        },
    )


def fit(whole: TrainingSet, estimator: str, tuning: TuningSection = SEARCH) -> ModelPackage:
    """Returns a package as `radmill tune` makes it, with its reference."""
    settings = Model.model_validate({"service": "ct", "estimator": estimator, "space": SPACES[estimator]})
    tuned = fit_best(whole.part(TRAINING), settings, tuning)
    manifest = tabular_manifest(f"ct_{estimator}", whole, settings, tuned, out_of_fold_metrics(tuned))
    manifest |= {"thresholds": thresholds(tuned.flattering, SENSITIVITY)}
    with tempfile.TemporaryDirectory() as folder:
        save_tabular(Path(folder) / "package", manifest, whole, tuned)
        return load_package(Path(folder) / "package")


def inputs(package: ModelPackage, X: Floats) -> CaseInputs:
    """Returns rows of features as a hospital's cases."""
    ids = np.array([f"{i:016x}" for i in range(len(X))])
    wide = pd.DataFrame(X, columns=list(package.features)).assign(center="harbor", case_id=ids)
    return CaseInputs(
        center=np.full(len(X), "harbor"),
        case_id=ids,
        features=lambda part: wide[["center", "case_id", *part.features]],
    )
