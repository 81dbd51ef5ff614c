"""A hospital whose labels have come moves into the study whole, whenever the call that moves it is killed."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from featurestore.tables import read_frame
from pipelines.imports.importing import ImportRequest, import_table
from pipelines.ingest.ingest import ingest
from pipelines.ingest.intake import intake
from pipelines.params import edit_params, load_params
from pipelines.runner import SerialRunner
from pipelines.scoring import admitting
from pipelines.scoring.admitting import CenterExistsError, HospitalMissingError, LabelsAbsentError, admit_center
from pipelines.stored_views import outcomes_frame, view_frame
from registry.admitting import is_admitted
from tests.hospital_study import SmallStudy, small_study


class Killed(BaseException):
    """The process ended here."""


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """A study with one champion and two scored patients of a hospital; copy it."""
    study = small_study(tmp_path_factory.mktemp("admission") / "study")

    def edit(content: Any) -> None:
        content["centers"]["development"] = {}
        content["ingest"]["clinical"] = {}
        content["phases"] = {"ct": {"series_description": "(?i)ct"}}
        for name in ("services", "models", "deep", "fusion"):
            content[name] = {}
        content["extraction"]["by_phase"] = {}
        content["label"] = {"name": "her2", "column": "ihc", "positive": ["3+"], "negative": ["0"]}

    edit_params(study.workspace.params, edit)
    study.promoted("first")
    study.arrive("harbor", "H-1", "H-2")
    assert study.score().is_clean
    return study


@pytest.fixture
def study(promoted: SmallStudy, tmp_path: Path) -> SmallStudy:
    return promoted.copy(tmp_path / "study")


def label(study: SmallStudy, *values: str, column: str = "ihc") -> None:
    with (study.workspace.incoming / "harbor" / "clinical.csv").open("w", newline="") as file:
        rows = [(f"H-{number}", value) for number, value in enumerate(values, start=1)]
        csv.writer(file).writerows([("patient_id", column), *rows])


def check(study: SmallStudy, before: pd.DataFrame) -> None:
    """The hospital is an external center under its old pseudonyms, and nothing of it is expected any more."""
    params = load_params(study.workspace.params)
    assert list(params.centers.external) == ["harbor"]
    assert not (study.workspace.incoming / "harbor").exists()
    assert not list(study.workspace.incoming.glob(".*"))
    assert is_admitted(study.registry.events(), "harbor")
    assert len([event for event in study.registry.events() if event.verb == "admit"]) == 1
    intake(study.workspace, params)
    ingest(study.workspace, params, "external", SerialRunner())
    outcomes = outcomes_frame(study.workspace, params, "external")
    assert set(outcomes["case_id"]) == set(before["case_id"])
    assert sorted(outcomes["label"]) == [0, 1]
    assert study.score().centers == ()
    pd.testing.assert_frame_equal(study.history(), before)


def test_a_hospital_becomes_an_external_center_under_its_own_key(study: SmallStudy) -> None:
    before = study.history()
    label(study, "3+", "0")
    done = admit_center(study.workspace, "harbor", "labels came")
    assert (done.n, done.labelled, done.has_images, done.was_read) == (2, 2, True, False)
    check(study, before)
    event = study.registry.events()[-1]
    assert (event.verb, event.why, event.details["labelled"]) == ("admit", "labels came", 2)


@pytest.mark.parametrize("step", ["_import", "_move", "_declare", "admit"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_call_is_completed_by_the_next(
    study: SmallStudy, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    before = study.history()
    label(study, "3+", "0")
    whole: Callable[..., object] = getattr(admitting, step)

    def killed(*arguments: object) -> None:
        if when == "after":
            whole(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(admitting, step, killed)
        with pytest.raises(Killed):
            admit_center(study.workspace, "harbor")
    if step == "admit" and when == "after":
        with pytest.raises(CenterExistsError):  # the event came last: it was done
            admit_center(study.workspace, "harbor")
    else:
        admit_center(study.workspace, "harbor")
    check(study, before)


def test_what_a_hospital_sends_while_it_is_moved_is_left_alone(
    study: SmallStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    label(study, "3+", "0")
    with monkeypatch.context() as patch:
        patch.setattr(admitting, "_declare", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            admit_center(study.workspace, "harbor")
    study.arrive("harbor", "H-9")
    admit_center(study.workspace, "harbor")
    assert (study.workspace.incoming / "harbor" / "H-9").is_dir()
    assert not (study.workspace.raw("harbor") / "H-9").exists()


def test_labels_must_be_there_and_names_are_for_ever(study: SmallStudy) -> None:
    with pytest.raises(HospitalMissingError):
        admit_center(study.workspace, "lighthouse")
    label(study, "", "")
    with pytest.raises(LabelsAbsentError, match="empty for all 2 patients"):
        admit_center(study.workspace, "harbor")
    label(study, "3+", "0", column="her2")
    with pytest.raises(Exception, match="column 'ihc' is missing"):
        admit_center(study.workspace, "harbor")
    label(study, "3+", "0")
    study.workspace.raw("harbor").mkdir(parents=True)
    with pytest.raises(CenterExistsError, match="data/raw"):
        admit_center(study.workspace, "harbor")
    assert (study.workspace.incoming / "harbor" / "H-1").is_dir()
    assert json.loads(json.dumps(load_params(study.workspace.params).centers.external)) == {}


def table(seed: int, start: str) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = {f"F{i}": rng.normal(size=8) for i in range(3)}
    return pd.DataFrame({"patient_id": [f"{start}{i}" for i in range(8)], "ihc": ["3+", "0"] * 4, **values})


def test_a_hospital_of_tables_alone_is_imported(study: SmallStudy, tmp_path: Path) -> None:
    table(1, "D").to_csv(tmp_path / "dev.csv", index=False)
    request = ImportRequest(view="captk", id_column="patient_id", center="alpha", role="development", label="ihc")
    import_table(study.workspace, tmp_path / "dev.csv", request)
    folder = study.workspace.incoming / "tower"
    folder.mkdir()
    sent = table(2, "T").assign(ihc="0", extra=1.0)  # the table's own label is not the hospital's word
    sent.to_csv(folder / "captk.csv", index=False)
    table(2, "T")[["patient_id", "ihc"]].to_csv(folder / "clinical.csv", index=False)
    done = admit_center(study.workspace, "tower")
    assert (done.views, done.has_images) == (("captk",), False)
    params = load_params(study.workspace.params)
    assert len(view_frame(study.workspace, params, "external", "captk")) == 8
    assert sorted(outcomes_frame(study.workspace, params, "external")["label"]) == [0] * 4 + [1] * 4
    intake(study.workspace, params)
    ingest(study.workspace, params, "external", SerialRunner())
    assert read_frame(study.workspace.view("external", "qc")).empty, "nobody looks for images of it"
