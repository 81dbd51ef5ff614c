"""Every settings file that `radmill init` writes must satisfy the stage graph: DVC stops at a key that is not there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.params import parse_params

TEMPLATES = Path(__file__).resolve().parents[2] / "pipelines" / "template"


def keys(content: Any) -> Iterator[str]:
    """The parameters that stages name, those with a blank to fill in left out."""
    if isinstance(content, dict):
        yield from (key for key in content.get("params", []) if isinstance(key, str) and "${" not in key)
        for value in content.values():
            yield from keys(value)


SARCOMA = TEMPLATES.parents[1] / "docs" / "how-to" / "soft-tissue-sarcoma" / "params.yaml"


@pytest.mark.parametrize(
    "template", [TEMPLATES / "params.yaml", TEMPLATES / "tables.yaml", TEMPLATES / "her2-bladder.yaml", SARCOMA]
)
def test_the_template_has_every_key_of_the_stage_graph(template: Path) -> None:
    content = yaml.safe_load(template.read_text(encoding="utf-8"))
    parse_params(content)
    wanted = set(keys(yaml.safe_load((TEMPLATES / "dvc.yaml").read_text(encoding="utf-8"))))
    assert len(wanted) > 10
    for key in sorted(wanted):
        place = content
        for part in key.split("."):
            assert part in place, key
            place = place[part]
