"""The study's settings: `params.yaml`, read strictly."""

from pipelines.params.reading import CaseRules, Params, edit_params, load_params, parse_params

__all__ = ["CaseRules", "Params", "edit_params", "load_params", "parse_params"]
