"""Scoring by itself: prints or installs what starts `radmill score` at set times."""

from collections.abc import Callable
from typing import Any

import click

from pipelines.workspace import Workspace

KINDS = ("systemd", "cron", "kubernetes")

_kind = click.option("--kind", type=click.Choice(KINDS), help="Default: systemd where it answers, else cron.")
_every = click.option("--every", help="Such as 5m, 15m, 1h, 6h or 24h; 1h when neither is given.")
_at = click.option("--at", multiple=True, help="A time of day such as 02:30; can be repeated.")


@click.group()
def schedule() -> None:
    """Score new cases at set times: with systemd, cron or Kubernetes.

    Each run scores what is complete and still, writes a line into deployment/runs.jsonl, and says nothing when there is
    nothing new. `radmill status` shows the last one.
    """


@schedule.command("print")
@_kind
@_every
@_at
@click.option("--image", default="", help="Kubernetes: the image with radmill in it; default radmill:VERSION.")
@click.option("--claim", default="", help="Kubernetes: the volume claim that holds the study.")
def print_(kind: str | None, image: str, claim: str, every: str | None, at: tuple[str, ...]) -> None:
    """Print the lines or units for this study, with the paths of the radmill in use."""
    found = _schedule(every, at)
    kind = kind or _default()
    if kind == "kubernetes":
        click.echo(found.cronjob(image, claim), nl=False)
        click.echo("Next: check image and claim, then kubectl apply -f FILE. Not tried on a cluster.", err=True)
    elif kind == "cron":
        click.echo(found.crontab(), nl=False)
        click.echo("Next: `radmill schedule install --kind cron`, or paste them after `crontab -e`.", err=True)
    else:
        for name, text in found.units().items():
            click.echo(f"# ---- {name}\n{text}")
        click.echo("Next: `radmill schedule install --kind systemd`.", err=True)


@schedule.command()
@_kind
@_every
@_at
@click.option("--remove", is_flag=True, help="Take it out again.")
def install(kind: str | None, every: str | None, at: tuple[str, ...], remove: bool) -> None:
    """Install the schedule for the user who calls this; needs no root. Once more with other times replaces it."""
    from pipelines.scoring import schedule_install as places

    kind = kind or _default()
    if kind == "kubernetes":
        raise click.UsageError(
            "radmill writes to no cluster: `radmill schedule print --kind kubernetes > score.yaml`, look at it, "
            "then kubectl apply -f score.yaml"
        )
    work: dict[tuple[str, bool], Callable[[Any], list[str]]] = {
        ("systemd", False): places.install_units,
        ("systemd", True): places.remove_units,
        ("cron", False): places.install_lines,
        ("cron", True): places.remove_lines,
    }
    for line in work[kind, remove](_schedule(every, at)):
        click.echo(line)
    if not remove:
        _warn_of_haste()
        click.echo("Next: what a run did stands in `radmill status` and deployment/runs.jsonl.")


def _warn_of_haste() -> None:
    from pipelines.params import load_operation

    if load_operation(Workspace.find().params).scoring.quiet_s == 0:
        click.echo("Mind: scoring.quiet_s is 0, so a case may be taken while its files still arrive; 300 is safe.")


def _schedule(every: str | None, at: tuple[str, ...]) -> Any:
    from pipelines.scoring.schedule import Schedule, Timing

    return Schedule.of(Workspace.find().root, Timing.parse(every, at))


def _default() -> str:
    from pipelines.scoring.schedule_install import systemd_answers

    return "systemd" if systemd_answers() else "cron"
