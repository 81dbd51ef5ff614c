"""Rules on possible values, extremes, odd centers and disguised outcomes; and the mark of scanners."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kruskal

from featurestore.association import associations, kruskal_wallis
from featurestore.screening import (
    ColumnRule,
    extreme_rows,
    odd_centers,
    out_of_range,
    outcome_names,
    outlying_rows,
    telling_columns,
    too_many_missing,
    with_severity,
)

NAMES = [f"f{i}" for i in range(10)]


def table(n: int = 90, seed: int = 0) -> pd.DataFrame:
    frame = pd.DataFrame(np.random.default_rng(seed).normal(size=(n, len(NAMES))), columns=NAMES)
    return frame.assign(
        center=np.repeat(["east", "north", "south"], n // 3), case_id=[f"{i:012d}abcd" for i in range(n)]
    )


def test_clean_rows_give_no_finding() -> None:
    frame = table()
    y = (np.arange(90) % 2).astype(float)
    rule = ColumnRule(pattern=".", minimum=-10, maximum=10, missing_at_most=0.1)
    findings = [
        *out_of_range(frame, NAMES, "ct", rule),
        *too_many_missing(frame, NAMES, "ct", rule),
        *extreme_rows(frame, frame, NAMES, "ct"),
        *odd_centers(frame, NAMES, "ct"),
        *outcome_names(NAMES, ("her2", "ihc"), "ct"),
        *telling_columns(frame, NAMES, y, "ct"),
    ]
    assert findings == []


def test_impossible_values_and_gaps_name_their_columns() -> None:
    frame = table()
    frame.loc[3, "f1"], frame.loc[:40, "f2"] = -7.0, np.nan
    rule = ColumnRule(pattern="^f[12]$", minimum=-5, missing_at_most=0.2)
    (low,), (gaps,) = out_of_range(frame, NAMES, "ct", rule), too_many_missing(frame, NAMES, "ct", rule)
    assert (low.examples, low.severity) == (("f1",), "error")
    assert gaps.examples == ("f2",)


def test_one_absurd_patient_is_named() -> None:
    frame = table()
    frame.loc[7, "f3"] = 500.0
    (finding,) = extreme_rows(frame, frame, NAMES, "ct")
    assert finding.examples == ("east / 000000000007",)


def test_a_center_in_another_unit_is_named() -> None:
    frame = table()
    frame.loc[frame["center"] == "south", NAMES[:4]] += 8
    (finding,) = odd_centers(frame, NAMES, "ct")
    assert "center south lies apart from all others in 4 of 10 features" in finding.message


def test_new_cases_are_held_against_the_development_centers() -> None:
    far = table(seed=1).assign(**{name: table(seed=1)[name] * 30 for name in NAMES[:3]})
    (finding,) = outlying_rows(far[:30], table(), NAMES, "ct, external")
    assert finding.n > 5
    assert outlying_rows(table(seed=1), table(), NAMES, "ct, external") == []


@pytest.mark.parametrize(
    ("name", "rule"), [("IHC", "outcome_names"), ("ct.her2_score", "outcome_names"), ("target", "outcome_words")]
)
def test_a_column_called_as_the_outcome_is_found(name: str, rule: str) -> None:
    assert [finding.rule for finding in outcome_names([*NAMES, name], ("her2", "ihc"), "ct")] == [rule]


def test_a_column_that_holds_the_answer_stops_the_run() -> None:
    frame = table()
    y = (np.random.default_rng(2).random(90) < 0.4).astype(float)
    frame["f4"], frame["f5"] = 7 - 2 * y, y + np.random.default_rng(3).normal(scale=0.3, size=90)
    y[:5] = np.nan
    found = {finding.rule: finding for finding in telling_columns(frame, NAMES, y, "ct")}
    assert found["outcome_values"].examples == ("f4",)
    assert found["outcome_values"].severity == "error"
    assert found["telling_columns"].examples == ("f5",)


def test_a_person_decides_what_a_breach_means() -> None:
    findings = [*outcome_names(["target"], (), "ct"), *outcome_names(["her2"], ("her2",), "mr")]
    told = with_severity(findings, {"outcome_words": "error", "outcome_names": "warning", "mr.outcome_names": "off"})
    assert [(finding.rule, finding.severity) for finding in told] == [("outcome_words", "error")]


def test_kruskal_wallis_equals_scipy() -> None:
    rng = np.random.default_rng(0)
    X, groups = rng.integers(0, 9, (40, 5)).astype(float), np.repeat(["a", "b", "c"], [10, 12, 18])
    wanted = [kruskal(*(X[groups == name, i] for name in "abc")).pvalue for i in range(5)]
    np.testing.assert_allclose(kruskal_wallis(X, groups)[0], wanted, rtol=1e-12)


def test_the_mark_of_a_scanner_is_measured_before_and_after() -> None:
    X = np.random.default_rng(1).normal(size=(90, 40))
    scanner = [None, *(["A"] * 44), *(["B"] * 43), "C", "C"]
    X[45:88, :30] += 1.5
    found = associations(X, scanner, "manufacturer")
    assert found is not None
    assert (found.levels, found.n, found.features) == (2, 87, 40)
    assert found.before >= 0.75
    assert found.after == 0.0
    assert associations(X, ["A"] * 90, "manufacturer") is None
    assert associations(X, [None] * 90, "kernel") is None
