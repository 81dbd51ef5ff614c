"""The evaluate stage on a made-up study: contents, determinism, and studies that lack something."""

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from featurestore.files import write_json
from pipelines.evaluation.cohorts import StaleModelError
from pipelines.evaluation.evaluate import evaluate

MEASURES = ("auc", "average_precision", "brier", "calibration_slope", "calibration_intercept", "ici")
COHORTS = {"training", "training_apparent", "internal", "external", "external.west"}


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def evaluated(fake_study, tmp_path_factory):  # type: ignore[no-untyped-def]
    """A study that was evaluated once, for tests that only look."""
    workspace, params = fake_study(tmp_path_factory.mktemp("study"))
    evaluate(workspace, params)
    return workspace, params


def read_metrics(workspace) -> dict:  # type: ignore[no-untyped-def]
    return json.loads((workspace.evaluation / "metrics.json").read_text())


def test_every_model_has_every_cohort_and_every_estimate_an_interval(fake_study, tmp_path) -> None:
    workspace, params = fake_study(tmp_path)
    summary = evaluate(workspace, params)
    metrics = read_metrics(workspace)
    assert set(metrics) == set(params.models)
    assert summary.best in metrics
    for cohorts in metrics.values():
        assert set(cohorts) == COHORTS
        for measures in cohorts.values():
            for name in MEASURES:
                assert measures[f"{name}_low"] <= measures[name] <= measures[f"{name}_high"], name
            assert set(measures["at"]) == {"youden", "sensitivity_90"}
            assert measures["at"]["youden"]["threshold"] == 0.45, "the package's own threshold"
            point = measures["at"]["sensitivity_90"]
            assert point["tp"] + point["fn"] == measures["events"]


def test_same_input_gives_same_bytes(fake_study, tmp_path) -> None:
    workspace, params = fake_study(tmp_path)
    evaluate(workspace, params)
    first = hashes(workspace.evaluation)
    evaluate(workspace, params)
    assert hashes(workspace.evaluation) == first


def test_external_labels_move_no_other_cohort_and_no_threshold(fake_study, tmp_path) -> None:
    """The sealed centers stay sealed: with other external labels everything else keeps its value."""
    from featurestore.tables import read_frame, write_center
    from pipelines.ingest.views import outcomes_schema

    workspace, params = fake_study(tmp_path, services=("excretory",))
    evaluate(workspace, params)
    before = read_metrics(workspace)
    outcomes = read_frame(workspace.outcomes("external"))
    outcomes["label"] = (1 - outcomes["label"]).astype("Int64")
    write_center(workspace.outcomes("external"), "west", outcomes, outcomes_schema(params.label))
    evaluate(workspace, params)
    for name, cohorts in read_metrics(workspace).items():
        assert cohorts["external"]["auc"] == pytest.approx(1 - before[name]["external"]["auc"])
        for cohort in ("training", "training_apparent", "internal"):
            assert cohorts[cohort] == before[name][cohort]
        for point, values in cohorts["external"]["at"].items():
            assert values["threshold"] == before[name]["external"]["at"][point]["threshold"]


def test_patients_left_out_are_counted(evaluated) -> None:
    """Of 40 sent, 1 was excluded, 2 have no features and 1 has features and no label."""
    workspace, _ = evaluated
    external = next(iter(read_metrics(workspace).values()))["external"]
    assert external["n"] == 36
    assert external["left_out"] == {"label_missing": 1, "features_missing": 2}


def test_comparisons_cover_every_pair_with_corrected_p_values(evaluated) -> None:
    workspace, _ = evaluated
    table = pd.read_csv(workspace.evaluation / "tables" / "comparisons.csv")
    assert len(table) == 2, "one pair, internal and external"
    assert (table["p_holm"] >= table["p_value"]).all()
    assert (table["left_out"] == 0).all()


def test_predictions_name_each_patient_once_a_model_and_cohort(evaluated) -> None:
    workspace, _ = evaluated
    frame = pd.read_parquet(workspace.evaluation / "predictions.parquet")
    assert list(frame.columns) == ["model", "cohort", "center", "case_id", "y", "p"]
    assert not frame.duplicated(["model", "cohort", "center", "case_id"]).any()
    assert set(frame["cohort"]) == {"training", "training_apparent", "internal", "external"}


def test_no_external_center_is_a_study_too(fake_study, tmp_path) -> None:
    workspace, params = fake_study(tmp_path, external=())
    evaluate(workspace, params)
    assert set(next(iter(read_metrics(workspace).values()))) == {"training", "training_apparent", "internal"}


def test_external_center_without_any_usable_case_is_empty_with_reasons(fake_study, tmp_path) -> None:
    workspace, params = fake_study(tmp_path)
    shutil.rmtree(workspace.features("external"))
    shutil.rmtree(workspace.outcomes("external"))
    evaluate(workspace, params)
    external = next(iter(read_metrics(workspace).values()))["external"]
    assert (external["n"], external["auc"], external["reasons"]["auc"]) == (0, None, "no patients")


def test_models_without_a_package_are_named_and_models_gone_are_swept(fake_study, tmp_path) -> None:
    workspace, params = fake_study(tmp_path)
    first = next(iter(params.models))
    shutil.rmtree(workspace.model(first) / "package")
    write_json(workspace.model("radmill_left_params") / "summary.json", {})
    summary = evaluate(workspace, params)
    assert summary.not_tuned == (first,)
    assert summary.removed == ("radmill_left_params",)
    assert first not in read_metrics(workspace)


def test_no_model_at_all_writes_empty_tables(fake_study, tmp_path) -> None:
    workspace, params = fake_study(tmp_path)
    shutil.rmtree(workspace.model("x").parent)
    assert evaluate(workspace, params).models == 0
    assert read_metrics(workspace) == {}
    assert pd.read_csv(workspace.evaluation / "plots" / "roc.csv").empty


def test_model_of_another_training_set_is_refused(fake_study, tmp_path) -> None:
    """Else its training patients could count as internal ones."""
    workspace, params = fake_study(tmp_path)
    service = next(iter(params.services))
    other, _ = fake_study(tmp_path / "other", seed=2)
    shutil.rmtree(workspace.training(service))
    shutil.copytree(other.training(service), workspace.training(service))
    with pytest.raises(StaleModelError, match="another training set"):
        evaluate(workspace, params)


def test_shuffled_labels_give_half_on_every_honest_cohort(fake_study, tmp_path) -> None:
    """Nothing leaks: with nothing to find, the mean area lies near 0.5 everywhere but in the apparent cohort."""
    areas: dict[str, list[float]] = {}
    for seed in range(10):
        workspace, params = fake_study(tmp_path / str(seed), effect=0.0, seed=seed, services=("excretory",))
        evaluate(workspace, params)
        for cohorts in read_metrics(workspace).values():
            for cohort, measures in cohorts.items():
                areas.setdefault(cohort, []).append(measures["auc"])
    means = {cohort: sum(values) / len(values) for cohort, values in areas.items()}
    assert means["training_apparent"] > 0.55
    for cohort in ("training", "internal", "external"):
        assert means[cohort] == pytest.approx(0.5, abs=0.06), cohort
