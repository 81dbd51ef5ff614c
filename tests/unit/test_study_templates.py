"""Every settings file that `radmill init` writes must satisfy the stage graph: DVC stops at a key that is not there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.params import load_params, parse_params
from pipelines.status import study_status
from pipelines.workspace import Workspace

TEMPLATES = Path(__file__).resolve().parents[2] / "pipelines" / "template"


def keys(content: Any) -> Iterator[str]:
    """The parameters that stages name, those with a blank to fill in left out."""
    if isinstance(content, dict):
        yield from (key for key in content.get("params", []) if isinstance(key, str) and "${" not in key)
        for value in content.values():
            yield from keys(value)


SARCOMA = TEMPLATES.parents[1] / "docs" / "how-to" / "soft-tissue-sarcoma" / "params.yaml"


@pytest.mark.parametrize(
    "template",
    [
        TEMPLATES / "params.yaml",
        TEMPLATES / "tables.yaml",
        TEMPLATES / "her2-bladder.yaml",
        TEMPLATES / "own.yaml",
        SARCOMA,
    ],
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


def test_a_folder_of_raw_data_that_is_no_centers_is_pointed_out(tmp_path: Path) -> None:
    """A preset names centers of its own; whoever puts other folders there is told how to name them."""
    (tmp_path / "params.yaml").write_text((TEMPLATES / "her2-bladder.yaml").read_text(encoding="utf-8"))
    (tmp_path / "dvc.yaml").write_text("")
    for name in ("center_a", "rechts", "St. Anna"):
        (tmp_path / "data" / "raw" / name).mkdir(parents=True)
    workspace = Workspace(tmp_path)
    told = [line for line in study_status(workspace, load_params(workspace.params)).remarks if "no center's" in line]
    assert [line.split(":")[0] for line in told] == [
        f"data/raw/{name} is no center's" for name in ("St. Anna", "rechts")
    ]
    assert "rename it to small letters" in told[0]
    assert "centers.external in params.yaml" in told[1]
