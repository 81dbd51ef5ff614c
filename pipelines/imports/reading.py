"""Reads a table file: CSV, TSV (also gzipped), Parquet or Excel. Identifiers stay text, numbers keep every digit."""

import csv
import gzip
import io
import re
from pathlib import Path

import pandas as pd

from featurestore.errors import InputError
from pipelines.imports.problems import HeaderDoubledError, TableUnreadableError

EXCEL = (".xlsx", ".xlsm")
MISSING = ("", "NA", "N/A", "n/a", "na", "NaN", "nan", "-nan", "null", "NULL", "None", "none", "#N/A", ".", "-")
LARGEST_BYTES = 1 << 28
"""What a gzipped table may unpack to: 10,000 patients with 1,500 features are 200 MB."""

_DELIMITERS = (",", ";", "\t")


def read_file(
    path: Path, texts: tuple[str, ...], sheet: str | None = None, missing: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Reads a table; row i of the frame is row i + 2 of the file, because the header is row 1.

    Args:
        path: The file.
        texts: Columns that are read as text whatever they look like: identifiers, centers, labels.
        sheet: Which sheet of an Excel file; the first when left out.
        missing: Further cells that stand for no value, such as `#NAME?`.

    Raises:
        TableUnreadableError: The file is no table.
        HeaderDoubledError: Two columns have the same name.
    """
    suffix = "".join(path.suffixes[-2:]).lower()
    try:
        if suffix.endswith(EXCEL):
            frame = _excel(path, sheet, (*MISSING, *missing))
        elif suffix.endswith((".parquet", ".pq")):
            frame = pd.read_parquet(path)
        else:
            frame = _text(path, suffix, texts, (*MISSING, *missing))
    except (MemoryError, InputError):
        raise
    except Exception as error:  # a damaged file may break csv, zlib, zipfile, openpyxl and pyarrow in any way
        raise TableUnreadableError(f"{type(error).__name__}: {_told(error, path)}", where=f"file *{suffix}") from error
    frame.columns = [_plain(str(name)) for name in frame.columns]
    _refuse_doubled(list(frame.columns))
    return frame.assign(**{name: _as_text(frame[name]) for name in texts if name in frame}).copy()


def _text(path: Path, suffix: str, texts: tuple[str, ...], missing: tuple[str, ...]) -> pd.DataFrame:
    data = path.read_bytes()
    text = _decoded(_unpacked(path) if suffix.endswith(".gz") else data)
    if not text.strip():
        raise ValueError("the file is empty")
    header, _, body = text.partition("\n")
    delimiter = max(_DELIMITERS, key=header.count)
    names = [_plain(name) for name in next(csv.reader([header], delimiter=delimiter))]
    _refuse_doubled(names)
    decimal = "," if delimiter == ";" and re.search(r";-?\d+,\d", body[:100_000]) else "."
    return pd.read_csv(
        io.StringIO(body),
        sep=delimiter,
        names=names,
        index_col=False,
        decimal=decimal,
        dtype=dict.fromkeys([name for name in texts if name in names], str),
        keep_default_na=False,
        na_values={name: list(missing) for name in names if name not in texts},
        float_precision="round_trip",
        skip_blank_lines=False,
        low_memory=False,
    )


def _excel(path: Path, sheet: str | None, missing: tuple[str, ...]) -> pd.DataFrame:
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    if sheet is not None and sheet not in book.sheetnames:
        raise KeyError(f"no sheet {sheet!r}; there are {', '.join(book.sheetnames)}")
    lines = [list(cells) for cells in (book[sheet] if sheet else book.worksheets[0]).iter_rows(values_only=True)]
    book.close()
    if not lines:
        raise ValueError("the sheet is empty")
    width = max((number for number, name in enumerate(lines[0], 1) if name is not None), default=0)
    names = [str(name) if name is not None else "" for name in lines[0][:width]]
    frame = pd.DataFrame([cells[:width] for cells in lines[1:]], columns=names, dtype=object)
    frame = frame.where(~frame.isin(list(missing)), None)
    return frame.infer_objects()


def _unpacked(path: Path) -> bytes:
    with gzip.open(path) as handle:
        data = handle.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES:
        raise ValueError(f"it unpacks to more than {LARGEST_BYTES >> 20} MiB")
    return data


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16").replace("\r\n", "\n")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return data.decode("latin-1").replace("\r\n", "\n")


def _plain(name: str) -> str:
    return name.strip().strip("\ufeff")


def _refuse_doubled(names: list[str]) -> None:
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise HeaderDoubledError(f"{len(doubled)} names stand twice in the header, the first is {doubled[0]!r}")


def _as_text(values: "pd.Series[str]") -> "pd.Series[str]":
    """Returns cells as text: a whole number without the `.0` that spreadsheets add; an empty cell stays empty."""
    if values.dtype.kind in "iu":
        return values.astype(str)
    texts = values.map(lambda cell: "" if cell is None or cell != cell else str(cell))
    return texts.map(lambda text: re.sub(r"^(-?\d+)\.0+$", r"\1", text)).astype(str)


def _told(error: Exception, path: Path) -> str:
    """Returns the library's words without the file's name, which may name a patient."""
    told = str(error).replace(str(path), "the file").replace(path.name, "the file").strip()
    return told.splitlines()[0][:300] if told else "damaged"
