"""Baseline tables: the right test for each kind of column, differences checked by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipelines.evaluation.baseline import baseline_table, category_contrast, number_contrast, share_difference


def test_small_tables_go_to_fisher_and_large_ones_to_chi_squared() -> None:
    small = np.array([[8.0, 2.0], [1.0, 5.0]])
    found = category_contrast(small)
    assert (found.test, found.p_value) == ("Fisher's exact", pytest.approx(stats.fisher_exact(small).pvalue))
    large = np.array([[30.0, 20.0], [20.0, 30.0]])
    assert category_contrast(large).p_value == pytest.approx(0.0455, abs=1e-4)  # chi-squared 4 on 1 df
    assert category_contrast(large).test == "chi-squared"


def test_three_levels_with_few_patients_give_the_same_p_value_each_time() -> None:
    counts = np.array([[5.0, 2.0, 1.0], [1.0, 2.0, 6.0]])
    assert category_contrast(counts).p_value == category_contrast(counts).p_value


def test_share_difference_of_two_levels_is_the_usual_formula() -> None:
    a, b = 0.3, 0.5
    expected = abs(a - b) / np.sqrt((a * (1 - a) + b * (1 - b)) / 2)
    assert share_difference(np.array([1 - a, a]), np.array([1 - b, b])) == pytest.approx(expected)


def test_number_difference_by_hand() -> None:
    found = number_contrast(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0]))
    assert found.difference == pytest.approx(1.0)


def test_empty_groups_and_unknown_columns_give_blank_cells_not_a_crash() -> None:
    groups = {"training": pd.DataFrame({"age": [60.0, 70.0], "sex": ["F", None]}), "external": pd.DataFrame()}
    age, sex = baseline_table(groups, {"age": "number", "sex": "category"})
    assert age.cells["training"] == {"": "65 (62.5–67.5)"}
    assert age.cells["external"] == {"": "–"}
    assert sex.missing["training"] == 1
    assert sex.contrasts["external"].p_value is None
