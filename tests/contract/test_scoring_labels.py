"""Labels come after scores and touch none; a recalibration is a new version, and its cases judge it no more."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from pipelines.ingest.pseudonyms import KEY_BYTES, case_id, key_path, load_key, write_private
from pipelines.scoring.performance import read_performance
from pipelines.scoring.recalibrate import TooFewLabelledError, recalibrate
from pipelines.scoring.scores import append_scores
from registry.predict import predict
from registry.states import ModelVersion
from tests.hospital_study import SmallStudy, small_study


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """A study with one champion and two patients of a hospital that were scored; copy it."""
    study = small_study(tmp_path_factory.mktemp("labelled") / "study")
    study.promoted("first")
    # pseudonyms decide who calibrates the prediction sets; under a key drawn anew an interval changes from run to run
    write_private(key_path(study.workspace.keys, "harbor"), (bytes(range(KEY_BYTES)).hex() + "\n").encode())
    study.arrive("harbor", "H-1", "H-2")
    assert study.score().is_clean
    return study


@pytest.fixture
def study(promoted: SmallStudy, tmp_path: Path) -> SmallStudy:
    return promoted.copy(tmp_path / "study")


def tell(study: SmallStudy, labels: Mapping[str, str]) -> None:
    """Writes the hospital's clinical table with the label's column."""
    with (study.workspace.incoming / "harbor" / "clinical.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("patient_id", "age", "ihc"), *((name, 61, one) for name, one in labels.items())])


def files_of(study: SmallStudy) -> dict[str, bytes]:
    own = [path for path in study.workspace.deployment.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in own if "runs" not in path.name}


def known(study: SmallStudy, version: ModelVersion | None = None) -> dict[str, object]:
    digest = (version or study.registry.champion()).digest  # type: ignore[union-attr]
    found = read_performance(study.workspace.deployment / "performance", "harbor", digest)
    assert found is not None
    return found


def test_a_label_scores_nobody_again_and_is_known_afterwards(study: SmallStudy) -> None:
    before, table = study.history(), study.table("harbor")
    assert known(study)["n"] == 0
    tell(study, {"H-1": "3+", "H-2": "0"})
    summary = study.score()
    assert (summary.centers[0].n_scored, summary.centers[0].n_before, summary.alarms) == (0, 2, ())
    pd.testing.assert_frame_equal(study.history(), before)
    assert study.table("harbor") == table
    assert (known(study)["n"], known(study)["events"], known(study)["metrics"]) == (2, 1, None)
    files = files_of(study)
    study.score()
    assert files_of(study) == files, "a second run writes nothing"
    tell(study, {"H-1": "0", "H-2": "0"})
    study.score()
    assert known(study)["events"] == 0
    pd.testing.assert_frame_equal(study.history(), before)


def test_labels_that_cannot_be_read_hold_up_no_score(study: SmallStudy) -> None:
    study.arrive("harbor", "H-3")
    tell(study, {"H-1": "3+", "H-2": "perhaps", "H-3": "0"})
    summary = study.score()
    assert summary.centers[0].n_scored == 1
    assert [alarm.code for alarm in summary.alarms] == ["label_undeclared"]
    study.arrive("harbor", "H-4")
    with (study.workspace.incoming / "harbor" / "clinical.csv").open("w") as file:
        file.write("patient_id,age,ihc\nH-1,61,3+\nH-1,61,0\nH-4,61,0\n")
    summary = study.score()
    assert (summary.centers[0].n_scored, summary.centers[0].problem) == (1, "")
    assert [alarm.code for alarm in summary.alarms] == ["labels_unread"]
    assert "differ in the label" in summary.alarms[0].message


def many(study: SmallStudy, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Gives the hospital many scores without images, and labels for which they are too extreme and too high."""
    champion = study.registry.champion()
    assert champion is not None
    rng, key = np.random.default_rng(3), load_key(study.workspace.keys, "harbor")
    p = expit(rng.normal(0.5, 2.0, n))
    names = [f"M-{i}" for i in range(n)]
    rows = pd.DataFrame({"center": "harbor", "case_id": [case_id(key, one) for one in names], "inputs": "x"})
    rows = rows.assign(sequence=1, replaces="", role="champion", distance=np.nan, doubts="")
    append_scores(study.deployment.scores, rows, p, package=champion.digest, model="first", version=1, threshold=0.5)
    y = rng.binomial(1, expit(0.5 * logit(p) - 1))
    told = {one: "3+" if label else "0" for one, label in zip(names, y, strict=True)}
    tell(study, {"H-1": "", "H-2": "", **told})
    return p, y


def test_a_recalibration_is_a_new_version_that_spends_its_hospital(study: SmallStudy) -> None:
    p, y = many(study)
    study.score()
    metrics = known(study)["metrics"]
    assert isinstance(metrics, dict)
    assert metrics["calibration_slope_high"] < 1
    parent = study.registry.champion()
    made = recalibrate(study.workspace, "harbor")
    assert parent is not None
    assert study.registry.champion().digest == parent.digest  # type: ignore[union-attr]
    assert (made.version.model, made.version.state) == ("first", "registered")
    assert study.registry.state().reads == {"harbor": 1}
    assert made.told.slope == pytest.approx(0.5, abs=0.15)
    assert recalibrate(study.workspace, "harbor").version.digest == made.version.digest, "again: nothing changes"
    assert study.registry.state().reads == {"harbor": 1}
    old, new = study.registry.package(parent), study.registry.package(made.version)
    X = np.random.default_rng(0).normal(size=(50, 3))
    expected = made.told.apply(predict(old, X))
    np.testing.assert_allclose(predict(new, X), expected, atol=1e-12)
    assert ((predict(new, X) >= new.thresholds["youden"]) == (predict(old, X) >= old.thresholds["youden"])).all()
    assert new.manifest["recalibrations"][0]["parent"] == parent.digest
    assert "H-1" not in str(new.manifest)
    assert np.mean((made.told.apply(p) - y) ** 2) < np.mean((p - y) ** 2)


def test_the_cases_of_a_recalibration_are_left_out_of_its_figures(study: SmallStudy) -> None:
    many(study)
    study.score()
    made = recalibrate(study.workspace, "harbor")
    study.registry.promote(made.version.digest, {}, "a test")
    rows = study.history(study.registry.previous().digest)  # type: ignore[union-attr]
    again = rows[rows["inputs"] == "x"]
    append_scores(
        study.deployment.scores, again, made.told.apply(again["probability"].to_numpy()),
        package=made.version.digest, model="first", version=2, threshold=0.5,
    )  # fmt: skip
    study.score()
    found = known(study, made.version)
    assert (found["n"], found["left_out"]) == (0, {"recalibration": 200})
    parent = known(study, study.registry.version(made.parent.digest))
    assert parent["left_out"] == {"conformal": 38}, "19 of each class calibrate the hospital's prediction sets"
    assert parent["n"] == 200 - 38


def test_too_few_labels_recalibrate_nothing(study: SmallStudy) -> None:
    many(study, 30)
    study.score()
    with pytest.raises(TooFewLabelledError, match="20 of each are asked for"):
        recalibrate(study.workspace, "harbor")
    assert len(study.registry.versions()) == 1
