"""Making a study, and bringing it up to date with DVC."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from types import FrameType

from featurestore.errors import DamagedTableError, FaultError, InputError
from featurestore.files import write_bytes
from featurestore.tables import centers_of, read_frame
from pipelines.params import Params, load_params
from pipelines.runner import Progress
from pipelines.workspace import ROLES, Workspace
from registry.keeping import forget_dead_dvc

DVC_SETTINGS = {"core.analytics": "false", "core.check_update": "false", "core.autostage": "false"}
_DVC_ADVERT = "Having any troubles?"


class FolderTakenError(InputError):
    """A study is made in a new or empty folder only."""

    default_remedy = "name another folder; a study that is there already is brought up to date with `radmill run`"


class StageFailedError(FaultError):
    """DVC stopped at a stage."""

    default_remedy = "read the message above; what was finished is kept, and `radmill run` goes on from there"


class StageRefusedError(InputError):
    """DVC stopped at a stage whose input or settings are wrong."""

    default_remedy = "do what the message above says; what was finished is kept, and `radmill run` goes on from there"


def init_study(folder: Path, settings: str = "params.yaml", edit: Callable[[Path], None] | None = None) -> Workspace:
    """Makes a study: settings, stage graph, git and DVC.

    Args:
        folder: A new or empty folder; raw data may lie in it already.
        settings: The template of its `params.yaml`.
        edit: Changes the settings before they are committed.

    Raises:
        FolderTakenError: There is something else in it.
        FaultError: git or DVC failed.
    """
    check_free(folder)
    own = {"dvc.yaml": "dvc.yaml", ".gitignore": "gitignore", ".gitattributes": "gitattributes"}
    for name, template in {"params.yaml": settings, **own}.items():
        write_bytes(folder / name, (files("pipelines") / "template" / template).read_bytes())
    workspace = Workspace(folder.resolve())
    for path in (workspace.root / "data" / "raw", workspace.incoming, workspace.keys, workspace.state):
        path.mkdir(parents=True, exist_ok=True)
    if edit is not None:
        edit(workspace.params)
        load_params(workspace.params)
    workspace.private.chmod(0o700)
    _command(["git", "init", "--quiet", "--initial-branch=main"], workspace.root)
    run_dvc(workspace, "init", "--quiet")
    for key, value in DVC_SETTINGS.items():
        run_dvc(workspace, "config", key, value)
    settle(workspace)
    _command(["git", "add", "."], workspace.root)
    _command([*git_as(workspace.root), "commit", "--quiet", "--message", "Begin the study"], workspace.root)
    return workspace


def check_free(folder: Path) -> None:
    """Checks that a study can be made in a folder.

    Raises:
        FolderTakenError: It holds something besides raw data.
    """
    held = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    raw_only = not (folder / "data").is_dir() or {path.name for path in (folder / "data").iterdir()} <= {"raw"}
    if (folder.exists() and not folder.is_dir()) or held - {"data", "incoming"} or not raw_only:
        raise FolderTakenError("there is something here already", where=folder.name)


def bring(centers: Mapping[str, Path], workspace: Workspace, *, copy: bool, progress: Progress) -> None:
    """Puts centers' folders into `data/raw`: as links, so that hospitals' files stay where they are, or as copies.

    Args:
        centers: The folder of each center, by its name in the study.
        workspace: The study.
        copy: Copies the files instead, for data on a disk that goes.
        progress: Is told of each center that is copied.
    """
    progress.start("copying centers", len(centers) if copy else 0)
    for name, folder in centers.items():
        target = workspace.raw(name)
        if copy:
            shutil.copytree(folder.resolve(), target)
            progress.advance()
        else:
            target.symlink_to(folder.resolve(), target_is_directory=True)
    progress.finish()


def settle(workspace: Workspace) -> None:
    """Keeps DVC's state database inside the study; the path is absolute, so each clone has its own."""
    run_dvc(workspace, "config", "--local", "core.site_cache_dir", str(workspace.state / "dvc"))


def reproduce(workspace: Workspace, params: Params, stage: str | None) -> None:
    """Runs `dvc repro` with radmill's own commands first on PATH.

    Raises:
        StageFailedError: A stage failed; DVC's own message is on the terminal.
    """
    settle(workspace)
    forget_dead_dvc(workspace.root)
    sweep_models(workspace, params)
    for failed in stages_with_failures(workspace):
        _repro(workspace, "--force", "--single-item", failed)
    _repro(workspace, *([stage] if stage else []))


def stages_with_failures(workspace: Workspace) -> list[str]:
    """Returns the stages that have cases which failed for a reason that may be gone: memory, disk, a dead worker.

    DVC sees no change in their inputs and would leave them failed for ever.
    """
    tables = {
        f"{verb}@{role}": root
        for role in ROLES
        for verb, root in (
            ("ingest", workspace.view(role, "qc")),
            ("extract", workspace.features(role, "qc")),
            ("shuffle", workspace.shuffled(role) / "qc"),
        )
    }
    return [name for name, root in tables.items() if _has_failures(root)]


def _has_failures(root: Path) -> bool:
    try:
        return bool(centers_of(root) and (read_frame(root, columns=["status"])["status"] == "failed").any())
    except DamagedTableError:  # DVC sees that it is not what it was, and makes it anew
        return False


def _repro(workspace: Workspace, *arguments: str) -> None:
    note = stage_note(workspace)
    note.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pipelines.quiet_dvc", "repro", *arguments]
    if _wait_for(command, workspace) == 0:
        return
    code = int(note.read_text()) if note.exists() else StageFailedError.exit_code
    kind = StageRefusedError if code == StageRefusedError.exit_code else StageFailedError
    raise kind("the run ended at the stage above", where=arguments[-1] if arguments else "the stage graph")


def _wait_for(command: list[str], workspace: Workspace) -> int:
    """Runs a command and returns its exit code; who stops radmill stops what it started, stages and workers too."""
    child = subprocess.Popen(command, cwd=workspace.root, env=environment(workspace), process_group=0)

    def pass_on(number: int, frame: FrameType | None) -> None:
        os.killpg(child.pid, number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stage_note(workspace: Workspace) -> Path:
    """Returns where a stage leaves its exit code, which DVC does not pass on."""
    return workspace.state / "stage-exit"


def sweep_models(workspace: Workspace, params: Params) -> list[str]:
    """Removes candidates whose model is no longer in the settings, so that nothing evaluates them."""
    gone = workspace.undeclared({*params.models, *params.deep}, set(params.fusion))
    for path in gone:
        shutil.rmtree(path)
    return [path.name for path in gone]


def run_dvc(workspace: Workspace, *arguments: str) -> str:
    """Runs a DVC command quietly and returns what it printed."""
    return _command([sys.executable, "-m", "dvc", *arguments], workspace.root, environment(workspace))


def environment(workspace: Workspace) -> dict[str, str]:
    """Returns the environment of stage commands: own bin folder first, DVC's state inside the study, no analytics.

    What a killed stage leaves to Python's resource tracker is not told, or it would be the last word, below the remedy.
    """
    own = str(Path(sys.executable).parent)
    told = os.environ.get("PYTHONWARNINGS", "")
    return {
        **os.environ,
        "PATH": os.pathsep.join([own, os.environ.get("PATH", "")]),
        "PYTHONWARNINGS": ",".join(["ignore:resource_tracker:UserWarning", *([told] if told else [])]),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(workspace.state / "dvc"),
    }


def uncommitted(workspace: Workspace) -> bool:
    """Returns whether git has something of the study to commit."""
    return bool(_command(["git", "status", "--porcelain"], workspace.root).strip())


def git_as(root: Path) -> list[str]:
    """Returns the git command, with a name to commit under where the user has set none."""
    named = subprocess.run(["git", "config", "user.email"], cwd=root, capture_output=True, check=False).stdout.strip()
    return ["git"] if named else ["git", "-c", "user.name=radmill", "-c", "user.email=radmill@localhost"]


def _command(arguments: list[str], folder: Path, env: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(arguments, cwd=folder, env=env, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise FaultError(f"{arguments[0]} is not installed", remedy=f"install {arguments[0]}") from error
    if done.returncode:
        named = ["dvc", *arguments[3:]] if arguments[1:3] == ["-m", "dvc"] else arguments
        shown = " ".join(a for a in named if not a.startswith(str(folder)))
        told = (done.stderr or done.stdout).partition(_DVC_ADVERT)[0].strip()
        raise FaultError(
            f"`{shown}` failed: {told or f'exit {done.returncode}'}",
            where=folder.name,
            remedy="mend what it names, then run the same command again",
        )
    return done.stdout
