"""Agreement between observers and the redundancy filter."""

import numpy as np
import pytest

from featurestore.stability import TooFewRepeatsError, icc, representatives


def ratings(n: int = 30, k: int = 3, noise: tuple[float, ...] = (0.0, 0.3, 3.0), seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n, 1, len(noise))) * 2 + 5
    return truth + rng.normal(size=(n, k, len(noise))) * np.array(noise)


def test_each_feature_is_judged_alone() -> None:
    together = icc(ratings())
    for column in range(3):
        alone = icc(ratings()[:, :, [column]])
        assert (alone.icc[0], alone.low[0], alone.high[0]) == pytest.approx(
            (together.icc[column], together.low[column], together.high[column]), rel=1e-12
        )


def test_identical_readings_agree_wholly_and_constants_say_nothing() -> None:
    values = ratings(noise=(0.0, 0.0))
    values[:, :, 1] = 0.1
    for kind in ("icc2", "icc3"):
        found = icc(values, kind)
        assert found.icc[0] == found.low[0] == found.high[0] == 1.0
        assert np.isnan(found.icc[1])
        assert found.reliable().tolist() == [True, False]


def test_a_reader_who_always_adds_ten_is_consistent_and_disagrees() -> None:
    values = ratings(noise=(0.1,))
    values[:, 1] += 10
    assert icc(values, "icc3").icc[0] > 0.99
    assert icc(values, "icc2").icc[0] < 0.2


def test_the_lower_bound_is_the_stricter_judge() -> None:
    found = icc(ratings(n=10, noise=(1.0,)))
    minimum = float(found.icc[0]) - 0.01
    assert found.reliable(minimum, "estimate")[0]
    assert not found.reliable(minimum, "low")[0]


def test_a_patient_whom_one_reader_left_out_does_not_count_for_that_feature() -> None:
    values = ratings(n=12, noise=(0.5, 0.5))
    values[0, 1, 0] = np.nan
    found = icc(values)
    assert found.n.tolist() == [11, 12]
    assert found.icc[0] == pytest.approx(icc(values[1:, :, [0]]).icc[0], rel=1e-12)


def test_one_reader_is_refused() -> None:
    with pytest.raises(TooFewRepeatsError, match="1 outlines each"):
        icc(ratings(k=1))


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """95 % intervals of a true ICC(2,1) of 0.8 over 2,000 simulated studies."""
    rng = np.random.default_rng(5)
    n, k, p = 25, 3, 2000
    patients, readers = rng.normal(size=(n, 1, p)) * np.sqrt(0.8), rng.normal(size=(1, k, p)) * np.sqrt(0.05)
    found = icc(patients + readers + rng.normal(size=(n, k, p)) * np.sqrt(0.15))
    covered = ((found.low <= 0.8) & (found.high >= 0.8)).mean()
    assert 0.93 < covered < 0.975


def test_one_of_each_redundant_group_stays() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(size=(60, 3))
    X = np.column_stack([base[:, 0], np.exp(base[:, 0]), -base[:, 0], base[:, 1], base[:, 1] ** 3, base[:, 2]])
    kept = representatives(X)
    assert len(kept) == 3
    assert sorted(min(int(i), 5) // 3 if i < 5 else 2 for i in kept) == [0, 1, 2]


def test_the_better_column_of_a_group_stays() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=50)
    X = np.column_stack([x, x + 0.01 * rng.normal(size=50), rng.normal(size=50)])
    assert representatives(X, rank=np.array([0.8, 0.95, 0.5])).tolist() == [1, 2]
    assert representatives(X, rank=np.array([0.95, 0.8, 0.5])).tolist() == [0, 2]


def test_no_two_kept_columns_are_redundant_and_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(80, 4)) @ rng.normal(size=(4, 40)) + 0.3 * rng.normal(size=(80, 40))
    kept = representatives(X, 0.8)
    assert 4 <= len(kept) < 40
    assert np.array_equal(kept, representatives(X[rng.permutation(80)], 0.8))
