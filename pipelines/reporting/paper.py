"""Everything a paper takes from a study: figures for print, tables for Word and LaTeX, and an index of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from featurestore.errors import InputError
from featurestore.files import write_bytes, write_text
from featurestore.visible import in_html, in_markdown
from pipelines.params import Params
from pipelines.reporting.model_figures import Drawing
from pipelines.reporting.paper_formats import PaperTable, csv_text, html_page, html_table, latex_table
from pipelines.reporting.paper_tables import study_tables
from pipelines.reporting.report import class_names
from pipelines.reporting.study_figures import study_drawings
from pipelines.reporting.study_files import read_study
from pipelines.reporting.vector import PRINT_DPI, pdf_bytes, png_bytes, svg_bytes
from pipelines.workspace import Workspace


class NotAFolderError(InputError):
    """What should become the paper's folder is a file."""

    default_remedy = "name a folder, new or old; files of the same names in it are replaced and no others touched"


@dataclass(frozen=True, kw_only=True)
class PaperSummary:
    """What was written.

    Args:
        index: The list of all files.
        figures: How many figures, each in three formats.
        tables: How many tables, each in three formats.
    """

    index: str
    figures: int
    tables: int


def write_paper(workspace: Workspace, params: Params, folder: Path) -> PaperSummary:
    """Writes figures and tables below a folder, and `README.md`, which says what each shows.

    Raises:
        NotAFolderError: The folder's name belongs to a file.
    """
    if folder.exists() and not folder.is_dir():
        raise NotAFolderError("is a file", where=str(folder))
    files = read_study(workspace)
    drawings = study_drawings(files, class_names(params))
    tables = study_tables(workspace, params, files)
    for path, content in _files(params, drawings, tables):
        write_bytes(folder / path, content) if isinstance(content, bytes) else write_text(folder / path, content)
    write_text(folder / "README.md", _index(params, drawings, tables))
    return PaperSummary(index=str(folder / "README.md"), figures=len(drawings), tables=len(tables))


def _files(params: Params, drawings: list[Drawing], tables: list[PaperTable]) -> Iterator[tuple[str, bytes | str]]:
    for drawing in drawings:
        yield f"figures/{drawing.name}.png", png_bytes(drawing.figure, dpi=PRINT_DPI)
        yield f"figures/{drawing.name}.pdf", pdf_bytes(drawing.figure)
        yield f"figures/{drawing.name}.svg", svg_bytes(drawing.figure, drawing.name)
    for own in tables:
        yield f"tables/{own.name}.csv", csv_text(own)
        yield f"tables/{own.name}.html", html_page(own.title, html_table(own))
        yield f"tables/{own.name}.tex", latex_table(own)
    yield "paper.html", html_page(f"{params.study.name}: figures and tables", _all(drawings, tables))


def _all(drawings: list[Drawing], tables: list[PaperTable]) -> str:
    parts = ["<h2>Figures</h2>"] if drawings else []
    for number, drawing in enumerate(drawings, start=1):
        words = f"<b>Figure {number}. {in_html(drawing.title)}.</b> {in_html(drawing.caption)}"
        alt = in_html(drawing.title)
        parts.append(f'<p><img src="figures/{drawing.name}.png" alt="{alt}" width="520"></p>\n<p>{words}</p>')
    parts += [
        "<h2>Tables</h2>",
        *(html_table(replace(own, title=f"Table {n}. {own.title}")) for n, own in enumerate(tables, start=1)),
    ]
    return "\n".join(parts)


def _index(params: Params, drawings: list[Drawing], tables: list[PaperTable]) -> str:
    lines = [
        f"# {in_markdown(params.study.name)}: figures and tables",
        "",
        "Written by `radmill report --paper`; a file that is not listed is of an earlier run or not ours. Figures are",
        f"PNG at {PRINT_DPI} dpi, PDF and SVG (vector, text as outlines). Tables are CSV, HTML that a word processor",
        "opens, and LaTeX for `booktabs` and `longtable`. `paper.html` has everything in one document for Word.",
        "Numbers behind curves: `data/evaluation/plots/*.csv` of the study; unrounded ones: `data/evaluation/tables/`.",
        "",
        "| figure | shows | how to read it |",
        "|---|---|---|",
        *(f"| `figures/{d.name}` .png .pdf .svg | {_line(d.title)} | {_line(d.caption)} |" for d in drawings),
        "",
        "| table | shows | rows | note |",
        "|---|---|---|---|",
        *(
            f"| `tables/{t.name}` .csv .html .tex | {_line(t.title)} | {len(t.rows)} | {_line(t.note)} |"
            for t in tables
        ),
    ]
    return "\n".join(lines) + "\n"


def _line(text: str) -> str:
    return in_markdown(text).replace("|", "\\|").replace("\n", " ")
