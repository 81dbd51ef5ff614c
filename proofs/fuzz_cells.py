"""What other readers make of tables and settings: DuckDB (else pandas) for cells, ruamel.yaml for settings."""

import csv
import importlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from featurestore.tables import read_frame
from pipelines.ingest.pseudonyms import case_id
from pipelines.workspace import Workspace
from proofs.fuzz_readers import NoOtherReaderError

_NOTHING = {"", "na", "n/a", "nan", "-nan", "null", "none", "-", ".", "#n/a"}
_ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
Cells = list[dict[str, str]]


def load_other_readers() -> None:
    """Loads what reads again and takes memory by itself, before memory is bounded."""
    for name in ("dicomsdl", "highdicom", "matplotlib.path", "nrrd", "ruamel.yaml"):
        importlib.import_module(name)
    _duck("select 1", with_header=True)


def cells_of(path: Path) -> tuple[Cells, str]:
    """Returns the rows of a table as text by the name of their column in lower case, and who read them.

    Raises:
        NoOtherReaderError: Nobody else takes the file.
    """
    if path.suffix == ".parquet":
        return _duck(f"select * from read_parquet('{path}')", with_header=True), "DuckDB"
    if path.suffix in (".xlsx", ".xls"):
        raise NoOtherReaderError("a workbook")
    data = path.read_bytes()
    encoding = next((name for mark, name in _ENCODINGS.items() if data.startswith(mark)), "utf-8")
    if encoding == "utf-16" and len(data) % 2:
        data = data[:-1]  # half a character is left
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    copy = Path("cells.csv")
    copy.write_text(text, encoding="utf-8", newline="")
    first = next((line for line in text.splitlines() if line.strip(",;\t ")), "")
    delimiter = max(",;\t", key=first.count)
    try:
        return _lines(copy, delimiter)
    finally:
        copy.unlink()


def clinical_differences(study: Workspace, path: Path, key: bytes, role: str = "development") -> tuple[list[str], str]:
    """Returns which stored clinical values are not those of the file, and who read it.

    A value may be missing in the tables where the file has none or a row of `qc` says that it was not taken.
    """
    rows, reader = cells_of(path)
    told = read_frame(study.view(role, "qc"))
    remarked = set(told[told["item"] != ""][["case_id", "item"]].itertuples(index=False, name=None))
    stored: dict[str, dict[str, Any]] = {}
    for root in (study.view(role, "clinical"), study.outcomes(role)):
        for row in read_frame(root).to_dict("records"):
            stored.setdefault(row["case_id"], {}).update({str(name): value for name, value in row.items()})
    found = []
    for cells in rows:
        patient = case_id(key, cells.get("patient_id", ""))
        own = stored.get(patient)
        if own is None:
            found += [] if patient in set(told["case_id"]) else ["a patient of the table is nowhere"]
            continue
        for name, column in (("age", "age"), ("sex", "sex"), ("value", "ihc")):
            text = cells.get(column, "").strip()
            if _is_missing(own[name]):
                is_told = any((patient, item) in remarked for item in (column, "label"))
                found += [] if text.casefold() in _NOTHING or is_told else [f"{column} is lost without a word"]
            elif not _same(own[name], text):
                found.append(f"{column} is {str(own[name])[:40]!r}, others see {text[:40]!r}")
    return found, reader


def feature_differences(study: Workspace, path: Path, key: bytes) -> tuple[list[str], str]:
    """Returns which stored features are not those of the table, and who read it."""
    rows, reader = cells_of(path)
    by_patient: dict[str, dict[str, str]] = {}
    for cells in rows:
        for name in (cells["id"], cells["id"].strip().removesuffix(".0")):
            by_patient.setdefault(case_id(key, name), cells)
    found = []
    stored = read_frame(study.imported("ct"))
    features = [name for name in stored.columns if str(name).startswith("original_")]
    if not features:
        found.append("no feature is left")
    for row in stored.to_dict("records"):
        other = by_patient.get(row["case_id"])
        if other is None:
            found.append("a stored patient is none of the table")
            continue
        for name in features:
            text = other.get(str(name).casefold(), "")
            if not (_is_missing(row[name]) and text.strip().casefold() in _NOTHING) and not _same(row[name], text):
                found.append(f"{name} is {row[name]!r}, others see {text[:40]!r}")
    return found, reader


def settings_differences(path: Path, content: Any) -> tuple[list[str], str]:
    """Returns whether settings read by radmill are others than ruamel.yaml sees, and who read them."""
    from ruamel.yaml import YAML

    reader = YAML(typ="safe", pure=True)
    reader.version = (1, 1)
    try:
        other = reader.load(path.read_bytes())
    except Exception as error:
        raise NoOtherReaderError(type(error).__name__) from error
    same = _plain(other or {}) == _plain(content or {})
    return [] if same else ["settings are others than ruamel.yaml reads"], "ruamel.yaml"


def listed_files(folder: Path, is_meant: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    """Returns the images and masks that a center's `cases.csv` names for a patient, as it writes them."""
    rows, _ = cells_of(folder / "cases.csv")
    own = [row for row in rows if is_meant(row["patient_id"])]
    if not own:
        raise NoOtherReaderError("the patient is in no row")
    return [row["image"].strip() for row in own], [row["mask"].strip() for row in own]


def _lines(path: Path, delimiter: str) -> tuple[Cells, str]:
    options = f"delim='{delimiter}', header=false, all_varchar=true, null_padding=true, quote='\"', escape='\"'"
    more = "strict_mode=false, parallel=false, max_line_size=20000000, auto_detect=true"
    try:
        return _duck(f"select * from read_csv('{path}', {options}, {more})", with_header=False), "DuckDB"
    except NoOtherReaderError:
        return _pandas(path, delimiter), "pandas"


def _duck(query: str, *, with_header: bool) -> Cells:
    import duckdb

    try:
        with duckdb.connect(config={"threads": 1, "memory_limit": "256MB"}) as one:
            answer = one.execute(query)
            names = [column[0] for column in answer.description or ()]
            rows: list[Iterable[Any]] = [list(row) for row in answer.fetchall()]
    except duckdb.Error as error:
        raise NoOtherReaderError(str(error).splitlines()[0]) from error
    return _named([names, *rows] if with_header else rows)


def _pandas(path: Path, delimiter: str) -> Cells:
    import pandas as pd

    options: dict[str, Any] = {"sep": delimiter, "header": None, "dtype": str, "keep_default_na": False}
    try:
        frame = pd.read_csv(path, index_col=False, names=range(_width(path, delimiter)), **options)
    except pd.errors.ParserError:
        lines = path.read_text(encoding="utf-8").splitlines()
        return _named([[cell.strip('"') for cell in line.split(delimiter)] for line in lines])
    except Exception as error:
        raise NoOtherReaderError(f"{type(error).__name__}: {error}") from error
    return _named(frame.to_numpy().tolist())


def _width(path: Path, delimiter: str) -> int:
    csv.field_size_limit(1 << 30)
    with path.open(encoding="utf-8", newline="") as handle:
        return max((len(row) for row in csv.reader(handle, delimiter=delimiter)), default=0)


def _named(rows: Iterable[Iterable[Any]]) -> Cells:
    """Returns rows that have any cell by the names in the first of them; of columns of one name the first counts."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    filled = [row for row in texts if any(cell.strip() for cell in row)]
    if not filled:
        raise NoOtherReaderError("no rows")
    names = [name.strip().strip("\ufeff").casefold() for name in filled[0]]
    return [dict(reversed([*zip(names, row, strict=False)])) for row in filled[1:]]


def _same(value: Any, text: str) -> bool:
    if isinstance(value, str):
        return value.strip() == text.strip() or _number(value) == _number(text) is not None
    return _number(text) == float(value)


def _number(text: str) -> float | None:
    plain = text.strip()
    plain = plain.replace(",", ".") if plain.count(",") == 1 and "." not in plain else plain
    try:
        return float(plain)
    except ValueError:
        return None


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _plain(content: Any) -> str:
    def told(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(key): told(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [told(inner) for inner in value]
        return repr(value) if isinstance(value, float) else value

    return json.dumps(told(content), sort_keys=True, default=str)
