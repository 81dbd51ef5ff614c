"""Every rule finds what it is for and leaves a sound table alone; statistics agree with numpy."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from featurestore import validation
from featurestore.statistics import describe, probabilities, quantiles
from featurestore.validation import Finding

NAMES = [f"f{i}" for i in range(8)]


def sound(n: int = 12) -> pd.DataFrame:
    values = np.random.default_rng(0).normal(size=(n, len(NAMES)))
    return pd.DataFrame(values, columns=NAMES).assign(center="north", case_id=[f"{i:016x}" for i in range(n)])


def changed(edit: Callable[[pd.DataFrame], None]) -> pd.DataFrame:
    frame = sound()
    edit(frame)
    return frame


def empty(frame: pd.DataFrame) -> None:
    frame.loc[3, NAMES] = np.nan


def infinite(frame: pd.DataFrame) -> None:
    frame.loc[2, "f1"] = np.inf


def constant(frame: pd.DataFrame) -> None:
    frame["f4"] = 7.0


def missing(frame: pd.DataFrame) -> None:
    frame.loc[0, "f0"] = np.nan


def doubled(frame: pd.DataFrame) -> None:
    frame.loc[5, NAMES] = frame.loc[9, NAMES].to_numpy()


RULES = [
    (validation.empty_rows, empty, "warning", 1),
    (validation.infinite_values, infinite, "warning", 1),
    (validation.constant_columns, constant, "warning", 1),
    (validation.missing_values, missing, "warning", 1),
    (validation.duplicated_rows, doubled, "error", 2),
]


@pytest.mark.parametrize(("rule", "edit", "severity", "n"), RULES, ids=[rule.__name__ for rule, *_ in RULES])
def test_a_rule_finds_its_fault_and_nothing_else(
    rule: Callable[..., list[Finding]], edit: Callable[[pd.DataFrame], None], severity: str, n: int
) -> None:
    assert rule(sound(), NAMES, "excretory") == []
    (finding,) = rule(changed(edit), NAMES, "excretory")
    assert (finding.rule, finding.severity, finding.n) == (rule.__name__, severity, n)
    assert finding.examples
    assert finding.remedy


def test_duplicates_are_named_by_pseudonym() -> None:
    (finding,) = validation.duplicated_rows(changed(doubled), NAMES, "excretory")
    assert finding.examples == ("north / 000000000000", "north / 000000000000")


def test_rows_without_values_are_no_duplicates() -> None:
    frame = sound()
    frame.loc[[3, 4], NAMES] = np.nan
    assert validation.duplicated_rows(frame, NAMES, "excretory") == []


def test_an_empty_table_is_an_error() -> None:
    (finding,) = validation.no_rows(sound().iloc[:0], NAMES, "view radiomics")
    assert finding.severity == "error"
    assert validation.no_rows(sound(), NAMES, "view radiomics") == []


@pytest.mark.parametrize(("spread", "found"), [(50.0, True), (400.0, False), (10_000.0, True)])
def test_gray_levels_outside_the_usual_range_are_warned_of(spread: float, found: bool) -> None:
    frame = sound().assign(range=spread)
    findings = validation.gray_levels(frame, "range", 25.0, "excretory", "set binWidth")
    assert bool(findings) == found


def test_the_advised_bin_width_is_one_that_passes() -> None:
    frame = sound().assign(range=50.0)
    (finding,) = validation.gray_levels(frame, "range", 25.0, "excretory", "set binWidth")
    low, high = (float(word) for word in finding.remedy.removeprefix("set binWidth between ").split(" and "))
    for width in (low * 1.05, high * 0.95):
        assert validation.gray_levels(frame, "range", width, "excretory") == []


def test_volumes_no_tumor_has_are_warned_of() -> None:
    cases = sound().assign(volume_ml=[20.0] * 11 + [9000.0])
    assert validation.implausible_volumes(cases, "cases")[0].n == 1
    assert validation.implausible_volumes(cases.iloc[:11], "cases") == []


def test_regions_that_differ_between_phases_are_warned_of() -> None:
    cases = pd.DataFrame({"center": "n", "case_id": ["a", "a", "b", "b"], "volume_ml": [10.0, 12.0, 10.0, 60.0]})
    (finding,) = validation.unlike_phases(cases, "cases")
    assert (finding.n, finding.examples) == (1, ("n / b",))


def test_quantiles_are_numpys_without_missing_values() -> None:
    values = np.array([[1.0, 5.0], [2.0, np.nan], [4.0, 7.0], [8.0, 6.0]])
    found = quantiles(values, n=5)
    np.testing.assert_allclose(found[0], np.quantile(values[:, 0], [0, 0.25, 0.5, 0.75, 1]))
    np.testing.assert_allclose(found[1], np.quantile([5.0, 7.0, 6.0], [0, 0.25, 0.5, 0.75, 1]))
    assert probabilities(5).tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_quantiles_of_a_column_without_values_are_missing() -> None:
    assert np.isnan(quantiles(np.full((4, 1), np.nan), n=3)).all()


def test_describe_counts_and_groups() -> None:
    frame = sound().assign(phase=["early"] * 6 + ["late"] * 6)
    frame.loc[0, "f0"] = np.nan
    found = describe(frame, ["f0", "f1"], by=["center", "phase"])
    assert found[["center", "phase", "column"]].values.tolist()[0] == ["north", "early", "f0"]
    first = found.iloc[0]
    assert (first["n"], first["missing"]) == (5, 1)
    assert first["mean"] == pytest.approx(frame["f0"][1:6].mean())
