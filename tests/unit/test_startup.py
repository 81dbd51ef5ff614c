"""What light commands may import: a second of libraries at each call, or at each look of a schedule, is felt."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pipelines

SLOW = {
    "SimpleITK", "dask", "distributed", "dvc", "highdicom", "jinja2", "matplotlib", "mlflow", "monai", "numba",
    "optuna", "pydicom", "pywt", "radiomics", "scipy.optimize", "scipy.stats", "shap", "sklearn", "statsmodels",
    "torch",
}  # fmt: skip
TABLES = {"pandas", "pyarrow", "scipy"}

ALL_HELP = """
import click
from pipelines.cli import radmill
def read(command, name):
    context = click.Context(command, info_name=name)
    command.get_help(context)
    if isinstance(command, click.Group):
        for part in command.list_commands(context):
            read(command.get_command(context, part), part)
read(radmill, "radmill")
"""
COMMAND = """
import sys
from pipelines.cli import main
sys.argv = ["radmill", {words}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""
MODULES = "import pipelines.scoring.announced, pipelines.scoring.score, pipelines.execution.cluster"


def imported(code: str, folder: Path) -> set[str]:
    """What a fresh interpreter has imported after the code."""
    code += "\nimport sys; print('imported', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("light")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(Path(pipelines.__file__).parent / "template" / name, folder / name)
    return folder


def test_the_command_line_itself_needs_click_alone(tmp_path: Path) -> None:
    assert not imported("import pipelines.cli", tmp_path) & (SLOW | TABLES | {"numpy", "pydantic", "rich", "yaml"})


def test_no_help_waits_for_a_library(tmp_path: Path) -> None:
    """All modules of commands, with their options; a shell completes words with them too."""
    assert not imported(ALL_HELP, tmp_path) & (SLOW | TABLES)


def test_a_schedule_is_printed_at_once(study: Path) -> None:
    words = '"schedule", "print", "--kind", "cron", "--every", "1h"'
    assert not imported(COMMAND.format(words=words), study) & (SLOW | TABLES)


def test_status_reads_tables_and_nothing_heavier(study: Path) -> None:
    found = imported(COMMAND.format(words='"status"'), study)
    assert "pandas" in found
    assert not found & SLOW


def test_scoring_meets_slow_libraries_only_with_cases(tmp_path: Path) -> None:
    """A schedule calls it every quarter of an hour, mostly for nothing; images it reads with SimpleITK all the same."""
    assert not imported(MODULES, tmp_path) & (SLOW - {"SimpleITK"})
