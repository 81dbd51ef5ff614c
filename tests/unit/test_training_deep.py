"""Networks train on the folds of the tabular models, go on where they were killed, and leave honest candidates."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

pytest.importorskip("torch")
pytest.importorskip("monai")

from featurestore.flat_tables import read_flat
from featurestore.tables import read_frame, write_center
from featurestore.training_sets import TRAINING, TrainingSet
from pipelines.images.files import write_image
from pipelines.ingest.views import CASES
from pipelines.models import resnet_training
from pipelines.models.patches import PatchReachError, Recipe, cohort_patches
from pipelines.models.predicting import CaseInputs, StoredCases, predict_cases
from pipelines.models.resnet import network_from
from pipelines.params import Params, parse_params
from pipelines.params.reading import ParamsError
from pipelines.scoring.drift import Seen, record_looks
from pipelines.scoring.drift_history import read_looks
from pipelines.training.assemble import assemble
from pipelines.training.deep_folds import School, inner_split
from pipelines.training.deep_settings import recipe_of, rules_of, spec_of
from pipelines.training.search import derived_seed
from pipelines.training.splits import repeated_folds
from pipelines.training.train_deep import NoPatchesError, train_deep
from pipelines.training.tune import UnknownModelError
from pipelines.workspace import Workspace
from registry.package import load_package

Study = tuple[Workspace, Params]
SMALL = {
    "service": "excretory",
    "architecture": "resnet10",
    "size": 16,
    "spacing_mm": 1.0,
    "windows": {"excretory": {"low": -50, "high": 150}},
    "width": 0.125,
    "epochs": 3,
    "batch": 8,
}
PHASE = "excretory"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, fake_study: Callable[..., Study]) -> Study:
    """Patients whose stored region is brighter where the label is positive."""
    workspace, params = fake_study(
        tmp_path_factory.mktemp("study"), estimators=(), n_per_center=16, services=("excretory",), external=()
    )
    content = params.model_dump(mode="json")
    content["tuning"] = {"trials": 2, "folds": 3, "repeats": 2, "batch": 2, "seed": 7}
    content["deep"] = {
        "flat": SMALL | {"dims": "25d", "slices": 3},
        "cube": SMALL | {"dims": "3d", "epochs": 1, "roi": "masked"},
    }
    params = parse_params(content)
    assemble(workspace, params)
    whole = TrainingSet.load(workspace.training("excretory"))
    for center in params.centers.development:
        at = whole.center == center
        rows = [store(workspace, center, case, int(y)) for case, y in zip(whole.case_id[at], whole.y[at], strict=True)]
        frame = pd.DataFrame(rows, columns=list(CASES.names()), dtype=object)
        write_center(workspace.view("development", "cases"), center, frame, CASES)
    return workspace, params


def store(workspace: Workspace, center: str, case_id: str, y: int) -> dict[str, Any]:
    rng = np.random.default_rng(list(case_id.encode()))
    voxels = rng.normal(20, 15, (12, 20, 20))
    region = np.zeros(voxels.shape, np.uint8)
    region[4:9, 7:13, 7:13] = 1
    voxels[region > 0] += 40 + 40 * y
    names = {kind: f"{center}/{case_id}_{PHASE}_{kind}.nii.gz" for kind in ("image", "mask")}
    for kind, array in (("image", voxels.astype(np.int16)), ("mask", region)):
        write_image(workspace.cases("development") / names[kind], sitk.GetImageFromArray(array))
    row: dict[str, Any] = {column.name: 1.0 if column.kind == "float" else "" for column in CASES.columns}
    row |= {"center": center, "case_id": case_id, "phase": PHASE, "roi": "tumor", "observer": "", **names}
    row |= {"is_primary": True, "n_voxels": int(region.sum())}
    for letter, size in zip("xyz", (20, 20, 12), strict=True):
        row |= {f"size_{letter}": size, f"full_size_{letter}": size, f"crop_{letter}": 0}
    return row


def changed(params: Params, name: str = "flat", **settings: Any) -> Params:
    content = params.model_dump(mode="json")
    content["deep"][name] |= settings
    return parse_params(content)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def patches_of(workspace: Workspace, part: TrainingSet, recipe: Recipe) -> np.ndarray:
    cases = read_frame(workspace.view("development", "cases"))
    patients = list(zip(part.center.tolist(), part.case_id.tolist(), strict=True))
    return cohort_patches(workspace.cases("development"), cases, patients, recipe)


@pytest.mark.parametrize("name", ["flat", "cube"])
def test_a_candidate_has_all_that_pages_and_hospitals_need(study: Study, name: str) -> None:
    workspace, params = study
    summary = train_deep(workspace, params, name)
    folder, whole = workspace.model(name), TrainingSet.load(workspace.training("excretory"))
    part = whole.part(TRAINING)
    assert sorted(path.name for path in folder.iterdir()) == [
        "gradcam.safetensors", "history.json", "oof.parquet", "oof_folds.parquet", "package", "search.json",
        "summary.json",
    ]  # fmt: skip
    package = load_package(folder / "package")
    assert package.manifest["training_set"] == whole.digest
    network = network_from(package.manifest["model"], package.arrays, package.manifest["golden"])
    recipe = Recipe.from_plain(package.manifest["model"]["network"]["recipe"])
    assert recipe == recipe_of(params, params.deep[name])
    p = network.predict(patches_of(workspace, part, recipe))
    assert ((p > 0) & (p < 1)).all()
    history = json.loads((folder / "history.json").read_text())
    assert len(history["folds"]) == summary.networks == 3
    assert history["final"]["n_epochs"] == summary.epochs == len(history["final"]["epochs"])


def test_folds_are_those_of_the_tabular_models(study: Study) -> None:
    """Only then may probabilities of both be stacked."""
    workspace, params = study
    train_deep(workspace, params, "flat")
    part = TrainingSet.load(workspace.training("excretory")).part(TRAINING)
    folds = repeated_folds(part.y, part.center, 3, 2, derived_seed(7, "folds"))
    frame, _ = read_flat(workspace.model("flat") / "oof.parquet")
    assert frame["case_id"].tolist() == part.case_id.tolist()
    for fold in folds[:3]:
        assert (frame["fold_0"].to_numpy()[fold.held_out] == fold.number).all()
    assert frame["p"].between(0, 1).all()
    assert "fold_1" not in frame


def test_a_signal_in_the_images_is_found(study: Study) -> None:
    workspace, params = study
    long = changed(params, epochs=12, learning_rate=3e-3, roi="masked")
    train_deep(workspace, long, "flat")
    summary = json.loads((workspace.model("flat") / "summary.json").read_text())
    assert summary["out_of_fold"]["auc"] > 0.8


@pytest.mark.parametrize("moment", ["between epochs", "between folds"])
def test_a_killed_training_goes_on_where_it_was_and_gives_the_same_bytes(
    study: Study, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    workspace, params = study
    params = changed(params, learning_rate=2e-3 if moment == "between epochs" else 4e-3)
    train_deep(workspace, params, "flat")
    before = bytes_of(workspace.model("flat"))
    for path in (workspace.state / "deep" / "flat").glob("*"):
        path.unlink()
    monkeypatch.setattr(resnet_training, "CHECKPOINT_EVERY_S", 0.0)
    honest, epochs = resnet_training._Course.epoch, []
    killed_in = {"between epochs": 3 + 2, "between folds": 2 * 3 + 1}[moment]

    def dying(self: Any) -> None:
        epochs.append(len(self.history))
        if len(epochs) == killed_in:
            raise KeyboardInterrupt
        honest(self)

    monkeypatch.setattr(resnet_training._Course, "epoch", dying)
    with pytest.raises(KeyboardInterrupt):
        train_deep(workspace, params, "flat")
    epochs.clear()
    killed_in = 0
    train_deep(workspace, params, "flat")
    assert epochs[0] == {"between epochs": 1, "between folds": 0}[moment]
    final = json.loads((workspace.model("flat") / "summary.json").read_text())["hyperparameters"]["epochs"]
    assert len(epochs) == {"between epochs": 2 + 3, "between folds": 3}[moment] + final, "what is done is kept"
    assert bytes_of(workspace.model("flat")) == before
    assert not list((workspace.state / "deep").glob("*/*under-way*"))


def test_what_is_known_is_not_trained_again(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """A patient who is kept aside, or a new package format, costs no training; another setting does."""
    workspace, params = study
    train_deep(workspace, params, "flat")
    before = bytes_of(workspace.model("flat"))
    monkeypatch.setattr(resnet_training._Course, "epoch", lambda _self: pytest.fail("trained again"))
    train_deep(workspace, params, "flat")
    assert bytes_of(workspace.model("flat")) == before
    with pytest.raises(pytest.fail.Exception):
        train_deep(workspace, changed(params, batch=4), "flat")


def test_held_out_patients_do_not_touch_their_own_prediction(study: Study, tmp_path: Path) -> None:
    """A planted leak: labels and images of the held-out patients would move their network."""
    workspace, params = study
    part = TrainingSet.load(workspace.training("excretory")).part(TRAINING)
    settings = params.deep["flat"]
    recipe = recipe_of(params, settings)
    patches = patches_of(workspace, part, recipe)
    fold = repeated_folds(part.y, part.center, 3, 1, 1)[0]
    labels, images = part.y.copy(), patches.copy()
    labels[fold.held_out] = 1 - labels[fold.held_out]
    images[fold.held_out[1:]] *= -1
    said = []
    for number, (y, seen) in enumerate(((part.y, patches), (labels, images))):
        school = School(
            y=y,
            center=part.center,
            patches=seen,
            spec=spec_of(settings, recipe),
            rules=rules_of(settings, recipe),
            inner_fraction=0.2,
            seed=7,
            scratch=tmp_path / str(number),
            context="c",
        )
        said.append(school.fold(fold, resnet_training.Silent()).log_odds[0])
    assert said[0] == said[1]


def test_a_package_says_of_stored_cases_what_its_network_says_of_their_patches(study: Study) -> None:
    """Evaluation and scoring ask through the same door; who has no images is told nothing, and why."""
    workspace, params = study
    train_deep(workspace, params, "flat")
    package = load_package(workspace.model("flat") / "package")
    part = TrainingSet.load(workspace.training("excretory")).part(TRAINING)
    rows = read_frame(workspace.view("development", "cases"))
    inputs = CaseInputs(
        center=np.append(part.center, "north"),
        case_id=np.append(part.case_id, "unheard of"),
        features=lambda _part: pytest.fail("a network needs no features"),
        cases=StoredCases(folder=workspace.cases("development"), rows=rows),
    )
    said = predict_cases(package, inputs)
    network = network_from(package.manifest["model"], package.arrays)
    patches = patches_of(workspace, part, recipe_of(params, params.deep["flat"]))
    np.testing.assert_array_equal(said.p[:-1], network.predict(patches))
    assert np.isnan(said.p[-1])
    assert np.flatnonzero(said.reasons["images_missing"]).tolist() == [len(part.y)]


def test_drift_is_looked_for_in_a_networks_score_alone(study: Study, tmp_path: Path) -> None:
    """Scores of cross-validation are of other networks, and ring nothing; those of patients held out do."""
    workspace, params = study
    train_deep(workspace, params, "flat")
    trained = load_package(workspace.model("flat") / "package")
    part = TrainingSet.load(workspace.training("excretory")).part(TRAINING)
    rows = pd.DataFrame({"center": "harbor", "case_id": part.case_id, "inputs": "first"})
    for held_out, alarms in (("out_of_fold", 0), ("internal", 1)):
        told = {**trained.manifest, "reference": {**trained.manifest["reference"], "rows": held_out}}
        package = replace(trained, manifest=told)
        seen = Seen(
            center="harbor",
            package=package,
            rows=lambda: rows,
            history=rows.assign(package=package.digest, probability=1.0, sequence=1),
            inputs=lambda own: CaseInputs(
                center=own["center"].to_numpy(np.str_),
                case_id=own["case_id"].to_numpy(np.str_),
                features=lambda _part: pytest.fail("a network needs no features"),
            ),
        )
        found = record_looks(tmp_path / held_out, seen, 0.05)
        looks = read_looks(tmp_path / held_out, "harbor", package.digest)
        assert (len(found), set(looks["family"]), looks["rings"].any()) == (alarms, {"scores"}, bool(alarms))


def test_no_pseudonym_is_in_a_package_a_record_or_a_picture(study: Study) -> None:
    workspace, params = study
    train_deep(workspace, params, "flat")
    ids = TrainingSet.load(workspace.training("excretory")).case_id.tolist()
    for path, content in bytes_of(workspace.model("flat")).items():
        if not path.startswith("oof"):
            assert not [case for case in ids if case.encode() in content], path


def test_scratch_of_models_that_are_gone_is_removed(study: Study) -> None:
    workspace, params = study
    gone = workspace.state / "deep" / "gone" / "fold-0-0.safetensors"
    gone.parent.mkdir(parents=True, exist_ok=True)
    gone.write_bytes(b"")
    (workspace.model("flat")).mkdir(parents=True, exist_ok=True)
    (workspace.model("flat") / "old.json").write_text("{}")
    train_deep(workspace, params, "flat")
    assert not gone.exists()
    assert not (workspace.model("flat") / "old.json").exists()


def test_a_patch_beyond_the_margin_is_refused_with_the_number_to_set(study: Study) -> None:
    workspace, params = study
    with pytest.raises(PatchReachError, match=r"deep\.flat.*\n.*set margin\.mm to 50 and"):
        train_deep(workspace, changed(params, spacing_mm=5.0), "flat")


def test_an_unknown_model_and_absent_images_are_named(study: Study, tmp_path: Path) -> None:
    workspace, params = study
    with pytest.raises(UnknownModelError, match="no deep model 'x'; declared: cube, flat"):
        train_deep(workspace, params, "x")
    view = workspace.view("development", "cases")
    kept = view.rename(tmp_path / "cases")
    try:
        write_center(view, "north", pd.DataFrame(columns=list(CASES.names()), dtype=object), CASES)
        with pytest.raises(NoPatchesError, match="no stored case"):
            train_deep(workspace, params, "flat")
    finally:
        for path in sorted(view.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        view.rmdir()
        kept.rename(view)


def test_nobody_is_spared_where_a_label_is_rare() -> None:
    center = np.full(20, "a")
    assert inner_split(np.array([1] * 4 + [0] * 16, np.int8), center, 0.2, 1) is None
    fold = inner_split(np.array([1] * 5 + [0] * 15, np.int8), center, 0.2, 1)
    assert fold is not None
    assert len(fold.held_out) == 4


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"slices": 2}, "slices must be odd"),
        ({"phases": ["portal"]}, "deep.flat.phases names 'portal'"),
        ({"windows": {"portal": {"low": 0, "high": 1}}}, "deep.flat.windows names 'portal'"),
        ({"windows": {"excretory": {"low": 1, "high": 1}}}, "low must be below high"),
        ({"repeats": 3}, "deep.flat.repeats is 3, tuning.repeats only 2"),
        ({"service": "none"}, "deep.flat.service names 'none'"),
        ({"architecture": "resnet19"}, "deep.flat.architecture"),
        ({"weights": {"file": "w.pt", "sha256": "1"}}, "deep.flat.weights.sha256"),
    ],
)
def test_settings_that_make_no_sense_are_refused(study: Study, settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ParamsError, match=complaint):
        changed(study[1], **settings)
