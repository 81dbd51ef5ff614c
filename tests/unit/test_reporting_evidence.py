"""The sections beside performance: shown where there is something, left out where there is not, honest in words."""

import json

import pandas as pd
import pytest

from pipelines.evaluation.evaluate import evaluate
from pipelines.reporting.evidence_cautions import RULES, only_size, too_few_patients
from pipelines.reporting.report import report
from pipelines.reporting.study_figures import study_drawings
from pipelines.reporting.study_files import read_study

LEARNING = {"measure": "auc", "points": [
    {"share": s, "patients": 80 * s, "folds": 5, "training": 0.9, "training_sd": 0.02, "validation": 0.6 + s / 10,
     "validation_sd": 0.05} for s in (0.2, 0.6, 1.0)
]}  # fmt: skip
IMPORTANCE = {
    "scale": "log odds", "method": "exact", "patients": 80,
    "features": [{"name": "excretory.original_glcm_Fake1", "shapley": 0.3, "share": 0.2, "direction": -1,
                  "auc_drop": 0.03, "auc_drop_sd": 0.01}],
    "families": [{"phase": "excretory", "class": "glcm", "features": 12, "share": 1.0, "auc_drop": 0.2,
                  "auc_drop_sd": 0.04}],
}  # fmt: skip
ODDS_ROW = {
    "predictor": "sessile",
    "level": "",
    "reference": "",
    "odds_ratio": 2.5,
    "low": 1.2,
    "high": 5.1,
    "p_value": 0.01,
}
ODDS = {"univariable": [{"rows": [ODDS_ROW]}], "multivariable": {"rows": [ODDS_ROW]}, "independent": ["sessile"]}


@pytest.fixture(scope="module")
def study(fake_study, tmp_path_factory):  # type: ignore[no-untyped-def]
    workspace, params = fake_study(tmp_path_factory.mktemp("study"))
    first, second = params.models
    for name, content in (("learning.json", LEARNING), ("importance.json", IMPORTANCE), ("odds.json", ODDS)):
        for model in params.models:
            (workspace.model(model) / name).write_text(json.dumps(content))
    fusion = {"members": {first: {"weight": 0.7}}}
    (workspace.model(second) / "fusion.json").write_text(json.dumps(fusion))
    evaluate(workspace, params)
    report(workspace, params)
    return workspace, params


def test_page_shows_every_section_and_figure_that_the_records_allow(study) -> None:
    workspace, _ = study
    page = (workspace.reports / "study.html").read_text(encoding="utf-8")
    for section in ("consistency", "inside", "clinical", "controls"):
        assert f'id="{section}"' in page, section
    for words in ("Does fusion beat its members?", "independent", "Are there patients enough?", "No-information rate"):
        assert words in page, words
    names = {drawing.name for drawing in study_drawings(read_study(workspace), ("negative", "positive"))}
    assert {"learning", "importance", "families", "forest_centers", "forest_subgroups", "model_matrix"} <= names
    assert any(name.startswith("odds_ratios_") for name in names)
    assert any(name.startswith("fusion_") for name in names)


def test_data_behind_the_figures_are_csv(study) -> None:
    workspace, _ = study
    plots, tables = workspace.evaluation / "plots", workspace.evaluation / "tables"
    for name in ("learning", "importance", "families", "explained_variance", "components", "fusion_weights"):
        assert len(pd.read_csv(plots / f"{name}.csv")), name
    odds = pd.read_csv(tables / "odds_ratios.csv")
    assert set(odds["analysis"]) == {"univariable", "multivariable"}
    assert odds["independent"].all()


def test_a_control_that_does_as_well_is_a_serious_objection(study) -> None:
    workspace, _ = study
    files = read_study(workspace)
    row = {"name": "size_only", "model": files.best, "cohort": files.judged_on, "auc": 0.7, "control": 0.68}
    files.tables["controls"] = pd.DataFrame([{**row, "low": -0.1, "high": 0.14, "difference": 0.02, "passed": False}])
    told = list(only_size(files, {}))
    assert told[0].level == "serious"
    assert "0.68" in told[0].text
    files.tables["controls"] = pd.DataFrame([{**row, "low": 0.1, "high": 0.3, "difference": 0.2, "passed": True}])
    assert not list(only_size(files, {}))


def test_too_few_patients_are_named_with_the_number_needed(study) -> None:
    files = read_study(study[0])
    row = {"model": files.best, "n": 80, "parameters": 10, "n_needed": 380, "shrinkage": 0.7, "enough": False}
    files.tables["sample_size"] = pd.DataFrame([row])
    assert "380" in next(iter(too_few_patients(files, {}))).text


def test_rules_bear_a_study_without_any_of_the_tables(fake_study, tmp_path) -> None:
    workspace, params = fake_study(tmp_path, services=("excretory",), external=())
    evaluate(workspace, params)
    for name in ("controls", "sample_size", "subgroups", "heterogeneity", "features", "odds_ratios"):
        (workspace.evaluation / "tables" / f"{name}.csv").unlink()
    files = read_study(workspace)
    assert not [caution for rule in RULES for caution in rule(files, files.metrics[files.best])]
    report(workspace, params)
    assert 'id="controls"' not in (workspace.reports / "study.html").read_text(encoding="utf-8")
