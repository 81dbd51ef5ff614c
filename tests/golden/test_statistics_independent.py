"""Own statistics against implementations that nobody here wrote: MLstatkit, scikit-learn, statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from MLstatkit import Delong_test
from sklearn import metrics
from statsmodels.nonparametric.smoothers_lowess import lowess
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from pipelines.evaluation import calibration, curves, discrimination, estimates, operating

COHORTS = [(30, 0.4, None), (75, 0.2, None), (200, 0.5, 1), (60, 0.5, 1)]


def cohort(n: int, share: float, decimals: int | None, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and two related models' probabilities; rounding makes ties."""
    rng = np.random.default_rng([seed, n])
    y = (np.arange(n) < round(share * n)).astype(np.int8)
    signal = rng.normal(size=n) + 0.8 * y
    p_a, p_b = (1 / (1 + np.exp(-(signal + rng.normal(scale=s, size=n)))) for s in (0.5, 1.0))
    return (y, p_a, p_b) if decimals is None else (y, p_a.round(decimals), p_b.round(decimals))


@pytest.mark.parametrize("size", COHORTS)
def test_delong_interval_and_test_equal_mlstatkit(size: tuple[int, float, int | None]) -> None:
    y, p_a, p_b = cohort(*size)
    _, p_value, ci_a, ci_b, auc_a, auc_b, _ = Delong_test(y, p_a, p_b)
    found = discrimination.delong_test(y, p_a, p_b, 0.95)
    assert (found.auc_a, found.auc_b, found.p_value) == pytest.approx((auc_a, auc_b, p_value), rel=1e-9)
    for p, interval in ((p_a, ci_a), (p_b, ci_b)):
        estimate = discrimination.auc_estimate(y, p, 0.95)
        assert (estimate.low, estimate.high) == pytest.approx(interval, rel=1e-9)


@pytest.mark.parametrize("size", COHORTS)
def test_areas_and_precision_equal_scikit_learn_on_resamples(size: tuple[int, float, int | None]) -> None:
    y, p, _ = cohort(*size)
    counts = estimates.resample_counts(len(y), 20, np.random.default_rng(1))
    areas = discrimination.weighted_auc(y, p, counts)
    precisions = discrimination._weighted_average_precision(y, p, counts)
    for row, weights in enumerate(counts):
        assert areas[row] == pytest.approx(metrics.roc_auc_score(y, p, sample_weight=weights), abs=1e-12)
        expected = metrics.average_precision_score(y, p, sample_weight=weights)
        assert precisions[row] == pytest.approx(expected, abs=1e-12)
    assert discrimination.auc(y, p) == pytest.approx(metrics.roc_auc_score(y, p), abs=1e-12)


@pytest.mark.parametrize("size", COHORTS)
def test_curves_equal_scikit_learn(size: tuple[int, float, int | None]) -> None:
    y, p, _ = cohort(*size)
    counts = estimates.resample_counts(len(y), 200, np.random.default_rng(1))
    roc = curves.roc_curve(y, p, counts, 0.95)
    fpr, tpr, _ = metrics.roc_curve(y, p, drop_intermediate=True)
    assert metrics.auc(roc.fpr, roc.tpr) == pytest.approx(metrics.roc_auc_score(y, p), abs=1e-12)
    assert np.interp(fpr, roc.fpr, roc.tpr, left=0, right=1).shape == tpr.shape
    assert set(zip(roc.fpr.round(9), roc.tpr.round(9), strict=True)) <= set(
        zip(*(part.round(9) for part in metrics.roc_curve(y, p, drop_intermediate=False)[:2]), strict=True)
    )
    found = curves.precision_recall_curve(y, p, counts, 0.95)
    precision, recall, _ = metrics.precision_recall_curve(y, p)
    expected = sorted(zip(recall[:-1].round(9), precision[:-1].round(9), strict=True))
    assert set(zip(found.recall.round(9), found.precision.round(9), strict=True)) == set(expected)


@pytest.mark.parametrize("size", COHORTS[:3])
def test_calibration_slope_and_intercept_equal_statsmodels(size: tuple[int, float, int | None]) -> None:
    y, p, _ = cohort(*size)
    p = np.clip(p, 0.02, 0.98)
    x = np.log(p / (1 - p))
    joint = sm.GLM(y, sm.add_constant(x), family=sm.families.Binomial()).fit(tol=1e-12, maxiter=200)
    large = sm.GLM(y, np.ones_like(x), family=sm.families.Binomial(), offset=x).fit(tol=1e-12, maxiter=200)
    slope, intercept = calibration.slope(y, p, 0.95), calibration.intercept(y, p, 0.95)
    assert (slope.value, slope.low, slope.high) == pytest.approx((joint.params[1], *joint.conf_int()[1]), rel=1e-6)
    assert (intercept.value, intercept.low, intercept.high) == pytest.approx(
        (large.params[0], *large.conf_int()[0]), rel=1e-6
    )


def test_smoother_equals_lowess_of_statsmodels() -> None:
    y, p, _ = cohort(75, 0.4, None)
    expected = lowess(y, p, frac=calibration.SMOOTHING_SHARE, it=0, delta=0.0, return_sorted=False)
    found = calibration.smooth(p, y, p, np.ones((1, len(y))))[0]
    assert found == pytest.approx(np.clip(expected, 0, 1), abs=1e-6)


def test_brier_equals_scikit_learn() -> None:
    y, p, _ = cohort(75, 0.4, None)
    counts = estimates.resample_counts(len(y), 200, np.random.default_rng(1))
    assert calibration.brier(y, p, counts, 0.95).value == pytest.approx(metrics.brier_score_loss(y, p), abs=1e-12)


def test_holm_equals_statsmodels() -> None:
    p_values = np.random.default_rng(5).uniform(0, 0.1, size=30)
    assert estimates.holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (3, 7), (7, 7), (40, 90)])
def test_wilson_equals_statsmodels(successes: int, n: int) -> None:
    found = estimates.wilson(successes, n, 0.9)
    expected = proportion_confint(successes, n, alpha=0.1, method="wilson")
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("size", COHORTS)
def test_operating_point_equals_scikit_learn(size: tuple[int, float, int | None]) -> None:
    y, p, _ = cohort(*size)
    threshold = operating.youden_threshold(y, p)
    assert threshold is not None
    counts = estimates.resample_counts(len(y), 200, np.random.default_rng(1))
    found = {name: e.value for name, e in operating.operating_point(y, p, threshold, counts, 0.95).items()}
    called = (p >= threshold).astype(int)
    assert found["f1"] == pytest.approx(metrics.f1_score(y, called))
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(y, called))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(y, called))
    assert found["ppv"] == pytest.approx(metrics.precision_score(y, called))
    fpr, tpr, _ = metrics.roc_curve(y, p, drop_intermediate=False)
    assert found["sensitivity"] + found["specificity"] - 1 == pytest.approx((tpr - fpr).max())
