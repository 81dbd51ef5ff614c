"""The registry's commands: candidates, versions, promotion, rollback, the MLflow window."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from pipelines.cli.terminal import print_facts, print_table
from pipelines.params import load_params
from pipelines.workspace import Workspace

WIDEST = 48
why_option = click.option("--why", default="", help="The reason, for the ledger.")


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def models(context: click.Context, as_json: bool) -> None:
    """List candidates with their AUC on each cohort, and registered versions with their state."""
    if context.invoked_subcommand is None:
        _list_models(as_json)


def _list_models(as_json: bool) -> None:
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


@models.command("lineage")
@click.argument("version")
@click.option("--json", "as_json", is_flag=True, help="Everything, with the hash of every raw file.")
def lineage(version: str, as_json: bool) -> None:
    """Follow VERSION to its training set, patients, feature versions and raw files.

    VERSION is a number, an alias (champion), a model's name, or the beginning of a digest. `radmill features trace`
    follows one patient on, and compares his files with the disk.
    """
    from pipelines.cli.lineage import show_version
    from pipelines.lineage.version import version_lineage

    workspace = Workspace.find()
    found = version_lineage(workspace, load_params(workspace.params), version)
    if as_json:
        click.echo(json.dumps(found.plain(), indent=2))
    else:
        show_version(found)


@models.command("diff")
@click.argument("first")
@click.argument("second")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def diff(first: str, second: str, as_json: bool) -> None:
    """Compare two registered versions: patients, features, settings, and AUC on patients that neither was trained on.

    FIRST and SECOND are numbers, aliases (champion, challenger, previous), models' names, or the beginnings of digests.
    """
    from pipelines.contrasting import contrast
    from registry.lifecycle import Registry

    found = contrast(Registry(Workspace.find().root), first, second)
    if as_json:
        click.echo(json.dumps(found.plain(), indent=2))
        return
    print_table("Versions", found.versions)
    if found.patients is not None:
        print_facts({"patients": ", ".join(f"{n} in {name}" for name, n in found.patients.items())})
    print_facts({"features": _feature_words(found.features)})
    print_table(
        "Settings that differ", [{name: _shortened(value) for name, value in row.items()} for row in found.settings]
    )
    print_table("Measured when they were registered", found.metrics)
    print_facts({"external AUC, first less second": _paired_words(found.paired)})


def _shortened(value: object) -> object:
    return f"{text[:WIDEST]}…" if len(text := str(value)) > WIDEST else value


def _feature_words(features: dict[str, object]) -> str:
    only = {name: value for name, value in features.items() if isinstance(value, list)}
    shown = [
        f"{len(names)} in {name}{': ' if names else ''}{', '.join(names[:3])}{' …' if len(names) > 3 else ''}"
        for name, names in only.items()
    ]
    return "; ".join([f"{features['both']} in both", *shown])


def _paired_words(paired: dict[str, object]) -> str:
    if paired["difference"] is None:
        return f"not comparable: {paired['patients']} patients that both scored and neither was trained on"
    interval = f"{paired['difference']:+.3f} ({paired['low']:+.3f} to {paired['high']:+.3f})"
    return f"{interval}, {paired['patients']} patients that neither was trained on (DeLong)"


@click.command()
@click.argument("model", required=False)
@why_option
def register(model: str | None, why: str) -> None:
    """Register the candidate MODEL, or the one that is best in cross-validation.

    Its package and training set are copied to models/, kept by DVC, and an event is added to the ledger. Registering
    the same package again changes nothing.
    """
    from pipelines.candidates import choose, external_predictions, further_evidence, search_history
    from pipelines.cards import write_cards
    from pipelines.remaking import recipe_of
    from registry.lifecycle import Registry

    workspace = Workspace.find()
    params = load_params(workspace.params)
    candidate = choose(workspace, params, model)
    version = Registry(workspace.root).register(
        candidate.name,
        workspace.model(candidate.name) / "package",
        workspace.training_of(candidate.name, candidate.service),
        candidate.metrics,
        why or "registered by hand",
        external_predictions(workspace, candidate.name),
        {
            **further_evidence(workspace, candidate.name),
            "recipe": recipe_of(params, candidate.name),
            "search": search_history(workspace, candidate.name),
        },
    )
    write_cards(workspace, params)
    print_facts({**version.plain(), "card": f"reports/cards/version-{version.number}.md"})
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
    refill(workspace)


@click.command()
@why_option
def rollback(why: str) -> None:
    """Return to the champion before: the same package, so the same predictions."""
    from registry.lifecycle import Registry

    workspace = Workspace.find()
    champion = Registry(workspace.root).rollback(why or "rolled back by hand")
    click.echo(f"Champion: version {champion.number}, {champion.model}")
    refill(workspace)


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
    refill(workspace)


@click.command()
@click.argument("version")
@why_option
def challenge(version: str, why: str) -> None:
    """Let VERSION score new hospitals beside the champion; its scores are shown and never acted upon.

    VERSION is a number, a model's name, or the beginning of a digest. `radmill stand-down` ends it.
    """
    from registry.lifecycle import Registry

    workspace = Workspace.find()
    found = Registry(workspace.root).challenge(version, why or "set beside the champion by hand")
    click.echo(f"Challenger: version {found.number}, {found.model}")
    refill(workspace)


@click.command("stand-down")
@why_option
def stand_down(why: str) -> None:
    """Make the challenger an ordinary registered version again."""
    from registry.lifecycle import Registry

    workspace = Workspace.find()
    found = Registry(workspace.root).stand_down("challenger", why or "stood down by hand")
    click.echo(f"No challenger; version {found.number}, {found.model}, stays registered")
    refill(workspace)


@click.command()
@click.argument("version")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--sign", "key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="An Ed25519 private key (PEM)."
)
def export(version: str, file: Path, key: Path | None) -> None:
    """Write VERSION into one FILE, for a hospital that has neither DVC nor MLflow.

    VERSION is a number, an alias (champion), a model's name, or the beginning of a digest. At the hospital:
    `radmill score --package FILE --images DIR --out scores.csv --digest DIGEST`. Keys: `openssl genpkey -algorithm
    ed25519 -out key.pem`. A FILE that ends in .onnx becomes an ONNX graph of a tabular model, tried against the package
    before it is written.
    """
    from registry.export import export_package
    from registry.lifecycle import Registry
    from registry.onnx_export import SUFFIX, TOLERANCE, export_onnx

    kept = Registry(Workspace.find().root)
    found = kept.version(version)
    facts = {"file": file.name, "version": f"{found.number}, {found.model}"}
    if file.suffix == SUFFIX:
        if key is not None:
            raise click.UsageError("a graph is not signed: --sign goes with a package")
        seen = export_onnx(kept.package(found), file)
        print_facts({**facts, "largest difference": f"{seen:.2g} (allowed {TOLERANCE:g})"})
        return
    digest = export_package(kept.package_folder(found), file, found.digest, key)
    print_facts({**facts, "digest": digest, "signature": "signed" if key is not None else "not signed"})
    click.echo("Send the digest by another way than the file, so that the receiver can check one against the other.")


@click.command()
@click.option("--restore", is_flag=True, help="Put back aliases that were moved in MLflow.")
def mirror(restore: bool) -> None:
    """Fill the MLflow window from ledger, packages and search histories; what is there already is left.

    An alias that somebody moved in MLflow is named and left: the ledger decides what is in force, not the window.
    """
    refill(Workspace.find(), restore=restore)


def _newest(versions: Sequence[object]) -> str:
    if not versions:
        raise click.UsageError("no version is registered yet: `radmill register` first")
    return str(getattr(versions[-1], "number", ""))


def refill(workspace: Workspace, *, restore: bool = False) -> None:
    """Shows the registry as it is now in the MLflow window."""
    from pipelines.window import fill_window

    summary = fill_window(workspace, load_params(workspace.params), restore=restore)
    print_facts(
        {"MLflow": f"{summary.runs} models, {summary.runs_written} written, {summary.versions_added} versions added"}
    )
    for remark in summary.remarks:
        click.echo(f"- {remark}")
