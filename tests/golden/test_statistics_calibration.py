"""Calibration distances, net benefit and table tests against other libraries and printed outputs."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import confusion_matrix
from statsmodels.nonparametric.smoothers_lowess import lowess
from statsmodels.stats.contingency_tables import Table2x2

from pipelines.evaluation import calibration, estimates, utility
from pipelines.evaluation.baseline import _fisher, category_contrast, number_contrast

TABLE = Path(__file__).parent / "statistics_tables.csv"
ROWS = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))

# Extra hours of sleep under two drugs: Student 1908, R's data set `sleep`.
SLEEP = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0], [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
SAMPLES: dict[str, list[list[float]]] = {
    "tea": [[3, 1], [1, 3]],
    "convictions": [[2, 10], [15, 3]],
    "party": [[762, 327, 468], [484, 239, 477]],
}


def cohort(n: int = 150) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(12)
    x = rng.normal(size=n)
    return (rng.uniform(size=n) < 1 / (1 + np.exp(-0.6 * x - 0.3))).astype(np.int8), 1 / (1 + np.exp(-1.4 * x))


def test_calibration_distances_equal_those_of_the_lowess_of_statsmodels() -> None:
    y, p = cohort()
    curve = np.clip(lowess(y, p, frac=calibration.SMOOTHING_SHARE, it=0, delta=0.0, return_sorted=False), 0, 1)
    distance = np.abs(curve - p)
    counts = estimates.resample_counts(len(y), 200, np.random.default_rng(1))
    found = {name: e.value for name, e in calibration.calibration_errors(y, p, counts, 0.95).items()}
    expected = {
        "ici": distance.mean(),
        "e50": np.median(distance),
        "e90": np.quantile(distance, 0.9),
        "e_max": distance.max(),
        "eci": 100 * (distance**2).mean(),
    }
    assert found == pytest.approx(expected, abs=1e-6)


def test_distances_of_a_draw_are_those_of_the_cohort_that_was_drawn() -> None:
    counts = estimates.resample_counts(150, 1, np.random.default_rng(3))
    values = np.random.default_rng(4).uniform(size=(1, 150))
    drawn = np.repeat(values[0], counts[0].astype(int))
    found = calibration._weighted_quantiles(values, counts, (0.5, 0.9, 1.0))[:, 0]
    assert found == pytest.approx([np.median(drawn), np.quantile(drawn, 0.9), drawn.max()])


def test_a_large_cohort_is_judged_on_a_grid_as_it_is_patient_by_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    y, p = cohort(900)
    counts = estimates.resample_counts(len(y), 120, np.random.default_rng(1))
    exact = calibration.calibration_errors(y, p, counts, 0.95)
    monkeypatch.setattr(calibration, "GRID_FROM_PATIENTS", 400)
    grid = calibration.calibration_errors(y, p, counts, 0.95)
    for name, found in grid.items():
        assert found.value == pytest.approx(exact[name].value, abs=0.003), name


@pytest.mark.parametrize("threshold", [0.1, 0.35, 0.5, 0.8])
def test_net_benefit_is_that_of_the_confusion_matrix_of_scikit_learn(threshold: float) -> None:
    y, p = cohort()
    tn, fp, fn, tp = confusion_matrix(y, p >= threshold).ravel()
    n, odds = tn + fp + fn + tp, threshold / (1 - threshold)
    counts = estimates.resample_counts(len(y), 200, np.random.default_rng(1))
    found = utility.decision_curve(y, p, np.array([threshold]), counts, 0.95)
    assert found.net_benefit[0] == pytest.approx(tp / n - fp / n * odds, abs=1e-12)
    assert found.treat_all[0] == pytest.approx(y.mean() - (1 - y.mean()) * odds, abs=1e-12)
    assert found.low[0] <= found.net_benefit[0] <= found.high[0]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["case"])
def test_printed_p_value_is_reproduced(row: dict[str, str]) -> None:
    if row["case"] == "convictions":  # its expected counts are just above 5, so the table shows chi-squared
        assert _fisher(np.array(SAMPLES[row["case"]])) == pytest.approx(float(row["value"]), rel=1e-4)
        return
    if row["case"] == "sleep":
        found = number_contrast(*(np.array(part) for part in SLEEP))
    else:
        found = category_contrast(np.array(SAMPLES[row["case"]], dtype=np.float64))
    assert found.test == row["test"]
    assert found.p_value == pytest.approx(float(row["value"]), rel=float(row["tolerance"]))


def test_standardized_difference_of_shares_is_cohens_for_two_levels() -> None:
    """With two levels the distance of Yang and Dalton is the difference over the root of the mean variance."""
    counts = np.array([[30.0, 70.0], [55.0, 45.0]])
    a, b = 0.7, 0.45
    expected = abs(a - b) / np.sqrt((a * (1 - a) + b * (1 - b)) / 2)
    assert category_contrast(counts).difference == pytest.approx(expected, rel=1e-9)


def test_chi_squared_equals_statsmodels_and_wilcoxon_equals_scipy() -> None:
    rng = np.random.default_rng(2)
    table = np.array([[40.0, 60.0], [58.0, 42.0]])
    theirs = Table2x2(table, shift_zeros=False).test_nominal_association().pvalue
    assert category_contrast(table).p_value == pytest.approx(theirs, rel=1e-9)
    a, b = pd.Series(rng.normal(size=40)), pd.Series(rng.normal(0.4, size=35))
    theirs = stats.ranksums(a, b).pvalue  # without the correction for continuity
    assert number_contrast(a.to_numpy(), b.to_numpy()).p_value == pytest.approx(theirs, abs=0.005)
