"""The search's logistic regression finds scikit-learn's optimum, also where it is hard to find."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pipelines.models.estimators import fit_estimator, fit_on_fold, positive_probability
from pipelines.models.logistic import fit_logistic


def rows(n: int, k: int, seed: int, share: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = (np.arange(n) < share * n).astype(np.int8)
    return rng.normal(size=(n, k)) * np.geomspace(1, 1e-3, k) + 0.6 * y[:, None] * (np.arange(k) < 2), y


@pytest.mark.parametrize("C", [1e-4, 1e-2, 1.0, 1e2])
@pytest.mark.parametrize(("n", "k"), [(30, 2), (46, 30), (80, 30), (320, 30)])
@pytest.mark.parametrize("share", [0.5, 0.12])
def test_probabilities_equal_those_of_scikit_learn(C: float, n: int, k: int, share: float) -> None:
    Z, y = rows(n, k, seed=k, share=share)
    theirs = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=500).fit(Z, y)
    ours = fit_logistic(Z, y, C)
    assert ours is not None
    assert np.allclose(ours.predict_proba(Z), theirs.predict_proba(Z), rtol=0, atol=1e-10)


@pytest.mark.parametrize("far", [1.0, 30.0, 1000.0])
def test_labels_that_a_line_parts_have_an_optimum_too(far: float) -> None:
    y = (np.arange(40) % 2).astype(np.int8)
    Z = far * np.column_stack([2.0 * y - 1, np.linspace(-1, 1, 40)])
    theirs = LogisticRegression(C=100.0, solver="newton-cholesky", tol=1e-12, max_iter=500).fit(Z, y)
    ours = fit_logistic(Z, y, 100.0)
    assert ours is not None
    assert np.allclose(ours.predict_proba(Z), theirs.predict_proba(Z), rtol=0, atol=1e-8)


def test_a_model_of_a_fold_is_the_model_of_a_candidate() -> None:
    Z, y = rows(90, 12, seed=3)
    quick, whole = (fit("lr", {"C": 0.3}, 0, Z, y) for fit in (fit_on_fold, fit_estimator))
    assert np.allclose(positive_probability(quick, Z), positive_probability(whole, Z), rtol=0, atol=1e-9)


def test_where_newton_stalls_scikit_learn_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.models.estimators.fit_logistic", lambda Z, y, C: None)
    Z, y = rows(50, 4, seed=1)
    assert isinstance(fit_on_fold("lr", {"C": 1.0}, 0, Z, y), LogisticRegression)
