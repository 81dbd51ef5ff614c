"""The command that takes in tables of features made elsewhere."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.terminal import print_facts, print_table
from pipelines.workspace import ROLES, Workspace

if TYPE_CHECKING:
    from pipelines.imports.importing import ImportSummary


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--view", required=True, help="The view's name in params.yaml.")
@click.option("--id", "id_column", required=True, help="The column that names patients.")
@click.option("--id-pattern", help="What of the cell is the identifier, such as '^(\\w+-\\d+)'; all when left out.")
@click.option("--center-column", help="The column that names centers; or")
@click.option("--center", help="the one center of all rows.")
@click.option("--label", help="The column of the outcome, read by `label` of params.yaml.")
@click.option("--role", type=click.Choice(ROLES), help="Declare centers that are new in this role.")
@click.option("--phase", help="The phase or modality of all rows; the view's name when left out.")
@click.option("--phase-column", help="The column that names phases.")
@click.option("--phase-prefix", "phase_prefixes", multiple=True, help="A beginning of column names; once a phase.")
@click.option("--columns", default=".*", help="Only features whose name matches this pattern.")
@click.option("--drop", help="Not the columns whose name matches this pattern, such as another model's output.")
@click.option("--text", "texts", multiple=True, help="Keep this text column to describe rows; no model sees it.")
@click.option("--missing", multiple=True, help="A cell that stands for no value, such as '#NAME?'.")
@click.option("--largest", help="Several lesions: the column (a volume) whose largest value says which one counts.")
@click.option("--sheet", help="Excel: which sheet; the first when left out.")
@click.option("--source", default="", help="Tool and version, where the table does not say.")
@click.option("--describes", is_flag=True, help="The numbers only describe (acquisition, say): no service is declared.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def import_features(file: Path, center: str | None, as_json: bool, describes: bool, **options: Any) -> None:
    """Take in a table of features made elsewhere: CSV, TSV, Parquet or Excel.

    Identifiers become pseudonyms under the center's key, as with images. Everything is checked before anything is
    written, and what is left out is named. The view is declared in params.yaml, so that the stages read it.

    \b
    radmill features import HarvardRT.csv --view ct --id id --center harvard --role development --label surv2yr
    radmill features import kits.csv --view ct --id ID --center kits --label Target --phase-prefix arterial_
    """  # noqa: D301  click reads the character
    from pipelines.imports.importing import ImportRequest, import_table

    if (center is None) == (options["center_column"] is None):
        raise click.UsageError("say either --center or --center-column")
    if sum(map(bool, (options["phase"], options["phase_column"], options["phase_prefixes"]))) > 1:
        raise click.UsageError("say one of --phase, --phase-column and --phase-prefix")
    workspace = Workspace.find()
    request = ImportRequest(center=center, is_for_models=not describes, **options)
    with workspace.lock("radmill features import"):
        summary = import_table(workspace, file, request)
    if as_json:
        click.echo(json.dumps(asdict(summary), indent=2, ensure_ascii=False))
    else:
        show_import(request.view, summary)


def show_import(view: str, summary: "ImportSummary") -> None:
    """Prints what an import did."""
    rows = [{"center": center, **counts} for center, counts in summary.centers.items()]
    print_table(f"View {view}: {summary.features} features", rows)
    if summary.remarks:
        print_table("Rows", summary.remarks)
    left = {f"left out: {reason}": _listed(names) for reason, names in summary.left_out.items()}
    constant = {"constant (models leave them out)": _listed(summary.constant)} if summary.constant else {}
    declared = {"added to params.yaml": ", ".join(summary.declared)} if summary.declared else {}
    print_facts({**left, **constant, **declared})
    for note in summary.notes:
        click.echo(f"- {note}")


def _listed(names: list[str], n: int = 5) -> str:
    more = f" and {len(names) - n} more" if len(names) > n else ""
    return f"{len(names)}: {', '.join(names[:n])}{more}"
