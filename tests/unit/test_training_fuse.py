"""Fusions: honest weights, folds that do not mix, packages that say the same, members that say nothing."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from featurestore.flat_tables import read_flat
from featurestore.training_sets import TrainingSet
from pipelines.evaluation.cohorts import candidates, of_external, read_external
from pipelines.evaluation.discrimination import auc
from pipelines.evaluation.evaluate import evaluate
from pipelines.models.direct import Stack
from pipelines.models.predicting import CaseInputs, predict_cases
from pipelines.params import Params, parse_params
from pipelines.scoring.drift import Seen, record_looks
from pipelines.scoring.drift_history import read_looks, read_moved, read_shifts
from pipelines.scoring.drift_variables import variables
from pipelines.scoring.patient_rows import of_part, patient_rows
from pipelines.training.assemble import assemble
from pipelines.training.dealing import folds_of
from pipelines.training.fuse import FuseSummary, fuse
from pipelines.training.members import MemberAbsentError, MixedFoldsError, load_members, shared
from pipelines.training.tune import beside_of, tune
from pipelines.workspace import Workspace
from registry.package import ModelPackage, load_package
from registry.predict import predict

Study = tuple[Workspace, Params]
FUSIONS: dict[str, Any] = {
    "late": {"members": ["radiomics", "clinical"]},
    "early": {"members": ["radiomics", "clinical"], "kind": "early"},
    "best": {"members": ["radiomics", "clinical"], "kind": "tuned"},
    "spared": {"members": ["radiomics", "clinical"], "absent_member": "renormalize"},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, fake_study: Callable[..., Study]) -> Study:
    workspace, params = fake_study(tmp_path_factory.mktemp("study"), estimators=(), n_per_center=60, effect=0.8)
    content = params.model_dump(mode="json")
    content["tuning"] = {"trials": 3, "folds": 3, "repeats": 2, "batch": 2, "seed": 7}
    content["services"] |= {"clinical": {"view": "clinical"}, "joint": {"joins": [{"view": "clinical"}]}}
    content["models"] = {
        "radiomics": {"service": "triphasic", "estimator": "lr"},
        "clinical": {"service": "clinical", "estimator": "clinical"},
        "joint": {"service": "joint", "estimator": "lr"},
    }
    content["fusion"] = FUSIONS
    params = parse_params(content)
    assemble(workspace, params)
    for name in params.models:
        tune(workspace, params, name)
    return workspace, params


@pytest.fixture(scope="module")
def made(study: Study) -> FuseSummary:
    return fuse(*study)


def told(study: Study, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((study[0].fusion(name) / "fusion.json").read_text())
    return content


def test_a_patient_is_in_the_same_fold_in_every_service(study: Study) -> None:
    """The clinical table has patients whose images were refused; those who have both are dealt alike."""
    workspace, params = study
    sets = [TrainingSet.load(workspace.training(name)).part("training") for name in ("triphasic", "clinical")]
    assert len(sets[0].y) < len(sets[1].y)
    assert sets[0].position is not None
    assert sets[1].position is None
    where = []
    for part in sets:
        folds = folds_of(part, params.tuning)
        number = {}
        for fold in folds:
            assert sorted([*fold.fit, *fold.held_out]) == list(range(len(part.y)))
            number |= {(part.case_id[i], fold.repeat): fold.number for i in fold.held_out}
        where.append(number)
    assert all(where[1][key] == number for key, number in where[0].items())


def test_a_fusion_is_a_candidate_like_any_other(study: Study, made: FuseSummary) -> None:
    workspace, params = study
    assert set(made.fusions) == set(params.fusion)
    summary = evaluate(workspace, params)
    metrics = json.loads((workspace.evaluation / "metrics.json").read_text())
    assert set(metrics) == {*params.models, *params.fusion}
    assert summary.not_tuned == ()
    for name in params.fusion:
        assert set(metrics[name]) == {"training", "training_apparent", "internal", "external", "external.west"}
        assert metrics[name]["external"]["n"] > 20
        assert 0.5 < metrics[name]["external"]["auc"] < 1


def test_the_weights_of_a_fold_never_saw_it(study: Study, made: FuseSummary) -> None:
    """Doing it by hand: weights from the other folds' patients, on what members said out of fold."""
    workspace, params = study
    known = shared(load_members(workspace, params, ["radiomics", "clinical"]))
    frame, _ = read_flat(workspace.fusion("late") / "oof.parquet")
    for fold in known.folds[:3]:
        stack = Stack(penalty=0.01, nonnegative=True).fit(known.log_odds[fold.fit], known.y[fold.fit])
        by_hand = stack.log_odds(known.log_odds[fold.held_out])
        ours = logit(frame["p_0"].to_numpy()[fold.held_out])
        slope, _ = np.polyfit(by_hand, ours, 1)  # recalibration and the share of positives move a fold as a whole
        assert slope > 0
        np.testing.assert_allclose(np.corrcoef(by_hand, ours)[0, 1], 1, atol=1e-9)


def test_a_fusion_package_is_the_weighed_sum_of_its_members(study: Study, made: FuseSummary) -> None:
    workspace, _ = study
    package = load_package(workspace.fusion("late") / "package")
    X = package.golden
    odds = []
    for name in ("radiomics", "clinical"):
        own = load_package(workspace.model(name) / "package")
        p = predict(own, X[:, [package.features.index(feature) for feature in own.features]])
        odds.append(logit(np.clip(p, 1e-6, 1 - 1e-6)))
    score = np.column_stack(odds) @ package.arrays["stack.coef"] + package.arrays["stack.intercept"]
    intercept, slope = package.arrays["calibration.coefficients"]
    np.testing.assert_allclose(predict(package, X), expit(intercept + slope * score), atol=1e-12)
    one_by_one = np.concatenate([predict(package, X[i : i + 1]) for i in range(len(X))])
    assert one_by_one.tobytes() == predict(package, X).tobytes()


def test_who_lacks_a_member_is_left_out_or_judged_by_the_others(study: Study, made: FuseSummary) -> None:
    workspace, _ = study
    late, spared = (load_package(workspace.fusion(name) / "package") for name in ("late", "spared"))
    X = late.golden.copy()
    X[:, [i for i, name in enumerate(late.features) if name.startswith("clinical.")]] = np.nan
    assert np.isnan(predict(late, X)).all()
    rest = predict(spared, X)
    assert np.isfinite(rest).all()
    radiomics = load_package(workspace.model("radiomics") / "package")
    alone = predict(radiomics, X[:, [spared.features.index(name) for name in radiomics.features]])
    assert np.argsort(rest).tolist() == np.argsort(alone).tolist()
    X[:] = np.nan
    assert np.isnan(predict(spared, X)).all()


def test_early_fusion_leaves_clinical_columns_beside_the_components(study: Study, made: FuseSummary) -> None:
    workspace, _ = study
    package = load_package(workspace.fusion("early") / "package")
    components = package.arrays["pca.components"]
    kept = [package.features[i] for i in package.arrays["keep.index"]]
    clinical = np.array([name.startswith("clinical.") for name in kept])
    assert clinical.any()
    projected = components[:, clinical].any(axis=1)
    np.testing.assert_array_equal(components[projected][:, clinical], np.eye(int(clinical.sum())))
    assert not components[projected][:, ~clinical].any()
    assert not components[~projected][:, clinical].any()


def test_a_joined_service_is_early_fusion_by_itself(study: Study) -> None:
    workspace, _ = study
    part = TrainingSet.load(workspace.training("joint")).part("training")
    assert {part.names[i].partition(".")[0] for i in beside_of(part)} == {"clinical"}


def test_the_better_kind_is_kept_and_both_are_told(study: Study, made: FuseSummary) -> None:
    content = told(study, "best")
    areas = content["auc"]
    assert content["chosen"] == ("early" if areas["early"] > areas["late"] else "late")
    assert set(content["members"]) == {"radiomics", "clinical"}


def test_the_same_members_give_the_same_bytes(study: Study, made: FuseSummary, tmp_path: Path) -> None:
    workspace, _ = study
    folder = workspace.fusion("best")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    fuse(*study, "best")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_members_of_other_folds_are_refused(study: Study) -> None:
    workspace, params = study
    members = load_members(workspace, params, ["radiomics", "clinical"])
    table = members[1].out_of_fold.copy()
    table["fold_0"] = (table["fold_0"] + 1) % 3
    with pytest.raises(MixedFoldsError, match="clinical held out"):
        shared([members[0], replace(members[1], out_of_fold=table)])


def test_a_member_that_was_not_made_is_named(study: Study) -> None:
    workspace, params = study
    content = params.model_dump(mode="json")
    content["models"]["later"] = {"service": "excretory", "estimator": "lr"}
    content["fusion"] |= {"late": {"members": ["radiomics", "later"]}}
    with pytest.raises(MemberAbsentError, match="model later"):
        fuse(workspace, parse_params(content), "late")


def test_weights_favor_who_tells_more_and_are_never_negative() -> None:
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 400).astype(np.int8)
    X = np.column_stack([1.5 * y + rng.normal(size=400), 0.3 * y + rng.normal(size=400), -y + rng.normal(size=400)])
    stack = Stack(penalty=0.01, nonnegative=True).fit(X, y)
    assert stack.weights[0] > stack.weights[1] > 0
    assert stack.weights[2] == 0
    free = Stack(penalty=0.0, nonnegative=False).fit(X, y)
    from sklearn.linear_model import LogisticRegression

    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(free.weights, reference.coef_[0], atol=1e-4)
    assert auc(y, free.log_odds(X)) > auc(y, X[:, 0])


def hospital_rows(study: Study, package: ModelPackage) -> pd.DataFrame:
    """Returns the external patients as scoring sees a hospital's."""
    workspace, params = study
    clinical = workspace.view("external", "clinical").parent
    return patient_rows(package, workspace.features("external").parent, clinical, params.ingest.clinical)


def inputs_of(package: ModelPackage, rows: pd.DataFrame) -> CaseInputs:
    return CaseInputs(
        center=rows["center"].to_numpy(np.str_),
        case_id=rows["case_id"].to_numpy(np.str_),
        features=lambda part: of_part(rows, package, part),
    )


@pytest.mark.parametrize("name", ["late", "spared", "early", "clinical"])
def test_a_hospital_is_told_what_evaluation_says(study: Study, made: FuseSummary, name: str) -> None:
    """The same patients through the door of scoring: images and clinical table, the same bits."""
    workspace, params = study
    package = load_package(workspace.model(name) / "package")
    rows = hospital_rows(study, package)
    p = dict(zip(rows["case_id"], predict_cases(package, inputs_of(package, rows)).p, strict=True))
    candidate = next(one for one in candidates(workspace, params)[0] if one.name == name)
    external = of_external(candidate, read_external(workspace, params))[0]
    assert len(external.y) > 20
    assert [p[case] for case in external.case_id] == external.p.tolist()
    assert rows["inputs"].nunique() > 20


def test_drift_is_looked_for_in_what_every_member_sees_and_in_the_score(
    study: Study, made: FuseSummary, tmp_path: Path
) -> None:
    package = load_package(study[0].model("late") / "package")
    rows = hospital_rows(study, package)
    rows[list(package.members[0].features)] += 5.0
    p = predict_cases(package, inputs_of(package, rows)).p
    history = rows[["center", "case_id", "inputs"]].assign(package=package.digest, probability=p, sequence=1)
    seen = Seen(
        center="west",
        package=package,
        rows=lambda: rows,
        history=history[np.isfinite(p)],
        inputs=lambda own: inputs_of(package, own),
    )
    (alarm,) = record_looks(tmp_path, seen, 0.05)
    assert alarm.code == "drift"
    tested = [one.name for one in variables(package) if one.family == "components"]
    assert {name.partition(":")[0] for name in tested} == {"radiomics", "clinical"}
    looks = read_looks(tmp_path, "west", package.digest).set_index("family")["tested"]
    assert set(looks.index) == {"features", "components", "scores"}
    assert set(looks["components"]) == {len(tested)}
    moved = read_moved(tmp_path, "west", package.digest).set_index("family")
    told = moved.loc[["features"]].set_index("name")["moved"].groupby(level=0).any()
    assert told[told].index.isin(package.members[0].features).all()
    assert read_shifts(tmp_path, "west", package.digest)["mean_without"].notna().all()
