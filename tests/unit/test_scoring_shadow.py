"""The comparison of a champion with its shadow, beside scikit-learn and scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, ttest_1samp
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from pipelines.scoring.scores import SCORES
from pipelines.scoring.shadow import shadow_comparison


def history(package: str, p: np.ndarray, threshold: float, first: int = 0) -> pd.DataFrame:
    rows = {
        "center": "harbor",
        "case_id": [f"c{n:03d}" for n in range(first, first + len(p))],
        "package": package,
        "inputs": "x",
        "sequence": 1,
        "replaces": "",
        "model": "m",
        "version": 1,
        "probability": p,
        "threshold": threshold,
        "positive": p >= threshold,
        "role": "champion",
        "distance": np.nan,
        "doubts": "",
    }
    return pd.DataFrame(rows)[list(SCORES.names())]


@pytest.fixture
def two() -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    a = rng.uniform(size=80)
    b = np.clip(0.7 * a + 0.3 * rng.uniform(size=80) + 0.05, 0, 1)
    return pd.concat([history("a", a, 0.5), history("b", b, 0.6)], ignore_index=True), a, b


def test_the_figures_equal_those_of_the_libraries(two) -> None:
    rows, a, b = two
    y = (np.random.default_rng(5).uniform(size=80) < a).astype(int)
    labels = pd.Series(y, index=pd.MultiIndex.from_frame(rows[rows["package"] == "a"][["center", "case_id"]]))[::2]
    found = shadow_comparison(rows, "a", "b", labels)
    assert found.n == 80
    assert found.correlation == pytest.approx(pearsonr(a, b).statistic)
    assert found.kappa == pytest.approx(cohen_kappa_score(a >= 0.5, b >= 0.6))
    assert found.agreement.value == np.mean((a >= 0.5) == (b >= 0.6))
    assert found.both + found.champion_only == (a >= 0.5).sum()
    interval = ttest_1samp(b - a, 0).confidence_interval()
    assert (found.mean_difference.low, found.mean_difference.high) == pytest.approx(tuple(interval))
    assert found.auc is not None
    half = slice(None, None, 2)
    expected = roc_auc_score(y[half], b[half]) - roc_auc_score(y[half], a[half])
    assert (found.auc.n, found.auc.difference.value) == (40, pytest.approx(expected))
    assert "40 labelled" in found.plain()["AUC difference"]


def test_only_cases_that_both_have_scored_count_and_each_by_its_latest_score(two) -> None:
    rows, a, b = two
    again = history("a", a[:1] * 0, 0.5).assign(inputs="x2", sequence=2, replaces="x")
    more = history("b", b[:5], 0.6, first=80)
    found = shadow_comparison(pd.concat([rows, again, more], ignore_index=True), "a", "b")
    assert found.n == 80
    changed = np.r_[0.0, a[1:]]
    assert found.mean_difference.value == pytest.approx((b - changed).mean())
    assert "AUC difference" not in found.plain()


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_few_or_equal_cases_have_reasons_and_no_numbers(n: int) -> None:
    p = np.full(n, 0.7)
    found = shadow_comparison(pd.concat([history("a", p, 0.5), history("b", p, 0.5)]), "a", "b")
    assert found.n == n
    assert (found.correlation, found.kappa) == (None, None)
    assert "–" in found.plain()["kappa"]


def test_a_challenger_that_scored_nobody_yet_is_no_fault() -> None:
    assert shadow_comparison(history("a", np.array([0.2, 0.8]), 0.5), "a", "b").n == 0
