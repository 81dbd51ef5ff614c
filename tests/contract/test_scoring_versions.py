"""Champion, challenger and standby score side by side; only the champion is acted upon, and nothing disturbs it."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from pipelines.ingest.pseudonyms import case_id, load_key
from pipelines.lineage.places import find_patients
from pipelines.lineage.trace import trace
from pipelines.lineage.withdraw import withdraw
from pipelines.params import load_params
from tests.hospital_study import SmallStudy, small_study, write_clinical
from tests.killed_scoring import run


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """A study with one champion and two patients of a hospital; copy it."""
    study = small_study(tmp_path_factory.mktemp("promoted") / "study")
    study.promoted("first")
    study.arrive("harbor", "H-1", "H-2")
    return study


@pytest.fixture
def study(promoted: SmallStudy, tmp_path: Path) -> SmallStudy:
    return promoted.copy(tmp_path / "study")


def test_a_champion_that_comes_back_scores_as_if_it_had_never_left(study: SmallStudy, tmp_path: Path) -> None:
    """Another bin width and another margin were in force between; compared with a study that never changed."""
    first = study.registry.champion()
    assert first is not None
    study.score()
    unchanged = study.copy(tmp_path / "unchanged")
    second = study.promoted("second", seed=1, bin_width=25.0, margin_mm=6.0)
    study.arrive("harbor", "H-3")
    study.score()
    between = study.history(second.digest)
    assert len(between) == 3
    study.registry.rollback("as before")
    for one in (study, unchanged):
        one.arrive("harbor", "H-3", "H-4")
        assert one.score().is_clean
    assert study.table("harbor") == unchanged.table("harbor")
    kept = ["case_id", "inputs", "probability", "positive", "sequence", "replaces"]
    pd.testing.assert_frame_equal(
        study.history(first.digest)[kept], unchanged.history(first.digest)[kept], check_exact=True
    )
    assert len(study.history(first.digest)) == 4
    entropy = {name: _features(one, "harbor") for name, one in (("changed", study), ("unchanged", unchanged))}
    assert entropy["changed"] > entropy["unchanged"], "the other settings have a table of their own"


def _features(study: SmallStudy, center: str) -> int:
    return len(list(study.deployment.center(center).glob("rules/*/features/*/radiomics")))


def test_roles_are_written_down_and_the_hospital_sees_the_champion_alone(study: SmallStudy) -> None:
    second = study.promoted("second", seed=1)
    third = study.register("third", seed=2)
    study.registry.challenge(third.digest, "in shadow")
    summary = study.score()
    history = study.history()
    assert dict(zip(history["model"], history["role"], strict=True)) == {
        "first": "standby",
        "second": "champion",
        "third": "challenger",
    }
    assert history.groupby("package").size().tolist() == [2, 2, 2]
    table = pd.read_csv(study.deployment.center("harbor") / "scores.csv")
    assert set(table["package"]) == {second.digest}
    assert [(row["role"], row["scored now"]) for row in summary.shadow_rows()] == [("challenger", 2), ("standby", 2)]
    assert _features(study, "harbor") == 1, "equal rules and settings share what was read and measured"
    study.registry.promote(third.digest, {})
    before = study.history()
    assert study.score().centers[0].n_before == 2
    pd.testing.assert_frame_equal(study.history(), before)
    assert set(pd.read_csv(study.deployment.center("harbor") / "scores.csv")["package"]) == {third.digest}


def test_a_shadow_that_cannot_score_is_named_and_disturbs_nothing(study: SmallStudy) -> None:
    absent = study.register("absent", seed=1)
    study.promoted("second", seed=2)
    study.registry.challenge(absent.digest, "in shadow")
    shutil.rmtree(study.registry.package_folder(absent))
    summary = study.score()
    assert summary.is_clean
    assert summary.centers[0].n_scored == 2
    assert [row["role"] for row in summary.shadow_rows()] == ["standby"]
    assert len(summary.notes) == 1
    assert summary.notes[0].startswith(f"challenger version {absent.number} (absent) does not score: ")


def test_a_shadow_of_other_feature_values_is_named_too(study: SmallStudy) -> None:
    other = study.register("other", seed=1, feature_set="0")
    study.registry.challenge(other.digest, "in shadow")
    (note,) = study.score().notes
    assert "made with feature set 0" in note


def test_a_shadow_that_breaks_on_a_hospital_leaves_its_scores_alone(
    study: SmallStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.scoring import scorer

    other = study.register("other", seed=1)
    study.registry.challenge(other.digest, "in shadow")
    whole = scorer.predict_cases

    def breaks(package: object, inputs: object) -> object:
        if getattr(package, "digest", "") == other.digest:
            raise ZeroDivisionError("Hrdlicka, Jana")
        return whole(package, inputs)

    monkeypatch.setattr(scorer, "predict_cases", breaks)
    summary = study.score()
    assert summary.centers[0].n_scored == 2
    assert "ZeroDivisionError at test_scoring_versions.py" in summary.notes[0]
    assert "Hrdlicka" not in str(summary)


def test_one_hospital_s_fault_holds_up_no_other(study: SmallStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hospital without a clinical table's columns, one with a name that cannot be, one that breaks the code."""
    study.arrive("abbey", "A-1")
    (study.workspace.incoming / "abbey" / "clinical.csv").write_text("nothing\n1\n")
    study.arrive("Big House", "B-1")
    study.arrive("cove", "C-1")
    from pipelines.scoring import scorer

    whole = scorer.patient_rows

    def breaks(package: object, features: Path, *rest: object) -> object:
        if "cove" in str(features):
            raise RecursionError
        return whole(package, features, *rest)

    monkeypatch.setattr(scorer, "patient_rows", breaks)
    found = {center.center: center for center in study.score().centers}
    assert found["harbor"].n_scored == 2
    assert all(found[name].problem for name in ("abbey", "Big House", "cove"))
    assert not np.isnan(study.history()["probability"]).any()


def test_a_file_from_the_future_does_not_wait_for_ever(study: SmallStudy) -> None:
    """A clock that was set back, or another machine's: a little ahead counts as young, far ahead as still."""
    now = time.time()
    for patient, ahead in (("H-1", 30.0), ("H-2", 86400.0)):
        for path in (study.workspace.incoming / "harbor" / patient).iterdir():
            os.utime(path, (now + ahead, now + ahead))
    os.utime(study.workspace.incoming / "harbor" / "clinical.csv", (now - 600, now - 600))
    assert study.score(quiet_s=60).centers[0].n_scored == 1
    for path in (study.workspace.incoming / "harbor" / "H-1").iterdir():
        os.utime(path, (now - 600, now - 600))
    assert study.score(quiet_s=60).centers[0].n_scored == 1


def test_a_patient_who_withdraws_leaves_every_store_and_score(study: SmallStudy) -> None:
    study.promoted("second", seed=1, margin_mm=6.0)
    study.score()
    who = case_id(load_key(study.workspace.keys, "harbor"), "H-1")
    traced = trace(study.workspace, load_params(study.workspace.params), "H-1")
    assert (traced.center, traced.case_id, len(traced.images), len(traced.scores)) == ("harbor", who, 2, 2)
    done = withdraw(study.workspace, load_params(study.workspace.params), "H-1", why="asked")
    assert done.volumes > 2
    assert find_patients(study.workspace, load_params(study.workspace.params), who) == []
    assert who not in set(study.history()["case_id"])
    assert who not in study.table("harbor").decode()
    assert not list(study.workspace.deployment.rglob(f"*{who}*"))
    assert study.score().centers[0].n_scored == 0
    assert find_patients(study.workspace, load_params(study.workspace.params), who) == []


def test_the_same_voxels_under_two_ids_are_refused_whoever_outlined_them(study: SmallStudy) -> None:
    folder = study.workspace.incoming / "harbor"
    shutil.copytree(folder / "H-1", folder / "H-9")
    smaller = sitk.ReadImage(str(folder / "H-9" / "ct_mask.nii.gz"))
    smaller[9:15, 8:14, 7] = 0
    sitk.WriteImage(smaller, str(folder / "H-9" / "ct_mask.nii.gz"))
    write_clinical(folder)
    (found,) = study.score().centers
    assert (found.n_scored, found.refused) == (1, {"duplicate_patient": 2})


def test_it_works_while_the_study_is_being_rebuilt(study: SmallStudy) -> None:
    """`radmill run` and `dvc repro` hold locks of their own; and nothing of theirs is written."""
    dvc_lock = study.root / ".dvc" / "tmp" / "rwlock"
    dvc_lock.parent.mkdir(parents=True, exist_ok=True)
    note = f'{{"write": {{}}, "read": {{"data": [{{"pid": {os.getpid()}, "cmd": "dvc repro"}}]}}}}'
    dvc_lock.write_text(note)
    with study.workspace.lock("radmill run"):
        run(study.root)
    assert len(study.history()) == 2
    assert dvc_lock.read_text() == note
    changed = ["git", "status", "--porcelain", "--", "data", "dvc.yaml", "dvc.lock", "params.yaml", "models"]
    assert subprocess.run(changed, cwd=study.root, capture_output=True, check=True).stdout == b""
