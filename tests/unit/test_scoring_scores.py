"""A case is scored once under a package and its inputs; nothing that was scored is rewritten."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipelines.scoring.scores import append_scores, current_scores, due_patients, inputs_by_patient, read_scores


def patients(**inputs: str) -> pd.DataFrame:
    return pd.DataFrame({"center": "harbor", "case_id": list(inputs), "inputs": list(inputs.values())})


def score(root: Path, rows: pd.DataFrame, package: str = "p1") -> int:
    due = due_patients(rows, read_scores(root), package)
    values = np.linspace(0.2, 0.8, len(due))
    due = due.assign(role="champion", distance=np.nan, doubts="")
    return append_scores(root, due, values, package=package, model="her2", version=1, threshold=0.5)


def test_a_second_run_scores_nothing(tmp_path: Path) -> None:
    assert score(tmp_path, patients(a="x", b="y")) == 2
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    assert score(tmp_path, patients(a="x", b="y")) == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")} == files


def test_where_all_wait_nobody_is_due(tmp_path: Path) -> None:
    due = due_patients(patients(), read_scores(tmp_path), "p1")
    assert (len(due), {"center", "case_id", "sequence", "replaces"} <= set(due)) == (0, True)


def test_a_changed_scan_gives_a_new_score_that_names_the_old(tmp_path: Path) -> None:
    score(tmp_path, patients(a="x", b="y"))
    assert score(tmp_path, patients(a="x2", b="y")) == 1
    history = read_scores(tmp_path)
    assert len(history) == 3
    latest = current_scores(history).set_index("case_id")
    assert latest.loc["a", ["inputs", "replaces", "sequence"]].tolist() == ["x2", "x", 2]
    assert latest.loc["b", "sequence"] == 1


def test_a_scan_that_comes_back_is_the_current_one_again(tmp_path: Path) -> None:
    for scan in ("x", "x2", "x"):
        assert score(tmp_path, patients(a=scan)) == 1
    assert score(tmp_path, patients(a="x")) == 0
    latest = current_scores(read_scores(tmp_path)).iloc[0]
    assert latest[["inputs", "replaces", "sequence"]].tolist() == ["x", "x2", 3]


def test_what_a_killed_run_left_half_written_stops_no_later_run(tmp_path: Path) -> None:
    score(tmp_path, patients(a="x"))
    (part,) = tmp_path.rglob("*.parquet")
    part.with_name(f".tmp-123-{part.name}").write_bytes(part.read_bytes()[:100])
    assert score(tmp_path, patients(a="x", b="y")) == 1
    assert len(read_scores(tmp_path)) == 2


def test_another_package_scores_all_again_beside_the_first(tmp_path: Path) -> None:
    score(tmp_path, patients(a="x"))
    assert score(tmp_path, patients(a="x"), package="p2") == 1
    assert len(current_scores(read_scores(tmp_path))) == 2


def test_arrival_in_two_runs_equals_arrival_in_one(tmp_path: Path) -> None:
    def table(root: Path) -> pd.DataFrame:
        return read_scores(root).drop(columns=["probability", "positive"])

    score(tmp_path / "1", patients(a="x", b="y"))
    score(tmp_path / "2", patients(a="x"))
    score(tmp_path / "2", patients(a="x", b="y"))
    pd.testing.assert_frame_equal(table(tmp_path / "1"), table(tmp_path / "2"))


def test_inputs_change_with_any_phase_of_the_patient() -> None:
    rows = pd.DataFrame({"center": "h", "case_id": ["a", "a", "b"], "fingerprint": ["1", "2", "1"]})
    first = inputs_by_patient(rows)
    changed = inputs_by_patient(rows.assign(fingerprint=["1", "3", "1"]))
    assert first[("h", "a")] != changed[("h", "a")]
    assert first[("h", "b")] == changed[("h", "b")]
