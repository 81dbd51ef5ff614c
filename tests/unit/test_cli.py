"""The doors: every command explains itself, errors end with their exit code, and help is instant."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from featurestore.errors import FaultError
from pipelines import doctor
from pipelines.cli import COMMANDS, radmill
from pipelines.cli.terminal import print_table
from pipelines.doctor import OWN_PACKAGES, examine
from pipelines.study import FolderTakenError, init_study, run_dvc

HEAVY = {"numpy", "pandas", "pyarrow", "SimpleITK", "sklearn", "mlflow", "dask", "torch", "matplotlib"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches(name: str) -> None:
    done = CliRunner().invoke(radmill, [name, "--help"])
    assert done.exit_code == 0
    assert len(done.output.splitlines()) > 4


def test_examples_in_help_keep_their_lines() -> None:
    for arguments, line in (
        ([], "  Look first:      radmill status"),
        (["features", "import"], "  radmill features import kits"),
    ):
        shown = CliRunner().invoke(radmill, [*arguments, "--help"]).output.splitlines()
        assert any(found.startswith(line) for found in shown)


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys, pipelines.cli; print([m for m in {sorted(HEAVY)} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_outside_a_study_the_message_says_what_to_do(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "radmill"), "status"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "radmill init" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_study_is_made_in_an_empty_folder_only(tmp_path: Path) -> None:
    workspace = init_study(tmp_path / "study")
    tracked = subprocess.run(["git", "ls-files"], cwd=workspace.root, capture_output=True, text=True, check=True)
    assert {"params.yaml", "dvc.yaml", ".gitignore", ".dvc/config"} <= set(tracked.stdout.split())
    assert "private" not in tracked.stdout
    status = subprocess.run(["git", "status", "--porcelain"], cwd=workspace.root, capture_output=True, check=True)
    assert status.stdout == b""
    with pytest.raises(FolderTakenError):
        init_study(tmp_path / "study")


def test_what_dvc_refused_is_told_without_its_advert_and_our_folders(tmp_path: Path) -> None:
    workspace = init_study(tmp_path / "study")
    with pytest.raises(FaultError, match=r"`dvc get \. data/nothing") as caught:
        run_dvc(workspace, "get", ".", "data/nothing", "--rev", "HEAD", "--quiet")
    assert "troubles" not in str(caught.value)
    assert sys.executable not in str(caught.value)


def test_the_doctor_finds_the_owner_of_each_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "STUDY", ())
    findings = {finding.subject: finding for finding in examine(tmp_path)}
    assert all(findings[f"package {name}"].found == "owned by radmill" for name in OWN_PACKAGES)
    assert findings["numpy"].verdict == "fit"


def test_the_doctor_tells_broken_from_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> object:
        raise OSError(f"lib{name}.so: cannot open shared object file")

    monkeypatch.setattr(doctor, "BASE", ("numpy", "nowhere"))
    monkeypatch.setattr(doctor, "STUDY", ())
    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    findings = {finding.subject: finding for finding in examine(tmp_path)}
    assert findings["numpy"].found.startswith("broken: OSError")
    assert findings["numpy"].verdict == "unfit"
    assert findings["nowhere"].found == "missing"


def test_words_in_brackets_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Rich takes them for its markup, and so remedies lost their `[study]`."""
    print_table("Found", [{"remedy": "pip install 'radmill[study]'", "seen": "[/red] of a file"}])
    told = capsys.readouterr().out
    assert "pip install 'radmill[study]'" in told
    assert "[/red] of a file" in told
