"""Commands that show what the store declares and holds."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli.terminal import print_facts, print_table
from pipelines.params import Params, load_params
from pipelines.workspace import ROLES, Role, Workspace

if TYPE_CHECKING:
    import pandas as pd

    from featurestore.schemas import Column

NUMBERS = ("n", "missing", "mean", "sd", "median")


@click.command("list")
def list_views() -> None:
    """List entities, views with their rows and columns, and services."""
    from featurestore.store import Store
    from featurestore.tables import centers_of, read_schema, read_table

    workspace = Workspace.find()
    params = load_params(workspace.params)
    entities = [
        {"entity": "patient", "key": "center, case_id", "is": "a patient of a center, by pseudonym"},
        {"entity": "case", "key": "center, case_id, phase, roi, observer", "is": "one outlined region of one image"},
    ]
    print_table("Entities", entities)
    rows = []
    for name, root in sorted(Store(workspace.root).folders().items()):
        table = read_table(root, columns=["case_id"])
        rows.append(
            {
                "view": name,
                "rows": table.num_rows,
                "patients": table.group_by(["center", "case_id"]).aggregate([]).num_rows,
                "columns": len(read_schema(root).names),
                "centers": ", ".join(centers_of(root)),
                "made with": _made_with(root, name.split("/")[1], params),
            }
        )
    print_table("Views", rows)
    print_table("Services", _service_rows(workspace, params))


@click.command("describe")
@click.argument("view")
@click.argument("feature", required=False)
@click.option("--columns", "pattern", default="", help="Show only columns whose name contains this.")
@click.option("--role", type=click.Choice(ROLES), default="development", show_default=True)
def describe(view: str, feature: str | None, pattern: str, role: Role) -> None:
    """Show the columns of VIEW with unit, code (IBSI), numbers and a small histogram over the patients.

    With FEATURE, that one column: quantiles by center and phase, and its histogram. `radiomics` shows the catalog of
    the features that params.yaml asks for, even before anything was computed.
    """
    from pipelines.stored_views import view_frame

    workspace = Workspace.find()
    params = load_params(workspace.params)
    declared = _declared(workspace, params, role, view)
    frame = view_frame(workspace, params, role, view)
    if feature is not None:
        _describe_one(frame, feature, {column.name: column for column in declared})
        return
    numbers = _numbers(frame, [column.name for column in declared])
    rows = [
        {
            "column": column.name,
            "unit": column.unit,
            "code": column.code,
            **numbers.get(column.name, dict.fromkeys((*NUMBERS, "histogram"))),
            "description": column.description,
        }
        for column in declared
        if pattern in column.name
    ]
    print_table(f"View {view}: {len(rows)} columns", rows)


def _made_with(root: Path, view: str, params: Params) -> str:
    from featurestore.fingerprints import digest
    from featurestore.tables import read_notes

    notes = {digest(told): told for told in read_notes(root).values() if told}
    if not notes:
        return params.imported[view].source if view in params.imported else ""
    told = [
        f"{n.get('source') or 'engine ' + n.get('engine', '?')}"
        f"{', feature set ' + n['feature_set'] if 'feature_set' in n else ''} ({mark[:8]})"
        for mark, n in notes.items()
    ]
    return "; ".join(told)


def _service_rows(workspace: Workspace, params: Params) -> list[dict[str, object]]:
    from pipelines.stored_views import service_centers, service_of

    rows: list[dict[str, object]] = []
    for name in params.services:
        service = service_of(params, name)
        record = workspace.training(name) / "record.json"
        rows.append(
            {
                "service": name,
                "takes": "; ".join(f"{p.view}: {', '.join(p.phases)} {p.pattern}" for p in service.parts),
                "centers": ", ".join(service_centers(params, name)),
                "frozen": "yes" if record.is_file() else "not yet",
                "models": ", ".join(m for m in params.all_models() if params.service_of_model(m) == name),
            }
        )
    return rows


def _declared(workspace: Workspace, params: Params, role: Role, view: str) -> tuple["Column", ...]:
    from featurestore.schemas import Column
    from pipelines.stored_views import view_columns, view_frame

    if view == "clinical":
        frame = view_frame(workspace, params, role, view)
        return tuple(Column(name=str(name)) for name in frame.columns[5:])
    if found := view_columns(workspace, params, role, view):
        return found
    if view == "radiomics":
        from pipelines.radiomics.catalog import columns_of_phases
        from pipelines.radiomics.settings import settings_by_phase

        return columns_of_phases(settings_by_phase(params.extraction, list(params.phases), workspace.root).values())
    raise click.UsageError(f"there is no view '{view}' yet; `radmill features list` shows those there are")


def _numbers(frame: "pd.DataFrame", names: list[str]) -> dict[str, dict[str, object]]:
    import numpy as np

    from featurestore.histograms import sparkline
    from featurestore.statistics import describe as statistics

    numeric = [name for name in names if name in frame.columns and frame[name].dtype.kind in "fi"]
    if not numeric:
        return {}
    table = statistics(frame, numeric).set_index("column")
    found = {
        str(name): {str(k): v for k, v in row.items()} for name, row in table[list(NUMBERS)].to_dict("index").items()
    }
    return {name: {**row, "histogram": sparkline(frame[name].to_numpy(np.float64))} for name, row in found.items()}


def _describe_one(frame: "pd.DataFrame", feature: str, declared: dict[str, "Column"]) -> None:
    import numpy as np

    from featurestore.histograms import lines
    from featurestore.statistics import describe as statistics

    column = declared.get(feature)
    if column is None and feature not in frame:
        raise click.UsageError(f"there is no column '{feature}'; the same command without it lists the columns")
    if column is not None:
        print_facts(
            {
                "column": feature,
                "unit": column.unit,
                "code": column.code,
                "is": column.description,
                "formula": column.source,
            }
        )
    if feature not in frame:
        return
    rows = statistics(frame, [feature], by=("phase", "center")).drop(columns="column").to_dict("records")
    print_table("By phase and center", [{str(k): v for k, v in row.items()} for row in rows])
    for phase, part in frame.groupby("phase", sort=True):
        click.echo(f"\n{phase}")
        for line in lines(part[feature].to_numpy(np.float64)):
            click.echo(f"  {line}")
