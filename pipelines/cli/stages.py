"""The stage verbs. DVC calls them; people may too. They exit 0 when done: refused cases are rows of `qc`."""

import json
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import cast

import click

from featurestore.errors import RadmillError
from featurestore.files import write_json, write_text
from pipelines.cli.terminal import TerminalProgress, print_facts, print_table, tell
from pipelines.params import Params, load_params
from pipelines.runner import Progress, Runner
from pipelines.workspace import ROLES, Role, Workspace

Body = Callable[[Workspace, Params], object]
RoleStep = Callable[[Workspace, Params, Role, Runner, Progress], object]

role_argument = click.argument("role", type=click.Choice(ROLES))


@click.command()
def intake() -> None:
    """List, size and hash every file that the labelled centers sent.

    Later stages open only what is listed here, so a file that arrives while they run is taken next time and not lost.
    """
    from pipelines.imports.storing import verify_imports
    from pipelines.ingest.intake import intake as step

    def body(workspace: Workspace, params: Params) -> object:
        verify_imports(workspace, params.cohort)
        return step(workspace, params, TerminalProgress())

    _stage("intake", body)


@click.command()
@role_argument
def ingest(role: Role) -> None:
    """Read the ROLE centers' images, masks and clinical tables into cases and views.

    One bad case is one row of the qc table, with its reason and remedy; all others go on.
    """
    from pipelines.ingest.ingest import ingest as step

    _stage(f"ingest {role}", _case_by_case("ingest", step, role))


@click.command()
@role_argument
def extract(role: Role) -> None:
    """Compute the features of the ROLE cases; only cases that are new or changed are read."""
    from pipelines.execution.extract import extract as step

    _stage(f"extract {role}", _case_by_case("extract", step, role))


@click.command()
def gallery() -> None:
    """Write reports/gallery.html: every case's outline beside its quality control.

    Look through it before anything is trained. A case that should not count is put aside by a line in the table that
    `cohort.rejected` names; the page says how.
    """
    from pipelines.reporting.gallery import gallery as step

    _stage("gallery", lambda workspace, params: step(workspace, params, TerminalProgress()))


@click.command()
def validate() -> None:
    """Check the development tables; an error stops the run, a warning goes to the study page."""
    from pipelines.training.validate import validate as step

    _stage("validate", step)


@click.command()
def assemble() -> None:
    """Join labels and features into one frozen training set for each feature service."""
    from pipelines.training.assemble import assemble as step

    _stage("assemble", step)


@click.command()
@click.argument("model")
def tune(model: str) -> None:
    """Search the settings of MODEL by cross-validation inside the training patients, and fit it."""
    from pipelines.training.tune import tune as step

    _stage(f"tune {model}", lambda workspace, params: step(workspace, params, model, TerminalProgress()))


@click.command("train-deep")
@click.argument("model")
def train_deep(model: str) -> None:
    """Train the networks of MODEL: one for each fold to judge it by, and one on all training patients to keep.

    A run that was stopped goes on in the fold where it was.
    """
    from pipelines.training.train_deep import train_deep as step

    _stage(f"train-deep {model}", lambda workspace, params: step(workspace, params, model, TerminalProgress()))


@click.command()
@click.argument("fusion", required=False)
def fuse(fusion: str | None) -> None:
    """Make FUSION, or all fusions of params.yaml, from models that were made before."""
    from pipelines.training.fuse import fuse as step

    _stage("fuse", lambda workspace, params: step(workspace, params, fusion, TerminalProgress()))


@click.command()
@role_argument
def shuffle(role: Role) -> None:
    """Compute the features of the ROLE cases with the voxels of each region shuffled, for the negative controls."""
    from pipelines.training.control_stage import shuffle_voxels as step

    _stage(f"shuffle {role}", _case_by_case("shuffle", step, role))


@click.command()
def controls() -> None:
    """Search again where there is nothing to find: on shuffled labels, and on shuffled voxels.

    The best model by cross-validation is tried, of those with a search, or what `evaluation.controls.models` names.
    """
    from pipelines.training.control_stage import controls as step

    _stage("controls", lambda workspace, params: step(workspace, params, TerminalProgress()))


@click.command()
def evaluate() -> None:
    """Judge every model on training, internal and external patients."""
    from pipelines.evaluation.evaluate import evaluate as step

    _stage("evaluate", lambda workspace, params: step(workspace, params, TerminalProgress()))


@click.command()
@click.option(
    "--paper",
    type=click.Path(file_okay=True, path_type=Path),
    help="Write figures (300 dpi, PDF, SVG) and tables (CSV, Word, LaTeX) into this folder instead.",
)
def report(paper: Path | None) -> None:
    """Write the study page and the reporting checklists from the tables on disk."""
    if paper is not None:
        from pipelines.reporting.paper import write_paper

        workspace = Workspace.find()
        print_facts(asdict(write_paper(workspace, load_params(workspace.params), paper)))
        return
    from pipelines.reporting.report import report as step

    _stage("report", step)


def _stage(work: str, body: Body) -> None:
    from pipelines.study import stage_note

    workspace = Workspace.find()
    try:
        params = load_params(workspace.params)
        with workspace.lock(f"radmill {work}", name=work.replace(" ", "-")):
            summary = body(workspace, params)
    except RadmillError as error:
        write_text(stage_note(workspace), str(error.exit_code))
        raise
    if is_dataclass(summary) and not isinstance(summary, type):
        _show(work, asdict(summary))


def _case_by_case(work: str, step: RoleStep, role: Role) -> Body:
    """Returns a stage that workers share case by case, and whose cost a case is kept."""
    from pipelines.execution.cluster import open_runner

    def body(workspace: Workspace, params: Params) -> object:
        progress = TerminalProgress()
        with open_runner(params.cluster, workspace.root, tell) as runner:
            summary = step(workspace, params, role, runner, progress)
        record_cost(workspace, work, progress)
        return summary

    return body


def _show(work: str, summary: dict[str, object]) -> None:
    """Prints a stage's summary: what it says by center (or the like) as a table, the rest as facts."""
    tables = {name: value for name, value in summary.items() if _is_table(value)}
    for value in tables.values():
        rows = cast("dict[str, dict[str, object]]", value)
        print_table(
            work, [{"": name, **{key: _short(item) for key, item in row.items()}} for name, row in rows.items()]
        )
    facts = {name: _short(value) for name, value in summary.items() if name not in tables}
    print_facts({name: value for name, value in facts.items() if value not in (None, "")})


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(row, dict) for row in value.values())


def record_cost(workspace: Workspace, work: str, progress: TerminalProgress) -> None:
    """Keeps what a case cost on this machine, for `radmill status` to foretell the next run."""
    if progress.cost_s is None:
        return
    path = workspace.state / "costs.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    write_json(path, {**known, work: round(progress.cost_s, 4)})


def _short(value: object) -> object:
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in cast("dict[str, object]", value).items())
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return value
