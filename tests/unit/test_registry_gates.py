"""Gates: each limit refuses exactly what lies beyond it, and what was not measured passes nowhere."""

from typing import Any

import pytest
from sklearn.metrics import roc_auc_score

from registry.gates import GateResult, UnknownGateError, gates_from, judge

Evidence = dict[str, Any]


def evidence(**external: float) -> Evidence:
    return {"metrics": {"external": external}}


def verdict(name: str, limit: object, seen: Evidence, champion: Evidence | None = None) -> GateResult:
    (result,) = judge(gates_from({name: limit}), seen, champion)
    return result


@pytest.mark.parametrize(
    ("name", "limit", "seen", "passed"),
    [
        ("external_auc_minimum", 0.7, {"auc": 0.7}, True),
        ("external_auc_minimum", 0.7, {"auc": 0.699}, False),
        ("external_auc_low_minimum", 0.5, {"auc_low": 0.51}, True),
        ("external_n_minimum", 20, {"n": 19}, False),
        ("calibration_slope_range", [0.8, 1.2], {"calibration_slope": 1.2}, True),
        ("calibration_slope_range", (0.8, 1.2), {"calibration_slope": 1.21}, False),
    ],
)
def test_a_limit_is_met_or_not(name: str, limit: object, seen: dict[str, float], passed: bool) -> None:
    result = verdict(name, limit, evidence(**seen))
    assert (result.passed, result.measured) == (passed, next(iter(seen.values())))


@pytest.mark.parametrize(
    "seen", [{}, {"metrics": {}}, evidence(auc=float("nan")), {"metrics": {"internal": {"auc": 1}}}]
)
def test_what_was_not_measured_passes_no_gate(seen: Evidence) -> None:
    result = verdict("external_auc_minimum", 0.5, seen)
    assert (result.passed, result.measured) == (False, None)
    assert "not measured" in result.line()


def test_a_limit_left_out_asks_for_nothing() -> None:
    assert gates_from({"external_auc_minimum": None, "calibration_slope_range": None}) == []


def test_an_unknown_gate_is_refused_by_name() -> None:
    with pytest.raises(UnknownGateError, match="luck_minimum"):
        gates_from({"luck_minimum": 1})


def test_without_a_champion_nothing_can_be_worse() -> None:
    assert verdict("not_worse_than_champion_by", 0.0, evidence(auc=0.5)).passed


@pytest.mark.parametrize(("auc", "passed"), [(0.78, True), (0.77, False)])
def test_losing_more_than_the_margin_is_refused(auc: float, passed: bool) -> None:
    assert verdict("not_worse_than_champion_by", 0.02, evidence(auc=auc), evidence(auc=0.8)).passed is passed


def test_two_models_are_compared_on_the_patients_that_both_scored() -> None:
    """Recorded areas of different patients say nothing about which model is better; ties count half."""
    own = predictions([("a", 1, 0.9), ("b", 0, 0.4), ("c", 1, 0.4), ("d", 0, 0.1), ("only mine", 0, 1.0)])
    other = predictions([("a", 1, 0.8), ("b", 0, 0.3), ("c", 1, 0.2), ("d", 0, 0.1), ("only theirs", 1, 0.0)])
    result = verdict("not_worse_than_champion_by", 0.0, own, other)
    y = [1, 0, 1, 0]
    expected = roc_auc_score(y, [0.8, 0.3, 0.2, 0.1]) - roc_auc_score(y, [0.9, 0.4, 0.4, 0.1])
    assert result.measured == pytest.approx(expected, abs=1e-12)
    assert result.note == "4 external patients scored by both"


def predictions(rows: list[tuple[str, int, float]]) -> Evidence:
    listed = [{"center": "west", "case_id": case_id, "y": y, "p": p} for case_id, y, p in rows]
    return {"metrics": {"external": {"auc": 0.5}}, "predictions": listed}
