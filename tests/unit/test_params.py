"""Wrong settings are refused all at once, each with its path, the value seen and what is allowed."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.params import edit_params, load_params, parse_params
from pipelines.params.reading import ParamsError
from pipelines.params.reference import reference_page

TEMPLATE = Path(__file__).resolve().parents[2] / "params.yaml"


@pytest.fixture
def content() -> Any:
    return yaml.safe_load(TEMPLATE.read_text())


def test_the_template_is_valid() -> None:
    assert load_params(TEMPLATE).label.column == "ihc"


def test_how_keys_stand_in_the_file_decides_nothing(content: Any) -> None:
    """DVC does not see keys change places, so a run would skip what a rebuild writes otherwise."""

    def turned(item: Any) -> Any:
        return {key: turned(item[key]) for key in reversed(item)} if isinstance(item, dict) else item

    first, second = parse_params(content), parse_params(turned(content))
    assert first.model_dump_json() == second.model_dump_json()
    assert list(first.phases) == list(second.phases) == sorted(content["phases"])
    assert second.services["triphasic"].phases == content["services"]["triphasic"]["phases"]


def test_all_complaints_come_at_once(content: Any) -> None:
    content["tuning"]["trails"] = 3
    content["split"]["internal_fraction"] = 1.5
    del content["label"]["column"]
    with pytest.raises(ParamsError) as caught:
        parse_params(content)
    message = str(caught.value)
    assert "tuning.trails: unknown key" in message
    assert "split.internal_fraction" in message
    assert "seen 1.5" in message
    assert "label.column: missing" in message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("models.radiomics_lr_excretory.service", "venous", "names 'venous', which is not declared"),
        ("services.excretory.phases", ["portal"], "names 'portal', which is not declared"),
        ("extraction.by_phase", {"portal": {}}, "names 'portal', which is not declared"),
        ("centers.external", {"north": {}}, "cannot be development and external at once"),
        ("phases.excretory.series_description", "(", "not a regular expression"),
        ("label.negative", ["0", "2+"], "share none"),
        ("cohort.include", [{"column": "age", "reason": "x"}], "exactly one of"),
    ],
)
def test_a_contradiction_is_named(content: Any, path: str, value: object, complaint: str) -> None:
    changed = deepcopy(content)
    *parents, last = path.split(".")
    section = changed
    for name in parents:
        section = section[name]
    section[last] = value
    with pytest.raises(ParamsError, match=complaint):
        parse_params(changed)


@pytest.mark.parametrize("text", ["a: [", "just words", "\xff"])
def test_what_is_no_settings_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ParamsError):
        load_params(path)


def test_editing_keeps_comments(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEMPLATE.read_text())
    edit_params(path, lambda content: content["centers"]["development"]["north"].update(key_id="ab12"))
    assert load_params(path).centers.development["north"].key_id == "ab12"
    kept = [line.split("#")[1] for line in TEMPLATE.read_text().splitlines() if "#" in line]
    assert all(comment in path.read_text() for comment in kept)


def test_rules_survive_the_way_through_a_package(content: Any) -> None:
    rules = parse_params(content).case_rules()
    assert type(rules).model_validate(rules.model_dump(mode="json")) == rules


def test_the_reference_page_is_the_one_the_code_gives() -> None:
    page = TEMPLATE.parent / "docs" / "reference" / "params.md"
    assert page.read_text() == reference_page(), "run `python -m pipelines.params.reference`"
    assert "| `seed` | integer | – |" in reference_page()
