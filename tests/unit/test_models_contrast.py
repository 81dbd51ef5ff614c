"""Two versions side by side: what differs is named once, and areas are compared on patients that are new to both."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.contrasting import contrast
from registry import lifecycle
from registry.lifecycle import Registry


@pytest.fixture
def registry(study: Path, candidates: Any, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setattr(lifecycle, "dvc_add", lambda root, folder: folder.with_name(f"{folder.name}.dvc").touch())
    made = Registry(study)
    for name, seed, auc in (("first", 0, 0.8), ("second", 1, 0.7)):
        package, training = candidates.write(study, name, seed)
        seen = [
            {"center": "west", "case_id": f"{n:016x}", "y": n % 2, "p": 0.3 + 0.4 * (n % 2) * (seed == 0) + 0.001 * n}
            for n in range(6, 26)
        ]
        made.register(name, package, training, candidates.metrics(auc), "a test", seen)
    return made


def test_only_what_differs_is_told(registry: Registry) -> None:
    found = contrast(registry, "first", "second")
    assert [row["setting"] for row in found.settings] == ["model.name"]
    assert found.patients == {"both": 12, "first only": 0, "second only": 0}
    assert found.features == {"both": 3, "first only": [], "second only": []}
    external = [row for row in found.metrics if (row["cohort"], row["measure"]) == ("external", "auc")]
    assert external == [{"cohort": "external", "measure": "auc", "first": 0.8, "second": 0.7}]


def test_patients_that_one_was_trained_on_compare_nothing(registry: Registry) -> None:
    """The sets hold case_ids 0 to 11 of east and north; the external ones are of west, so all twenty count."""
    assert contrast(registry, "first", "second").paired["patients"] == 20


def test_a_version_beside_itself_differs_in_nothing(registry: Registry) -> None:
    found = contrast(registry, "first", "v1")
    assert found.settings == []
    assert found.paired == {"patients": 20, "difference": 0.0, "low": 0.0, "high": 0.0}


def test_a_branch_that_one_lacks_is_one_line() -> None:
    from pipelines.contrasting import _differing

    told = list(_differing({"a": {"b": {"c": 1, "d": 2}}, "e": 1}, {"a": {}, "e": 2}))
    assert told == [("a.b", "(2 settings)", "absent"), ("e", 1, 2)]
