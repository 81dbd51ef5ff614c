"""Probabilities mean what they say, the order of patients stays, and no fold teaches its own recalibration."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
import yaml
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import rankdata

from featurestore.flat_tables import read_flat
from featurestore.training_sets import TRAINING, TrainingSet
from pipelines.evaluation.calibration import intercept, slope
from pipelines.models.components import ComponentRule
from pipelines.params import parse_params
from pipelines.params.modelling import Model, TuningSection
from pipelines.training.assemble import assemble
from pipelines.training.crossval import CrossValidation, search_auc
from pipelines.training.nested import nested
from pipelines.training.recalibration import Recalibration, fit_recalibration
from pipelines.training.search import Trial
from pipelines.training.splits import repeated_folds
from pipelines.training.tune import fit_best, tune
from registry.package import load_package
from registry.predict import predict

ROOT = Path(__file__).resolve().parents[2]
SEARCH = TuningSection(trials=2, folds=5, repeats=2, batch=2, seed=7)
FLAT: dict[str, dict[str, list[float | int | str]]] = {
    "lr": {"C": [1e-4], "components": [5]},
    "mlp": {"alpha": [30.0], "hidden": ["4"], "components": [5]},
    "rf": {"min_leaf": [12], "max_depth": [2], "trees": [25], "components": [5]},
}
Floats = NDArray[np.float64]
Labels = NDArray[np.int8]


def patients(n: int, seed: int, share: float = 0.3) -> tuple[Floats, Labels]:
    """One signal in five of thirty features; most patients do not have the outcome."""
    rng = np.random.default_rng(seed)
    y = (rng.permutation(n) < share * n).astype(np.int8)
    X = rng.normal(size=(n, 30))
    X[:, :5] += (y + rng.normal(size=n))[:, None]
    return X, y


def training_set(n: int, seed: int = 0) -> TrainingSet:
    from featurestore.schemas import Column

    X, y = patients(n, seed)
    ids = np.array([f"{i:016x}" for i in range(n)])
    columns = tuple(Column(name=f"early.f{i}") for i in range(X.shape[1]))
    return TrainingSet(
        X=X, y=y, center=np.full(n, "east"), case_id=ids, split=np.full(n, TRAINING), columns=columns, record={}
    )


@pytest.mark.parametrize("estimator", sorted(FLAT))
def test_a_flat_model_is_calibrated_on_patients_it_never_saw(estimator: str) -> None:
    """The planted fault: a penalty so strong that all probabilities lie side by side."""
    settings = Model(service="s", estimator=estimator, space=FLAT[estimator])  # type: ignore[arg-type]
    tuned = fit_best(training_set(300), settings, SEARCH)
    X, y = patients(3000, 1)
    p = tuned.model.predict_proba(X)
    tuned.model.coefficients = None
    flat = tuned.model.predict_proba(X)
    before, after = slope(y, flat, 0.95).value, slope(y, p, 0.95).value
    assert before is not None
    assert after is not None
    if estimator == "lr":
        assert before > 10
    assert 0.75 < after < 1.35
    assert abs(intercept(y, p, 0.95).value or 0.0) < 0.25
    np.testing.assert_array_equal(rankdata(p), rankdata(flat))
    honest = slope(tuned.nested.y, tuned.nested.mean, 0.95).value
    assert honest is not None
    assert 0.6 < honest < 1.6


def test_the_coefficients_are_those_of_a_logistic_regression() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(-0.85, 0.004, size=(200, 2))  # far from one half and flat: the worst case for numbers
    y = (rng.random(200) < expit(250 * (x.mean(axis=1) + 0.85))).astype(np.int8)
    found = fit_recalibration(y, expit(x))
    z = (x.ravel() + 0.85) / 0.004
    reference = sm.Logit(np.repeat(y, 2), sm.add_constant(z)).fit(disp=0, tol=1e-12).params
    assert found.slope == pytest.approx(reference[1] / 0.004, rel=1e-6)
    assert found.intercept == pytest.approx(reference[0] + 0.85 * reference[1] / 0.004, rel=1e-6)


@pytest.mark.parametrize(
    ("p", "reason"),
    [
        ([0.9, 0.8, 0.3, 0.35, 0.4, 0.2], "wrong way round"),
        ([0.3] * 6, "all probabilities are the same"),
        ([0.1, 0.2, 0.3, 0.7, 0.8, 0.9], "separate the classes"),
        ([0.3 + 1e-7 * i for i in (0, 3, 1, 2, 5, 4)], "too much alike"),
    ],
)
def test_what_cannot_be_recalibrated_stays_as_it_is_and_says_why(p: list[float], reason: str) -> None:
    found = fit_recalibration(np.array([0, 0, 0, 1, 1, 1], np.int8), np.array(p))
    assert found.coefficients.tolist() == [0.0, 1.0]
    assert reason in found.reason
    np.testing.assert_allclose(found.apply(np.array(p)), p, rtol=1e-14)


@pytest.mark.parametrize("estimator", ["lr", "mlp"])
def test_a_fold_does_not_teach_its_own_recalibration(estimator: str) -> None:
    """The planted leak: the labels of one fold are permuted, and everything said about that fold stays bit for bit."""
    X, y = patients(80, 3, share=0.5)
    folds = repeated_folds(y, np.full(80, "east"), 4, 1, 1)
    held, rng = folds[2].held_out, np.random.default_rng(0)
    changed = y.copy()
    while np.array_equal(changed, y):
        changed[held] = rng.permutation(y[held])
    values = {"lr": {"C": 0.01}, "mlp": {"alpha": 10.0, "hidden": "4", "iterations": 20, "activation": "tanh"}}
    trials = [
        Trial(number=i, values={"components": 3 + i, "scores": "scaled", **values[estimator]}, folds=(0.5,) * 4)
        for i in range(2)
    ]
    first, second = (
        nested(CrossValidation(estimator, ComponentRule(), X, labels, folds, 0), trials, 1) for labels in (y, changed)
    )
    assert first.recalibrations[2] == second.recalibrations[2] != Recalibration()
    np.testing.assert_array_equal(first.out_of_fold.p[held], second.out_of_fold.p[held])
    assert all(first.recalibrations[i] != second.recalibrations[i] for i in (0, 1, 3)), "the test can see a leak"


def test_recalibration_leaves_the_areas_alone() -> None:
    X, y = patients(90, 5, share=0.5)
    folds = repeated_folds(y, np.full(90, "east"), 3, 1, 1)
    validation = CrossValidation("lr", ComponentRule(), X, y, folds, 0)
    held_out = [validation.held_out(i, {"components": 4, "C": 1e-3, "scores": "scaled"}) for i in range(3)]
    steps = [Recalibration(intercept=0.1 * i, slope=10.0 + i) for i in range(3)]
    assert validation.out_of_fold(held_out, steps).auc() == validation.out_of_fold(held_out).auc()


def test_folds_are_held_as_tightly_as_the_whole() -> None:
    """The scale of a held-out probability is that of the final model, or no threshold found there would fit it."""
    X, y = patients(400, 6, share=0.5)
    folds = repeated_folds(y, np.full(400, "east"), 2, 1, 1)
    values = {"components": 1, "C": 1e-4, "scores": "scaled"}
    validation = CrossValidation("lr", ComponentRule(), X, y, folds, 0)
    half = np.concatenate([logit(validation.held_out(i, values)) for i in range(2)])
    whole = CrossValidation("lr", ComponentRule(), X, y, [_all(folds[0], len(y))], 0)
    assert half.std() == pytest.approx(logit(whole.held_out(0, values)).std(), rel=0.2)


def test_a_model_that_says_the_same_of_everybody_wins_no_search() -> None:
    """Rounding that orders patients by chance is no finding, and no slope could make probabilities of it."""
    y = np.array([0, 0, 1, 1], np.int8)
    assert search_auc(y, expit(np.array([0, 1, 2, 3]) * 1e-7)) == 0.5
    assert search_auc(y, expit(np.array([0, 1, 2, 3]) * 1e-3)) == 1.0
    assert search_auc(y, np.array([0.0, 0.0, 1.0, 1.0])) == 1.0


def _all(fold: object, n: int) -> object:
    from dataclasses import replace

    return replace(fold, fit=np.arange(n), held_out=np.arange(n))  # type: ignore[type-var]


def test_a_candidate_stores_what_it_was_recalibrated_with(tmp_path: Path, fake_study: Callable[..., object]) -> None:
    workspace, params = fake_study(tmp_path, estimators=(), n_per_center=30, effect=1.5)  # type: ignore[misc]
    content = params.model_dump(mode="json")
    content["tuning"] = {"trials": 2, "folds": 3, "repeats": 2, "batch": 2, "seed": 7}
    content["models"] = {"flat": {"service": "triphasic", "estimator": "lr", "space": {"C": [1e-4]}}}
    content["evaluation"]["target_sensitivity"] = 0.825
    params = parse_params(content)
    assemble(workspace, params)
    summary = tune(workspace, params, "flat")
    folder = workspace.model("flat")
    package, stored = load_package(folder / "package"), json.loads((folder / "summary.json").read_text())
    found = package.arrays["calibration.coefficients"]
    assert found[1] > 1
    assert stored["recalibration"]["slope"] == pytest.approx(found[1], abs=1e-6)
    assert summary.recalibration.startswith("slope")
    assert "the probabilities are recalibrated: log odds times" in package.card
    assert set(package.thresholds) == {"youden", "sensitivity_82_5"}
    oof, _ = read_flat(folder / "oof.parquet")
    y, on_scale = oof["y"].to_numpy(), oof["p_best"].to_numpy()
    assert slope(y, on_scale, 0.95).value == pytest.approx(1.0, abs=0.15)
    assert set(package.thresholds.values()) <= set(on_scale.tolist())
    X = TrainingSet.load(workspace.training("triphasic")).part(TRAINING).X
    assert np.std(predict(package, X)) > 0.05
    steps = json.loads((folder / "search.json").read_text())["nested_recalibrations"]
    assert len(steps) == 3


def test_the_stage_graph_knows_what_decides_the_thresholds() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert "evaluation.target_sensitivity" in stages["tune"]["do"]["params"]
