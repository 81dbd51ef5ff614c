"""Plain content in the form in which `edit_params` writes it into `params.yaml`."""

import re
from typing import Any

import yaml

_PLAIN_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_ -]*")


def written(value: Any, *, flow: bool | None = None, depth: int = 0) -> Any:
    """Returns content with one entry a line, what an entry holds in one line, and texts in quotes where they need it.

    Quotes stand around every text that some reader of YAML takes for something else, such as `yes`, `1` or `(?i)^ct`.

    Args:
        value: Mappings, lists and scalars.
        flow: Whether it stands in one line; by depth when left out.
        depth: How deep it lies.
    """
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, SingleQuotedScalarString

    if isinstance(value, str):
        is_plain = _PLAIN_WORD.fullmatch(value) and yaml.safe_load(value) == value
        quoted = SingleQuotedScalarString if "\\" in value else DoubleQuotedScalarString
        return value if is_plain else quoted(value)
    if not isinstance(value, dict | list):
        return value
    made: Any = CommentedMap() if isinstance(value, dict) else CommentedSeq()
    if isinstance(value, dict):
        made.update({key: written(item, depth=depth + 1) for key, item in value.items()})
    else:
        made.extend(written(item, depth=depth + 1) for item in value)
    if flow or (flow is None and (depth > 0 or not value)):
        made.fa.set_flow_style()
    return made
