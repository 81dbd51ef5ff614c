"""Who withdrew is scored no more, whatever the package's rules said when it was made."""

from pathlib import Path

from pipelines.params import load_operation
from pipelines.scoring.score import case_rules

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
