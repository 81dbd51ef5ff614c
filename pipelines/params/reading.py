"""Reads `params.yaml`: every error at once, each with the path of its key, the value seen and what is allowed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ConfigDict, ValidationError, model_validator

from featurestore.errors import InputError
from featurestore.files import atomic_path
from pipelines.params.base import Name, Section
from pipelines.params.data import (
    CentersSection,
    CohortSection,
    ExtractionSection,
    IngestSection,
    LabelSection,
    Margin,
    Phase,
    RadmillSection,
    StudySection,
)
from pipelines.params.deep import DeepModel
from pipelines.params.fusion import Fusion
from pipelines.params.modelling import (
    EvaluationSection,
    Join,
    Model,
    Service,
    SplitSection,
    TuningSection,
    ValidationSection,
)
from pipelines.params.operation import ClusterSection, RegistrySection, ScoringSection
from pipelines.params.plain_yaml import PlainYamlError, read_plain_yaml
from pipelines.params.tables import OWN_VIEWS, ImportedView

S = TypeVar("S", bound=Section)


_MOST_TOLD = 50
"""Complaints in one message; a file with more is another file."""


class ParamsError(InputError):
    """`params.yaml` says something it may not."""

    default_remedy = "correct the keys named above in params.yaml; nothing was changed"


class CaseRules(Section):
    """What decides how a center's files become cases; a model package carries its own copy."""

    cohort: CohortSection = CohortSection()
    phases: dict[Name, Phase]
    label: LabelSection
    ingest: IngestSection = IngestSection()
    margin: Margin


class Params(Section):
    """All of `params.yaml`. What the stage graph names must be there: DVC does not know defaults."""

    radmill: RadmillSection
    study: StudySection
    cohort: CohortSection
    centers: CentersSection
    phases: dict[Name, Phase]
    label: LabelSection
    ingest: IngestSection
    margin: Margin
    extraction: ExtractionSection
    imported: dict[Name, ImportedView] = {}
    services: dict[Name, Service]
    validation: ValidationSection
    split: SplitSection
    models: dict[Name, Model]
    deep: dict[Name, DeepModel]
    fusion: dict[Name, Fusion]
    tuning: TuningSection
    evaluation: EvaluationSection
    registry: RegistrySection
    scoring: ScoringSection = ScoringSection()
    cluster: ClusterSection = ClusterSection()

    def case_rules(self) -> CaseRules:
        """Returns what ingest needs to know."""
        return CaseRules(
            cohort=self.cohort, phases=self.phases, label=self.label, ingest=self.ingest, margin=self.margin
        )

    def all_models(self) -> dict[str, Model | DeepModel | Fusion]:
        """Returns every model of every kind by name: those on tables, networks, fusions."""
        return {**self.models, **self.deep, **self.fusion}

    def service_of_model(self, name: str) -> str:
        """Returns the service that a model takes its patients from; of a fusion its own name."""
        model = self.all_models()[name]
        return name if isinstance(model, Fusion) else model.service

    def phases_of(self, view: str) -> list[str]:
        """Returns the phases a view has rows of; the clinical table counts as one phase of its own name."""
        if view in self.imported:
            return self.imported[view].phases
        return [view] if view == "clinical" else list(self.phases)

    @model_validator(mode="after")
    def _names_resolve(self) -> "Params":
        complaints = [
            *_unknown("models.{}.service", {k: [m.service] for k, m in self.models.items()}, self.services),
            *_unknown("extraction.by_phase", {"": list(self.extraction.by_phase)}, self.phases),
            *(f"imported.{name} is a table that radmill makes" for name in self.imported if name in OWN_VIEWS),
            *(complaint for name, service in self.services.items() for complaint in self._of_service(name, service)),
        ]
        complaints += [line for name, model in self.models.items() for line in self._of_steps(name, model)]
        complaints += [line for name, model in self.deep.items() for line in self._of_deep(name, model)]
        complaints += [line for name, fused in self.fusion.items() for line in self._of_fusion(name, fused)]
        complaints += self._of_controls()
        if complaints:
            raise ValueError("; ".join(complaints))
        return self

    def _of_steps(self, name: str, model: Model) -> list[str]:
        service = self.services.get(model.service)
        found = []
        if service is not None:
            found += self._of_estimator(name, model, service)
        if model.stability is not None and service is not None and service.repeats is None:
            found.append(f"models.{name}.stability needs services.{model.service}.repeats")
        reference = model.harmonization.reference if model.harmonization is not None else None
        if reference is not None:
            known = self.centers.development
            found += _unknown(f"models.{name}.harmonization.reference", {"": [reference]}, dict(known))
        return found

    def _of_estimator(self, name: str, model: Model, service: Service) -> list[str]:
        if model.estimator not in ("clinical", "probability"):
            return []
        own = f"models.{name}.estimator is {model.estimator}"
        plain = model.harmonization is None and model.stability is None and model.redundancy is None
        found = (
            [] if plain and not model.space else [f"{own}: it takes no harmonization, stability, redundancy or space"]
        )
        if model.estimator == "clinical" and (service.view != "clinical" or service.joins):
            found.append(f"{own}, and its service is not the view clinical alone")
        if model.estimator == "probability" and (service.view not in self.imported or service.joins):
            found.append(f"{own}, and its service is not one imported view")
        return found

    def _of_deep(self, name: str, model: DeepModel) -> list[str]:
        found = [f"deep.{name} has the name of one of models"] if name in self.models else []
        if model.service not in self.services:
            return [*found, *_unknown(f"deep.{name}.service", {"": [model.service]}, self.services)]
        service = self.services[model.service]
        if service.view != "radiomics":
            return [*found, f"deep.{name}.service needs a service of the view radiomics, whose cases have images"]
        phases = dict.fromkeys(service.phases or self.phases_of("radiomics"))
        found += _unknown(f"deep.{name}.phases", {"": model.phases}, phases)
        found += _unknown(f"deep.{name}.windows", {"": list(model.windows)}, phases)
        if model.repeats > self.tuning.repeats:
            found.append(f"deep.{name}.repeats is {model.repeats}, tuning.repeats only {self.tuning.repeats}")
        return found

    def _of_fusion(self, name: str, fused: Fusion) -> list[str]:
        known = {**self.models, **self.deep}
        found = [f"fusion.{name} has the name of one of models or deep"] if name in known else []
        found += [f"fusion.{name} has the name of a service"] if name in self.services else []
        found += _unknown(f"fusion.{name}.members", {"": fused.members}, known)
        networks = [member for member in fused.members if member in self.deep]
        if fused.kind == "early" and networks:
            found.append(
                f"fusion.{name}.kind is early and member {networks[0]} is a network: what the networks of different "
                "folds see inside has no common axes; take late or tuned"
            )
        return found

    def _of_controls(self) -> list[str]:
        asked, own = self.evaluation.controls.models, self.models
        found = _unknown("evaluation.controls.models", {"": asked}, own)
        fixed = [name for name in asked if name in own and own[name].estimator not in ("lr", "rf", "mlp")]
        return [*found, *(f"evaluation.controls.models: {name} has no search to do anew" for name in fixed)]

    def _of_service(self, name: str, service: Service) -> list[str]:
        views = dict.fromkeys(("radiomics", "clinical", "acquisition", *self.imported))
        found = _unknown(f"services.{name}.centers", {"": service.centers or []}, self.centers.development)
        parts: list[tuple[str, Service | Join]] = [
            (f"services.{name}", service),
            *((f"services.{name}.joins", join) for join in service.joins),
        ]
        for place, part in parts:
            found += _unknown(f"{place}.view", {"": [part.view]}, views)
            found += _unknown(f"{place}.phases", {"": part.phases}, dict.fromkeys(self.phases_of(part.view)))
            if not part.phases and not self.phases_of(part.view):
                found.append(f"{place}: view {part.view} has no phase")
        return found


def _unknown(path: str, named: dict[str, list[str]], known: dict[str, Any]) -> list[str]:
    return [
        f"{path.format(key)} names {value!r}, which is not declared (there are {', '.join(sorted(known)) or 'none'})"
        for key, values in named.items()
        for value in values
        if value not in known
    ]


class Withdrawals(Section):
    """Who withdrew: all that an operation reads of `cohort`, whose other rules come with the package."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    withdrawn: list[str] = []


class Operation(Section):
    """What scoring reads of `params.yaml`: nothing that someone may be editing to tune a model."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    cohort: Withdrawals = Withdrawals()
    scoring: ScoringSection = ScoringSection()
    cluster: ClusterSection = ClusterSection()


def load_operation(path: Path) -> Operation:
    """Reads the sections that operations need, whatever state the others are in.

    Raises:
        ParamsError: The file is missing, is no YAML, or one of these sections breaks a rule.
    """
    return _validated(Operation, _content(path), path.name)


def load_params(path: Path) -> Params:
    """Reads and checks `params.yaml`.

    Raises:
        ParamsError: The file is missing, is no YAML, or breaks a rule; all complaints are in the message.
    """
    return parse_params(_content(path), where=path.name)


def parse_params(content: object, where: str = "params.yaml") -> Params:
    """Checks settings that were read elsewhere.

    Mappings come out in the order of their keys: how they stand in the file decides no value, because DVC does not see
    it change. Where order means something, settings are lists.
    """
    return _validated(Params, in_key_order(content), where)


def load_section(model: type[S], path: Path) -> S:
    """Reads a file that holds one section alone.

    Raises:
        ParamsError: The file is missing, is no YAML, or breaks a rule of the section.
    """
    return _validated(model, in_key_order(_content(path) or {}), path.name)


def in_key_order(content: Any) -> Any:
    """Returns the same content with every mapping sorted by key."""
    match content:
        case dict():
            return {key: in_key_order(content[key]) for key in sorted(content, key=str)}
        case list():
            return [in_key_order(item) for item in content]
    return content


def _content(path: Path) -> object:
    try:
        return read_plain_yaml(path)
    except FileNotFoundError as error:
        raise ParamsError("there is no such file", where=path.name) from error
    except PlainYamlError as error:
        raise ParamsError(f"not valid YAML: {error}", where=path.name) from error


def _validated(model: type[S], content: object, where: str) -> S:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        complaints = [_complaint(dict(item)) for item in error.errors()]
        more = [f"  and {len(complaints) - _MOST_TOLD} more"] if len(complaints) > _MOST_TOLD else []
        raise ParamsError("\n" + "\n".join([*complaints[:_MOST_TOLD], *more]), where=where) from error


def edit_params(path: Path, edit: Callable[[Any], None]) -> None:
    """Changes `params.yaml` in place and keeps its comments and order.

    Args:
        path: The file.
        edit: Is handed the parsed mapping and changes it.
    """
    from ruamel.yaml import YAML

    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 120
    editor.indent(mapping=2, sequence=4, offset=2)
    editor.representer.add_representer(type(None), _null)
    content = editor.load(path.read_text(encoding="utf-8"))
    edit(content)
    with atomic_path(path) as temporary:
        with temporary.open("w", encoding="utf-8") as handle:
            editor.dump(content, handle)
        yaml.safe_load(temporary.read_text(encoding="utf-8"))  # what cannot be read again must not take its place


def _null(representer: Any, _: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _complaint(item: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in item["loc"]) or "(whole file)"
    if item["type"] == "extra_forbidden":
        return f"  {place}: unknown key"
    if item["type"] == "missing":
        return f"  {place}: missing"
    seen = item["input"]
    shown = f", seen {seen!r}" if isinstance(seen, str | int | float | bool | type(None)) else ""
    return f"  {place}: {item['msg'].removeprefix('Value error, ')}{shown}"
