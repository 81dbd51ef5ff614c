"""The optional steps of a model: fitted on the fold alone, stored in the package, and honest about centers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from featurestore.harmonization import CombatRules, TooFewCasesError, UnseenCenterError
from featurestore.repeats import read_repeats, repeat_hashes, write_repeats
from featurestore.stability import TooFewRepeatsError
from pipelines.evaluation.adapting import center_adapters
from pipelines.models.components import ComponentRule
from pipelines.models.preparation import Preparation
from pipelines.models.steps import CentersNeededError, RowFacts, StabilityRule, Steps
from pipelines.models.tabular import TabularModel
from pipelines.scoring.adapters import kept_adapter
from pipelines.training.crossval import CrossValidation
from pipelines.training.splits import repeated_folds
from registry.harmonizing import predict_at_centers
from registry.package import ModelPackage, load_package, save_package

N, P = 90, 12
LR = {"C": 0.1, "components": 4}


def rows(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features with a signal in the first three, a shift and stretch by center, and a second outline."""
    rng = np.random.default_rng(seed)
    y = (np.arange(N) % 2).astype(np.int8)
    center = np.repeat(["east", "north", "south"], N // 3)
    X = rng.normal(size=(N, P))
    X[:, :3] += 1.2 * y[:, None]
    X = X * np.repeat([1.0, 2.0, 0.5], N // 3)[:, None] + np.repeat([0.0, 3.0, -2.0], N // 3)[:, None]
    noise = np.where(np.arange(P) < 8, 0.05, 4.0)
    return X, y, center, (X + rng.normal(size=X.shape) * noise)[:, None, :]


def test_unstable_features_never_reach_the_estimator() -> None:
    X, _, center, repeats = rows()
    steps = Steps(stability=StabilityRule(kind="icc2", minimum=0.75, bound="low"))
    assert Preparation.fit(X, 5, steps, RowFacts(center=center, repeats=repeats)).keep.tolist() == list(range(8))


def test_filters_look_at_the_rows_of_the_fold_alone() -> None:
    """Spoiling the outlines and features of held-out patients changes nothing that is fitted."""
    X, y, center, repeats = rows()
    rule = StabilityRule(kind="icc2", minimum=0.75, bound="low")
    steps = Steps(harmonization=CombatRules(), stability=rule, redundancy=0.9)
    folds = repeated_folds(y, center, 3, 1, 0)[:1]
    out = folds[0].held_out
    X2, repeats2 = X.copy(), repeats.copy()
    X2[out], repeats2[out] = 100 + X[out] * 7, -50.0
    fits = [
        CrossValidation("lr", ComponentRule(), A, y, folds, 0, steps, RowFacts(center=center, repeats=R)).prepared[0]
        for A, R in ((X, repeats), (X2, repeats2))
    ]
    first, second = (fit.preparation for fit in fits)
    assert np.array_equal(first.keep, second.keep)
    assert np.array_equal(first.axes, second.axes)
    assert first.combat is not None
    assert second.combat is not None
    assert first.combat.digest == second.combat.digest


def test_harmonization_does_not_know_the_label() -> None:
    X, y, center, _ = rows()
    fits = [
        TabularModel("lr", LR, 0, steps=Steps(harmonization=CombatRules())).fit(X, labels, RowFacts(center=center))
        for labels in (y, 1 - y)
    ]
    digests = {fit.preparation.combat.digest for fit in fits if fit.preparation.combat}
    assert len(digests) == 1


def test_too_few_second_outlines_are_named() -> None:
    X, _, center, repeats = rows()
    repeats[5:] = np.nan
    steps = Steps(stability=StabilityRule(kind="icc2", minimum=0.75, bound="low"))
    with pytest.raises(TooFewRepeatsError, match="5 of the fold's patients"):
        Preparation.fit(X, 5, steps, RowFacts(center=center, repeats=repeats))
    with pytest.raises(CentersNeededError):
        Preparation.fit(X, 5, Steps(harmonization=CombatRules()))


@pytest.fixture
def package(candidates: object, tmp_path: Path) -> tuple[ModelPackage, TabularModel]:
    """A harmonizing model, written and read back."""
    X, y, center, _ = rows()
    model = TabularModel("lr", LR, 0, steps=Steps(harmonization=CombatRules(), redundancy=0.95))
    model.fit(X, y, RowFacts(center=center))
    combat = model.preparation.combat
    assert combat is not None
    told = {"centers": list(combat.centers), "rules": {"minimum_cases": 20}, "fit": combat.digest}
    manifest = candidates.manifest("lr", "0" * 64)  # type: ignore[attr-defined]
    features = [{"name": f"f{i}", "unit": ""} for i in range(P)]
    save_package(
        tmp_path / "package", {**manifest, "features": features, "harmonization": told}, model.to_arrays(), X[:3], ""
    )
    return load_package(tmp_path / "package"), model


def test_a_package_predicts_known_centers_as_the_model_does(package: tuple[ModelPackage, TabularModel]) -> None:
    X, _, center, _ = rows()
    X[0, 0] = np.nan
    stored, model = package
    wanted = model.predict_proba(X, RowFacts(center=center))
    np.testing.assert_allclose(predict_at_centers(stored, X, center), wanted, atol=1e-12)


def test_a_new_center_needs_an_adapter_and_gets_it_once(
    package: tuple[ModelPackage, TabularModel], tmp_path: Path
) -> None:
    stored, _ = package
    rng = np.random.default_rng(8)
    X = rng.normal(size=(30, P)) * 3 + 10
    cases = pd.DataFrame({"case_id": [f"{i:02d}" for i in range(30)]})
    with pytest.raises(UnseenCenterError, match="center harbor"):
        predict_at_centers(stored, X, np.full(30, "harbor"))
    with pytest.raises(TooFewCasesError, match="12 cases, 20 are needed"):
        kept_adapter(tmp_path / "adapters", stored, X[:12], "harbor", cases[:12])
    first = kept_adapter(tmp_path / "adapters", stored, X[:20], "harbor", cases[:20])
    again = kept_adapter(tmp_path / "adapters", stored, X, "harbor", cases)
    assert [path.stem for path in (tmp_path / "adapters").iterdir()] == [first.digest] == [again.digest]
    one = predict_at_centers(stored, X[:1], np.array(["harbor"]), {"harbor": first})
    assert one == predict_at_centers(stored, X, np.full(30, "harbor"), {"harbor": first})[0]


def test_external_centers_are_harmonized_from_all_their_cases_or_left_out(
    package: tuple[ModelPackage, TabularModel],
) -> None:
    stored, _ = package
    rng = np.random.default_rng(8)
    wide = pd.DataFrame(rng.normal(size=(35, P)) + 5, columns=list(stored.features))
    wide = wide.assign(center=["west"] * 25 + ["far"] * 10, case_id=[f"{i:02d}" for i in range(35)])
    adapters, alien = center_adapters(stored, wide)
    assert (list(adapters), alien) == (["west"], ["far"])
    assert adapters["west"].n == 25


def test_rows_of_other_outlines_survive_a_withdrawal_and_no_other_change(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"center": ["a", "a", "b"], "case_id": ["1", "2", "1"], "observer": ["x", "x", "y"], "f": [1.0, 2, 3]}
    )
    hashes = repeat_hashes(frame)
    center, case_id = np.array(["a", "a", "b"]), np.array(["1", "2", "1"])
    write_repeats(tmp_path, frame)
    found = read_repeats(tmp_path, ["f"], center, case_id, hashes)
    assert found is not None
    np.testing.assert_array_equal(found[:, :, 0], [[1, np.nan], [2, np.nan], [np.nan, 3]])
    write_repeats(tmp_path, frame[1:])
    assert read_repeats(tmp_path, ["f"], center, case_id, hashes) is not None
    write_repeats(tmp_path, frame.assign(f=9.0))
    with pytest.raises(Exception, match="not what was written"):
        read_repeats(tmp_path, ["f"], center, case_id, hashes)
