"""Scoring of new hospitals: in a study, or anywhere with a package that came as a file."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featurestore.errors import LockedError
from pipelines.cli.terminal import TerminalProgress, print_facts, print_table, tell
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from pipelines.scoring.results import ScoreSummary
    from pipelines.scoring.runs import RunRecord

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option(
    "--quiet", is_flag=True, help="For schedules: speak only when there is something new, leave a busy study."
)
@click.option("--pages", is_flag=True, help="Score nothing; make deployment/pages/ anew.")
@click.option("--package", type=_file, help="A package in one file (`radmill export`): scores outside any study.")
@click.option("--images", type=click.Path(file_okay=False, path_type=Path), help="The hospital's files.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The table of scores (CSV).")
@click.option("--digest", help="The package's digest as its makers told it.")
@click.option("--verify-key", type=_file, help="Its makers' public Ed25519 key (PEM).")
@click.option("--unverified", is_flag=True, help="Believe the file as it is; every score says so.")
@click.option("--rules", type=_file, help="The house's names: phases, roi, clinical (YAML).")
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), help="Kept between runs; default OUT.work.")
@click.option("--with-ids", is_flag=True, help="Add the hospital's own patient_id: the table then identifies people.")
@click.option(
    "--summary", type=click.Path(dir_okay=False, path_type=Path), help="Write counts and figures, no patient."
)
def score(as_json: bool, quiet: bool, pages: bool, package: Path | None, **options: Any) -> None:
    """Score the new or changed cases in incoming/<center>/ with the champion, once each.

    The champion's own package says how images are read, which features are computed and with which settings. A second
    run adds nothing but its line in deployment/runs.jsonl. A case that is not complete or not still yet waits. Exit 1:
    some cases were refused; the hospital's page under deployment/pages/ says why.

    With --package, --images and --out it needs no study: one hospital's folder, laid out as a center's, is scored the
    same way under the package's rules. --rules FILE has, as far as the house differs:
    `phases: {PHASE: PATTERN}`, `roi: {pattern: …, number: …, label: …}`, `clinical: {COLUMN: HOUSE COLUMN}`.
    """
    if package is not None:
        if pages:
            raise click.UsageError("--pages is about a study and does not go with --package")
        _score_carried(package, as_json, options)
        return
    given = [name for name, value in options.items() if value]
    if given:
        raise click.UsageError(f"--{given[0].replace('_', '-')} goes with --package")
    if pages:
        _pages_alone(as_json)
        return
    _score_study(as_json, quiet)


def _pages_alone(as_json: bool) -> None:
    from pipelines.params import load_operation
    from pipelines.reporting.hospital import hospital_pages

    workspace = Workspace.find()
    with workspace.lock("radmill score --pages", name="deployment"):
        made = hospital_pages(workspace, load_operation(workspace.params).scoring, anew=True)
    if as_json:
        click.echo(json.dumps(asdict(made), indent=2))
    else:
        click.echo(f"{len(made.written)} pages made: {made.index}")


def _score_study(as_json: bool, quiet: bool) -> None:
    from pipelines.scoring.announced import untold
    from pipelines.scoring.runs import append_record, skipped_run

    workspace = Workspace.find()
    try:
        with workspace.lock("radmill score", name="deployment"):
            record, summary = _announced(workspace, quiet)
            page = _paged(workspace)
    except LockedError as busy:
        if not quiet:
            raise
        append_record(workspace, skipped_run(busy.what))
        click.echo(f"{busy.what}; the cases are left to it", err=True)
        return
    if as_json:
        click.echo(json.dumps(asdict(summary), indent=2))
    elif not quiet or summary.has_news:
        _show(summary, f"{record.end}: " if quiet else "", page)
    for line in untold(record):
        click.echo(line, err=True)
    if not summary.is_clean:
        raise click.exceptions.Exit(1)


def _announced(workspace: Workspace, quiet: bool) -> "tuple[RunRecord, ScoreSummary]":
    """Scores and returns the run's record, with all that was told of it, and its summary."""
    from pipelines.execution.cluster import open_runner
    from pipelines.runner import Silent
    from pipelines.scoring.announced import announced_run
    from pipelines.scoring.score import score as step

    with announced_run(workspace) as own:
        operation = own.operation
        with open_runner(operation.cluster, workspace.root, tell) as runner:
            summary = step(workspace, operation.scoring, runner, Silent() if quiet else TerminalProgress())
        own.run.summary = summary
    return own.record, summary


def _paged(workspace: Workspace) -> str:
    """Makes the pages that changed; the scores are written, so what goes wrong here is told and no more."""
    from pipelines.params import load_operation
    from pipelines.reporting.hospital import hospital_pages
    from pipelines.scoring.in_force import problem_of

    try:
        return hospital_pages(workspace, load_operation(workspace.params).scoring).index
    except Exception as error:
        click.echo(f"the pages were not made: {problem_of(error)}\n  remedy: radmill score --pages", err=True)
        return ""


def _show(summary: "ScoreSummary", lead: str, page: str) -> None:
    rows = [center.plain() for center in summary.centers]
    print_table(f"{lead}Incoming hospitals, scored by version {summary.version} ({summary.model})", rows)
    if shadow := summary.shadow_rows():
        print_table("In shadow, compared only and never acted upon", shadow)
        print_table("Beside the champion", summary.comparison_rows())
    if waiting := summary.waiting_rows():
        print_table("Waiting for the rest; scored by a run after it has come", waiting)
    for note in summary.notes:
        click.echo(f"note: {note}", err=True)
    for alarm in summary.alarms:
        click.echo(f"alarm: {alarm.center}: {alarm.message}", err=True)
    for center in summary.centers:
        click.echo(f"scores of {center.center}: deployment/centers/{center.center}/scores.csv")
    if page:
        click.echo(f"all of them: {page}")


def _score_carried(package: Path, as_json: bool, options: dict[str, Any]) -> None:
    from pipelines.execution.cluster import open_runner
    from pipelines.params.operation import ClusterSection
    from pipelines.scoring.carried import score_carried, trusted
    from pipelines.scoring.house import read_house_rules

    images, out = options["images"], options["out"]
    if images is None or out is None:
        raise click.UsageError("--package needs --images DIR and --out FILE")
    believed = trusted(package, options["digest"], options["verify_key"], unverified=options["unverified"])
    house = read_house_rules(options["rules"])
    work = options["work"] or out.with_name(f"{out.name}.work")
    with open_runner(ClusterSection()) as runner:
        found = score_carried(
            believed,
            images,
            out,
            work,
            runner,
            TerminalProgress(),
            house=house,
            with_ids=options["with_ids"],
            summary=options["summary"],
        )
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
    else:
        row = {name: value for name, value in found.result.plain().items() if name not in ("center", "problem")}
        print_facts(
            {"package": found.package, "trust": found.trust, "table": f"{out.name}, {found.n_rows} rows", **row}
        )
    for alarm in found.result.alarms:
        click.echo(f"alarm: {alarm.message}", err=True)
    if found.result.refused:
        click.echo(f"Why cases were not scored: {work.name}/deployment/centers/*/rules/*/views/qc", err=True)
        raise click.exceptions.Exit(1)
