"""Checklists: the published items, each answer with its record, and nothing answered without one."""

import json
import re
import shutil
from pathlib import Path

import pytest

from pipelines.evaluation.evaluate import evaluate
from pipelines.params.statements import STATEMENTS
from pipelines.reporting.checklist_page import write_checklists
from pipelines.reporting.checklist_records import Records
from pipelines.reporting.checklists import CHECKLISTS, RULES, fill, load_checklist
from pipelines.reporting.study_files import read_study
from tests.page_structure import faults

SETTINGS = {"imageType": {"Original": {}}, "featureClass": {"glcm": ["Contrast"]}, "setting": {"binWidth": 25}}


@pytest.fixture(scope="module")
def study(fake_study, tmp_path_factory):  # type: ignore[no-untyped-def]
    """A judged study whose training record has what assemble writes."""
    workspace, params = fake_study(tmp_path_factory.mktemp("study"))
    evaluate(workspace, params)
    for path in (workspace.root / "data" / "training").glob("*/record.json"):
        content = json.loads(path.read_text())
        content["record"] |= {
            "extraction": {"engine": "fast", "by_phase": {"excretory": SETTINGS}, "fingerprint": "e" * 64},
            "split": {"rule": "hash of center and case_id", "internal_fraction": 0.3, "seed": 1},
            "left_out": {"without_label": 1},
        }
        path.write_text(json.dumps(content))
    (workspace.root / "params.yaml").write_text("")
    return workspace, params


def filled(workspace, params):  # type: ignore[no-untyped-def]
    return fill(Records(workspace, params, read_study(workspace)))


def states(workspace, params, name="clear"):  # type: ignore[no-untyped-def]
    return {answer.item.number: answer.status for answer in filled(workspace, params)[name].answers}


def stating(params, **statements: str):  # type: ignore[no-untyped-def]
    return params.model_copy(update={"study": params.study.model_copy(update={"statements": statements})})


def test_items_are_those_of_the_publications() -> None:
    """58 items; 27 in 52 parts; 30 items in 9 categories whose weights add up to 1."""
    clear, tripod, metrics = (load_checklist(name) for name in CHECKLISTS)
    assert [item.number for item in clear.items] == [str(n) for n in range(1, 59)]
    assert [item.number for item in clear.items if not item.is_essential] == ["53", "58"]
    numbers = [item.number for item in tripod.items]
    assert len(numbers) == len(set(numbers)) == 52
    assert {int(re.sub(r"\D", "", number)) for number in numbers} == set(range(1, 28))
    assert {item.scope for item in tripod.items} == {"D", "E", "D;E"}
    assert [item.number for item in metrics.items] == [str(n) for n in range(1, 31)]
    assert sum(item.weight for item in metrics.items) == pytest.approx(1, abs=1e-9)
    assert len({item.section for item in metrics.items}) == 9


def test_weights_keep_the_published_order_of_categories() -> None:
    """The abstract of the METRICS paper lists its nine categories by falling weight."""
    weights: dict[str, float] = {}
    for item in load_checklist("metrics").items:
        weights[item.section] = weights.get(item.section, 0) + item.weight
    assert sorted(weights, key=lambda name: -weights[name]) == [
        "Study design", "Imaging data", "Image processing and feature extraction", "Metrics and comparison", "Testing",
        "Feature processing", "Preparation for modeling", "Segmentation", "Open science",
    ]  # fmt: skip


def test_every_need_is_a_rule_or_a_statement_and_every_statement_is_asked_for() -> None:
    needs = {
        choice
        for name in CHECKLISTS
        for item in (*load_checklist(name).items, *load_checklist(name).conditions.values())
        for need in item.need
        for choice in need.split("|")
    }
    assert {need for need in needs if not need.startswith("@")} <= set(RULES)
    assert {need[1:] for need in needs if need.startswith("@")} == set(STATEMENTS)


def test_every_answer_names_a_record_that_is_there(study) -> None:
    workspace, params = study
    for name, rule in RULES.items():
        answer = rule(Records(workspace, params, read_study(workspace)))
        if answer is None:
            continue
        for record in re.split(r"[;,] (?=data/|params|dvc)", answer.record):
            path = record.split(":")[0]
            assert list(workspace.root.glob(path)), (name, record)


@pytest.mark.parametrize(
    ("gone", "items"),
    [
        ("data/evaluation/metrics.json", {"30", "34", "37", "38", "39", "40", "47"}),
        ("data/evaluation/tables/comparisons.csv", {"41"}),
        ("data/training", {"15", "22", "23", "24", "25", "26", "28", "29"}),
        ("data/views/development/clinical data/views/external/clinical", {"44"}),
        ("data/models", {"27", "32", "33", "34"}),
        ("data/views/development/qc data/features/development/qc data/views/external/qc", {"45"}),
    ],
)  # fmt: skip
def test_answer_turns_to_missing_when_its_record_goes(study, tmp_path: Path, gone: str, items: set[str]) -> None:
    workspace, params = study
    before = states(workspace, params)
    assert all(before[number] in ("reported", "not_done") for number in items), before
    copy = type(workspace)(Path(shutil.copytree(workspace.root, tmp_path / "copy")))
    for path in gone.split():
        target = copy.root / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    after = states(copy, params)
    assert {number for number in items if after[number] != "missing"} == set()


def test_without_any_record_only_settings_answer(study, tmp_path: Path) -> None:
    workspace, params = study
    empty = type(workspace)(tmp_path)
    for one in filled(empty, params).values():
        for answer in one.answers:
            assert all(part.record.startswith("params.yaml") for part in answer.found), answer


def test_a_statement_answers_its_items_and_no_others(study) -> None:
    workspace, params = study
    before, after = states(workspace, params), states(workspace, stating(params, ethics="approved, 12/2024"))
    assert {number for number in before if before[number] != after[number]} == {"8"}
    assert after["8"] == "reported"


def test_no_and_not_applicable_are_heard(study) -> None:
    """Whoever reports that there is no protocol has reported; whoever scores has not done it."""
    workspace, params = study
    said = stating(params, data_sharing="none: consent does not cover it", predictor_assessors="n/a, none are judged")
    assert states(workspace, said, "tripod_ai")["18e"] == "reported"
    assert states(workspace, said, "metrics")["28"] == "not_done"
    assert states(workspace, said, "tripod_ai")["9c"] == "not_applicable"


def test_score_counts_what_is_done_over_what_applies(study) -> None:
    workspace, params = study
    metrics = filled(workspace, params)["metrics"]
    weight = {answer.item.number: answer.item.weight for answer in metrics.answers}
    status = {answer.item.number: answer.status for answer in metrics.answers}
    assert status["17"] == "not_applicable"  # no network
    done = sum(weight[number] for number, state in status.items() if state == "reported")
    assert metrics.score == pytest.approx(100 * done / (1 - weight["17"]))
    said = filled(workspace, stating(params, automated_segmentation="no"))["metrics"]
    assert {answer.item.number for answer in said.answers if answer.status == "not_applicable"} == {"9", "17"}
    assert said.score is not None
    assert metrics.score is not None
    assert said.score > metrics.score


def test_stating_everything_completes_what_a_person_can(study) -> None:
    workspace, params = study
    whole = filled(workspace, stating(params, **dict.fromkeys(STATEMENTS, "as the paper says")))
    assert all(not lack.startswith("@") for one in whole.values() for a in one.answers for lack in a.lacking)
    assert whole["metrics"].score is not None
    assert whole["metrics"].score > 80


def test_page_and_summary(study) -> None:
    workspace, params = study
    write_checklists(workspace, params, read_study(workspace))
    page = workspace.reports / "checklists.html"
    assert faults(page) == []
    text = page.read_text(encoding="utf-8")
    assert text.count('class="item is-') == 58 + 52 + 30
    for words in ("data/evaluation/metrics.json", "study.statements", "10.1186/s13244-023-01572-w", "within reach"):
        assert words.lower() in text.lower()
    summary = json.loads((workspace.reports / "checklists.json").read_text(encoding="utf-8"))
    assert {name: one["items"] for name, one in summary.items()} == {"clear": 58, "tripod_ai": 52, "metrics": 30}
    assert summary["clear"]["is_complete"] is False
