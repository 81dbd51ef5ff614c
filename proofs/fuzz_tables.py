"""Tables as spreadsheets leave them: odd encodings, decimal commas, formulas, doubled and missing cells."""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from proofs.fuzz_base import Generator, Place
from proofs.fuzz_dicom import mutated

Rows = list[list[str]]
_CELLS = (
    "=1+1", "=cmd|' /C calc'!A0", "@SUM(A1)", "+49", "-1", "1,5", "1.234,5", "1_000", "\u0661\u0662", "\u00b2", "1e999",
    "NaN", "inf", "-inf", "0x10", "1/2", "12.05.2024", "#NAME?", "#DIV/0!", "\u202e3", "x" * 200_000, "a\x00b", "a\nb",
    '"', '""', "\ufeff", "\ud55c", "<script>", "${x}", "../../x", "'1", " 61 ", "61\u00a0", "\u2212 5", "true", "1e400",
    "9" * 5000, "1" * 400, "-0", "None", "\x1a",
)  # fmt: skip


def clinical(place: Place) -> str:
    """Rewrites a center's clinical table."""
    return _rewritten(place, place.folder / "clinical.csv")


def cases(place: Place) -> str:
    """Writes a list of cases with wrong cells, paths and encodings."""
    sound = [["patient_id", "phase", "image", "mask", "roi", "label", "observer"]]
    for patient in place.patients:
        sound.append([patient, "ct", f"{patient}/ct.nii.gz", f"{patient}/ct_mask.nii.gz", "", "1", ""])
    path = place.folder / "cases.csv"
    path.write_bytes(_text(sound).encode())
    if place.rng.random() < 0.5:
        return _rewritten(place, path)
    row, column = 1 + int(place.rng.integers(len(sound) - 1)), int(place.rng.integers(7))
    value = place.pick(("../../outside.nii.gz", "/etc/passwd", "..", ".", "", "x" * 300, "\u202e", "P\u00b2", "\u00b2",
                        "0", "-1", "1.0", "99999999999999999999", "auto", "a\nb", "clinical.csv", "CT", "IM0",
                        "\\\\host\\x", "%00", "ct.nii.gz\x00.png", "staple", "../" * 100 + "etc/passwd"))  # fmt: skip
    sound[row][column] = value
    path.write_bytes(_text(sound).encode("utf-8", "surrogatepass"))
    return f"cases.csv: {sound[0][column]} = {value[:40]!r}"


def features(place: Place) -> str:
    """Writes `table.csv` for `features import`, and its truth where the disorder changes no value."""
    rng = place.rng
    rows: Rows = [["id", "outcome", "original_firstorder_Mean", "original_glcm_Contrast"]]
    rows += [
        [f"P{i:02d}", str(i % 2), repr(float(rng.normal(0, 100))), repr(float(rng.normal(0, 1e-4)))] for i in range(8)
    ]
    if rng.random() < 0.4:
        name, data = place.pick(_encodings(rows, gz=True))
        place.write({"table.csv.gz" if name == "gzip" else "table.csv": data, "truth.csv": _text(rows).encode()})
        return f"truth kept: {name}"
    if rng.random() < 0.15:
        files = {f"table{s}": data for s, data in _other(place, rows).items()}
        place.write(files)
        return f"another format: {', '.join(files)}"
    path = place.folder / "table.csv"
    place.write({"table.csv": _text(rows).encode()})
    return _rewritten(place, path)


def _rewritten(place: Place, path: Path) -> str:
    rows = [*csv.reader(io.StringIO(path.read_text(encoding="utf-8")))]
    way = place.pick(("encoding", "cell", "cell", "cells", "header", "structure", "mutated"))
    told = str(way)
    match way:
        case "encoding":
            told, data = place.pick(_encodings(rows))
        case "cell" | "cells":
            for _ in range(1 if way == "cell" else 6):
                row, column = int(place.rng.integers(1, len(rows))), int(place.rng.integers(len(rows[0])))
                rows[row][column] = place.pick(_CELLS)
                told = f"{rows[0][column]} = {rows[row][column][:30]!r}"
            data = _text(rows).encode("utf-8", "surrogatepass")
        case "header":
            column = int(place.rng.integers(len(rows[0])))
            rows[0][column] = place.pick((*_CELLS, "", rows[0][0], rows[0][-1].upper()))
            told, data = f"header {rows[0][column][:30]!r}", _text(rows).encode("utf-8", "surrogatepass")
        case "structure":
            told, data = place.pick(_structures(rows))
        case _:
            data = mutated(place, path.read_bytes())
    path.write_bytes(data)
    return f"{path.name}: {told}"


def _text(rows: Sequence[Sequence[str]], **options: Any) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n", **options).writerows(rows)
    return buffer.getvalue()


def _encodings(rows: Rows, *, gz: bool = False) -> list[tuple[str, bytes]]:
    """Returns the same table in other clothes."""
    text = _text(rows)
    comma = [[cell.replace(".", ",") if _is_number(cell) else cell for cell in row] for row in rows]
    found = [
        ("UTF-8 with BOM", b"\xef\xbb\xbf" + text.encode()),
        ("UTF-16", text.encode("utf-16")),
        ("UTF-16 big endian with BOM", b"\xfe\xff" + text.encode("utf-16-be")),
        ("CRLF", text.replace("\n", "\r\n").encode()),
        ("semicolons and decimal commas", _text(comma, delimiter=";").encode()),
        ("semicolons and points", _text(rows, delimiter=";").encode()),
        ("tabs", _text(rows, delimiter="\t").encode()),
        ("all quoted", _text(rows, quoting=csv.QUOTE_ALL).encode()),
        ("decimal commas, quoted", _text(comma, quoting=csv.QUOTE_ALL).encode()),
        ("tabs and decimal commas", _text(comma, delimiter="\t").encode()),
    ]
    return [*found, ("gzip", gzip.compress(text.encode()))] if gz else [*found, *_strange_encodings(text)]


def _strange_encodings(text: str) -> list[tuple[str, bytes]]:
    return [
        ("latin-1", text.replace("61", "\u00e9").encode("latin-1", "replace")),
        ("UTF-16 without BOM", text.encode("utf-16-le")),
        ("UTF-32", text.encode("utf-32")),
        ("UTF-7", text.encode("utf-7")),
        ("EBCDIC", text.encode("cp500", "replace")),
        ("half a character", text.encode() + b"\xc3"),
        ("UTF-16 of odd length", text.encode("utf-16") + b"x"),
        ("CR alone", text.replace("\n", "\r").encode()),
        ("blanks after commas", text.replace(",", ", ").encode()),
    ]


def _structures(rows: Rows) -> list[tuple[str, bytes]]:
    text = _text(rows)
    return [
        ("empty", b""),
        ("blank lines", b"\n\n\n" + text.encode() + b"\n\n,,,\n"),
        ("header alone", _text(rows[:1]).encode()),
        ("rows doubled", (text + _text(rows[1:])).encode()),
        ("rows doubled, differing", (text + _text([[row[0], *reversed(row[1:])] for row in rows[1:]])).encode()),
        ("more cells than columns", _text([rows[0], *([*row, "x"] for row in rows[1:])]).encode()),
        ("fewer cells", _text([rows[0], *(row[:1] for row in rows[1:])]).encode()),
        ("unclosed quote", (text + '"abc').encode()),
        ("no ids", _text([rows[0], *(["", *row[1:]] for row in rows[1:])]).encode()),
        ("one column", _text([row[:1] for row in rows]).encode()),
        ("10,000 columns", _text([[*row, *map(str, range(10_000))] for row in rows]).encode()),
        ("NUL bytes", text.encode() + b"\0\0\0"),
        ("separator line", b"sep=;\n" + text.encode()),
        ("binary", bytes(range(256)) * 4),
        ("a NIfTI", b"\x5c\x01\0\0" + bytes(400)),
        ("one long line", b"a," * 200_000),
        ("quotes in quotes", text.replace(",", '","').encode()),
    ]


def _other(place: Place, rows: Rows) -> dict[str, bytes]:
    bombs = {
        ".csv.gz": _bomb(_text(rows).encode()) if place.rng.random() < 0.2 else b"\x1f\x8b",
        ".tsv": _text(rows, delimiter="\t").encode(),
        ".xlsx": mutated(place, _excel(rows)),
        ".parquet": mutated(place, _parquet(rows)),
        ".xls": b"\xd0\xcf\x11\xe0" + bytes(600),
    }
    suffix = place.pick(list(bombs))
    return {suffix: bombs[suffix]}


def _bomb(data: bytes) -> bytes:
    """Returns a gzipped table of some megabytes that becomes 1.5 gigabytes."""
    packer, zeros = zlib.compressobj(1, zlib.DEFLATED, 31), bytes(1 << 20)
    parts = [packer.compress(data), *(packer.compress(zeros) for _ in range(1500))]
    return b"".join([*parts, packer.flush()])


def _excel(rows: Rows) -> bytes:
    import openpyxl

    book, buffer = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(buffer)
    return buffer.getvalue()


def _parquet(rows: Rows) -> bytes:
    import pandas as pd

    buffer = io.BytesIO()
    pd.DataFrame(rows[1:], columns=rows[0]).to_parquet(buffer)
    return buffer.getvalue()


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


KINDS: dict[str, Generator] = {"clinical.csv": clinical, "cases.csv": cases}
TABLES: dict[str, Callable[[Place], str]] = {"tables of features": features}
