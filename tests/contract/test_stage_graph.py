"""What decides a stage's output is in the stage graph, or a run would skip what a rebuild writes otherwise."""

import json
from copy import deepcopy
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.params import parse_params
from pipelines.params.reading import ParamsError

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = "data/intake/settings.json"


def stages() -> dict[str, Any]:
    found = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in found.items()}


def test_a_changed_parameter_file_is_seen_by_every_stage_that_reads_it(cohort) -> None:
    """`extraction.default.file` is a name in params.yaml; what the file says is not."""
    cohort.nifti("alpha", "P-0001")
    cohort.settings["extraction"] = {"default": {"file": "ct.yaml"}, "by_phase": {"mr": {"file": "absent.yaml"}}}
    cohort.save()
    seen = []
    for width in (25, 10):
        (cohort.root / "ct.yaml").write_text(f"setting: {{binWidth: {width}}}\n")
        cohort.run()
        seen.append(json.loads((cohort.root / SETTINGS).read_text()))
    assert seen[0].keys() == {"ct.yaml", "absent.yaml"}
    assert seen[0] != seen[1]
    assert seen[1]["absent.yaml"] == ""
    assert {SETTINGS: {"persist": True}} in stages()["intake"]["outs"]
    assert all(SETTINGS in stages()[name]["deps"] for name in ("extract", "validate", "assemble"))


def test_every_key_that_a_stage_names_must_be_given() -> None:
    """DVC stops at a key that is absent, which would be a fault for what the settings call a default."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    named = {key for stage in stages().values() for key in stage.get("params", ()) if "${" not in key}
    for key in sorted(named):
        less = deepcopy(content)
        *path, last = key.split(".")
        del reduce(getitem, path, less)[last]
        with pytest.raises(ParamsError, match=f"{key}: missing"):
            parse_params(less)


def test_the_page_follows_every_setting_it_shows() -> None:
    shown = {"study", "centers", "phases", "label", "extraction", "split", "models", "tuning", "evaluation"}
    assert shown <= set(stages()["report"]["params"])
