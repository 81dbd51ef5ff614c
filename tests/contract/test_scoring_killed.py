"""Scoring that is killed at any moment gives every case exactly one score, the one an undisturbed run gives.

The short form of `make prove-scoring`.
"""

from pathlib import Path

from tests.killed_scoring import killed_round, prepared


def test_a_killed_run_is_taken_up_and_no_score_is_lost_or_doubled(tmp_path: Path) -> None:
    start, wanted, context = prepared(tmp_path, n_steps=3)
    kills = list(killed_round(start.copy(tmp_path / "killed"), wanted, context, seed=7))
    assert len(kills) == 3
    assert sum(was_at_work for *_, was_at_work in kills) >= 2, "most runs must have been killed at work"
    assert (wanted.history["sequence"] == 2).sum() == 3, "the scan that was sent again, under each package"
