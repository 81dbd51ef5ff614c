"""What `params.yaml` may not say of fusions, clinical models and ready probabilities."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.params import parse_params
from pipelines.params.reading import ParamsError

TEMPLATE = Path(__file__).resolve().parents[2] / "params.yaml"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"fusion": {"f": {"members": ["clinical", "nobody"]}}}, "names 'nobody'"),
        ({"fusion": {"f": {"members": ["clinical"]}}}, "at least 2"),
        ({"fusion": {"f": {"members": ["clinical", "clinical"]}}}, "twice"),
        ({"fusion": {"clinical": {"members": ["clinical", "deep_25d"]}}}, "has the name of one of models"),
        ({"fusion": {"f": {"members": ["clinical", "deep_25d"], "kind": "early"}}}, "no common axes"),
        ({"fusion": {"triphasic": {"members": ["clinical", "deep_25d"]}}}, "name of a service"),
        ({"models": {"clinical": {"service": "triphasic", "estimator": "clinical"}}}, "not the view clinical alone"),
        ({"models": {"given": {"service": "triphasic", "estimator": "probability"}}}, "not one imported view"),
        (
            {"models": {"clinical": {"service": "clinical", "estimator": "clinical", "space": {"C": [1.0]}}}},
            "takes no harmonization",
        ),
    ],
)
def test_it_is_refused_with_the_reason(changes: dict[str, Any], complaint: str) -> None:
    content = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))
    for section, entries in changes.items():
        content[section] |= entries
    with pytest.raises(ParamsError, match=complaint):
        parse_params(content)


def test_all_models_are_told_by_kind() -> None:
    params = parse_params(yaml.safe_load(TEMPLATE.read_text(encoding="utf-8")))
    assert list(params.all_models()) == [*params.models, *params.deep, *params.fusion]
    assert params.service_of_model("clinical") == "clinical"
    assert params.service_of_model("fusion_late") == "fusion_late"
