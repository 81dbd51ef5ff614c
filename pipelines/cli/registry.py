"""Commands that look after the registry itself."""

import click

from pipelines.cli.models import refill
from pipelines.workspace import Workspace


@click.group()
def registry() -> None:
    """Look after the registry itself."""


@registry.command("verify")
def verify() -> None:
    """Check the ledger's chain, and the bytes of every package, training set and piece of evidence."""
    from registry.lifecycle import Registry

    complaints = Registry(Workspace.find().root).verify()
    for complaint in complaints:
        click.echo(str(complaint))
    if complaints:
        raise click.exceptions.Exit(1)
    click.echo("ledger, evidence, packages and training sets are as they were written")


@registry.command("rebuild")
def rebuild() -> None:
    """Fill an empty or lost MLflow database again."""
    refill(Workspace.find())
