"""Tuning sees training patients only, ends the same however often it was killed, and leaves an honest candidate."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featurestore.flat_tables import read_flat
from featurestore.schemas import Column
from featurestore.training_sets import INTERNAL, TRAINING, TrainingSet
from pipelines.evaluation.discrimination import auc, fold_auc_estimate
from pipelines.models.components import ComponentRule
from pipelines.params import Params, parse_params
from pipelines.params.modelling import Model, TuningSection
from pipelines.training import tune as tuning
from pipelines.training.assemble import assemble
from pipelines.training.controls import shuffled_aucs
from pipelines.training.crossval import CrossValidation
from pipelines.training.nested import nested
from pipelines.training.search import Trial
from pipelines.training.splits import repeated_folds
from pipelines.training.tune import UnknownModelError, fit_best, tune
from pipelines.workspace import Workspace
from registry.package import load_package
from registry.predict import predict
from registry.reference import reference_of

Study = tuple[Workspace, Params]
SEARCH = TuningSection(trials=4, folds=3, repeats=2, batch=2, seed=7)
SMALL_FOREST = {"trees": [8], "max_depth": [3]}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, fake_study: Callable[..., Study]) -> Study:
    workspace, params = fake_study(tmp_path_factory.mktemp("study"), estimators=(), n_per_center=30, effect=1.5)
    content = params.model_dump(mode="json")
    content["tuning"] = SEARCH.model_dump()
    content["models"] = {name: {"service": "triphasic", "estimator": name} for name in ("lr", "rf", "mlp")}
    content["models"]["rf"]["space"] = SMALL_FOREST
    params = parse_params(content)
    assemble(workspace, params)
    return workspace, params


def generated(n: int = 60, p: int = 40, effect: float = 1.5, seed: int = 0) -> TrainingSet:
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 2).astype(np.int8)
    X = rng.normal(size=(n, p))
    X[:, :5] += effect * (y[:, None] + 0.5 * rng.normal(size=(n, 1)))
    return TrainingSet(
        X=X,
        y=y,
        center=np.array(["east", "north"] * (n // 2)),
        case_id=np.array([f"{i:016x}" for i in range(n)]),
        split=np.where(np.arange(n) % 4 == 3, INTERNAL, TRAINING),
        columns=tuple(Column(name=f"early.f{i}") for i in range(p)),
        record={},
    )


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["lr", "rf", "mlp"])
def test_a_candidate_has_all_that_pages_and_hospitals_need(study: Study, name: str) -> None:
    workspace, params = study
    summary = tune(workspace, params, name)
    folder, whole = workspace.model(name), TrainingSet.load(workspace.training("triphasic"))
    assert sorted(path.name for path in folder.iterdir()) == [
        "components.json",
        "importance.json",
        "learning.json",
        "oof.parquet",
        "oof_folds.parquet",
        "package",
        "search.json",
        "summary.json",
    ]
    package = load_package(folder / "package")
    assert package.digest.startswith(summary.package)
    manifest = package.manifest
    assert manifest["training_set"] == whole.digest
    assert list(package.features) == whole.names
    assert set(manifest["rules"]["phases"]) == set(manifest["service"]["phases"]) == set(params.phases)
    assert set(manifest["extraction"]["by_phase"]) == set(params.phases)
    assert set(manifest["thresholds"]) == {"youden", "sensitivity_90"}
    reference = reference_of(package)
    assert reference is not None
    assert set(reference.features) == set(whole.names)
    assert reference.held_out["patients"] == len(whole.y)
    assert manifest["metrics_oof"]["n"] == (whole.split == TRAINING).sum()
    p = predict(package, whole.X)
    apparent = auc(whole.y[whole.split == TRAINING], p[whole.split == TRAINING])
    assert apparent > 0.7
    components = json.loads((folder / "components.json").read_text())
    assert components["chosen"] == summary.components
    assert len(components["scatter"]) == (whole.split == TRAINING).sum()
    assert len(components["cumulative"]) <= min(100, len(components["scatter"]) - 1)


@pytest.mark.parametrize("name", ["lr", "rf", "mlp"])
def test_out_of_fold_tables_agree_and_hold_every_training_patient_once(study: Study, name: str) -> None:
    workspace, params = study
    tune(workspace, params, name)
    part = TrainingSet.load(workspace.training("triphasic")).part(TRAINING)
    frame, _ = read_flat(workspace.model(name) / "oof.parquet")
    assert frame["case_id"].tolist() == part.case_id.tolist()
    assert frame["y"].tolist() == part.y.tolist()
    assert frame["p"].between(0, 1).all()
    np.testing.assert_allclose(frame["p"], frame["p_0"])
    long, _ = read_flat(workspace.model(name) / "oof_folds.parquet")
    assert len(long) == len(part.y)
    estimate = fold_auc_estimate(frame["y"].to_numpy(), frame[["p_0"]].to_numpy(), frame[["fold_0"]].to_numpy(), 0.95)
    stored = json.loads((workspace.model(name) / "summary.json").read_text())["out_of_fold"]
    assert stored["auc"] == pytest.approx(estimate.value, abs=1e-6)


@pytest.mark.parametrize("name", ["lr", "rf", "mlp"])
def test_tuning_again_gives_the_same_bytes(study: Study, name: str) -> None:
    workspace, params = study
    tune(workspace, params, name)
    before = bytes_of(workspace.model(name))
    tune(workspace, params, name)
    assert bytes_of(workspace.model(name)) == before


def test_a_killed_search_goes_on_and_gives_the_same_bytes(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, params = study
    tune(workspace, params, "lr")
    before = bytes_of(workspace.model("lr"))
    honest, calls = CrossValidation.score, []

    def dying(self: CrossValidation, values: dict[str, object]) -> list[float]:
        calls.append(values)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return honest(self, values)  # type: ignore[arg-type]

    monkeypatch.setattr(CrossValidation, "score", dying)
    with pytest.raises(KeyboardInterrupt):
        tune(workspace, params, "lr")
    assert (workspace.state / "search" / "lr.json").is_file()
    calls[:] = [None] * 4
    tune(workspace, params, "lr")
    assert len(calls) == 6, "the finished batch is not scored again"
    assert bytes_of(workspace.model("lr")) == before
    assert not (workspace.state / "search" / "lr.json").exists()


def test_stray_files_are_swept(study: Study) -> None:
    workspace, params = study
    tune(workspace, params, "lr")
    (workspace.model("lr") / "old.json").write_text("{}")
    tune(workspace, params, "lr")
    assert not (workspace.model("lr") / "old.json").exists()


def test_an_unknown_model_is_named(study: Study) -> None:
    with pytest.raises(UnknownModelError, match="no model 'svm'; declared: lr, mlp, rf"):
        tune(*study, "svm")


def test_no_pseudonym_is_in_a_package_or_a_record(study: Study) -> None:
    """A package travels to other hospitals."""
    workspace, params = study
    tune(workspace, params, "lr")
    ids = TrainingSet.load(workspace.training("triphasic")).case_id.tolist()
    for path, content in bytes_of(workspace.model("lr")).items():
        if not path.startswith("oof"):
            assert not [case for case in ids if case.encode() in content], path


def test_internal_patients_do_not_touch_the_search(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted leak: were internal rows used anywhere, changing them would change the model."""
    workspace, params = study
    whole = TrainingSet.load(workspace.training("triphasic"))
    changed = whole.X.copy()
    changed[whole.split == INTERNAL] = 1e6
    first, second = (
        fit_best(replace(whole, X=X).part(TRAINING), params.models["lr"], params.tuning) for X in (whole.X, changed)
    )
    for name, array in first.model.to_arrays().items():
        np.testing.assert_array_equal(array, second.model.to_arrays()[name])


def test_held_out_rows_do_not_touch_their_own_prediction() -> None:
    """A planted leak: preparation or estimator fitted on the held-out rows would move with their values."""
    part = generated()
    folds = repeated_folds(part.y, part.center, 3, 1, 1)
    values = {"components": 5, "C": 1.0, "scores": "scaled"}
    changed, labels = part.X.copy(), part.y.copy()
    held = folds[0].held_out
    changed[held[1:]] *= 50
    labels[held] = 1 - labels[held]
    before = CrossValidation("lr", ComponentRule(), part.X, part.y, folds, 0).held_out(0, values)
    after = CrossValidation("lr", ComponentRule(), changed, labels, folds, 0).held_out(0, values)
    assert before[0] == after[0]


def test_pooling_does_not_lean_because_folds_differ_in_their_share_of_positives() -> None:
    """A model that knows nothing but the share of positives it was fitted on must not be told apart from chance."""
    part = generated(n=58, effect=0.0)
    labels = part.y.copy()
    folds = repeated_folds(labels, part.center, 5, 1, 1)
    validation = CrossValidation("lr", ComponentRule(), part.X, labels, folds, 0)
    ignorant = [np.full(len(fold.held_out), labels[fold.fit].mean()) for fold in folds]
    gathered = validation.out_of_fold(ignorant)
    raw = np.empty(len(labels))
    for fold, p in zip(folds, ignorant, strict=True):
        raw[fold.held_out] = p
    assert auc(labels, raw) < 0.5
    assert gathered.pooled_auc() == pytest.approx(0.5)


def test_nested_choices_do_not_see_the_fold_they_are_for() -> None:
    part = generated(n=48)
    folds = repeated_folds(part.y, part.center, 4, 1, 1)
    validation = CrossValidation("lr", ComponentRule(), part.X, part.y, folds, 0)
    trials = [
        Trial(number=i, values={"components": k, "C": 10.0**c, "scores": "scaled"}, folds=(0.5,) * 4)
        for i, (k, c) in enumerate([(2, -4), (3, 0), (8, 0), (20, 2)])
    ]
    labels = part.y.copy()
    labels[folds[2].held_out] = 1 - labels[folds[2].held_out]
    scrambled = CrossValidation("lr", ComponentRule(), part.X, labels, folds, 0)
    assert nested(validation, trials, 1).chosen[2] == nested(scrambled, trials, 1).chosen[2]


def test_two_folds_leave_the_defaults() -> None:
    tuned = fit_best(generated(), Model(service="s", estimator="lr"), SEARCH.model_copy(update={"folds": 2}))
    assert [trial.number for trial in tuned.chosen] == [0, 0]


@pytest.mark.parametrize("rule", ["variance", "knee"])
def test_components_by_rule_are_not_searched(rule: str) -> None:
    settings = Model.model_validate({"service": "s", "estimator": "lr", "reduction": {"rule": rule, "maximum": 12}})
    tuned = fit_best(generated(), settings, SEARCH)
    assert "components" not in tuned.best.values
    assert 1 <= tuned.model.n_components <= 12


def test_a_true_effect_is_found() -> None:
    whole = generated(n=120)
    tuned = fit_best(whole.part(TRAINING), Model(service="s", estimator="lr"), SEARCH)
    internal = whole.part(INTERNAL)
    assert tuned.nested.auc() > 0.75
    assert auc(internal.y, tuned.model.predict_proba(internal.X)) > 0.75


def test_shuffled_labels_teach_nothing() -> None:
    """The mean over shuffles is 0.5 on every cohort; the best trial's own mean is not, which is why it is not used."""
    whole, far = generated(n=96, effect=2.0), generated(n=40, effect=2.0, seed=9)
    search = TuningSection(trials=6, folds=4, repeats=1, batch=3, seed=7)
    found = shuffled_aucs(whole, far.X, far.y, Model(service="s", estimator="lr"), search, range(20))
    for cohort in ("training", "internal", "external"):
        assert 0.45 <= np.mean([getattr(item, cohort) for item in found]) <= 0.55, cohort
    assert np.mean([item.best_trial for item in found]) > np.mean([item.training for item in found])
    assert found == shuffled_aucs(whole, far.X, far.y, Model(service="s", estimator="lr"), search, range(20))


def test_a_planted_leak_shows_in_the_control(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control must be able to fail: scores that were made with the labels in sight are far from 0.5."""
    honest = tuning.CrossValidation

    def leaking(estimator: str, rule: ComponentRule, X: np.ndarray, y: np.ndarray, *rest: object) -> CrossValidation:
        return honest(estimator, rule, np.column_stack([X, 3.0 * y]), y, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(tuning, "CrossValidation", leaking)
    search = TuningSection(trials=3, folds=4, repeats=1, batch=3, seed=7)
    none, nobody = np.empty((0, 40)), np.empty(0, np.int8)
    found = shuffled_aucs(generated(n=96), none, nobody, Model(service="s", estimator="lr"), search, range(3))
    assert np.mean([item.training for item in found]) > 0.6
    assert all(np.isnan(item.external) for item in found)
