"""What leaves a hospital that keeps its patients: figures and large counts, and nothing that is not declared."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from pipelines.runner import SerialRunner
from pipelines.scoring.carried import score_carried, trusted
from pipelines.scoring.center_summary import (
    SMALLEST,
    CenterSummary,
    SummaryPackageError,
    SummaryUnreadableError,
    read_summary,
    summarized_center,
)
from pipelines.scoring.performance import Judged, record_performance
from registry.export import export_package
from tests.hospital_study import SmallStudy, send, small_study, write_clinical


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """A coordinating study with one champion."""
    made = small_study(tmp_path_factory.mktemp("coordinating") / "study")
    made.promoted("first")
    return made


def told(study: SmallStudy, root: Path, n: int, refused: dict[str, int] | None = None, **changes: Any) -> CenterSummary:
    """What a hospital with so many labelled cases tells."""
    champion = study.registry.champion()
    assert champion is not None
    package, rng = study.registry.package(champion), np.random.default_rng(0)
    x = rng.normal(size=n)
    name = [f"c{i:015x}" for i in range(n)]
    scores = pd.DataFrame({"case_id": name, "inputs": "x", "probability": expit(x)})
    scores = scores.assign(positive=scores["probability"] >= 0.5)
    labels = pd.DataFrame({"case_id": name, "label": rng.binomial(1, expit(x)).astype("int8")})
    judged = Judged(center="c", package=package.digest, model="m", version=0, thresholds=package.thresholds, **changes)
    known = record_performance(root, judged, scores, labels, {})
    return summarized_center(study.deployment, "c", package, scores, labels, refused or {}, known)


def test_figures_leave_and_rows_and_small_counts_do_not(study: SmallStudy, tmp_path: Path) -> None:
    found = told(study, tmp_path, 200, {"empty_mask": 3, "phase_missing": 7})
    assert found.scored == 200
    assert found.refused == {"empty_mask": None, "phase_missing": 7}
    assert found.performance["auc"] is not None
    assert len(found.calibration) == 10
    assert sum(group.n for group in found.calibration) == 200
    assert list(found.scores) == ["0.1", "0.25", "0.5", "0.75", "0.9"]
    text = found.model_dump_json()
    assert "c00000" not in text
    assert "case_id" not in text


def test_few_cases_tell_next_to_nothing(study: SmallStudy, tmp_path: Path) -> None:
    found = told(study, tmp_path, 12, minimum=2)
    assert (found.scores, found.calibration) == ({}, [])
    assert all(point.sensitivity is None for point in found.at.values())
    few = told(study, tmp_path / "few", SMALLEST - 1)
    assert (few.scored, few.positive, few.labelled, few.events, few.expected) == (None, None, None, None, {})
    assert few.performance == {}


def test_a_share_that_a_small_count_could_be_told_from_is_left_out(study: SmallStudy, tmp_path: Path) -> None:
    found = told(study, tmp_path, 60)
    low = found.at["sensitivity_90"]  # nearly everybody with the outcome is found: fewer than 5 are not
    assert (low.sensitivity, low.sensitivity_low) == (None, None)


def test_the_hospital_writes_and_the_study_reads(study: SmallStudy, tmp_path: Path) -> None:
    champion = study.registry.champion()
    assert champion is not None
    images, file = tmp_path / "images", tmp_path / "first.radmill"
    for patient in (f"H-{i}" for i in range(6)):
        send(images / patient, patient)
    write_clinical(images)
    export_package(study.registry.package_folder(champion), file)
    believed = trusted(file, None, None, unverified=True)
    summary = tmp_path / "summary.json"
    score_carried(believed, images, tmp_path / "out.csv", tmp_path / "work", SerialRunner(), summary=summary)
    assert "H-" not in summary.read_text()
    found = read_summary(study.workspace, summary, "lighthouse")
    assert (found.scored, found.package) == (6, champion.digest)
    kept = study.workspace.deployment / "summaries" / "lighthouse.json"
    assert json.loads(kept.read_bytes()) == json.loads(summary.read_bytes())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"package": "0" * 64}, SummaryPackageError),
        ({"rows": [{"case_id": "a"}]}, SummaryUnreadableError),
        ({"scored": 2}, SummaryUnreadableError),
        ({"format": 2}, SummaryUnreadableError),
        (None, SummaryUnreadableError),
    ],
)
def test_a_file_that_is_no_summary_is_refused(
    study: SmallStudy, tmp_path: Path, change: dict[str, Any] | None, problem: type[Exception]
) -> None:
    content = told(study, tmp_path, 50).model_dump(mode="json")
    path = tmp_path / "summary.json"
    path.write_text("{" if change is None else json.dumps({**content, **change}))
    with pytest.raises(problem):
        read_summary(study.workspace, path, "harbor")
    assert not (study.workspace.deployment / "summaries" / "harbor.json").exists()
