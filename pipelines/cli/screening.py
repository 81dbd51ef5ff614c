"""The command that checks feature tables for a person: it writes nothing."""

import json
import sys

import click

from pipelines.cli.terminal import print_table
from pipelines.params import load_params
from pipelines.workspace import Workspace

COLUMNS = ("severity", "subject", "rule", "message", "remedy")


@click.command()
@click.option("--external", is_flag=True, help="Hold the external cases against the development centers instead.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def validate(external: bool, as_json: bool) -> None:
    """Check the development tables: ranges, gaps, duplicates, odd centers, disguised outcomes, marks of scanners.

    The stage `radmill validate` does the same and writes data/validation.json. Exits 2 when a finding is an error.
    """
    from pipelines.training.screen import RADIOMICS, outlying
    from pipelines.training.validate import examine

    workspace = Workspace.find()
    params = load_params(workspace.params)
    if external:
        findings, marks = outlying(workspace, params, RADIOMICS, "external"), []
    else:
        found = examine(workspace, params)
        findings, marks = found.findings, found.associations
    if as_json:
        plain = [finding.plain() for finding in findings]
        click.echo(json.dumps({"findings": plain, "associations": marks}, indent=2))
    else:
        rows = [finding.plain() for finding in findings]
        print_table("Findings", [{name: row[name] for name in COLUMNS} for row in rows])
        if marks:
            click.echo()
            print_table("Share of features that tell", [_mark(mark) for mark in marks])
    sys.exit(2 if any(finding.severity == "error" for finding in findings) else 0)


def _mark(mark: dict[str, object]) -> dict[str, object]:
    """Returns one row: before and after harmonization, as a share of features and as a median share of variance."""
    shares = {name: f"{float(str(mark[name])):.1%}" for name in ("before", "after", "effect_before", "effect_after")}
    return {**{name: mark[name] for name in ("view", "phase", "batch", "levels", "n", "features")}, **shares}
