"""Extract holds one center at a time: what is done is in tables set aside, and takes its place when all is done."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from featurestore.tables import centers_of
from pipelines.runner import CaseOutcome, CaseTask, Receipt, SerialRunner
from tests.contract.stored_study import Counting, Study

CENTERS = ("east", "north", "south")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    made = Study(tmp_path / "study")
    for center in CENTERS:
        for case_id in ("a1", "b2"):
            made.add(center, case_id)
    return made


class Watching:
    """Runs in this process and notes what lies where before each case."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self.taken = 0
        self.seen: list[dict[str, Any]] = []

    def run(self, work: Callable[..., Receipt], tasks: Iterable[CaseTask]) -> Iterator[CaseOutcome]:
        return SerialRunner().run(work, self._watched(tasks))

    def _watched(self, tasks: Iterable[CaseTask]) -> Iterator[CaseTask]:
        parts, features = self._study.places.parts, self._study.places.features
        for task in tasks:
            self.seen.append(
                {
                    "parts": len(list(parts.rglob("*.part"))),
                    "set aside": centers_of(parts / "tables" / "radiomics"),
                    "in place": centers_of(features / "radiomics"),
                }
            )
            yield task


def test_parts_of_a_center_go_when_its_last_case_is_back(study: Study) -> None:
    watching = Watching(study)
    study.extract(watching)
    assert [seen["parts"] for seen in watching.seen] == [0, 1, 0, 1, 0, 1]
    assert [len(seen["set aside"]) for seen in watching.seen] == [0, 0, 1, 1, 2, 2]
    assert all(seen["in place"] == [] for seen in watching.seen)
    assert centers_of(study.places.features / "radiomics") == list(CENTERS)


def test_what_was_set_aside_by_a_run_cut_short_is_taken_up(study: Study, tmp_path: Path) -> None:
    """Also when the run in between was stopped before anything new was done, and with a damaged table set aside."""
    with pytest.raises(KeyboardInterrupt):
        study.extract(Counting(limit=4))
    assert study.bytes() == {}
    aside = study.places.parts / "tables" / "radiomics"
    assert centers_of(aside) == ["east"] or centers_of(aside) == ["east", "north"]
    (aside / "center=east" / "part-0.parquet").write_bytes(b"not what it was")
    counting = Counting()
    summary = study.extract(counting)
    assert sorted(counting.names)[:2] == ["east / a1 / early / tumor", "east / b2 / early / tumor"]
    assert summary.resumed + summary.computed == 6
    fresh = Study(tmp_path / "fresh")
    for center in CENTERS:
        for case_id in ("a1", "b2"):
            fresh.add(center, case_id)
    fresh.extract()
    assert study.bytes() == fresh.bytes()
