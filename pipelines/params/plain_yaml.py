"""YAML of settings, read so that no file can do harm: bounded in size, depth and what its aliases stand for.

PyYAML's safe loader makes no objects, and yet a page of text can stand for more than memory holds: each alias repeats
what its anchor named. It also takes the last of two equal keys without a word.
"""

from pathlib import Path
from typing import Any

import yaml

LARGEST_BYTES = 2_000_000
"""A hundred times the longest settings file seen."""

_MOST_NODES = 100_000
_DEEPEST = 50


class PlainYamlError(ValueError):
    """The text is no YAML that settings are written in."""


def read_plain_yaml(path: Path) -> Any:
    """Returns the content of a YAML file.

    Raises:
        PlainYamlError: It is too large, too deep, no valid YAML, or has a key twice.
        OSError: It cannot be opened.
    """
    with path.open("rb") as handle:
        data = handle.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES:
        raise PlainYamlError(f"it has more than {LARGEST_BYTES:,} bytes")
    try:
        content = yaml.load(data.decode("utf-8-sig"), Loader=_Loader)
    except (MemoryError, PlainYamlError):
        raise
    except Exception as error:  # PyYAML's constructors raise anything on values that break their type's form
        raise PlainYamlError(str(error).replace('in "<unicode string>", ', "")[:500]) from error
    _count(content, 0, [0])
    return content


class _Loader(yaml.SafeLoader):
    """The safe loader, which refuses a key that stands twice, anchors within themselves, and merges of merges."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth = getattr(self, "depth", 0) + 1
        if self.depth > _DEEPEST:
            raise PlainYamlError(f"it is nested more than {_DEEPEST} deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def flatten_mapping(self, node: Any) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise PlainYamlError("it has a merge key (<<), which settings do not use")
        super().flatten_mapping(node)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        made: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        if len(made) < len(node.value):
            names = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = next(name for name in names if names.count(name) > 1)
            raise PlainYamlError(f"the key {twice!r} stands twice (line {node.start_mark.line + 1})")
        return made


def _count(content: Any, depth: int, seen: list[int]) -> None:
    """Counts what the content stands for, each alias as often as it occurs."""
    seen[0] += 1
    if seen[0] > _MOST_NODES or depth > _DEEPEST:
        raise PlainYamlError(f"it stands for more than {_MOST_NODES:,} values, or contains itself")
    if isinstance(content, dict):
        for value in content.values():
            _count(value, depth + 1, seen)
        for key in content:
            _count(key, depth + 1, seen)
    elif isinstance(content, list | tuple | set):
        for value in content:
            _count(value, depth + 1, seen)
    elif isinstance(content, str) and not content.isascii() and any("\ud800" <= sign <= "\udfff" for sign in content):
        raise PlainYamlError("it has half a character (a lone surrogate)")
