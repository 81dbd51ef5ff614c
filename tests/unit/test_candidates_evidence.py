"""What is registered is what was judged."""

import pytest

from pipelines.candidates import StaleEvaluationError, choose
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
