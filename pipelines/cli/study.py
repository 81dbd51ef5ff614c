"""Commands about a whole study and about this machine."""

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.terminal import TerminalProgress, print_facts, print_table
from pipelines.params import edit_params, load_params
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from pipelines.doctor import Finding
    from pipelines.status import Status

PRESETS = ("her2-bladder",)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--demo", is_flag=True, help="Fill the study with synthetic centers written as real hospital files.")
@click.option("--tables", is_flag=True, help="For tables of features made elsewhere: settings without images.")
@click.option(
    "--preset",
    type=click.Choice(PRESETS),
    help="Settings of a published kind of study, for own data: radiomics by phase, networks, a clinical "
    "model, fusions.",
)
@click.option(
    "--from-data",
    "data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Look at this folder (one sub-folder a center, or one center) and propose the settings.",
)
@click.option("--copy", is_flag=True, help="Copy the centers' files into data/raw instead of linking to them.")
@click.option("--external", multiple=True, metavar="CENTER", help="A center kept for validation; repeat for more.")
@click.option("--phase", "phases", multiple=True, metavar="NAME[=PATTERN]", help="A phase to use; repeat for more.")
@click.option("--label", metavar="COLUMN", help="The outcome's column in clinical.csv.")
@click.option("--positive", multiple=True, metavar="VALUE", help="A positive value of the label; repeat for more.")
@click.option("--negative", multiple=True, metavar="VALUE", help="A negative one; all others when left out.")
@click.option("--clinical", multiple=True, metavar="COLUMN", help="A clinical column to read; repeat, or `none`.")
@click.option("--roi", metavar="PATTERN", help="Regular expression on the names of the outlined region.")
@click.option("--observer", metavar="NAME", help="Whose outlines features come from, or majority, or staple.")
@click.option("--yes", is_flag=True, help="Ask nothing: take what is proposed where no option says otherwise.")
@click.option("--patients", default=40, show_default=True, help="Demo: patients a center.")
@click.option("--effect", default=1.0, show_default=True, help="Demo: strength of the true effect; 0 plants none.")
@click.option("--seed", default=20240501, show_default=True, help="Demo: seed of all that is drawn.")
@click.option("--deliveries", default=1, show_default=True, help="Demo: in how many the new hospital's files come.")
def init(folder: Path, demo: bool, tables: bool, preset: str | None, **more: Any) -> None:
    """Make a study in FOLDER: settings, stage graph, git and DVC.

    In a terminal it asks where the data lie, looks at names and headers, shows which centers, phases, regions and
    columns it found, and asks for the label. With --from-data and --yes it does the same for scripts. Nothing is
    written before all answers are there.

    \b
    radmill init my-study
    radmill init my-study --from-data /data/hospitals --external west --label her2 --positive "2+" --positive "3+"
    """  # noqa: D301  click reads the character
    if sum((demo, tables, preset is not None, more["data"] is not None)) > 1:
        raise click.UsageError("take one of --demo, --tables, --preset and --from-data")
    drawn = {name: more.pop(name) for name in ("patients", "effect", "seed", "deliveries")}
    is_bare = not (demo or tables or preset)
    if is_bare and _begin(folder, asks=not more.pop("yes"), given=more):
        return
    _init_from_template(folder, demo, tables, preset, drawn)


def _begin(folder: Path, *, asks: bool, given: dict[str, Any]) -> bool:
    """Makes a study of data that are there; returns whether it did."""
    from pipelines.cli.beginning import Given, begin, is_terminal

    asks = asks and is_terminal()
    told = sorted(name for name, value in given.items() if value and name != "data")
    if given["data"] is None and not asks:
        if told:
            raise click.UsageError("these options say something about data: add --from-data FOLDER")
        return False
    workspace = begin(folder, Given(**given), asking=asks)
    if workspace is None:
        return False
    _show_status(workspace)
    click.echo(f"\nA study is in {folder}; read its params.yaml through once.")
    click.echo(f"Next: cd {folder} && radmill run gallery (every outline, to look at), then radmill run")
    return True


def _init_from_template(folder: Path, demo: bool, tables: bool, preset: str | None, drawn: dict[str, Any]) -> None:
    from pipelines.study import init_study

    settings = f"{preset}.yaml" if preset else "tables.yaml" if tables else "params.yaml"
    workspace = init_study(folder, settings)
    if demo:
        from pipelines.demo import write_demo

        write_demo(workspace.root, **drawn, progress=TerminalProgress())
    click.echo(f"A study is in {folder}.")
    if demo:
        click.echo(f"Next: cd {folder} && radmill status && radmill run")
    elif tables:
        click.echo(f"Next: cd {folder} && radmill features import --help")
    else:
        click.echo(f"Next: put files into {folder}/data/raw/<center>, edit {folder}/params.yaml, then `radmill status`")


@click.command()
@click.argument("stage", required=False)
def run(stage: str | None) -> None:
    """Bring the study up to date: `dvc repro`, with keys made first and the MLflow window filled after.

    STAGE stops there, as with `dvc repro STAGE`: intake, ingest@development, extract@external, tune@MODEL, evaluate …

    Exit 1 means that the work on some cases failed for a reason that may be gone: memory, disk, a dead worker.
    """
    from pipelines.ingest.pseudonyms import ensure_keys
    from pipelines.study import reproduce, stages_with_failures, uncommitted
    from pipelines.unfinished import noted

    workspace = Workspace.find()
    with workspace.lock("radmill run"), noted(workspace):
        params = load_params(workspace.params)
        ensure_keys(workspace, params)
        params = load_params(workspace.params)
        reproduce(workspace, params, stage)
        if stage is None:
            from pipelines.window import refresh_window

            refresh_window(workspace, params)
    _tell_pages(workspace, stage)
    if uncommitted(workspace):
        click.echo('To be able to come back to this state: git add . && git commit -m "…" (and dvc push)')
    if failed := stages_with_failures(workspace):
        click.echo(
            f"radmill: the work on some cases failed in {', '.join(failed)}; `radmill status` names them", err=True
        )
        click.echo("  remedy: see to memory, disk and workers, and run again: these cases are tried anew", err=True)
        sys.exit(1)


def _tell_pages(workspace: Workspace, stage: str | None) -> None:
    """Names the pages that a run has made; of one that stopped at a stage only those that are there."""
    click.echo("Up to date." if stage is None else f"Up to date as far as {stage}; `radmill run` does the rest.")
    told = {"study": "the study page", "gallery": "every outline, to look through", "checklists": "what to report"}
    pages = [f"{what}: reports/{name}.html" for name, what in told.items() if _page(workspace, name)]
    if pages:
        click.echo("; ".join(pages))


def _page(workspace: Workspace, name: str) -> bool:
    return (workspace.reports / f"{name}.html").is_file()


@click.command()
@click.option("--check", is_flag=True, help="Exit 1 when a case was refused or failed.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(check: bool, as_json: bool) -> None:
    """Show what was sent, what is there, what a run would meet, and which model is in force."""
    from pipelines.status import study_status

    workspace = Workspace.find()
    state = study_status(workspace, load_params(workspace.params))
    if as_json:
        click.echo(json.dumps(state.plain(), indent=2))
    else:
        _print_status(state)
    sys.exit(1 if check and state.n_refused else 0)


def _show_status(workspace: Workspace) -> None:
    from pipelines.status import study_status

    _print_status(study_status(workspace, load_params(workspace.params)))


def _print_status(state: "Status") -> None:
    for title, rows in state.tables.items():
        print_table(title, rows)
        click.echo()
    print_facts(state.facts)
    for line in state.remarks:
        click.echo(f"- {line}")


@click.command()
@click.option("--port", default=5000, show_default=True)
def ui(port: int) -> None:
    """Start the MLflow UI on this machine and name the link that lands on the table of models."""
    from pipelines.study import environment
    from registry.mirror import begin, default_uri, models_link

    workspace = Workspace.find()
    uri = default_uri(workspace.root)
    begin(workspace.root, uri)
    click.echo(f"models  http://127.0.0.1:{port}/{models_link(workspace.root)}")
    click.echo(f"study   {workspace.reports / 'study.html'}")
    click.echo("Stop with Ctrl-C.")
    command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    # an address may hold a password, and everybody on the machine sees what a command was called with
    env = {**environment(workspace), "MLFLOW_MODEL_CATALOG_URI": "", "MLFLOW_BACKEND_STORE_URI": uri}
    done = subprocess.run(command, cwd=workspace.root, env=env, check=False)
    sys.exit(done.returncode)


@click.command()
@click.option("--ibsi", is_flag=True, help="Compute the IBSI 1 digital phantom here instead; exit 2 on a wrong value.")
@click.option("--fix", is_flag=True, help="Mend what can be mended safely, and say what was done.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(ibsi: bool, fix: bool, as_json: bool) -> None:
    """Say whether this machine and the study here are fit, why it matters, and what to do.

    Of the machine: Python, compiler, memory, disk, libraries, PyTorch and GPU, package names. Of a study: git, DVC
    and its settings, what git must not see, rights on keys, the feature set, what networks need, links that lead
    nowhere, locks and temporary files of programs that are gone. --fix touches no table, key, image or model.

    Exit codes: 0 fit, perhaps with notes; 2 something is unfit (with --fix: still). With --ibsi, say whether this
    machine computes what the Image Biomarker Standardisation Initiative agreed on.
    """
    if ibsi:
        sys.exit(_check_phantom(as_json))
    from pipelines.doctor import examine
    from pipelines.study_health import examine_study, mend

    here = Path.cwd()
    done = mend(examine_study(here)) if fix else []
    machine, study = examine(here), examine_study(here)
    if as_json:
        click.echo(json.dumps([finding.explained() for finding in (*machine, *study)], indent=2))
    else:
        for line in done:
            click.echo(f"fixed: {line}")
        _print_findings(machine, study)
    sys.exit(2 if any(finding.verdict == "unfit" for finding in (*machine, *study)) else 0)


def _print_findings(machine: list["Finding"], study: list["Finding"]) -> None:
    print_table("This machine", [finding.plain() for finding in machine])
    if study:
        click.echo()
        print_table("This study", [finding.plain() for finding in study])
    wrong = [finding for finding in (*machine, *study) if finding.verdict != "fit"]
    for finding in (finding for finding in wrong if finding.why):
        click.echo(f"- {finding.subject}: {finding.why}")
    if any(finding.mend is not None for finding in wrong):
        click.echo("`radmill doctor --fix` mends: " + ", ".join(f.subject for f in wrong if f.mend is not None))


def _check_phantom(as_json: bool) -> int:
    """Prints the phantom's values beside the consensus and returns the exit code."""
    from pipelines.radiomics.ibsi import recomputed, summary

    comparisons = recomputed()
    rows = [row.plain() for row in comparisons]
    if as_json:
        click.echo(json.dumps({"summary": summary(comparisons), "features": rows}, indent=2))
    else:
        print_table("IBSI 1 digital phantom", [{name: _digits(cell) for name, cell in row.items()} for row in rows])
        click.echo(summary(comparisons))
    return 2 if any(row.verdict == "outside" for row in comparisons) else 0


def _digits(cell: object) -> object:
    return f"{cell:.6g}" if isinstance(cell, float) else cell


@click.command()
@click.option("--yes", is_flag=True, help="Write the installed version into params.yaml.")
def upgrade(yes: bool) -> None:
    """Show what the installed feature-set version would recompute; with --yes, pin it in params.yaml."""
    from pipelines.record import FEATURE_SET
    from pipelines.status import stored_rows

    workspace = Workspace.find()
    pinned = load_params(workspace.params).radmill.feature_set
    rows = stored_rows(workspace)
    print_facts({"pinned in params.yaml": pinned, "installed": FEATURE_SET, "feature rows stored": rows})
    if pinned == FEATURE_SET:
        click.echo("Nothing to do.")
    elif yes:
        edit_params(workspace.params, lambda content: content["radmill"].update(feature_set=FEATURE_SET))
        click.echo("params.yaml changed; `radmill run` recomputes.")
    else:
        click.echo(f"The next run would compute all {rows} rows again. `radmill upgrade --yes` pins {FEATURE_SET}.")


@click.group()
def key() -> None:
    """The centers' pseudonym keys. They stay in private/keys, in neither git nor DVC: back them up apart."""


@key.command("list")
def key_list() -> None:
    """Show each center's key id and whether the key is here."""
    from pipelines.status import key_state

    workspace = Workspace.find()
    print_table("Keys", key_state(workspace, load_params(workspace.params)))


@key.command("create")
def key_create() -> None:
    """Make the keys of new centers.

    New is a center that has neither a key id nor tables; the ids are written into params.yaml.
    """
    from pipelines.ingest.pseudonyms import ensure_keys

    workspace = Workspace.find()
    print_facts(dict(ensure_keys(workspace, load_params(workspace.params))))


@key.command("import")
@click.argument("center")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def key_import(center: str, file: Path) -> None:
    """Take CENTER's key from FILE, if it is the one that params.yaml names."""
    from pipelines.ingest.pseudonyms import import_key

    workspace = Workspace.find()
    centers = load_params(workspace.params).centers
    known = {**centers.development, **centers.external}
    import_key(workspace.keys, center, file, known[center].key_id if center in known else None)
    click.echo(f"The key of {center} is in place.")
