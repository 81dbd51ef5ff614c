"""Negative controls: they find nothing in shuffled labels, see no external patient, and are told on the page."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from featurestore.flat_tables import read_flat
from featurestore.schemas import TableSchema, columns_of
from featurestore.tables import read_frame, read_schema, write_center
from pipelines.candidates import further_evidence
from pipelines.evaluation.cohorts import StaleModelError
from pipelines.evaluation.evaluate import evaluate
from pipelines.evaluation.negative_controls import mean_estimate, verdict
from pipelines.ingest.views import outcomes_schema
from pipelines.params import Params, parse_params
from pipelines.reporting.evidence_cautions import failed_controls, idle_texture
from pipelines.reporting.report import report
from pipelines.reporting.study_files import read_study
from pipelines.training.assemble import assemble
from pipelines.training.control_stage import _mean_auc, controls
from pipelines.training.tune import tune
from pipelines.workspace import Role, Workspace

Study = tuple[Workspace, Params]
MODEL = "lr"


def settings(params: Params, **own: Any) -> Params:
    content = params.model_dump(mode="json")
    content["tuning"] = {"trials": 2, "folds": 3, "repeats": 1, "batch": 2, "seed": 7}
    content["models"] = {MODEL: {"service": "excretory", "estimator": "lr"}}
    content["evaluation"]["controls"] = {"label_shuffles": 6, "trials": 2, **own}
    return parse_params(content)


def write_shuffled(workspace: Workspace, params: Params, role: Role) -> None:
    """What `radmill shuffle` would leave: the same columns with nothing of the signal in them."""
    rng = np.random.default_rng(3)
    root = workspace.features(role)
    columns = columns_of(read_schema(root))
    for center in params.centers.of(role):
        frame = read_frame(root, centers=[center])
        names = [name for name in frame if name.startswith("original")]
        frame[names] = rng.normal(size=(len(frame), len(names)))
        schema = TableSchema(name="shuffled", columns=columns, notes={"voxels": "shuffled"})
        write_center(workspace.shuffled(role) / "shuffled", center, frame, schema)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, fake_study: Callable[..., Study]) -> Study:
    workspace, params = fake_study(tmp_path_factory.mktemp("study"), estimators=(), effect=1.5, services=("excretory",))
    params = settings(params)
    for role in ("development", "external"):
        write_shuffled(workspace, params, role)  # type: ignore[arg-type]
    assemble(workspace, params)
    tune(workspace, params, MODEL)
    away = workspace.root / "away"
    for folder in (workspace.outcomes("external"), workspace.features("external"), workspace.shuffled("external")):
        folder.rename(away.with_name(f"away-{folder.parent.name}-{folder.name}"))
    controls(workspace, params)  # it sees no external patient, so it misses none
    for folder in (workspace.outcomes("external"), workspace.features("external"), workspace.shuffled("external")):
        away.with_name(f"away-{folder.parent.name}-{folder.name}").rename(folder)
    evaluate(workspace, params)
    return workspace, params


def rows(workspace: Workspace, name: str) -> pd.DataFrame:
    table = pd.read_csv(workspace.evaluation / "tables" / "controls.csv")
    return table[table["name"] == name].set_index("cohort")


def test_every_cohort_has_its_shuffles_and_the_model_is_far_above_them(study: Study) -> None:
    workspace, _ = study
    found = rows(workspace, "shuffled_labels")
    assert list(found.index) == ["training", "internal", "external"]
    assert (found["auc"] > 0.75).all()
    assert (found["difference"] > 0.15).all()
    assert found["p_value"].min() == pytest.approx(1 / 7), "no shuffle of six reached it"
    areas = pd.read_csv(workspace.evaluation / "plots" / "shuffled_labels.csv")
    assert set(areas.groupby("cohort").size()) == {6}
    assert found.loc["external", "control"] == pytest.approx(areas.loc[areas["cohort"] == "external", "auc"].mean())


def test_what_voxels_in_disorder_lack_is_the_difference_on_the_same_patients(study: Study) -> None:
    workspace, _ = study
    found = rows(workspace, "shuffled_voxels")
    assert list(found.index) == ["training", "internal", "external"]
    assert found.loc["external", "passed"] in (True, "True")
    assert found.loc["external", "low"] > 0
    assert np.allclose(found["difference"], found["auc"] - found["control"])
    told = json.loads((workspace.controls / MODEL / "voxels" / "package" / "manifest.json").read_text())
    assert told["service"]["view"] == "shuffled"
    assert told["extraction"]["voxels"] == "shuffled"
    assert workspace.controls / MODEL not in workspace.candidates(), "nobody can register it"


def test_other_external_labels_change_no_control_but_the_external_one(study: Study) -> None:
    """The searches were done without them; their labels are shuffled and read by evaluation."""
    workspace, params = study
    before = {name: rows(workspace, name) for name in ("shuffled_labels", "shuffled_voxels")}
    root = workspace.outcomes("external")
    frame = read_frame(root, centers=["west"])
    frame["label"] = frame["label"].astype("Int64")
    schema = outcomes_schema(params.label)
    write_center(root, "west", frame.assign(label=1 - frame["label"]), schema)
    evaluate(workspace, params)
    for name, own in before.items():
        now = rows(workspace, name)
        assert now.loc[["training", "internal"], "control"].equals(own.loc[["training", "internal"], "control"]), name
        assert now.loc["external", "control"] != own.loc["external", "control"], name
    write_center(root, "west", frame, schema)
    evaluate(workspace, params)


def test_what_still_holds_is_kept_and_what_was_changed_is_made_anew(study: Study) -> None:
    workspace, params = study
    record = workspace.controls / MODEL / "labels" / "shuffles.json"
    before = record.read_bytes()
    assert controls(workspace, params).reused == 2
    record.write_text(record.read_text().replace('"internal": 0', '"internal": 1', 1))
    assert controls(workspace, params).reused == 1
    assert record.read_bytes() == before
    assert controls(workspace, settings(params, label_shuffles=2)).reused == 1
    assert controls(workspace, params).reused == 1


def test_page_gates_and_objections_follow_from_the_rows(study: Study) -> None:
    workspace, params = study
    report(workspace, params)
    page = (workspace.reports / "study.html").read_text(encoding="utf-8")
    for words in ("finds nothing, as it should", "Shuffled voxels", f"{MODEL} on shuffled labels", "permutation test"):
        assert words in page, words
    told = further_evidence(workspace, MODEL)["controls"]
    assert {"name": "shuffled_voxels", "passed": True} in told
    assert {"name": "shuffled_labels, training", "passed": True} in told
    assert {"name": "shuffled_labels, training", "passed": True} in further_evidence(workspace, "a_fusion")["controls"]
    files = read_study(workspace)
    assert not list(failed_controls(files, {}))
    table = files.tables["controls"].assign(passed=False, low=-0.1, high=0.1)
    files.tables["controls"] = table
    assert len(list(failed_controls(files, {}))) == 3
    assert [one.level for one in idle_texture(files, {})] == ["note"]


def test_a_control_of_another_training_set_is_refused(study: Study) -> None:
    workspace, params = study
    record = workspace.controls / MODEL / "labels" / "shuffles.json"
    before = record.read_bytes()
    content = json.loads(before)
    content["manifest"]["training_set"] = "0" * 64
    record.write_text(json.dumps(content))
    with pytest.raises(StaleModelError, match="another training set"):
        evaluate(workspace, params)
    record.write_bytes(before)


def test_without_voxels_of_ours_the_row_says_why(study: Study) -> None:
    workspace, params = study
    off = settings(params, voxels=False)
    kept = workspace.root / "kept"
    shutil.copytree(workspace.controls, kept)
    assert controls(workspace, off).shuffled_voxels == {MODEL: "switched off"}
    evaluate(workspace, off)
    assert rows(workspace, "shuffled_voxels").loc["training", "reason"] == "evaluation.controls.voxels is off"
    report(workspace, off)
    assert "evaluation.controls.voxels is off" in (workspace.reports / "study.html").read_text(encoding="utf-8")
    shutil.rmtree(workspace.controls)
    kept.rename(workspace.controls)


def test_the_patients_are_those_of_the_model(study: Study) -> None:
    workspace, _ = study
    ours, theirs = (
        read_flat(folder / "oof.parquet")[0][["center", "case_id", "y", "fold_0"]]
        for folder in (workspace.model(MODEL), workspace.controls / MODEL / "voxels")
    )
    assert ours.equals(theirs), "same patients, same labels, same folds"


def test_a_mean_away_from_one_half_fails_only_when_it_is_surely_so() -> None:
    rng = np.random.default_rng(0)
    leak, wide, near = 0.65 + 0.02 * rng.normal(size=20), np.array([0.3, 0.85]), 0.5 + 0.1 * rng.normal(size=20)
    said = [verdict(values, mean_estimate(values, 0.95), 18, 20)[0] for values in (leak, wide, near)]
    assert said == [False, True, True]
    nothing = np.empty(0)
    assert verdict(nothing, mean_estimate(nothing, 0.95), 0, 0)[0] is None


def test_label_shuffles_that_are_off_are_said_to_be_and_have_no_mean(tmp_path: Path) -> None:
    for areas, told in (([], "switched off"), ([None], "not defined"), ([0.4, 0.65, None], "0.525")):
        shuffles = [{"training": {"auc": area}} for area in areas]
        (tmp_path / "shuffles.json").write_text(json.dumps({"shuffles": shuffles}))
        assert _mean_auc(tmp_path) == told
