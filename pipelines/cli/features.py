"""Commands about features: of one case, and of the store."""

from pathlib import Path

import click

from featurestore.fingerprints import canonical_json
from pipelines.cli import LazyGroup

CLASSES: dict[str, list[str]] = {
    name: [] for name in ("shape", "firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm")
}
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


SUBCOMMANDS: dict[str, tuple[str, str, str]] = {
    # name: (module, function, one line)
    "list": ("views", "list_views", "List entities, views and services."),
    "describe": ("views", "describe", "Show a view's columns with unit, code and numbers; one feature as a histogram."),
    "plan": ("store", "plan", "Show what a run would add, recompute, drop or leave, before it does."),
    "diff": ("store", "diff", "Compare a view with an earlier version of itself."),
    "import": ("imports", "import_features", "Take in a table of features made elsewhere."),
    "export": ("store", "export", "Write a view as CSV in PyRadiomics's layout."),
    "publish": ("store", "publish", "Put views into an object store, as one version."),
    "sql": ("store", "sql", "Ask the tables in SQL."),
}


@click.group(cls=LazyGroup, lazy=SUBCOMMANDS)
def features() -> None:
    """The feature store: what views there are, and what is in them."""
