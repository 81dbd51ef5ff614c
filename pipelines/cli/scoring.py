"""Scoring of new hospitals."""

import json
from dataclasses import asdict

import click

from pipelines.cli.terminal import TerminalProgress, print_table
from pipelines.params import load_operation
from pipelines.workspace import Workspace


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def score(as_json: bool) -> None:
    """Score the new or changed cases in incoming/<center>/ with the champion, once each.

    The champion's own package says how images are read, which features are computed and with which settings. A second
    run writes nothing. Exit 1: some cases were refused; deployment/centers/<center>/views/qc says why.
    """
    from pipelines.execution.cluster import open_runner
    from pipelines.scoring.score import score as step

    workspace = Workspace.find()
    operation = load_operation(workspace.params)
    with workspace.lock("radmill score", name="deployment"), open_runner(operation.cluster) as runner:
        summary = step(workspace, operation.scoring, runner, TerminalProgress())
    if as_json:
        click.echo(json.dumps(asdict(summary), indent=2))
    else:
        rows = [center.plain() for center in summary.centers]
        print_table(f"Incoming hospitals, scored by version {summary.version} ({summary.model})", rows)
        for center in summary.centers:
            click.echo(f"scores of {center.center}: deployment/centers/{center.center}/scores.csv")
    if not summary.is_clean:
        raise click.exceptions.Exit(1)
