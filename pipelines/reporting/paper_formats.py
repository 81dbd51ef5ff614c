"""A table as CSV, as HTML that a word processor takes, and as LaTeX with booktabs."""

from collections.abc import Sequence
from dataclasses import dataclass

from featurestore.sheets import csv_rows
from featurestore.visible import in_html, visible

LONG_ROWS = 45
"""More do not fit a page: such a table breaks over pages."""

WIDE_COLUMNS = 6
"""More do not fit a line: such a table is made smaller."""

INDENT = "\u2003"
"""Begins a row that belongs to the one above."""

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "–": "--", "—": "---", "−": "$-$", "×": r"$\times$", "±": r"$\pm$", "≥": r"$\geq$", "≤": r"$\leq$", "·": r"$\cdot$",
    "²": "$^2$", "³": "$^3$", "µ": r"$\mu$", "σ": r"$\sigma$", "…": r"\dots{}", "“": "``", "”": "''", "’": "'",
    "\u00a0": "~", INDENT: r"\quad{}", "√": r"$\surd$",
}  # fmt: skip
_BORDER = "1.5pt solid #000"
_CELL = "padding: 2pt 6pt; vertical-align: top;"


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """A table as it is printed.

    Args:
        name: Its name in file names.
        title: Its caption's first sentence.
        note: What readers need below it.
        columns: Column heads.
        rows: Cells as text, the first of each row its head.
        is_number: For each column, whether it stands to the right.
    """

    name: str
    title: str
    note: str = ""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_number: tuple[bool, ...]


def table(
    name: str, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], note: str = ""
) -> PaperTable:
    """Returns a table; columns whose cells begin like numbers stand to the right."""
    cells = tuple(tuple("" if cell is None else visible(str(cell)) for cell in row) for row in rows)
    numeric = tuple(
        at > 0 and any(row[at] for row in cells) and all(_is_number(row[at]) for row in cells)
        for at in range(len(columns))
    )
    heads = tuple(visible(head) for head in columns)
    return PaperTable(name=name, title=visible(title), note=visible(note), columns=heads, rows=cells, is_number=numeric)


def csv_text(content: PaperTable) -> str:
    """Returns the table as CSV in UTF-8 text."""
    rows = ([cell.replace(INDENT, "  ") for cell in row] for row in content.rows)
    return csv_rows([content.columns, *rows])


def html_table(content: PaperTable) -> str:
    """Returns the table with its styles in every cell, which is what word processors keep."""
    heads = "".join(
        f'<th scope="col" style="{_CELL} border-top: {_BORDER}; border-bottom: 0.75pt solid #000; '
        f'text-align: {_side(right)};">{in_html(head)}</th>'
        for head, right in zip(content.columns, content.is_number, strict=True)
    )
    body = [_html_row(content, row, number == len(content.rows) - 1) for number, row in enumerate(content.rows)]
    note = f'<p style="font-size: 9pt;">{in_html(content.note)}</p>' if content.note else ""
    caption = f'<caption style="text-align: left; padding: 0 0 4pt;"><b>{in_html(content.title)}</b></caption>'
    return (
        '<table style="border-collapse: collapse; font: 10pt Arial, sans-serif; margin-top: 18pt;">'
        f"{caption}<thead><tr>{heads}</tr></thead>\n<tbody>\n{''.join(body)}</tbody></table>\n{note}"
    )


def html_page(title: str, body: str) -> str:
    """Returns a page that word processors open and people can read."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{in_html(title)}</title></head>\n"
        '<body style="font: 11pt Arial, sans-serif; margin: 2cm; background: #fff; color: #000;">\n'
        f"<main><h1>{in_html(title)}</h1>\n{body}\n</main></body></html>\n"
    )


def latex_table(content: PaperTable) -> str:
    """Returns the table for LaTeX's booktabs; a long one needs longtable, a wide one graphicx."""
    letters = "".join("r" if right else _left(content, at) for at, right in enumerate(content.is_number))
    heads = " & ".join(latex_text(head) for head in content.columns) + r" \\"
    rows = [" & ".join(latex_text(cell) for cell in row) + r" \\" for row in content.rows]
    label = content.name.replace("_", "-")
    caption = rf"\caption{{{latex_text(content.title)}}}\label{{tab:{label}}}"
    note = [rf"\par\smallskip\footnotesize {latex_text(content.note)}"] if content.note else []
    body = [r"\toprule", heads, r"\midrule"]
    if len(content.rows) > LONG_ROWS:
        begin = ["% needs booktabs, longtable", r"{\small", rf"\begin{{longtable}}{{{letters}}}", caption + r"\\"]
        ends = [r"\endhead", r"\bottomrule", r"\endfoot"]
        return "\n".join([*begin, *body, *ends, *rows, r"\end{longtable}", *note, "}"]) + "\n"
    is_wide = len(content.columns) > WIDE_COLUMNS
    begin = ["% needs booktabs, graphicx", r"\begin{table}[htbp]", r"\centering\small", caption]
    begin += [r"\resizebox{\textwidth}{!}{%"] if is_wide else []
    end = [r"\bottomrule", r"\end{tabular}" + ("}" if is_wide else ""), *note, r"\end{table}"]
    return "\n".join([*begin, rf"\begin{{tabular}}{{{letters}}}", *body, *rows, *end]) + "\n"


def latex_text(text: str) -> str:
    """Returns text that LaTeX prints as it stands."""
    return "".join(_LATEX.get(character, character) for character in text)


def _html_row(content: PaperTable, row: Sequence[str], is_last: bool) -> str:
    end = f" border-bottom: {_BORDER};" if is_last else ""
    style = f"{_CELL}{end} font-weight: normal; text-align:"
    head, *cells = [
        f'style="{style} {_side(right)};">{in_html(cell)}' for cell, right in zip(row, content.is_number, strict=True)
    ]
    return f'<tr><th scope="row" {head}</th>{"".join(f"<td {cell}</td>" for cell in cells)}</tr>\n'


def _left(content: PaperTable, at: int) -> str:
    longest = max((len(row[at]) for row in content.rows), default=0)
    return "p{5.5cm}" if longest > 45 else "l"


def _side(is_right: bool) -> str:
    return "right" if is_right else "left"


def _is_number(cell: str) -> bool:
    return not cell or cell[0].isdigit() or (cell[0] in "−-–<" and len(cell.split()[0]) <= 8)
