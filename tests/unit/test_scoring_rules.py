"""Which rules hold when new hospitals are scored: the package's own, but for who withdrew."""

from pathlib import Path

import pytest

from pipelines.params import load_operation
from pipelines.record import FEATURE_SET
from pipelines.scoring.in_force import OtherFeatureSetError, case_rules, check_feature_set

RULES = {
    "cohort": {"include": [{"column": "age", "minimum": 18, "reason": "adults"}], "withdrawn": ["old"]},
    "phases": {"excretory": {"series_description": "x"}},
    "label": {"name": "her2", "column": "ihc", "positive": ["3+"], "negative": ["0"]},
    "margin": {"mm": 48.0, "voxels": 8},
}


def test_the_study_says_who_withdrew_and_the_package_everything_else() -> None:
    rules = case_rules({"rules": RULES}, ["new"])
    assert rules.cohort.withdrawn == ["new"]
    assert rules.cohort.include[0].minimum == 18
    assert rules.margin.mm == 48.0


def test_withdrawals_are_read_whatever_state_other_sections_are_in(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("cohort: {withdrawn: [abc], include: being edited}\nmodels: {also: being edited}\n")
    assert load_operation(params).cohort.withdrawn == ["abc"]
    params.write_text("cohort: {}\n")
    assert load_operation(params).cohort.withdrawn == []


def test_a_package_of_another_feature_set_scores_nobody() -> None:
    """Its thresholds and coefficients belong to other numbers of the same names."""
    check_feature_set({"feature_set": FEATURE_SET})
    with pytest.raises(OtherFeatureSetError, match="release"):
        check_feature_set({"feature_set": "0"})
