"""Drift on the real road: it never holds a score back, and who withdraws leaves what it keeps."""

from pathlib import Path

import pandas as pd
import pytest

from pipelines.ingest.pseudonyms import case_id, load_key
from pipelines.lineage.withdraw import withdraw
from pipelines.params import load_params
from pipelines.scoring import drifting
from pipelines.scoring.drift_history import read_cases, read_looks
from tests.hospital_study import SmallStudy
from tests.hospital_tables import deliver, tables_study

CENTER, N = "harbor", 12


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """A study with a champion and a challenger that remember their development; copy it."""
    return tables_study(tmp_path_factory.mktemp("drift") / "study")


@pytest.fixture
def study(made: SmallStudy, tmp_path: Path) -> SmallStudy:
    return made.copy(tmp_path / "study")


def put_down(study: SmallStudy, package: str) -> pd.DataFrame:
    return read_cases(study.deployment.drift, CENTER, package)


def digests(study: SmallStudy) -> list[str]:
    return sorted(set(study.history()["package"]))


def test_who_withdraws_leaves_what_drift_keeps_and_looks_stand(study: SmallStudy) -> None:
    deliver(study, CENTER, N)
    study.score()
    who = case_id(load_key(study.workspace.keys, CENTER), "Secret-3")
    packages = digests(study)
    assert len(packages) == 2
    looks = {package: read_looks(study.deployment.drift, CENTER, package) for package in packages}
    for package in packages:
        assert who in set(put_down(study, package)["case_id"])
        assert set(looks[package]["n"]) == {10}
    withdraw(study.workspace, load_params(study.workspace.params), "Secret-3", why="asked")
    deliver(study, CENTER, N + 2)  # his row is sent again with the others'
    (found,) = study.score().centers
    assert (found.n_scored, found.problem) == (2, "")
    for package in packages:
        cases = put_down(study, package)
        assert who not in set(cases["case_id"])
        assert len(cases) == N + 1
        pd.testing.assert_frame_equal(read_looks(study.deployment.drift, CENTER, package), looks[package])
    for path in study.workspace.deployment.rglob("*.parquet"):
        assert who.encode() not in path.read_bytes()


def test_a_hospital_that_rings_is_scored_all_the_same_and_goes_on_ringing(study: SmallStudy) -> None:
    deliver(study, CENTER, N, shift=3.0)
    summary = study.score()
    assert (summary.centers[0].n_scored, summary.is_clean) == (N, True)
    assert "drift" in [alarm.code for alarm in summary.alarms]
    deliver(study, CENTER, N + 1, shift=3.0)
    later = study.score()
    assert later.centers[0].n_scored == 1
    assert [alarm for alarm in later.alarms if alarm.code == "drift"] == [
        alarm for alarm in summary.alarms if alarm.code == "drift"
    ]


def test_a_look_that_fails_is_told_and_made_by_a_later_run(study: SmallStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a look that nobody foresaw")

    deliver(study, CENTER, N, shift=3.0)
    with monkeypatch.context() as patched:
        patched.setattr(drifting, "record_looks", broken)
        summary = study.score()
    assert (summary.centers[0].n_scored, summary.is_clean) == (N, True)
    assert len(pd.read_csv(study.deployment.center(CENTER) / "scores.csv")) == N
    assert [alarm.code for alarm in summary.alarms].count("looks_failed") == 1
    later = study.score()
    assert later.centers[0].n_scored == 0
    assert "drift" in [alarm.code for alarm in later.alarms]
