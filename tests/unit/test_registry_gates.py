"""Gates: each limit refuses exactly what lies beyond it, and what was not measured passes nowhere."""

from typing import Any

import MLstatkit
import numpy as np
import pytest
from scipy.stats import norm

from pipelines.candidates import paired_difference
from registry.gates import Dossier, GateRefusedError, GateResult, UnknownGateError, gates_from, judge

Evidence = dict[str, Any]


def evidence(**external: float) -> Evidence:
    return {"metrics": {"external": external}}


def verdict(name: str, limit: object, seen: Evidence, champion: Evidence | None = None, **known: Any) -> GateResult:
    dossier = Dossier(evidence=seen, champion=champion, compare=paired_difference, **known)
    (result,) = judge(gates_from({name: limit}), dossier)
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
        ("calibration_slope_range", (0.8, 1.2), {"calibration_slope": 0.8}, True),
        ("calibration_slope_range", (0.8, 1.2), {"calibration_slope": 0.79}, False),
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


def test_being_surely_not_worse_needs_more_than_an_equal_area() -> None:
    """The bound of MLstatkit's DeLong decides: patients enough to tell pass, the same difference on few does not."""
    rng = np.random.default_rng(3)
    few, many = (two_models(rng, n) for n in (30, 2000))
    verdicts = [verdict("not_worse_than_champion_by", 0.05, *pair) for pair in (few, many)]
    assert [result.passed for result in verdicts] == [False, True]
    assert verdicts[1].measured == pytest.approx(delong_bound(*many), abs=1e-9)


def test_two_models_are_compared_on_patients_that_both_scored_and_neither_was_taught() -> None:
    own = predictions([*PATIENTS, ("only mine", 0, 1.0)])
    other = predictions([*PATIENTS, ("only theirs", 1, 0.0)])
    assert "on 40 patients" in verdict("not_worse_than_champion_by", 0.5, own, other).note
    taught = frozenset({("west", PATIENTS[0][0])})
    assert "on 39 patients" in verdict("not_worse_than_champion_by", 0.5, own, other, taught=taught).note


def test_models_without_a_common_patient_are_not_comparable() -> None:
    """Areas of different patients say nothing about which model is better."""
    result = verdict("not_worse_than_champion_by", 1.0, predictions(PATIENTS), predictions([("x", 1, 0.5)]))
    assert (result.passed, result.measured) == (False, None)


@pytest.mark.parametrize(("p", "passed"), [((0.9, 0.8, 0.1, 0.05), True), ((0.9, 0.8, 0.7, 0.6), False)])
def test_a_model_must_gain_more_than_treating_everybody(p: tuple[float, ...], passed: bool) -> None:
    """By hand at 0.5: two of four have it; sparing both others gains 2/4, sparing nobody gains nothing."""
    seen = predictions([(str(n), int(n < 2), value) for n, value in enumerate(p)])
    result = verdict("net_benefit_at", 0.5, seen)
    assert (result.passed, result.measured) == (passed, 0.5 if passed else 0.0)


def test_a_patient_with_the_outcome_who_is_missed_costs_more_than_one_treated_for_nothing() -> None:
    """By hand at 0.2, odds 1/4: 1 of 4 found and 2 treated for nothing, 1/4 - 2/4 x 1/4; all: 2/4 - 2/4 x 1/4."""
    seen = predictions([("a", 1, 0.9), ("b", 1, 0.1), ("c", 0, 0.2), ("d", 0, 0.7)])
    result = verdict("net_benefit_at", 0.2, seen)
    assert (result.passed, result.measured, result.note) == (False, pytest.approx(-0.25), "4 patients")


@pytest.mark.parametrize(("low", "passed"), [(-0.05, True), (-0.05 - 4e-13, True), (-0.05 - 4e-12, False)])
def test_a_loss_at_the_margin_is_no_refusal_by_a_hair_of_rounding(low: float, passed: bool) -> None:
    both = predictions(PATIENTS)
    dossier = Dossier(evidence=both, champion=both, compare=lambda *_: (0.0, low, 0.1))
    (result,) = judge(gates_from({"not_worse_than_champion_by": 0.05}), dossier)
    assert result.passed is passed


def test_a_refusal_names_each_gate_that_is_not_met_and_shows_them_all() -> None:
    results = [
        GateResult(name="n", measured=30.0, limit="at least 20", passed=True, note="30 patients"),
        GateResult(name="auc", measured=0.61, limit="at least 0.7", passed=False),
        GateResult(name="slope", measured=None, limit="0.8 to 1.2", passed=False, note="no external center"),
    ]
    error = GateRefusedError.of(3, "lr", results)
    assert str(error).startswith("version 3 (lr): 2 of 3 gates not met: auc, slope\n")
    assert [line for line in str(error).splitlines() if line.startswith("  ") and "remedy" not in line] == [
        "  n: 30.000, limit at least 20 (30 patients): passed",
        "  auc: 0.610, limit at least 0.7: not met",
        "  slope: not measured, limit 0.8 to 1.2: not met",
    ]
    assert error.results == tuple(results)


def test_a_center_that_no_gate_has_read_counts_as_read_never() -> None:
    result = verdict("external_reads_maximum", 2, predictions(PATIENTS))
    assert (result.passed, result.measured, result.note) == (True, 0.0, "west")


def test_the_weakest_subgroup_decides() -> None:
    rows = [{"subgroup": "sex", "level": level, "auc": auc} for level, auc in (("F", 0.8), ("M", 0.6), ("?", None))]
    result = verdict("subgroup_auc_minimum", 0.65, {"subgroups": rows})
    assert (result.passed, result.measured, result.note) == (False, 0.6, "sex: M")


def test_one_failed_control_is_named() -> None:
    controls = [{"name": "shuffled labels", "passed": True}, {"name": "size alone", "passed": False}]
    result = verdict("controls_passed", True, {"controls": controls})
    assert (result.passed, result.note) == (False, "size alone")
    assert not verdict("controls_passed", True, {}).passed


def test_the_emptiest_checklist_decides() -> None:
    result = verdict("checklist_minimum", 0.9, {"checklists": {"CLEAR": 0.95, "METRICS": 0.7}})
    assert (result.passed, result.measured, result.note) == (False, 0.7, "METRICS")


def test_a_center_that_decided_too_often_is_spent() -> None:
    seen = predictions(PATIENTS)
    assert verdict("external_reads_maximum", 2, seen, reads={"west": 2}).passed
    assert not verdict("external_reads_maximum", 2, seen, reads={"west": 3}).passed


@pytest.mark.parametrize(("made", "passed"), [(True, True), (False, False), (None, False)])
def test_a_package_nobody_made_again_is_not_reproducible(made: bool | None, passed: bool) -> None:
    assert verdict("reproducible", True, {}, is_reproduced=made).passed is passed


PATIENTS = [(f"{n:02}", n % 2, 0.3 + 0.4 * (n % 2) + 0.01 * n) for n in range(40)]


def two_models(rng: np.random.Generator, n: int) -> tuple[Evidence, Evidence]:
    y = np.arange(n) % 2
    models = [y + rng.normal(scale=1.0, size=n) for _ in range(2)]
    made = [predictions([(str(i), int(y[i]), float(p[i])) for i in range(n)]) for p in models]
    return made[0], made[1]


def delong_bound(own: Evidence, other: Evidence) -> float:
    y, p = (np.array([row[key] for row in own["predictions"]]) for key in ("y", "p"))
    q = np.array([row["p"] for row in other["predictions"]])
    z, _, auc_own, auc_other = MLstatkit.Delong_test(y, p, q, return_ci=False)
    lost = auc_other - auc_own
    return float(lost + norm.ppf(0.95) * abs(lost / z))


def predictions(rows: list[tuple[str, int, float]]) -> Evidence:
    listed = [{"center": "west", "case_id": case_id, "y": y, "p": p} for case_id, y, p in rows]
    return {"metrics": {"external": {"auc": 0.5}}, "predictions": listed}
