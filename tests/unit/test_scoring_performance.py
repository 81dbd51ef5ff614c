"""What is known of a model at a hospital: promised from probabilities, then shown by labels, and never by few."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from pipelines.evaluation.discrimination import auc, auc_estimate
from pipelines.scoring.expected import expected_auc, expected_performance
from pipelines.scoring.performance import (
    LABEL_REVERSED,
    Judged,
    alarms_of,
    difference,
    performance_path,
    record_performance,
)

PACKAGE = "ab" * 32


def cases(n: int, seed: int = 0, slope: float = 1.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores that are right on average (with slope 1), and their labels."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-0.3, 1.5, n)
    p = expit(logits)
    name = [f"c{i:015x}" for i in range(n)]
    scores = pd.DataFrame({"case_id": name, "inputs": "x", "probability": p})
    return scores, pd.DataFrame({"case_id": name, "label": rng.binomial(1, expit(slope * logits)).astype("int8")})


def record(root: Path, scores: Any, labels: Any, left_out: Any = None, **changes: Any) -> dict[str, Any]:
    judged = Judged(center="harbor", package=PACKAGE, model="lr", version=1, thresholds={"youden": 0.4}, **changes)
    return record_performance(root, judged, scores, labels, left_out or {})


def test_the_expected_area_is_that_of_every_pair_weighed_by_its_chance() -> None:
    p = np.array([0.1, 0.4, 0.4, 0.8, 0.95])
    won = pairs = 0.0
    for i, a in enumerate(p):
        for j, b in enumerate(p):
            if i != j:
                chance = a * (1 - b)
                won, pairs = won + chance * (0.5 if a == b else float(a > b)), pairs + chance
    assert expected_auc(p) == pytest.approx(won / pairs, abs=1e-12)


def test_right_probabilities_promise_what_labels_then_show() -> None:
    """Coverage over many hospitals whose calibration holds; the promise is off where it does not."""
    inside = {"auc": 0, "brier": 0, "positives": 0}
    for seed in range(40):
        scores, labels = cases(80, seed)
        p, y = scores["probability"].to_numpy(), labels["label"].to_numpy()
        said = expected_performance(p, 30)
        shown = {"auc": auc(y, p), "brier": float(((y - p) ** 2).mean()), "positives": float(y.sum())}
        for name, value in shown.items():
            one = getattr(said, name)
            inside[name] += one.low <= value <= one.high
    assert all(n >= 35 for n in inside.values()), inside
    scores, labels = cases(400, 1, slope=0.2)
    said = expected_performance(scores["probability"].to_numpy(), 30)
    assert said.auc.low > auc(labels["label"].to_numpy(), scores["probability"].to_numpy())


def test_nothing_is_promised_of_few_cases_or_of_strangers() -> None:
    p = np.linspace(0.1, 0.9, 20)
    few, strange = expected_performance(p, 30), expected_performance(p, 10, has_drifted=True)
    assert (few.off, few.auc.value) == ("too_few", None)
    assert few.reason == "20 cases; 30 are asked for"
    assert (strange.off, strange.positives.value) == ("drift", None)
    assert "assumes that calibration holds" in str(expected_performance(p, 10).plain()["note"])


def test_performance_comes_with_labels_and_is_written_once(tmp_path: Path) -> None:
    scores, labels = cases(120)
    none = labels.head(0)
    before = record(tmp_path, scores, none)
    assert before["metrics"] is None
    assert before["expected"]["auc"] == pytest.approx(0.8, abs=0.1)
    assert before["history"] == []
    found = record(tmp_path, scores, labels, internal={"cohort": "internal", "auc": 0.85, "auc_low": 0.75})
    y, p = labels["label"].to_numpy(), scores["probability"].to_numpy()
    area = auc_estimate(y, p, 0.95)
    assert found["metrics"]["auc"] == pytest.approx(area.value)
    assert found["metrics"]["auc_low"] == pytest.approx(area.low)
    assert {"sensitivity", "specificity_low"} <= set(found["metrics"]["at"]["youden"])
    assert len(found["decision"]["net_benefit"]) == len(found["decision"]["threshold"]) == 40
    assert found["difference"]["against"] == "internal"
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = record(tmp_path, scores, labels, internal={"cohort": "internal", "auc": 0.85, "auc_low": 0.75})
    assert again == found
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files


def test_a_corrected_label_is_one_more_line_of_the_history(tmp_path: Path) -> None:
    scores, labels = cases(60)
    first = record(tmp_path, scores, labels.head(50))
    flipped = labels.assign(label=labels["label"].where(labels.index != 3, 1 - labels["label"]))
    second = record(tmp_path, scores, flipped)
    assert [row["n"] for row in second["history"]] == [50, 60]
    assert second["history"][0] == first["history"][0]
    performance_path(tmp_path, "harbor", PACKAGE).unlink()
    assert record(tmp_path, scores, flipped) == second, "the same content gives the same bytes"


def test_few_cases_of_a_class_give_no_figures(tmp_path: Path) -> None:
    scores, labels = cases(40)
    found = record(tmp_path, scores, labels.sort_values("label", ascending=False).head(15), minimum=10)
    assert (found["metrics"], found["decision"], found["difference"]) == (None, None, None)
    assert "10 of each are asked for" in found["too_few"]


def test_cases_that_a_recalibration_used_are_left_out_and_counted(tmp_path: Path) -> None:
    scores, labels = cases(100)
    used = frozenset(labels["case_id"].head(30))
    found = record(tmp_path, scores, labels, {"recalibration": used})
    assert (found["n"], found["left_out"]) == (70, {"recalibration": 30})
    assert found["scored"] == 100


def test_labels_coded_the_other_way_round_ring_and_say_what_to_check(tmp_path: Path) -> None:
    scores, labels = cases(100)
    assert alarms_of(record(tmp_path, scores, labels), "ihc") == []
    (alarm,) = alarms_of(record(tmp_path, scores, labels.assign(label=1 - labels["label"])), "ihc")
    assert alarm[0] == LABEL_REVERSED
    assert "column 'ihc' of clinical.csv is coded the other way round" in alarm[1]


def test_the_difference_to_internal_patients_is_that_of_two_samples() -> None:
    own, other = {"auc": 0.6, "auc_low": 0.5}, {"auc": 0.8, "auc_low": 0.7, "cohort": "internal"}
    found = difference(own, other)
    assert found is not None
    assert found["auc"] == pytest.approx(-0.2)
    assert found["auc_high"] - found["auc"] == pytest.approx(0.1 * np.sqrt(2))
    assert found["p_value"] == pytest.approx(0.0056, abs=2e-4)
    assert difference(own, {}) is None
