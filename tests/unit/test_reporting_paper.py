"""A paper's files: every figure and table in each format, the same bytes each time, text that cannot break LaTeX."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pipelines.evaluation.evaluate import evaluate
from pipelines.reporting import study_figures
from pipelines.reporting.paper import NotAFolderError, write_paper
from pipelines.reporting.paper_formats import INDENT, csv_text, html_table, latex_table, latex_text, table
from pipelines.reporting.study_figures import study_drawings
from pipelines.reporting.study_files import read_study

SPECIAL = "50 % of A_b & {c} < 3, −1 ± 2 ≥ #4 $5 \\ ^~"


@pytest.fixture(scope="module")
def study(fake_study, tmp_path_factory):  # type: ignore[no-untyped-def]
    workspace, params = fake_study(tmp_path_factory.mktemp("study"))
    evaluate(workspace, params)
    (workspace.evaluation / "tables" / "made_later.csv").write_text("model,value\na,0.123456\n")
    return workspace, params


@pytest.fixture(scope="module")
def paper(study, tmp_path_factory):  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("paper") / "new"
    write_paper(*study, folder)
    return folder


@pytest.fixture(scope="module")
def again(study, tmp_path_factory):  # type: ignore[no-untyped-def]
    """The paper once more, in a folder that holds a file of somebody's."""
    folder = tmp_path_factory.mktemp("again")
    (folder / "manuscript.docx").write_bytes(b"mine")
    write_paper(*study, folder)
    return folder


def names(folder: Path, kind: str, ending: str) -> set[str]:
    return {path.stem for path in (folder / kind).glob(f"*.{ending}")}


def test_every_figure_and_table_is_there_in_each_format(study, paper: Path) -> None:
    workspace, _ = study
    drawn = {drawing.name for drawing in study_drawings(read_study(workspace), ("no", "yes"))}
    assert drawn == names(paper, "figures", "png") == names(paper, "figures", "pdf") == names(paper, "figures", "svg")
    assert {"cohort_flow", "pipeline", "roc", "calibration", "decision", "roc_all_external"} <= drawn
    tables = names(paper, "tables", "csv")
    assert tables == names(paper, "tables", "html") == names(paper, "tables", "tex")
    assert {"baseline", "models", "operating_points", "checklist_clear"} <= tables


def test_what_is_added_to_figures_and_to_the_evaluation_reaches_the_paper(study, paper: Path, monkeypatch) -> None:
    """A maker in the registry, a CSV in data/evaluation/tables: neither needs a line here."""
    assert "made_later" in names(paper, "tables", "csv")
    first = study_drawings(read_study(study[0]), ("no", "yes"))[0]
    later = replace(first, name="later")
    monkeypatch.setattr(study_figures, "FIGURES", {**study_figures.FIGURES, "later": lambda files, labels: [later]})
    assert "later" in {drawing.name for drawing in study_drawings(read_study(study[0]), ("no", "yes"))}


def test_index_lists_every_file(paper: Path) -> None:
    index = (paper / "README.md").read_text(encoding="utf-8")
    for kind in ("figures", "tables"):
        for path in (paper / kind).iterdir():
            assert f"`{kind}/{path.stem}`" in index
    assert "paper.html" in index


def test_figures_are_for_print_and_the_same_each_time(paper: Path, again: Path) -> None:
    for path in (paper / "figures").glob("*.png"):
        with Image.open(path) as image:
            assert round(image.info["dpi"][0]) == 300
    for path in paper.rglob("*"):
        if path.is_file():
            assert (again / path.relative_to(paper)).read_bytes() == path.read_bytes(), path.name


def test_tables_say_the_same_in_each_format_and_break_nothing(paper: Path) -> None:
    for path in (paper / "tables").glob("*.csv"):
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
        latex = path.with_suffix(".tex").read_text(encoding="utf-8")
        lines = [line for line in latex.splitlines() if line.endswith(r" \\")]
        assert len(lines) == len(rows)
        assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {len(rows[0]) - 1}
        assert latex.count("{") - latex.count(r"\{") == latex.count("}") - latex.count(r"\}")
        html = path.with_suffix(".html").read_text(encoding="utf-8")
        assert html.count("<tr>") == len(rows)
        assert 'lang="en"' in html


def test_no_patient_is_named_in_a_paper(paper: Path) -> None:
    for path in paper.rglob("*"):
        if path.suffix in (".csv", ".html", ".tex", ".md", ".svg"):
            assert not re.search(r"\b(no|ea|so|we)[0-9a-f]{14}\b", path.read_text(encoding="utf-8"))


def test_latex_prints_what_stands_there() -> None:
    told = latex_text(SPECIAL)
    assert not re.search(r"(?<!\\)[%&#]", told)
    assert r"A\_b" in told
    assert r"$\geq$" in told
    assert "−" not in told
    made = table("t", "A & B", ["x", "n"], [["a", "1.5"], [f"{INDENT}b", "−2"], ["c", "–"]])
    assert made.is_number == (False, True)
    assert latex_table(made).splitlines()[4] == r"\begin{tabular}{lr}"
    assert csv_text(made).splitlines()[2] == "  b,−2"
    assert "A &amp; B" in html_table(made)


def test_files_of_others_stay_and_a_file_is_no_folder(study, again: Path) -> None:
    assert (again / "manuscript.docx").read_bytes() == b"mine"
    with pytest.raises(NotAFolderError):
        write_paper(*study, again / "manuscript.docx")


def test_study_with_nothing_yet_still_has_an_index(study, tmp_path: Path) -> None:
    workspace, params = study
    summary = write_paper(type(workspace)(tmp_path / "empty"), params, tmp_path / "paper")
    assert summary.figures == 0
    assert names(tmp_path / "paper", "tables", "csv") == {"checklist_clear", "checklist_metrics", "checklist_tripod_ai"}
