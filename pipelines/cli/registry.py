"""Commands that look after the registry itself."""

from typing import TYPE_CHECKING

import click

from pipelines.cli.models import refill, why_option
from pipelines.cli.terminal import print_facts, print_table
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from pipelines.remaking import Remade


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


@registry.command("mend")
def mend() -> None:
    """Make one chain of a ledger that two clones wrote apart and git merged.

    The branch that stands first stays as it is. The events of the other are judged anew on top of it, promotions by the
    gates; each is named with what became of it. Exit 1: some were refused.
    """
    from pipelines.candidates import paired_difference
    from pipelines.params import load_params
    from registry.lifecycle import Registry
    from registry.mending import mend as join

    workspace = Workspace.find()
    gates = load_params(workspace.params).registry.gates.model_dump(mode="json")
    found = join(Registry(workspace.root), gates, paired_difference)
    print_table("Events of the second branch", [outcome.plain() for outcome in found.outcomes])
    if found.is_merging:
        click.echo("Next: resolve what else git names, and `git commit` the merge")
    refill(workspace)
    if any(outcome.refused for outcome in found.outcomes):
        raise click.exceptions.Exit(1)


@registry.command("reproduce")
@click.argument("version")
@why_option
def reproduce(version: str, why: str) -> None:
    """Make VERSION's package again from its kept training set and recipe, in a process of its own, and compare.

    A network needs the study's stored images besides (data/cases), and a fusion makes its members again first. Where
    networks are in it, predictions on all patients of the training set count, to 1e-6; else the digest. The outcome
    goes into the ledger, where the gate `reproducible` reads it. Exit 1: it came out different.
    """
    from pipelines.remaking import reproduce as remake
    from registry.lifecycle import Registry

    found = remake(Registry(Workspace.find().root), version, why or "made again by hand")
    told = {"largest difference": f"{found.difference:.2g}"} if found.difference is not None else {}
    print_facts({"version": f"{found.version}, {found.model}", "made again": _outcome(found), **told})
    if not found.same:
        raise click.exceptions.Exit(1)


def _outcome(found: "Remade") -> str:
    if not found.note:
        return f"the same package, byte for byte: {found.digest[:12]}"
    how = "the same predictions, in another package" if found.same else "another package"
    return f"{how} ({found.note}): {found.digest[:12]}"
