"""The stage that checks the development tables before anyone learns from them."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from featurestore import validation
from featurestore.errors import InputError
from featurestore.files import write_json
from featurestore.screening import with_severity
from featurestore.tables import read_frame
from featurestore.validation import Finding
from featurestore.views import FeatureService, feature_names
from pipelines.evaluation import repeated
from pipelines.params import Params
from pipelines.stored_views import service_of, view_frame
from pipelines.training.screen import screen
from pipelines.workspace import Workspace

RANGE_COLUMN = "original_firstorder_Range"

_ROW_RULES = (validation.empty_rows, validation.infinite_values, validation.missing_values, validation.constant_columns)


class InvalidTableError(InputError):
    """A table breaks a rule that would make every model wrong."""

    default_remedy = "do what the lines above say, then run again"


@dataclass(frozen=True, kw_only=True)
class ValidateSummary:
    """What was found.

    Args:
        rows: How many rows were checked.
        errors: How many findings stop the run; none, or this summary would not exist.
        warnings: How many findings go to the study page.
        found: The warnings, by table, phase and rule.
    """

    rows: int
    errors: int
    warnings: int
    found: dict[str, int]


def validate(workspace: Workspace, params: Params) -> ValidateSummary:
    """Writes `data/validation.json` with all findings.

    Raises:
        InvalidTableError: A finding is an error; nothing was written.
    """
    found = examine(workspace, params)
    _stop_on_errors(found.findings)
    numbers = validation.count(found.findings)
    content = {"rows": found.rows, "errors": numbers["error"], "warnings": numbers["warning"]}
    told = {"findings": [finding.plain() for finding in found.findings], "associations": found.associations}
    write_json(workspace.validation, {**content, **told})
    warned = {f"{finding.subject}: {finding.rule}": finding.n for finding in found.findings}
    return ValidateSummary(rows=found.rows, errors=numbers["error"], warnings=numbers["warning"], found=warned)


@dataclass(frozen=True, kw_only=True)
class Examined:
    """Everything that the rules say of the development tables.

    Args:
        rows: How many rows were checked.
        findings: What they complain about.
        associations: How much features tell of center and scanner, as JSON types.
    """

    rows: int
    findings: list[Finding]
    associations: list[dict[str, Any]]


def examine(workspace: Workspace, params: Params) -> Examined:
    """Applies every rule to the development tables; nothing is written."""
    services = {name: service_of(params, name) for name in params.services}
    views = sorted({part.view for service in services.values() for part in service.parts})
    tables = {view: _table(workspace, params, view) for view in views}
    findings = [finding for view in views for finding in _of_view(workspace, params, view, tables[view], services)]
    findings += _of_cases(workspace, params)
    findings += repeated.findings(repeated.repeated_patients(workspace, params, ("development",)))
    screened = screen(workspace, params, tables)
    findings = with_severity([*findings, *screened.findings], params.validation.severity)
    rows = sum(len(table) for table in tables.values())
    return Examined(rows=rows, findings=findings, associations=screened.associations)


def _table(workspace: Workspace, params: Params, view: str) -> pd.DataFrame:
    return view_frame(workspace, params, "development", view)


def _of_view(
    workspace: Workspace, params: Params, view: str, long: pd.DataFrame, services: dict[str, FeatureService]
) -> list[Finding]:
    names = feature_names(long)
    findings = validation.no_rows(long, names, f"view {view}")
    if findings:
        return findings
    parts = [part for service in services.values() for part in service.parts if part.view == view]
    used = {phase for part in parts for phase in part.phases}
    widths = _bin_widths(workspace, params, sorted(used)) if view == "radiomics" else {}
    for phase in sorted(used):
        rows = long[long["phase"] == phase]
        findings += _of_phase(rows, names, phase, widths.get(phase))
        if _are_measured(params, view):
            findings += validation.duplicated_rows(rows, _present(rows, names), phase)
    return findings


def _are_measured(params: Params, view: str) -> bool:
    """Returns whether equal rows mean equal images; two patients may well have the same age or scanner."""
    if view in ("clinical", "acquisition"):
        return False
    return view not in params.imported or params.imported[view].is_for_models


def _present(rows: pd.DataFrame, names: list[str]) -> list[str]:
    return [name for name in names if rows[name].notna().any()]


def _of_phase(rows: pd.DataFrame, names: list[str], phase: str, bin_width: float | None) -> list[Finding]:
    findings = validation.no_rows(rows, names, phase)
    if findings:
        return findings
    present = _present(rows, names)
    for rule in _ROW_RULES:
        findings += rule(rows, present, phase)
    if bin_width is not None:
        advice = f"set extraction.by_phase.{phase}.setting.binWidth"
        findings += validation.gray_levels(rows, RANGE_COLUMN, bin_width, phase, advice)
    return findings


def _of_cases(workspace: Workspace, params: Params) -> list[Finding]:
    cases = read_frame(workspace.view("development", "cases"), centers=params.centers.development)
    if cases.empty:
        return []
    primary = cases[cases["is_primary"].astype(bool)] if "is_primary" in cases else cases
    return [*validation.implausible_volumes(primary, "cases"), *validation.unlike_phases(primary, "cases")]


def _bin_widths(workspace: Workspace, params: Params, phases: list[str]) -> dict[str, float]:
    """Returns the bin width of each phase whose gray levels have a fixed width."""
    from pipelines.radiomics.settings import settings_by_phase

    found = settings_by_phase(params.extraction, phases, workspace.root)
    now = {phase: settings.effective() for phase, settings in found.items()}
    return {phase: float(str(keys["binWidth"])) for phase, keys in now.items() if not keys.get("binCount")}


def _stop_on_errors(findings: list[Finding]) -> None:
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise InvalidTableError("\n".join(_line(finding) for finding in errors), where="development tables")


def _line(finding: Finding) -> str:
    named = f" ({', '.join(finding.examples)})" if finding.examples else ""
    return f"\n  {finding.subject}: {finding.message}{named}; {finding.remedy}"
