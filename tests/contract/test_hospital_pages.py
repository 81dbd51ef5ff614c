"""The pages of incoming hospitals: made of what scoring left, again only when that changed, and fit for everybody."""

import json
import re
from copy import copy
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Template
from markupsafe import Markup

from pipelines.ingest.pseudonyms import case_id, load_key
from pipelines.params import edit_params
from pipelines.reporting.hospital_files import Reader, files_of
from pipelines.reporting.hospital_runs import steps_of
from pipelines.scoring.center_summary import read_summary
from pipelines.scoring.runs import runs_path
from tests.hospital_study import SmallStudy, small_study
from tests.hospital_tables import deliver, run, tables_study
from tests.hostile import HOSTILE, RAW, Text
from tests.page_structure import faults

N = 40


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """A study that scored a hospital without labels; copy it."""
    study = tables_study(tmp_path_factory.mktemp("pages") / "study")
    deliver(study, "harbor", N)
    run(study)
    return study


@pytest.fixture
def study(scored: SmallStudy, tmp_path: Path) -> SmallStudy:
    return scored.copy(tmp_path / "study")


def page(study: SmallStudy, name: str = "harbor") -> str:
    return (study.workspace.deployment / "pages" / f"{name}.html").read_text(encoding="utf-8")


def test_before_anything_came_there_is_an_index_that_says_what_to_do(tmp_path: Path) -> None:
    study = small_study(tmp_path / "study")
    study.promoted("first")
    run(study, "--pages")
    assert faults(study.workspace.deployment / "pages" / "index.html") == []
    assert "incoming/&lt;hospital&gt;/" in page(study, "index")


def test_pages_are_made_by_the_run_and_well_structured(study: SmallStudy) -> None:
    for name in ("harbor", "index"):
        assert faults(study.workspace.deployment / "pages" / f"{name}.html") == []
    told = page(study)
    assert "estimate, no label was used" in told
    assert "In shadow" in told
    assert f'<td class="n">{N}</td>' in page(study, "index")


def test_no_identifier_of_the_hospital_is_on_a_page_and_pseudonyms_are(study: SmallStudy) -> None:
    told = page(study) + page(study, "index")
    assert "Secret-" not in told
    key = load_key(study.workspace.keys, "harbor")
    assert case_id(key, "Secret-0") in told


def test_a_page_made_again_has_the_same_bytes_and_an_idle_run_makes_none(study: SmallStudy) -> None:
    before = page(study), page(study, "index")
    path = study.workspace.deployment / "pages" / "harbor.html"
    touched = path.stat().st_mtime_ns
    run(study)
    assert path.stat().st_mtime_ns == touched
    assert len(steps_of(runs_path(study.workspace), "harbor")) == 1, "a run that found nothing is no step"
    run(study, "--pages")
    assert (page(study), page(study, "index")) == before


def test_labels_bring_performance_beside_development(study: SmallStudy) -> None:
    deliver(study, "harbor", N, labelled=True)
    run(study)
    told = page(study)
    assert "AUC here" in told
    assert "estimate, no label was used" not in told
    assert re.search(r"of \d+ positive cases \d+ have their class in their set", told)
    assert {"ROC curve", "Calibration", "Decision curve"} <= set(re.findall(r'class="name">([^<]+)<', told))
    assert faults(study.workspace.deployment / "pages" / "harbor.html") == []


def test_texts_that_would_be_programs_stand_as_texts(study: SmallStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever text a page is given is hostile: what hospitals sent, what a summary told, names of features."""
    fill = Template.render
    monkeypatch.setattr(Template, "render", lambda self, **content: fill(self, **hostile(content)))
    deliver(study, "harbor", N, labelled=True)
    told_by_summary(study)
    run(study)
    for name in ("harbor", "index"):
        told = page(study, name)
        assert told.count("zq&lt;script&gt;") > 20
        assert not RAW.search(told)
        assert Text(told).acts == []


def hostile(content: Any) -> Any:
    """Returns the content of a page with something hostile at the end of each text."""
    match content:
        case Markup():
            return content
        case str():
            return content + HOSTILE
        case dict():
            return {name: hostile(value) for name, value in content.items()}
        case list() | tuple():
            made = [hostile(value) for value in content]
            return type(content)(*made) if hasattr(content, "_fields") else type(content)(made)
        case _ if is_dataclass(content) and not isinstance(content, type):
            made = copy(content)
            for own in fields(content):
                object.__setattr__(made, own.name, hostile(getattr(content, own.name)))
            return made
        case _:
            return content


def told_by_summary(study: SmallStudy) -> None:
    champion = study.registry.champion()
    assert champion is not None
    told = {"package": champion.digest, "release": "0.1.0", "feature_set": "1", "scored": 55, "positive": 20}
    file = study.root / "told.json"
    file.write_text(json.dumps(told))
    read_summary(study.workspace, file, "faraway")


def test_withheld_scores_are_not_on_the_page(study: SmallStudy) -> None:
    deliver(study, "far", 12, shift=9.0)
    edit_params(study.workspace.params, lambda content: content["scoring"].update(doubt={"policy": "withhold"}))
    run(study)
    told = page(study, "far")
    assert "look here" in told
    assert told.count("withheld</td>") == 12
    assert "Most cases look like another study" in told


def test_a_hospital_known_by_a_summary_is_marked_so(study: SmallStudy) -> None:
    told_by_summary(study)
    run(study)
    assert "summary file" in page(study, "index")
    assert "faraway" in page(study, "index")


def test_pages_that_cannot_be_made_fail_no_run(study: SmallStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("x")

    monkeypatch.setattr(Reader, "told", broken)
    found = run(study)
    assert found.exit_code == 0
    assert "radmill score --pages" in found.stderr


def test_volumes_and_features_do_not_decide_whether_a_page_is_made(study: SmallStudy) -> None:
    names = [name for name, _ in files_of(study.deployment, "harbor")]
    assert any("scores.csv" in name for name in names)
    assert any("-qc/" in name for name in names)
    assert not [name for name in names if "/features/" in name and "-qc/" not in name]


def test_a_few_cases_are_shown_with_their_outlines(tmp_path: Path) -> None:
    study = small_study(tmp_path / "study")
    study.promoted("first")
    study.arrive("harbor", "Secret-1", "Secret-2", "Secret-3")
    (study.workspace.incoming / "harbor" / "Secret-3" / "ct_mask.nii.gz").unlink()
    run(study)
    told = page(study)
    assert told.count("data:image/webp") == 2
    assert told.count('<path class="own"') == 2
    assert "no outline" in told, "what an incomplete case lacks"
    assert "Secret" not in told
    assert faults(study.workspace.deployment / "pages" / "harbor.html") == []
