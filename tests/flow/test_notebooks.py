"""The notebooks run on a finished study, and are kept without what a run left in them."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from pipelines.workspace import Workspace

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the kernel's own about its sockets
def test_a_notebook_runs_to_its_end(path: Path, road: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own asserts compare with the study: the same row, the same probabilities, the same figures."""
    monkeypatch.setenv("RADMILL_STUDY", str(road.root))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs or "import" in cell.source for cell in code)


def test_notebooks_are_kept_without_outputs() -> None:
    """Outputs hold a study's figures, and somebody's paths."""
    assert len(NOTEBOOKS) == 2
    for path in NOTEBOOKS:
        code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert not any(cell.outputs or cell.execution_count for cell in code)
