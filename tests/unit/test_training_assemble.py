"""A training set holds development patients with a label and nothing that gives the label away."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from featurestore.schemas import Column, TableSchema, columns_of
from featurestore.tables import read_frame, read_schema, write_center
from featurestore.training_sets import TrainingSet
from pipelines.params import CaseRules, Params, parse_params
from pipelines.training.assemble import MissingPhaseError, NoPatientsError, SplitColumnError, assemble
from pipelines.training.splits import side
from pipelines.training.validate import InvalidTableError, validate
from pipelines.workspace import Workspace

Study = tuple[Workspace, Params]
N = 14


@pytest.fixture
def study(tmp_path: Path, fake_study: Callable[..., Study]) -> Study:
    return fake_study(tmp_path, estimators=(), n_per_center=N)


def with_params(params: Params, **changes: Any) -> Params:
    content = params.model_dump(mode="json")
    for path, value in changes.items():
        *heads, last = path.split("__")
        at = content
        for head in heads:
            at = at[head]
        at[last] = value
    return parse_params(content)


def edited(
    workspace: Workspace, center: str, edit: Callable[[pd.DataFrame], pd.DataFrame], what: str = "features"
) -> None:
    root = workspace.features("development") if what == "features" else workspace.outcomes("development")
    keys = ("center", "case_id", "phase", "roi", "observer") if what == "features" else ("center", "case_id")
    schema = TableSchema(name=root.name, keys=keys, columns=columns_of(read_schema(root), keys))
    frame = edit(read_frame(root, centers=[center]))
    frame = frame.astype({"label": "Int64"}) if what == "outcomes" else frame
    write_center(root, center, frame, schema)


def loaded(workspace: Workspace, service: str = "triphasic") -> TrainingSet:
    return TrainingSet.load(workspace.training(service))


def test_only_labelled_development_patients_are_in(study: Study) -> None:
    workspace, params = study
    summary = assemble(workspace, params)
    made = loaded(workspace)
    assert set(made.center) == {"north", "east", "south"}
    # of each center three were refused or excluded and one has no label
    assert len(made.y) == 3 * (N - 4)
    assert made.record["left_out"] == {"without_label": 3, "without_phase": 0}
    assert "3 without label" in summary.training_sets["triphasic"]
    labels = read_frame(workspace.outcomes("development")).set_index(["center", "case_id"])["label"]
    assert made.y.tolist() == [labels[key] for key in zip(made.center, made.case_id, strict=True)]


def test_features_are_those_of_the_tables_and_no_label_is_among_them(study: Study) -> None:
    workspace, params = study
    assemble(workspace, params)
    made = loaded(workspace, "excretory")
    assert {name.split(".")[0] for name in made.names} == {"excretory"}
    long = read_frame(workspace.features("development"))
    own = long[long["phase"] == "excretory"].set_index(["center", "case_id"])
    for column, values in zip(made.names, made.X.T, strict=True):
        expected = [own.loc[key, column.split(".", 1)[1]] for key in zip(made.center, made.case_id, strict=True)]
        assert values.tolist() == expected
    correlation = [abs(np.corrcoef(values, made.y)[0, 1]) for values in made.X.T]
    assert max(correlation) < 0.95


def test_record_says_how_it_was_made(study: Study) -> None:
    workspace, params = study
    assemble(workspace, params)
    record = loaded(workspace).record
    assert record["service"]["phases"] == ["corticomedullary", "nephrographic", "excretory"]
    assert set(record["extraction"]["by_phase"]) == set(record["service"]["phases"])
    assert len(record["extraction"]["fingerprint"]) == 64
    assert CaseRules.model_validate(record["rules"]) == params.case_rules()
    assert sum(row["n"] for row in record["counts"]) == len(loaded(workspace).y)
    assert str(workspace.root) not in json.dumps(record)


def test_rules_about_single_patients_do_not_travel(study: Study) -> None:
    workspace, params = study
    someone = "0123456789abcdef"
    assemble(workspace, with_params(params, cohort__withdrawn=[someone], cohort__rejected="rejected.csv"))
    text = json.dumps(loaded(workspace).record)
    assert someone not in text
    assert "rejected.csv" not in text
    assert "adults" in text


def test_a_new_patient_moves_nobody(study: Study) -> None:
    workspace, params = study
    assemble(workspace, params)
    before = dict(zip(loaded(workspace).case_id, loaded(workspace).split, strict=True))
    gone = loaded(workspace).case_id[0]
    edited(workspace, str(loaded(workspace).center[0]), lambda frame: frame[frame["case_id"] != gone])
    assemble(workspace, params)
    after = dict(zip(loaded(workspace).case_id, loaded(workspace).split, strict=True))
    assert after == {name: where for name, where in before.items() if name != gone}


def test_the_same_tables_give_the_same_bytes(study: Study) -> None:
    workspace, params = study
    files = [workspace.training("triphasic") / name for name in ("training_set.parquet", "record.json")]
    assemble(workspace, params)
    before = [path.read_bytes() for path in files]
    assemble(workspace, params)
    assert [path.read_bytes() for path in files] == before


def test_a_service_that_is_gone_is_swept(study: Study) -> None:
    workspace, params = study
    assemble(workspace, params)
    services = {"excretory": params.services["excretory"].model_dump()}
    summary = assemble(workspace, with_params(params, services=services))
    assert summary.removed == ("triphasic",)
    assert not workspace.training("triphasic").exists()


def test_a_patient_without_a_phase_is_dropped_or_stops_as_declared(study: Study) -> None:
    workspace, params = study
    someone = str(read_frame(workspace.features("development"), centers=["north"])["case_id"].iloc[0])
    edited(workspace, "north", lambda f: f[(f["case_id"] != someone) | (f["phase"] != "excretory")])
    assemble(workspace, params)
    assert loaded(workspace).record["left_out"]["without_phase"] == 1
    assert someone not in loaded(workspace).case_id
    with pytest.raises(MissingPhaseError, match="1 patients lack one of"):
        assemble(workspace, with_params(params, services__triphasic__missing_phase="refuse"))


def test_one_class_is_refused_with_counts(study: Study) -> None:
    workspace, params = study
    for center in params.centers.development:
        edited(workspace, center, lambda frame: frame.assign(label=1), "outcomes")
    with pytest.raises(NoPatientsError, match="0 negative"):
        assemble(workspace, params)


def test_a_column_may_fix_the_split(study: Study) -> None:
    workspace, params = study
    clinical = read_frame(workspace.view("development", "clinical"))
    clinical["side"] = np.where(clinical["age"] > 67, "internal", "training")
    for center, rows in clinical.groupby("center"):
        columns = (Column(name="age"), Column(name="side", kind="string"))
        schema = TableSchema(name="clinical", keys=("center", "case_id"), columns=columns)
        write_center(workspace.view("development", "clinical"), str(center), rows[list(schema.names())], schema)
    assemble(workspace, with_params(params, split__column="side"))
    fixed = clinical.set_index(["center", "case_id"])["side"]
    made = loaded(workspace)
    assert made.split.tolist() == [fixed[key] for key in zip(made.center, made.case_id, strict=True)]
    with pytest.raises(SplitColumnError, match="age"):
        assemble(workspace, with_params(params, split__column="age"))
    with pytest.raises(SplitColumnError, match="no column 'fold'"):
        assemble(workspace, with_params(params, split__column="fold"))


def test_sides_are_the_hash(study: Study) -> None:
    workspace, params = study
    assemble(workspace, params)
    made = loaded(workspace)
    rule = params.split
    expected = [side(c, i, rule.seed, rule.internal_fraction) for c, i in zip(made.center, made.case_id, strict=True)]
    assert made.split.tolist() == expected


def test_validation_writes_its_findings(study: Study) -> None:
    workspace, params = study
    edited(workspace, "east", lambda frame: frame.assign(original_glcm_Fake3=np.inf))
    summary = validate(workspace, params)
    content = json.loads(workspace.validation.read_text())
    assert summary.warnings == content["warnings"] == len(content["findings"]) == 3
    assert {finding["rule"] for finding in content["findings"]} == {"infinite_values"}
    assert {finding["subject"] for finding in content["findings"]} == set(params.phases)


def test_the_same_images_under_two_names_stop_the_run(study: Study) -> None:
    workspace, params = study

    def doubled(frame: pd.DataFrame) -> pd.DataFrame:
        first, second = frame["case_id"].unique()[:2]
        values = [name for name in frame.columns if name.startswith("original_")]
        frame.loc[frame["case_id"] == second, values] = frame.loc[frame["case_id"] == first, values].to_numpy()
        return frame

    edited(workspace, "north", doubled)
    workspace.validation.unlink()
    with pytest.raises(InvalidTableError, match=r"rows of different patients are equal \(north / "):
        validate(workspace, params)
    assert not workspace.validation.exists()


def test_a_phase_without_rows_stops_the_run(study: Study) -> None:
    workspace, params = study
    for center in params.centers.development:
        edited(workspace, center, lambda frame: frame[frame["phase"] != "excretory"])
    with pytest.raises(InvalidTableError, match="excretory: no row"):
        validate(workspace, params)
