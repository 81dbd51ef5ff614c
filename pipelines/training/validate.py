"""The stage that checks the development tables before anyone learns from them."""

from dataclasses import dataclass

import pandas as pd

from featurestore import validation
from featurestore.errors import InputError
from featurestore.files import write_json
from featurestore.tables import read_frame
from featurestore.validation import Finding
from featurestore.views import FeatureService, feature_names
from pipelines.params import Params
from pipelines.training.assemble import service_of
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
    services = {name: service_of(params, name) for name in params.services}
    views = sorted({service.view for service in services.values()})
    tables = {view: _table(workspace, params, view) for view in views}
    findings = [finding for view in views for finding in _of_view(workspace, params, view, tables[view], services)]
    findings += _of_cases(workspace, params)
    _stop_on_errors(findings)
    numbers = validation.count(findings)
    rows = sum(len(table) for table in tables.values())
    content = {"rows": rows, "errors": numbers["error"], "warnings": numbers["warning"]}
    write_json(workspace.validation, {**content, "findings": [finding.plain() for finding in findings]})
    found = {f"{finding.subject}: {finding.rule}": finding.n for finding in findings}
    return ValidateSummary(rows=rows, errors=numbers["error"], warnings=numbers["warning"], found=found)


def _table(workspace: Workspace, params: Params, view: str) -> pd.DataFrame:
    return read_frame(workspace.features("development", view), centers=params.centers.development)


def _of_view(
    workspace: Workspace, params: Params, view: str, long: pd.DataFrame, services: dict[str, FeatureService]
) -> list[Finding]:
    names = feature_names(long)
    findings = validation.no_rows(long, names, f"view {view}")
    if findings:
        return findings
    used = {phase for service in services.values() if service.view == view for phase in service.phases}
    widths = _bin_widths(workspace, params, sorted(used))
    for phase in sorted(used):
        rows = long[long["phase"] == phase]
        findings += _of_phase(rows, names, phase, widths.get(phase))
    return findings


def _of_phase(rows: pd.DataFrame, names: list[str], phase: str, bin_width: float | None) -> list[Finding]:
    findings = validation.no_rows(rows, names, phase)
    if findings:
        return findings
    present = [name for name in names if rows[name].notna().any()]
    for rule in _ROW_RULES:
        findings += rule(rows, present, phase)
    findings += validation.duplicated_rows(rows, present, phase)
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
