"""Commands on the store as a whole: what a run would do, how views changed, and ways to read them."""

import json
from pathlib import Path

import click

from pipelines.cli.terminal import TerminalProgress, print_facts, print_table
from pipelines.params import load_params
from pipelines.workspace import ROLES, Role, Workspace

role_option = click.option("--role", type=click.Choice(ROLES), default="development", show_default=True)
json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")
N_SHOWN = 12


@click.command()
@json_option
def plan(as_json: bool) -> None:
    """Show what `radmill run` would add, recompute, drop or leave, before anything runs.

    Files are listed as the run would, and hashed where they are new; no image is read and no table written.
    """
    from pipelines.plan import plan as step

    workspace = Workspace.find()
    found = step(workspace, load_params(workspace.params), TerminalProgress())
    if as_json:
        click.echo(json.dumps(found.plain(), indent=2))
        return
    rows = [{"role": role, "center": c, **vars(own)} for role, all_ in found.centers.items() for c, own in all_.items()]
    print_table("A run would: cases read, kept, removed; regions computed, reused, dropped", rows)
    minutes = "not known before the first run" if found.minutes is None else f"about {found.minutes:.1f} min"
    print_facts(
        {
            "columns added": _listed(found.columns_added),
            "columns dropped": _listed(found.columns_dropped),
            "feature set": found.feature_set,
            "time": minutes,
            "disk": f"{found.disk_mb:+.1f} MB",
        }
    )
    for note in found.notes:
        click.echo(f"- {note}")


@click.command()
@click.argument("view")
@click.option("--rev", default="HEAD", show_default=True, help="A commit, branch or tag of the study.")
@role_option
@json_option
def diff(view: str, rev: str, role: Role, as_json: bool) -> None:
    """Compare VIEW as it is now with itself at a commit: rows, columns, values, settings."""
    from pipelines.comparing import compare

    workspace = Workspace.find()
    found = compare(workspace, load_params(workspace.params), view, role, rev)
    if as_json:
        click.echo(json.dumps(found.plain(), indent=2))
        return
    print_facts(
        {
            "rows added": _counted(found.added),
            "rows removed": _counted(found.removed),
            "rows changed": found.changed,
            "rows the same": found.same,
            "columns added": _listed(found.columns_added),
            "columns removed": _listed(found.columns_removed),
        }
    )
    if found.made:
        print_table("Made with", [{"setting": key, rev: old, "now": new} for key, old, new in found.made])
    if found.columns:
        print_table(f"Most changed of {len(found.columns)} columns", [vars(c) for c in found.columns[:N_SHOWN]])


@click.command()
@click.argument("view")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--csv", "is_csv", is_flag=True, default=True, help="CSV in PyRadiomics's layout, the one form there is.")
@role_option
def export(view: str, file: Path, is_csv: bool, role: Role) -> None:
    """Write VIEW to FILE as CSV in PyRadiomics's own layout, with every digit."""
    from pipelines.exporting import export_csv

    workspace = Workspace.find()
    n = export_csv(workspace, load_params(workspace.params), view, role, file)
    click.echo(f"{n} rows written.")


@click.command()
@click.argument("url")
@click.argument("views", nargs=-1)
@click.option("--endpoint-url", help="S3: the address of the server, where it is not Amazon's.")
def publish(url: str, views: tuple[str, ...], endpoint_url: str | None) -> None:
    """Put tables into an object store such as s3://bucket/study, as one new version that appears at once.

    VIEWS are names as `radmill features list` shows them (development/radiomics); all feature views when left out.
    Labels of external centers are never published.
    """
    from featurestore.object_tables import ObjectTables
    from featurestore.store import Store

    folders = Store(Workspace.find().root).folders()
    chosen = {name: root for name, root in folders.items() if name in views or not views}
    if missing := sorted(set(views) - set(chosen)):
        raise click.UsageError(f"no table {', '.join(missing)}; there are {', '.join(folders)}")
    options = {"endpoint_url": endpoint_url} if endpoint_url else {}
    version = ObjectTables(url, **options).publish(chosen)
    click.echo(f"version {version}: {', '.join(chosen)}")


@click.command()
@click.argument("text")
@click.option("--csv", "as_csv", is_flag=True, help="CSV instead of a table.")
@json_option
def sql(text: str, as_csv: bool, as_json: bool) -> None:
    """Ask the tables in SQL (DuckDB): radmill features sql "SELECT center, count(*) FROM development.radiomics …"."""
    from featurestore.sheets import csv_frame
    from featurestore.sql import query
    from featurestore.store import Store

    frame = query(Store(Workspace.find().root), text)
    if as_json:
        click.echo(frame.to_json(orient="records", indent=2))
    elif as_csv:
        click.echo(csv_frame(frame), nl=False)
    else:
        print_table(f"{len(frame)} rows", [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")])


def _listed(names: list[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - N_SHOWN} more" if len(names) > N_SHOWN else ""
    return f"{len(names)}: {', '.join(names[:N_SHOWN])}{more}"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{center} {n}" for center, n in counts.items()) or "none"
