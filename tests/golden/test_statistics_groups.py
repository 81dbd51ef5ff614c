"""Pooling over groups and sample size against published outputs and another library."""

import csv
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.meta_analysis import combine_effects

from pipelines.evaluation.groups import pool
from pipelines.evaluation.sample_size import expected_shrinkage, maximum_r2, r2_from_area, sample_size

TABLE = Path(__file__).parent / "statistics_groups.csv"
ROWS = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))

# Tuberculosis among vaccinated and not: Colditz et al. 1994, the thirteen trials of metafor's dat.bcg.
VACCINATED = [4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27], [
    119, 300, 228, 13536, 5036, 1361, 2537, 87886, 7470, 1699, 50448, 2493, 16886,
]  # fmt: skip
CONTROL = [11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29], [
    128, 274, 209, 12619, 5761, 1079, 619, 87892, 7232, 1600, 27197, 2338, 17825,
]  # fmt: skip


def log_risk_ratios() -> tuple[np.ndarray, np.ndarray]:
    a, b, c, d = (np.array(part, dtype=np.float64) for part in (*VACCINATED, *CONTROL))
    return np.log(a / (a + b) / (c / (c + d))), 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)


def computed(row: dict[str, str]) -> float:
    if row["function"] == "pool":
        found = pool(*log_risk_ratios(), 0.95)
        return {"q": found.q, "i2_percent": 100 * found.i2, "tau2": found.tau2}[row["statistic"]]
    r2, parameters, prevalence = (float(row[name]) for name in ("r2", "parameters", "prevalence"))
    size = sample_size(r2, int(parameters), prevalence)
    return {
        "n_shrinkage": size.shrinkage,
        "n_optimism": size.optimism,
        "n_intercept": size.intercept,
        "n_needed": size.needed,
        "optimism_shrinkage": size.optimism_shrinkage,
        "maximum_r2": size.r2_maximum,
        "nagelkerke": size.nagelkerke,
        "epp_shrinkage": size.shrinkage * prevalence / parameters,
        "epp_optimism": size.optimism * prevalence / parameters,
        "epp_intercept": size.intercept * prevalence / parameters,
    }[row["statistic"]]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['function']}-{row['statistic']}-{row['r2']}")
def test_printed_number_is_reproduced(row: dict[str, str]) -> None:
    assert computed(row) == pytest.approx(float(row["value"]), abs=float(row["tolerance"]))


@pytest.mark.filterwarnings("ignore:`use_t=True`")
def test_random_effects_equal_statsmodels() -> None:
    values, variances = log_risk_ratios()
    theirs = combine_effects(values, variances, method_re="iterated", use_t=True, atol=1e-13)
    ours = pool(values, variances, 0.95)
    assert (ours.tau2, ours.q, ours.i2) == pytest.approx((theirs.tau2, theirs.q, theirs.i2), rel=1e-9)
    assert ours.mean.value == pytest.approx(theirs.mean_effect_re, rel=1e-9)
    assert (ours.mean.low, ours.mean.high) == pytest.approx(theirs.conf_int(use_t=True)[1], rel=1e-9)


def test_r2_of_an_area_is_that_of_a_logistic_model_on_normal_classes() -> None:
    """What the source finds by simulating and fitting is found here by quadrature."""
    import statsmodels.api as sm
    from scipy.stats import norm

    rng = np.random.default_rng(3)
    n, prevalence, area = 400_000, 0.3, 0.8
    y = (np.arange(n) < prevalence * n).astype(int)
    x = rng.normal(size=n) + y * np.sqrt(2) * norm.ppf(area)
    fit = sm.Logit(y, sm.add_constant(x)).fit(disp=0)
    simulated = 1 - np.exp(2 * (fit.llnull - fit.llf) / n)
    assert r2_from_area(area, prevalence) == pytest.approx(simulated, abs=0.003)
    assert r2_from_area(0.5, prevalence) == pytest.approx(0, abs=1e-9)
    assert r2_from_area(1 - 1e-9, prevalence) == pytest.approx(maximum_r2(prevalence), abs=1e-3)


def test_expected_shrinkage_solves_the_first_criterion() -> None:
    size = sample_size(0.1845, 30, 0.47)
    assert expected_shrinkage(0.1845, 30, size.shrinkage) == pytest.approx(0.9, abs=1e-4)
    assert expected_shrinkage(0.1845, 30, 20) < 0.35
