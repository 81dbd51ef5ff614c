"""What is registered is what was judged."""

import pytest

from pipelines.candidates import StaleEvaluationError, choose, further_evidence
from pipelines.evaluation.evaluate import evaluate


def test_a_candidate_that_was_made_anew_is_not_registered_with_the_old_one_s_metrics(fake_study, tmp_path) -> None:
    workspace, params = fake_study(tmp_path)
    evaluate(workspace, params)
    chosen = choose(workspace, params, None)
    manifest = workspace.model(chosen.name) / "package" / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    with pytest.raises(StaleEvaluationError, match="radmill run"):
        choose(workspace, params, chosen.name)


def test_metrics_of_which_nobody_knows_the_package_are_no_evidence(fake_study, tmp_path) -> None:
    workspace, params = fake_study(tmp_path)
    evaluate(workspace, params)
    (workspace.evaluation / "tables" / "packages.csv").unlink()
    with pytest.raises(StaleEvaluationError):
        choose(workspace, params, None)


def test_gates_are_told_of_external_subgroups_controls_and_checklists_alone(fake_study, tmp_path) -> None:
    workspace, _ = fake_study(tmp_path)
    tables = workspace.evaluation / "tables"
    tables.mkdir(parents=True)
    (tables / "subgroups.csv").write_text(
        "model,cohort,subgroup,level,auc\n"
        "lr,external,sex,F,0.8\nlr,external,sex,M,\nlr,internal,sex,F,0.1\nrf,external,sex,F,0.2\n"
    )
    (tables / "controls.csv").write_text(
        "name,model,cohort,passed\nsize_only,lr,external,True\nsize_only,lr,training,\nsize_only,rf,external,False\n"
    )
    workspace.reports.mkdir(exist_ok=True)
    (workspace.reports / "checklists.json").write_text('{"clear": {"items": 58, "missing": 20, "partly": 9}}')
    assert further_evidence(workspace, "lr") == {
        "subgroups": [{"subgroup": "sex", "level": "F", "auc": 0.8}],
        "controls": [{"name": "size_only", "passed": True}],
        "checklists": {"clear": 0.5},
    }
