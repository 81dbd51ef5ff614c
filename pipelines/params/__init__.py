"""The study's settings: `params.yaml`, read strictly."""

from pipelines.params.reading import (
    CaseRules,
    Operation,
    Params,
    edit_params,
    in_key_order,
    load_operation,
    load_params,
    parse_params,
)

__all__ = [
    "CaseRules",
    "Operation",
    "Params",
    "edit_params",
    "in_key_order",
    "load_operation",
    "load_params",
    "parse_params",
]
