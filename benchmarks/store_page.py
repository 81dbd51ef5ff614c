"""Writes the store's section of `docs/performance.md` from `benchmarks/results/store.json`, between its own markers."""

from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- store:begin -->", "<!-- store:end -->"
Part = dict[str, Any]


def write_section(found: Part) -> None:
    """Replaces what stands between the markers; the rest of the page belongs to others."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    section = f"{BEGIN}\n{_section(found)}\n{END}"
    if BEGIN in text and END in text:
        before, rest = text.split(BEGIN, 1)
        text = before + section + rest.split(END, 1)[1]
    else:
        text = f"{text.rstrip()}\n\n{section}\n"
    PAGE.write_text(text, encoding="utf-8")


def _section(found: Part) -> str:
    machine, sizes = found["machine"], found["machine"]["sizes"]
    figures = {name: part["figures"] for name, part in found.items() if name != "machine"}
    head = [
        "# Performance of the store",
        "",
        "Written by `benchmarks/store.py` (`make bench-store`). Rows are real ones (Moffitt of `multicentre_nsclc`),"
        f" drawn with replacement and shaken a little: {sizes['rows']:,} rows, {sizes['columns']:,} columns,"
        f" {sizes['centers']} centers, {figures['data']['bytes'] / 1e9:.2f} GB on disk. Two ways of the same work take"
        " turns and the smallest time of each counts. Files lie in the system's cache. `plain` is pyarrow on the same"
        " files with nothing checked or added (for the training set: read into a pandas frame; for writing: no sort, no"
        " check of keys and columns, no sync of the disk). Memory is the peak of a fresh process.",
        "",
        f"Machine: {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, pyarrow"
        f" {machine['pyarrow']}, pandas {machine['pandas']}.",
        "",
    ]
    parts = [
        head,
        _whole(figures),
        _feast(figures["feast"]),
        _growth(figures["growth"], found["growth"]["load"]),
        _case(figures),
        _csv(figures["csv"]),
    ]
    return "\n".join(line for part in parts for line in part).rstrip()


def _whole(figures: Part) -> list[str]:
    rows = [("write 50 centers", figures["write"])]
    names = {"all": "read all", "20_columns": "read 20 columns", "one_center": "read one center"}
    rows += [(told, figures["read"][name]) for name, told in names.items()]
    rows.append((f"training set, {figures['train']['rows']:,} rows", figures["train"]))
    table = [
        [told, _s(row["own_s"]), _s(row["plain_s"]), f"{row['ratio']:.2f}", f"{row['cpu_ratio']:.2f}", _memory(row)]
        for told, row in rows
    ]
    check = figures["validate"]
    return [
        *_table(
            ["work", "radmill", "plain pyarrow", "ratio", "ratio of processor time", "memory, MB, radmill / plain"],
            table,
        ),
        f"The imports alone take {figures['read']['import_mb']:.0f} MB. The rules of `radmill validate` about rows and"
        f" columns take {_s(check['training_rows_s'])} on {figures['train']['rows']:,} rows and"
        f" {_s(check['all_rows_s'])} and {check['all_rows_mb'] / 1000:.1f} GB on all rows.",
        "",
    ]


def _feast(rows: list[Part]) -> list[str]:
    table = []
    for row in rows:
        memory = f"{row['own_mb']:.0f} / {row['feast_mb']:.0f}" if "feast_mb" in row else f"{row['own_mb']:.0f} / –"
        times = [f"{row[name]:,.1f}" if name in row else "–" for name in ("times", "times_frozen")]
        name = row.get("feast", f"{row['kind']} offline store")
        told = row.get("failed") or _s(row["feast_s"])
        cells = [f"{row['rows']:,} of {row['of']:,}", name, told, _s(row["rows_s"]), times[0], _s(row["own_s"])]
        table.append([*cells, times[1], memory])
    heads = ["rows", "Feast", "Feast's time", "radmill: the rows", "÷", "radmill: frozen and hashed", "÷", "memory, MB"]
    least = {name: min((row[name] for row in rows if name in row), default=0.0) for name in ("times", "times_frozen")}
    return [
        "The same retrieval (10,000 patients of five centers, 1,130 columns) by Feast: `get_historical_features` to a"
        " frame, the smaller time of two, from one Parquet file, compressed like the store's, with these rows alone and"
        " with those of all centers; without the time that declaring the view takes there. `dask` is the offline store"
        " that Feast takes when none is named (`file` is its older name), `duckdb` its other one for files on a disk."
        " `The rows` is the same answer: a frame with one row a patient. `Frozen and hashed` is what `radmill run"
        " assemble` does with it beyond that: declared columns, sides of the split and a SHA-256 of every row, which"
        f" Feast has no part for. The aim is twenty times: {_aim(least['times'])} for the rows"
        f" ({least['times']:.0f} times at least), {_aim(least['times_frozen'])} with freezing"
        f" ({least['times_frozen']:.0f}).",
        "",
        *_table(heads, table),
    ]


def _aim(times: float, aim: float = 20.0) -> str:
    return "reached" if times >= aim else "missed"


def _growth(rows: list[Part], load: float) -> list[str]:
    table = [
        [
            f"{row['rows']:,} × {row['columns']:,}",
            *(_s(row[name]) for name in ("write_center_s", "read_all_s", "read_one_center_s")),
            *(f"{row[name]:,.0f}" for name in ("read_all_mb", "read_one_center_mb")),
        ]
        for row in rows
    ]
    heads = ["rows × columns", "write one center", "read all", "read one center", "MB for all", "MB for one center"]
    return [
        "## Growth",
        "",
        f"Fifty centers at each size; one-minute load when measured: {load}.",
        "",
        *_table(heads, table),
    ]


def _case(figures: Part) -> list[str]:
    one = figures["one_case"]
    rows = [[f"{row['rows']:,}", f"{row['center_rows']:,}", _s(row["seconds"])] for row in one["by_rows"]]
    own = [
        [
            f"{row['center_rows']:,}",
            f"{row['bytes'] / 1e6:.1f}",
            _s(row["seconds"]),
            f"{row['center_rows'] / 500:,.0f} cases",
        ]
        for row in one["by_center"]
    ]
    whole = figures["whole_file"]
    return [
        "## One case more",
        "",
        "A center is one file, and one case more writes that file anew; no other center's file is opened. So the cost"
        " follows the center's own rows and not the store's:",
        "",
        *_table(["rows of the store", "rows of the center", "one case more"], rows),
        f"One file of all {whole['rows']:,} rows would take {_s(whole['seconds'])}.",
        "",
        *_table(
            ["rows of the center", "file, MB", "one case more", "the same time in measuring"],
            own[:0] or [[*row[:3], _worth(float(o["seconds"]))] for row, o in zip(own, one["by_center"], strict=True)],
        ),
        "Files of a few hundred or thousand rows, which is what a center has, cost less to write than to measure one"
        " case (some 0.3 to 2 s, table above). Cases that arrive one by one into a center that grows to n rows write"
        " about n²/2 rows in all, but `radmill run` takes all cases that wait together and writes once. Beyond some"
        " 20,000 rows a center, let cases gather before a run, or split the center (one name a scanner, say).",
        "",
    ]


def _worth(seconds: float) -> str:
    return f"{max(seconds / 0.5, 0.1):.1f} cases at 0.5 s"


def _csv(row: Part) -> list[str]:
    table = [
        ["write", _s(row["own_write_s"]), _s(row["csv_write_s"])],
        ["read", _s(row["own_read_s"]), _s(row["csv_read_s"])],
        ["read 20 columns", _s(row["own_20_columns_s"]), _s(row["csv_20_columns_s"])],
        ["size", f"{row['own_bytes'] / 1e6:.0f} MB", f"{row['csv_bytes'] / 1e6:.0f} MB"],
    ]
    return [
        "## Beside a CSV",
        "",
        f"{row['rows']:,} rows, by pandas as it comes;"
        f" {'all digits are' if row['csv_keeps_digits'] else 'not all digits are'} the same when read back.",
        "",
        *_table(["work", "radmill", "CSV"], table),
    ]


def _table(heads: list[str], rows: list[list[str]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def _memory(row: Part) -> str:
    return f"{row['own_mb']:,.0f} / {row['plain_mb']:,.0f}" if "own_mb" in row else "–"


def _s(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 0.1 else f"{seconds:.3g} s"
