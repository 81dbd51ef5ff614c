"""Harmonization: what may enter a fit, what a new center's adapter is made from, and that neither sees a label."""

import inspect

import numpy as np
import pytest

from featurestore.covariates import (
    CovariateMissingError,
    LabelCovariateError,
    UnknownCovariateError,
    covariate_columns,
    refuse_label,
    refuse_telling,
)
from featurestore.harmonization import (
    Adapter,
    Combat,
    CombatRules,
    ConfoundedError,
    OtherFitError,
    TooFewCasesError,
    UnseenCenterError,
)

P = 30


def cases(center: str, n: int, shift: float, scale: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features whose every column a center moves by `shift` and stretches by `scale`."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, P)) * scale + shift + rng.normal(size=P) * 0.1 * abs(shift) + np.arange(P)
    return X, np.full(n, center)


@pytest.fixture(scope="module")
def development() -> tuple[np.ndarray, np.ndarray]:
    parts = [cases("north", 40, 0.0, 1.0, 1), cases("east", 30, 1.5, 1.7, 2), cases("south", 25, -1.0, 0.6, 3)]
    return np.vstack([X for X, _ in parts]), np.concatenate([c for _, c in parts])


def spread(X: np.ndarray, center: np.ndarray) -> float:
    means = np.array([X[center == name].mean(axis=0) for name in np.unique(center)])
    return float(means.std(axis=0).mean())


def test_centers_come_together(development: tuple[np.ndarray, np.ndarray]) -> None:
    X, center = development
    assert spread(Combat.fit(X, center).transform(X, center), center) < 0.1 * spread(X, center)


def test_no_function_that_learns_has_an_argument_for_a_label() -> None:
    for learns in (Combat.fit, Combat.adapter):
        assert not {"y", "label", "labels", "outcome"} & set(inspect.signature(learns).parameters)


def test_a_new_center_is_harmonized_from_its_cases_alone(development: tuple[np.ndarray, np.ndarray]) -> None:
    """Nothing of the new center enters the fit: the fit is the same whether the center exists or not."""
    X, center = development
    before = Combat.fit(X, center)
    far, name = cases("harbor", 25, 3.0, 2.0, 4)
    adapter = before.adapter(far, "harbor", [f"{i:03d}" for i in range(25)])
    moved = before.transform(far, name, adapters={"harbor": adapter})
    assert before.digest == Combat.fit(X, center).digest
    assert abs(moved.mean(axis=0) - before.mean).mean() < 0.1 * abs(far.mean(axis=0) - before.mean).mean()
    assert np.median(moved.std(axis=0) / before.sd) == pytest.approx(1.0, abs=0.1)
    # and development patients are moved exactly as before
    assert np.array_equal(before.transform(X, center), before.transform(X, center, adapters={"harbor": adapter}))


def test_the_list_is_fixed_its_order_is_not_part_of_it(development: tuple[np.ndarray, np.ndarray]) -> None:
    fitted = Combat.fit(*development)
    far, _ = cases("harbor", 25, 3.0, 2.0, 4)
    names = [f"{i:03d}" for i in range(25)]
    order = np.random.default_rng(0).permutation(25)
    first, second = (
        fitted.adapter(far, "harbor", names),
        fitted.adapter(far[order], "harbor", [names[i] for i in order]),
    )
    assert first.digest == second.digest
    assert fitted.adapter(far[1:], "harbor", names[1:]).digest != first.digest


def test_too_few_cases_give_no_adapter(development: tuple[np.ndarray, np.ndarray]) -> None:
    fitted = Combat.fit(*development)
    far, _ = cases("harbor", 19, 3.0, 2.0, 4)
    with pytest.raises(TooFewCasesError, match="19 cases, 20 are needed"):
        fitted.adapter(far, "harbor", [str(i) for i in range(19)])


def test_an_unseen_center_is_never_passed_through_unnoticed(development: tuple[np.ndarray, np.ndarray]) -> None:
    far, name = cases("harbor", 25, 3.0, 2.0, 4)
    with pytest.raises(UnseenCenterError, match="east, north, south"):
        Combat.fit(*development).transform(far, name)


def test_an_adapter_of_another_fit_is_refused(development: tuple[np.ndarray, np.ndarray]) -> None:
    X, center = development
    far, name = cases("harbor", 25, 3.0, 2.0, 4)
    adapter = Combat.fit(X[1:], center[1:]).adapter(far, "harbor", [str(i) for i in range(25)])
    with pytest.raises(OtherFitError, match="made for fit"):
        Combat.fit(X, center).transform(far, name, adapters={"harbor": adapter})


def test_an_adapter_comes_back_from_its_file_to_the_last_bit(development: tuple[np.ndarray, np.ndarray]) -> None:
    import json

    far, _ = cases("harbor", 25, 3.0, 2.0, 4)
    adapter = Combat.fit(*development).adapter(far, "harbor", [str(i) for i in range(25)])
    again = Adapter.from_plain(json.loads(json.dumps(adapter.plain())))
    assert again.digest == adapter.digest
    assert np.array_equal(again.gamma, adapter.gamma)


def test_the_reference_center_stays_as_it_is(development: tuple[np.ndarray, np.ndarray]) -> None:
    X, center = development
    moved = Combat.fit(X, center, CombatRules(reference="north")).transform(X, center)
    assert np.array_equal(moved[center == "north"], X[center == "north"])
    with pytest.raises(UnseenCenterError, match="reference west"):
        Combat.fit(X, center, CombatRules(reference="west"))


def test_an_effect_that_is_kept_stays(development: tuple[np.ndarray, np.ndarray]) -> None:
    """A covariate that differs between centers keeps its effect, which plain harmonization would take away."""
    X, center = development
    rng = np.random.default_rng(9)
    age = rng.normal(size=len(X)) + 2.0 * (center == "east")
    X = X + 3.0 * age[:, None]

    def effect(moved: np.ndarray) -> float:
        return float(np.polyfit(age, moved.mean(axis=1), 1)[0])

    kept = Combat.fit(X, center, CombatRules(covariates=("age",)), age[:, None])
    assert effect(kept.transform(X, center, age[:, None])) == pytest.approx(3.0, abs=0.1)
    assert effect(Combat.fit(X, center).transform(X, center)) < 2.7


def test_the_outcome_is_no_covariate_under_any_name() -> None:
    with pytest.raises(LabelCovariateError, match="her2 is the outcome"):
        refuse_label(["age", "clinical.her2"], ["her2", "ihc"])
    y = np.array([0, 1, 1, 0], dtype=np.int8)
    with pytest.raises(LabelCovariateError, match="score has the outcome's values"):
        refuse_telling(np.array([[1.0, 7], [2, 3], [3, 3], [4, 7]]), ["age", "score"], y)
    with pytest.raises(LabelCovariateError, match="months has the outcome's values"):
        refuse_telling(np.array([[30.0], [1], [12], [48]]), ["months"], y)
    with pytest.raises(UnknownCovariateError, match=r"clinical\.weight"):
        covariate_columns(["clinical.age"], ["clinical.weight"])


def test_a_covariate_among_the_columns_stays_as_it_is_and_travels_with_the_fit() -> None:
    """The same fit as with the covariate apart, and the same after it was stored; who lacks it is refused."""
    rng = np.random.default_rng(5)
    center = np.repeat(["east", "north"], 40)
    age = rng.normal(size=80) + (center == "east")
    X = rng.normal(size=(80, P)) + age[:, None] * 3 + (center == "east")[:, None] * 2
    whole = np.column_stack([X, age])
    rules = CombatRules(covariates=("clinical.age",))
    own = covariate_columns([*(f"f{i}" for i in range(P)), "clinical.age"], rules.covariates)
    fit = Combat.fit(whole, center, rules, own=own)
    moved = fit.transform(whole, center)
    np.testing.assert_array_equal(moved[:, -1], age)
    apart = Combat.fit(X, center, rules, age[:, None])
    np.testing.assert_allclose(moved[:, :-1], apart.transform(X, center, age[:, None]), atol=1e-12)
    stored = Combat.from_arrays(fit.to_arrays(), fit.centers, rules)
    assert stored.digest == fit.digest
    new = rng.normal(size=(25, P)) + 9
    known = np.column_stack([new, rng.normal(size=25)])
    names = [f"{i}" for i in range(25)]
    adapters = {"west": stored.adapter(known, "west", names)}
    assert np.isfinite(stored.transform(known, np.full(25, "west"), adapters=adapters)).all()
    known[3, -1] = np.nan
    with pytest.raises(CovariateMissingError, match=r"1 of 25 patients have no clinical\.age"):
        stored.refuse_lacking(known)


def test_a_covariate_that_is_the_center_is_named(development: tuple[np.ndarray, np.ndarray]) -> None:
    X, center = development
    with pytest.raises(ConfoundedError, match="scanner"):
        Combat.fit(X, center, CombatRules(covariates=("scanner",)), (center == "east").astype(float)[:, None])


def test_constant_columns_pass_and_disturb_no_other(development: tuple[np.ndarray, np.ndarray]) -> None:
    X, center = development
    flat = np.column_stack([X, np.full(len(X), 0.1)])
    moved = Combat.fit(flat, center).transform(flat, center)
    assert np.array_equal(moved[:, -1], flat[:, -1])
    assert np.allclose(moved[:, :-1], Combat.fit(X, center).transform(X, center), rtol=0, atol=1e-12)


def test_one_center_or_two_patients_are_refused(development: tuple[np.ndarray, np.ndarray]) -> None:
    X, center = development
    with pytest.raises(TooFewCasesError, match="one center only"):
        Combat.fit(X[:40], center[:40])
    with pytest.raises(TooFewCasesError, match="2 training patients"):
        Combat.fit(X[:42], center[:42])


@pytest.mark.parametrize("prior", ["parametric", "nonparametric"])
def test_hundreds_of_patients_do_not_drown_a_likelihood(prior: str) -> None:
    X = np.vstack([cases("north", 900, 0.0, 1.0, 1)[0], cases("east", 900, 1.0, 1.5, 2)[0]])
    center = np.repeat(["north", "east"], 900)
    fitted = Combat.fit(X, center, CombatRules(prior=prior))  # type: ignore[arg-type]
    assert np.isfinite(fitted.transform(X, center)).all()
