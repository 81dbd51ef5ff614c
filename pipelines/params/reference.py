"""Writes the reference page of `params.yaml` from the section classes, so that it cannot lag behind them."""

import inspect
import re
import types
import typing
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pipelines.params.reading import Params
from pipelines.params.statements import STATEMENTS

_INTRODUCTION = """# params.yaml

Every key of a study's settings, generated from the code (`python -m pipelines.params.reference`). A key that is not
listed is refused with its path. "–" in the default column means that the key must be given.
"""


def reference_page() -> str:
    """Returns the page as Markdown."""
    parts = [_INTRODUCTION]
    seen: dict[type[BaseModel], str] = {}
    for name, field in Params.model_fields.items():
        parts += _section(name, field.annotation, seen)
        parts += _statements() if name == "study" else []
    return "\n".join(parts)


def _statements() -> list[str]:
    told = "What only a person can state; reporting checklists (`reports/checklists.html`) take it from here."
    rows = [f"| `{name}` | {meaning} |" for name, meaning in STATEMENTS.items()]
    return ["## `study.statements`", "", told, "", "| key | what belongs there |", "|---|---|", *rows, ""]


def _section(path: str, annotation: Any, seen: dict[type[BaseModel], str]) -> list[str]:
    model, path = _model_of(annotation, path)
    if model is None:
        return []
    if model in seen:
        return [f"## `{path}`", "", f"As `{seen[model]}`.", ""]
    seen[model] = path
    told = _told(model)
    lines = [f"## `{path}`", "", _summary(model), "", "| key | type | default | meaning |", "|---|---|---|---|"]
    nested: list[str] = []
    for name, field in model.model_fields.items():
        meaning = " ".join([told.get(name, field.description or ""), *_limits(field)]).strip()
        lines.append(f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {meaning} |")
        nested += _section(f"{path}.{name}", field.annotation, seen)
    return [*lines, "", *nested]


def _model_of(annotation: Any, path: str) -> tuple[type[BaseModel] | None, str]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation, path
    if get_origin(annotation) is dict:
        return _model_of(get_args(annotation)[1], f"{path}.<name>")
    if get_origin(annotation) is list:
        return _model_of(get_args(annotation)[0], f"{path}[]")
    return None, path


def _summary(model: type[BaseModel]) -> str:
    text = inspect.cleandoc(model.__doc__ or "").split("\nArgs:")[0]
    return " ".join(text.split())


def _told(model: type[BaseModel]) -> dict[str, str]:
    """Returns what the class docstring's Args say of each key."""
    _, _, arguments = inspect.cleandoc(model.__doc__ or "").partition("\nArgs:")
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", arguments, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _limits(field: FieldInfo) -> list[str]:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    found = [f"{sign} {getattr(m, key)}" for m in field.metadata for key, sign in signs.items() if hasattr(m, key)]
    return [f"({', '.join(found)})"] if found else []


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "–"
    value = field.default
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return "see below"
    return f"`{value}`" if value not in ({}, []) else "none"


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is types.NoneType:
        return "null"
    if origin is Annotated:
        return "name" if arguments[0] is str else _type(arguments[0])
    if origin is Literal:
        return " \\| ".join(f"`{value}`" for value in arguments)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_type(item) for item in arguments)
    if origin is dict:
        return f"{_type(arguments[0])} → {_type(arguments[1])}"
    if origin in (list, tuple):
        return f"{origin.__name__} of {' , '.join(dict.fromkeys(_type(a) for a in arguments if a is not ...))}"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "section"
    names = {str: "text", int: "integer", float: "number", bool: "yes/no", object: "anything"}
    return names.get(annotation, str(annotation))


if __name__ == "__main__":
    from pathlib import Path

    from featurestore.files import write_text

    write_text(Path("docs/reference/params.md"), reference_page())
