"""Commands about features: of one case, and of the store."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featurestore.fingerprints import canonical_json
from pipelines.cli.lineage import trace
from pipelines.cli.screening import validate
from pipelines.cli.terminal import print_table
from pipelines.workspace import ROLES, Workspace

if TYPE_CHECKING:
    from featurestore.schemas import Column

CLASSES: dict[str, list[str]] = {
    name: [] for name in ("shape", "firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm")
}
NUMBERS = ("n", "missing", "mean", "sd")
DEFAULT_SETTINGS: dict[str, object] = {"imageType": {"Original": {}}, "featureClass": CLASSES}


@click.command()
@click.argument("image", type=click.Path(exists=True, path_type=Path))
@click.argument("mask", type=click.Path(exists=True, path_type=Path))
@click.option("--settings", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PyRadiomics YAML file.")
@click.option("--engine", default="fast", show_default=True, type=click.Choice(["fast", "pyradiomics"]))
@click.option("--label", type=int, help="The region's value in the mask; that of the settings when left out.")
@click.option("--roi", default=".*", show_default=True, help="DICOM: a pattern on the ROI's or segment's name.")
def compute(image: Path, mask: Path, settings: Path | None, engine: str, label: int | None, roi: str) -> None:
    """Print the features of one IMAGE and MASK as JSON.

    IMAGE is a NIfTI or NRRD file or a folder with a DICOM series; MASK is a file of the same kinds, or an RTSTRUCT or
    DICOM-SEG file. Without --settings all features of the original image are computed with PyRadiomics's defaults.
    """
    from pipelines.pairs import read_pair
    from pipelines.radiomics.compute import compute as step

    picture, outline = read_pair(image, mask, roi)
    result = step(picture, outline, settings or DEFAULT_SETTINGS, engine, label)
    click.echo(canonical_json(result, indent=2).decode())


@click.group()
def features() -> None:
    """The feature store: what views there are, and what is in them."""


features.add_command(trace)
features.add_command(validate)


@features.command("list")
def list_views() -> None:
    """List the views with their rows and columns."""
    from featurestore.tables import centers_of, read_schema, read_table

    workspace = Workspace.find()
    rows = []
    for role in ROLES:
        parents = (workspace.view(role, "cases").parent, workspace.features(role).parent)
        for root in sorted(path for parent in parents for path in parent.glob("*") if centers_of(path)):
            table = read_table(root, columns=["case_id"])
            rows.append(
                {
                    "view": root.name,
                    "role": role,
                    "rows": table.num_rows,
                    "patients": table.group_by(["center", "case_id"]).aggregate([]).num_rows,
                    "columns": len(read_schema(root).names),
                    "centers": ", ".join(centers_of(root)),
                }
            )
    print_table("Views", rows)


@features.command("describe")
@click.argument("view")
@click.option("--columns", "pattern", default="", help="Show only columns whose name contains this.")
def describe(view: str, pattern: str) -> None:
    """Show the columns of VIEW with unit, IBSI code and numbers over the development patients.

    `radiomics` shows the catalog of the features that params.yaml asks for, even before anything was computed.
    """
    workspace = Workspace.find()
    root = _root(workspace, view)
    declared = _declared(workspace, view, root)
    numbers = _numbers(root, [column.name for column in declared])
    rows = [
        {
            "column": column.name,
            "unit": column.unit,
            "code": column.code,
            **numbers.get(column.name, dict.fromkeys(NUMBERS)),
            "description": column.description,
        }
        for column in declared
        if pattern in column.name
    ]
    print_table(f"View {view}: {len(rows)} columns", rows)


def _root(workspace: Workspace, view: str) -> Path:
    candidates = (workspace.features("development", view), workspace.view("development", view))
    return next((root for root in candidates if root.is_dir()), candidates[0])


def _declared(workspace: Workspace, view: str, root: Path) -> tuple["Column", ...]:
    from featurestore.schemas import columns_of
    from featurestore.tables import centers_of, read_schema

    if centers_of(root):
        return columns_of(read_schema(root))
    if view == "radiomics":
        from pipelines.params import load_params
        from pipelines.radiomics.catalog import columns_of_phases
        from pipelines.radiomics.settings import settings_by_phase

        params = load_params(workspace.params)
        settings = settings_by_phase(params.extraction, list(params.phases), workspace.root)
        return columns_of_phases(settings.values())
    raise click.UsageError(f"there is no view {view} yet; `radmill features list` shows those there are")


def _numbers(root: Path, names: list[str]) -> dict[str, dict[Any, object]]:
    from featurestore.statistics import describe as statistics
    from featurestore.tables import read_frame

    frame = read_frame(root)
    numeric = [name for name in names if name in frame.columns and frame[name].dtype.kind in "fi"]
    if not numeric:
        return {}
    table = statistics(frame, numeric).set_index("column")
    return {str(name): row for name, row in table[list(NUMBERS)].to_dict("index").items()}
