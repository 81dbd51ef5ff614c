"""The registry's commands: candidates, versions, promotion, rollback, the MLflow window."""

import json
from collections.abc import Sequence

import click

from pipelines.cli.terminal import print_facts, print_table
from pipelines.params import load_params
from pipelines.workspace import Workspace

why_option = click.option("--why", default="", help="The reason, for the ledger.")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def models(as_json: bool) -> None:
    """List candidates with their AUC on each cohort, and registered versions with their state."""
    from pipelines.candidates import candidates
    from pipelines.status import interval
    from registry.lifecycle import Registry

    workspace = Workspace.find()
    found = candidates(workspace, load_params(workspace.params))
    versions = [version.plain() for version in Registry(workspace.root).versions()]
    if as_json:
        listed = [{"model": c.name, "service": c.service, "metrics": c.metrics} for c in found]
        click.echo(json.dumps({"candidates": listed, "versions": versions}, indent=2))
        return
    rows = [
        {"model": c.name}
        | {cohort: interval(c.metrics.get(cohort, {})) for cohort in ("training", "internal", "external")}
        for c in found
    ]
    print_table("Candidates, best in training first (AUC)", rows)
    click.echo()
    print_table("Registered versions", versions)


@click.command()
@click.argument("model", required=False)
@why_option
def register(model: str | None, why: str) -> None:
    """Register the candidate MODEL, or the one that is best in cross-validation.

    Its package and training set are copied to models/, kept by DVC, and an event is added to the ledger. Registering
    the same package again changes nothing.
    """
    from pipelines.candidates import choose, external_predictions
    from registry.lifecycle import Registry

    workspace = Workspace.find()
    candidate = choose(workspace, load_params(workspace.params), model)
    version = Registry(workspace.root).register(
        candidate.name,
        workspace.model(candidate.name) / "package",
        workspace.training(candidate.service),
        candidate.metrics,
        why or "registered by hand",
        external_predictions(workspace, candidate.name),
    )
    print_facts(version.plain())
    click.echo(f"Next: radmill promote {version.number}")


@click.command()
@click.argument("version", required=False)
@why_option
@click.option("--override", metavar="REASON", help="Promote although a gate is not met; kept in the ledger for ever.")
def promote(version: str | None, why: str, override: str | None) -> None:
    """Make VERSION the champion if it meets the gates of params.yaml.

    VERSION is a number, a model's name, or the beginning of a digest; the newest registered one when left out.
    """
    from pipelines.candidates import paired_difference
    from registry.lifecycle import Registry

    workspace = Workspace.find()
    registry = Registry(workspace.root)
    gates = load_params(workspace.params).registry.gates.model_dump(mode="json")
    selector = version or _newest(registry.versions())

    results = registry.promote(selector, gates, why or "promoted by hand", override, paired_difference)
    print_table("Gates", [result.plain() for result in results])
    champion = registry.champion()
    click.echo(f"Champion: version {champion.number}, {champion.model}" if champion else "no champion")
    _refill(workspace)


@click.command()
@why_option
def rollback(why: str) -> None:
    """Return to the champion before: the same package, so the same predictions."""
    from registry.lifecycle import Registry

    workspace = Workspace.find()
    champion = Registry(workspace.root).rollback(why or "rolled back by hand")
    click.echo(f"Champion: version {champion.number}, {champion.model}")
    _refill(workspace)


@click.command()
@click.argument("version")
@why_option
def retire(version: str, why: str) -> None:
    """Take VERSION out of use for good.

    VERSION is a number, a model's name, or the beginning of a digest.
    """
    from registry.lifecycle import Registry

    workspace = Workspace.find()
    retired = Registry(workspace.root).retire(version, why or "retired by hand")
    click.echo(f"Retired: version {retired.number}, {retired.model}")
    _refill(workspace)


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
    _refill(Workspace.find())


@click.command()
def mirror() -> None:
    """Fill the MLflow window from ledger, packages and search histories; what is there already is left."""
    _refill(Workspace.find())


def _newest(versions: Sequence[object]) -> str:
    if not versions:
        raise click.UsageError("no version is registered yet: `radmill register` first")
    return str(getattr(versions[-1], "number", ""))


def _refill(workspace: Workspace) -> None:
    from pipelines.window import fill_window

    summary = fill_window(workspace, load_params(workspace.params))
    print_facts(
        {"MLflow": f"{summary.runs} models, {summary.runs_written} written, {summary.versions_added} versions added"}
    )
    for remark in summary.remarks:
        click.echo(f"- {remark}")
