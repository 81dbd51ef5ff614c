"""Incoming hospitals one by one: freeze, recalibrate on, admit to the study, or read a summary of."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli.terminal import print_facts
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from pipelines.scoring.center_summary import CenterSummary

_why = click.option("--why", default="", help="The reason, for the ledger.")


@click.group()
def center() -> None:
    """Incoming hospitals, one by one."""


@center.command()
@click.argument("name")
@_why
def freeze(name: str, why: str) -> None:
    """Fix the cases from which the shift of hospital NAME is estimated: those that are here now.

    Models that harmonize score its cases from then on with one and the same shift, however cases arrive. The event
    goes to the ledger; a list that was fixed before stays.
    """
    from pipelines.scoring.freeze import freeze_center

    workspace = Workspace.find()
    with workspace.lock("radmill center freeze", name="deployment"):
        n = freeze_center(workspace, name, why)
    click.echo(f"{n} cases of {name} fixed; `radmill score` uses them from now on")


@center.command()
@click.argument("name")
@_why
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def admit(name: str, why: str, as_json: bool) -> None:
    """Make hospital NAME, whose labels have come, an external center of the study.

    incoming/NAME moves to data/raw/NAME, its key and pseudonyms stay, params.yaml names it under centers.external, and
    tables of features are imported. The event goes to the ledger. A call that was cut short is completed by the next.
    """
    from pipelines.scoring.admitting import admit_center, target

    workspace = Workspace.find()
    work = "radmill center admit"
    with workspace.lock(work), workspace.lock(work, name="deployment"):
        done = admit_center(workspace, name, why)
    if as_json:
        click.echo(json.dumps(asdict(done), indent=2))
        return
    place = target(workspace, done).relative_to(workspace.root).as_posix()
    told = {"center": done.center, "files": place, "patients": done.n, "with a label": done.labelled}
    seen = {"labels": "spent: performance on them was shown before"} if done.was_read else {}
    print_facts({**told, "tables": ", ".join(done.views) or "none", **seen})
    click.echo("Next: radmill run, which judges all models on it; its scores so far stay in deployment/")


@center.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", required=True, help="What the study calls the hospital.")
def summary(file: Path, name: str) -> None:
    """Read FILE, which a hospital that keeps its patients wrote with `radmill score --package … --summary FILE`.

    It is checked, kept under deployment/summaries/, and shown beside the study's own hospitals. It has counts and
    figures and no row of a patient; counts below 5 are left out.
    """
    from pipelines.scoring.center_summary import read_summary

    workspace = Workspace.find()
    with workspace.lock("radmill center summary", name="deployment"):
        found = read_summary(workspace, file, name)
    area = found.performance.get("auc")
    told = {"scored": found.scored, "labelled": found.labelled, "AUC": None if area is None else round(area, 3)}
    shown = {key: "not told" if value is None else value for key, value in told.items()}
    print_facts({"center": name, "package": found.package[:12], **shown, "drift": _rung(found)})


def _rung(found: "CenterSummary") -> str:
    if not found.drift:
        return "no look yet"
    rang = [look.family for look in found.drift if look.rings]
    return f"seen in {', '.join(rang)}" if rang else "none seen"


@click.command()
@click.argument("name")
@click.option("--model", default="champion", help="The version to start from: a number, an alias, a model's name.")
@_why
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def recalibrate(name: str, model: str, why: str, as_json: bool) -> None:
    """Fit intercept and slope of a version on the labelled cases of hospital NAME, as a new version.

    The version in force stays as it is; the new one is registered and goes through the gates like any other. The
    hospital's labels are spent by it: its cases are left out of the new version's figures.
    """
    from pipelines.cards import write_cards
    from pipelines.params import load_params
    from pipelines.scoring.recalibrate import recalibrate as step

    workspace = Workspace.find()
    with workspace.lock("radmill recalibrate", name="deployment"):
        made = step(workspace, name, model, why)
    write_cards(workspace, load_params(workspace.params))
    told = made.told
    if as_json:
        click.echo(json.dumps({"version": made.version.number, "parent": made.parent.number, **vars(told)}, indent=2))
        return
    cases = f"{told.n} labelled cases of {name}, {told.events} with the outcome"
    ends = "" if made.slope.low is None else f" ({made.slope.low:.2f} to {made.slope.high:.2f})"
    fit = f"intercept {told.intercept:+.3f}, slope {told.slope:.3f}{ends}"
    parent = f"version {made.parent.number} ({made.parent.model})"
    print_facts({"version": made.version.number, "made from": parent, "fitted on": cases, "log odds": fit})
    if made.slope.low is not None and made.slope.low <= 0:
        click.echo("note: the slope's interval reaches 0: at this hospital the order may be chance", err=True)
    click.echo(f"Next: radmill promote {made.version.number}")
