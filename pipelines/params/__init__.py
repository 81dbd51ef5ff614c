"""The study's settings: `params.yaml`, read strictly."""

from pipelines.params.reading import (
    CaseRules,
    Operation,
    Params,
    ParamsError,
    edit_params,
    in_key_order,
    load_operation,
    load_params,
    load_section,
    parse_params,
)

__all__ = [
    "CaseRules",
    "Operation",
    "Params",
    "ParamsError",
    "edit_params",
    "in_key_order",
    "load_operation",
    "load_params",
    "load_section",
    "parse_params",
]
