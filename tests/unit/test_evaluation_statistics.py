"""What the statistics promise beyond agreeing with other libraries: honest under the null, no crash at the edges."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from pipelines.evaluation import calibration, curves, discrimination, estimates, operating, utility
from pipelines.evaluation.metrics import best_model

RNG_SEED = 4


def counts_for(n: int, draws: int = 300) -> np.ndarray:
    return estimates.resample_counts(n, draws, np.random.default_rng(RNG_SEED))


def test_fold_area_is_half_under_the_null_where_the_pooled_one_leans_below() -> None:
    """Held-out predictions that are each fold's training prevalence carry no information at all."""
    y = np.repeat([0, 1], 30)
    rng = np.random.default_rng(RNG_SEED)
    pooled, within = [], []
    for _ in range(200):
        fold = rng.permutation(np.arange(60) % 5)
        prevalence = np.array([y[fold != f].mean() for f in range(5)])
        p = prevalence[fold] + rng.normal(scale=1e-3, size=60)
        pooled.append(discrimination.auc(y, p))
        within.append(discrimination.fold_auc_estimate(y, p[:, None], fold[:, None], 0.95).value)
    assert np.mean(pooled) < 0.4
    assert np.mean(within) == pytest.approx(0.5, abs=0.02)


def test_fold_area_equals_plain_area_with_one_fold() -> None:
    rng = np.random.default_rng(RNG_SEED)
    y, p = rng.integers(0, 2, 50), rng.uniform(size=50)
    one = np.zeros((50, 1), dtype=int)
    assert discrimination.fold_auc_estimate(y, p[:, None], one, 0.95) == discrimination.auc_estimate(y, p, 0.95)


def test_fold_area_is_the_pair_weighted_mean_of_fold_areas() -> None:
    rng = np.random.default_rng(RNG_SEED)
    y, p, fold = rng.integers(0, 2, 80), rng.uniform(size=(80, 2)), rng.integers(0, 4, (80, 2))
    expected = []
    for repeat in range(2):
        held = [np.flatnonzero(fold[:, repeat] == f) for f in range(4)]
        pairs = [y[h].sum() * (1 - y[h]).sum() for h in held]
        expected.append(np.average([discrimination.auc(y[h], p[h, repeat]) for h in held], weights=pairs))
    assert discrimination.fold_auc_estimate(y, p, fold, 0.95).value == pytest.approx(np.mean(expected))


def test_delong_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(RNG_SEED)
    y = np.repeat([0, 1], 40)
    truth = 0.7602  # P(N(1,1) > N(0,1)) = Phi(1/sqrt 2)
    held = 0
    for _ in range(400):
        found = discrimination.auc_estimate(y, rng.normal(size=80) + y, 0.95)
        held += found.low <= truth <= found.high
    assert 0.91 <= held / 400 <= 0.98


def test_bootstrap_interval_is_close_to_delong_in_a_large_cohort() -> None:
    rng = np.random.default_rng(RNG_SEED)
    y = np.repeat([0, 1], 300)
    p = rng.normal(size=600) + y
    a, b = discrimination.auc_estimate(y, p, 0.95), discrimination.bootstrap_auc(y, p, counts_for(600, 2000), 0.95)
    assert (a.low, a.high) == pytest.approx((b.low, b.high), abs=0.01)


@pytest.mark.parametrize("perfect", [0, 1])
def test_perfect_and_reversed_rankings_get_an_interval_with_a_width(perfect: int) -> None:
    y = np.repeat([0, 1], 10)
    found = discrimination.auc_estimate(y, np.arange(20.0) * (1 if perfect else -1), 0.95)
    assert found.value == perfect
    assert 0.1 < found.high - found.low < 0.35


def test_two_models_that_rank_alike_have_no_test_but_a_reason() -> None:
    y = np.repeat([0, 1], 10)
    p = np.random.default_rng(RNG_SEED).uniform(size=20)
    found = discrimination.delong_test(y, p, p**2, 0.95)
    assert found.p_value is None
    assert found.reason == "both rank the patients alike"


@pytest.mark.parametrize("y", [[], [1], [0], [1, 1, 1], [0, 0], [0, 1], [0, 0, 1]])
def test_degenerate_cohorts_give_reasons_and_never_a_crash(y: list[int]) -> None:
    labels, p = np.array(y, dtype=int), np.linspace(0.2, 0.7, len(y))
    counts = counts_for(len(y)) if y else np.zeros((300, 0))
    found = [
        discrimination.auc_estimate(labels, p, 0.95),
        discrimination.bootstrap_auc(labels, p, counts, 0.95),
        discrimination.average_precision(labels, p, counts, 0.95),
        discrimination.delong_test(labels, p, 1 - p, 0.95).difference,
        calibration.brier(labels, p, counts, 0.95),
        calibration.slope(labels, p, 0.95),
        calibration.intercept(labels, p, 0.95),
        calibration.observed_expected(labels, p, 0.95),
        *calibration.calibration_errors(labels, p, counts, 0.95).values(),
        *operating.operating_point(labels, p, 0.5, counts, 0.95).values(),
    ]
    assert all(estimate.value is not None or estimate.reason for estimate in found)
    assert calibration.flexible_curve(labels, p, counts, 0.95) is None
    if estimates.class_problem(labels):
        assert operating.youden_threshold(labels, p) is None
        assert operating.sensitivity_threshold(labels, p, 0.9) is None


def test_one_pair_is_an_area_and_a_draw_of_one_class_is_none() -> None:
    counts = np.array([[1, 1], [2, 0], [1, 3], [0, 2]])
    found = discrimination.weighted_auc(np.array([0, 1]), np.array([0.2, 0.7]), counts)
    np.testing.assert_array_equal(found, [1, np.nan, 1, np.nan])


def test_bootstrapped_fold_areas_are_pair_weighted_means_of_each_draw() -> None:
    """Against scikit-learn's area of each fold, patients weighted by how often they were drawn."""
    rng = np.random.default_rng(RNG_SEED)
    y, p, fold = np.tile([0, 1], 20), rng.uniform(size=(40, 2)), rng.integers(0, 3, (40, 2))
    counts = counts_for(40, 100)
    areas = []
    for draw in counts:
        won, pairs = 0.0, 0.0
        for repeat, number in np.ndindex(2, 3):
            held = (fold[:, repeat] == number) & (draw > 0)
            n_pairs = draw[held & (y == 1)].sum() * draw[held & (y == 0)].sum()
            if n_pairs:
                won += n_pairs * roc_auc_score(y[held], p[held, repeat], sample_weight=draw[held])
                pairs += n_pairs
        areas.append(won / pairs)
    found = discrimination.bootstrap_fold_auc(y, p, fold, counts, 0.9)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(areas, [5, 95])))
    one_class = discrimination.bootstrap_fold_auc(np.ones(40, int), p, fold, counts, 0.9)
    assert (one_class.value, one_class.low) == (None, None)
    assert one_class.reason


def test_one_pair_in_one_fold_has_an_area() -> None:
    found = discrimination.fold_placements(np.array([0, 1, 1]), np.array([0.2, 0.7, 0.1]), np.array([0, 0, 1]))
    assert [part.mean() for part in found] == [1, 1]


def test_average_precision_of_draws_is_scikit_learns_with_ties_and_patients_not_drawn() -> None:
    rng = np.random.default_rng(RNG_SEED)
    y, p, counts = rng.integers(0, 2, 30), np.round(rng.uniform(size=30), 1), counts_for(30, 200)
    expected = [average_precision_score(y, p, sample_weight=draw) for draw in counts]
    found = discrimination.average_precision(y, p, counts, 0.9)
    assert found.value == pytest.approx(average_precision_score(y, p))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(expected, [5, 95])))


@pytest.mark.parametrize(("area", "m", "n"), [(0.8, 12, 30), (1.0, 9, 5), (0.0, 9, 5), (0.55, 40, 8)])
def test_newcombe_limits_are_where_hanley_and_mcneils_variance_says(area: float, m: int, n: int) -> None:
    """Their formula as printed (Radiology 143:29), with both sizes in it replaced by the mean, as method 5 does."""
    low, high = discrimination.newcombe_interval(area, m, n, 0.95)
    assert 0 <= low <= area <= high <= 1
    for limit in {low, high} - {0.0, 1.0}:
        size, q1, q2 = (m + n) / 2, limit / (2 - limit), 2 * limit**2 / (1 + limit)
        squares = (size - 1) * (q1 - limit**2) + (size - 1) * (q2 - limit**2)
        error = np.sqrt((limit * (1 - limit) + squares) / (m * n))
        assert abs(area - limit) / error == pytest.approx(1.959964, rel=1e-5)


def test_constant_probabilities_are_named_not_fitted() -> None:
    y, p = np.repeat([0, 1], 20), np.full(40, 0.5)
    assert calibration.slope(y, p, 0.95).reason == "all probabilities are the same"
    assert calibration.curve_problem(y, p) == "all probabilities are the same"
    assert discrimination.auc_estimate(y, p, 0.95).value == 0.5


def test_probabilities_in_a_narrow_band_have_a_steep_slope_and_are_not_called_separated() -> None:
    rng = np.random.default_rng(RNG_SEED)
    x = rng.normal(size=300)
    y = (rng.uniform(size=300) < 1 / (1 + np.exp(-x))).astype(int)
    found = calibration.slope(y, 1 / (1 + np.exp(-x / 500)), 0.95)
    assert found.value == pytest.approx(500, rel=0.3)


def test_separated_classes_have_no_slope_but_a_reason() -> None:
    y = np.repeat([0, 1], 20)
    assert "separate" in calibration.slope(y, np.linspace(0.1, 0.9, 40), 0.95).reason


def test_true_probabilities_are_found_calibrated_and_sharpened_ones_too_extreme() -> None:
    rng = np.random.default_rng(RNG_SEED)
    x = rng.normal(size=4000)
    p = 1 / (1 + np.exp(-x))
    y = (rng.uniform(size=4000) < p).astype(int)
    sharp = 1 / (1 + np.exp(-2 * x))
    assert calibration.slope(y, p, 0.95).value == pytest.approx(1, abs=0.1)
    assert calibration.intercept(y, p, 0.95).value == pytest.approx(0, abs=0.1)
    assert calibration.observed_expected(y, p, 0.95).value == pytest.approx(1, abs=0.05)
    assert calibration.slope(y, sharp, 0.95).value == pytest.approx(0.5, abs=0.05)
    counts = counts_for(400, 100)
    assert (
        calibration.calibration_errors(y[:400], sharp[:400], counts, 0.95)["ici"].value
        > calibration.calibration_errors(y[:400], p[:400], counts, 0.95)["ici"].value
    )


def test_net_benefit_by_hand() -> None:
    """Of 10 patients 3 of 4 with the outcome and 1 of 6 without are treated at 0.2: 3/10 - 1/10 x 0.25."""
    y = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    p = np.array([0.9, 0.8, 0.3, 0.1, 0.25, 0.1, 0.1, 0.1, 0.1, 0.1])
    curve = utility.decision_curve(y, p, np.array([0.2]), counts_for(10), 0.95)
    assert curve.net_benefit[0] == pytest.approx(0.275)
    assert curve.treat_all[0] == pytest.approx(0.4 - 0.6 * 0.25)


def test_sensitivity_threshold_reaches_its_target_and_no_higher_one_does() -> None:
    rng = np.random.default_rng(RNG_SEED)
    y, p = rng.integers(0, 2, 97), rng.uniform(size=97)
    threshold = operating.sensitivity_threshold(y, p, 0.9)
    assert (p[y == 1] >= threshold).mean() >= 0.9
    above = p[p > threshold].min()
    assert (p[y == 1] >= above).mean() < 0.9


def test_operating_point_names() -> None:
    assert operating.sensitivity_name(0.9) == "sensitivity_90"
    assert operating.sensitivity_name(0.975) == "sensitivity_97_5"


def test_bands_hold_their_curve() -> None:
    rng = np.random.default_rng(RNG_SEED)
    y = rng.integers(0, 2, 120)
    p = 1 / (1 + np.exp(-(rng.normal(size=120) + y - 0.5)))
    counts = counts_for(120, 500)
    roc = curves.roc_curve(y, p, counts, 0.95)
    assert ((roc.low <= roc.tpr + 0.02) & (roc.tpr <= roc.high + 0.02)).mean() > 0.9
    flexible = calibration.flexible_curve(y, p, counts, 0.95)
    assert flexible is not None
    assert ((flexible.low <= flexible.observed) & (flexible.observed <= flexible.high)).mean() > 0.95


def test_holm_keeps_missing_tests_out_of_the_count() -> None:
    corrected = estimates.holm(np.array([0.01, np.nan, 0.04]))
    assert corrected[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(corrected[1])


def test_of_equally_good_models_the_first_by_name_is_best_in_whatever_order_they_are_listed() -> None:
    """The stage lists models as params.yaml does, the page as metrics.json does."""
    equal = {"training": {"auc": 0.7}}
    assert best_model({"b": equal, "a": equal}) == best_model({"a": equal, "b": equal}) == "a"
