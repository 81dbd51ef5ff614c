"""Tables of features made elsewhere, as a new hospital sends them beside or instead of images.

A package on an imported view asks for `<view>.csv` (or .tsv, .parquet, .xlsx; text also gzipped) in the hospital's
folder: the columns that the model needs, by the names of development, and `patient_id`. The checks are those of
`radmill features import`. Other columns, a label among them, are not looked at.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from featurestore.entities import KEY_COLUMNS
from featurestore.errors import InputError
from featurestore.files import write_json
from featurestore.fingerprints import digest, file_digest
from featurestore.joining import refuse_mixed
from featurestore.row_hashes import row_hashes
from featurestore.schemas import Column, TableSchema
from featurestore.tables import partition, write_center
from featurestore.views import BOOKKEEPING, FeatureService
from pipelines.imports.columns import NOTES, numbers, sort_columns
from pipelines.imports.problems import ColumnMissingError
from pipelines.imports.reading import read_file
from pipelines.imports.rows import (
    OWN,
    PATIENT,
    PHASE,
    ROW,
    Checked,
    Remark,
    by_phase,
    checked,
    identified,
    phase_name,
    remark_on,
)
from pipelines.ingest.eligibility import EXCLUDED, on_columns, verdict
from pipelines.ingest.pseudonyms import case_id
from pipelines.ingest.views import QC, Row, patient_key, qc_row
from pipelines.params import CaseRules
from pipelines.params.tables import OWN_VIEWS
from registry.parts import Part

ID_COLUMN, PHASE_COLUMN = "patient_id", "phase"
SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".pq", ".xlsx", ".xlsm")
STAGE = "import"
_N_SHOWN = 5


class TableMissingError(InputError):
    """The hospital has not sent a table that the model needs."""

    default_remedy = "put the table into the hospital's folder: patient_id and the columns that the model needs"


class TableTwiceError(InputError):
    """A table lies there in two forms."""

    default_remedy = "leave one of the files and remove the others"


@dataclass(frozen=True, kw_only=True)
class ForeignView:
    """What a package needs of one imported view.

    Args:
        name: The view.
        features: By phase, the columns in the package's order.
        notes: What the rows of development were made with, as far as their tables told.
    """

    name: str
    features: Mapping[str, tuple[str, ...]]
    notes: Mapping[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of any phase, each once."""
        return tuple(dict.fromkeys(name for names in self.features.values() for name in names))

    def schema(self) -> TableSchema:
        """Returns the schema of the stored table."""
        bookkeeping = [Column(name=name, kind="string", description="hash of the row's values") for name in BOOKKEEPING]
        return TableSchema(name=self.name, columns=(*(Column(name=name) for name in self.columns), *bookkeeping))


def foreign_views(package: Part) -> tuple[ForeignView, ...]:
    """Returns what a package needs of views that radmill does not make itself."""
    service = FeatureService.from_plain(package.manifest["service"])
    notes = package.manifest["extraction"].get("notes", {})
    found: dict[str, ForeignView] = {}
    for part in (part for part in service.parts if part.view not in OWN_VIEWS):
        features = {phase: _of_phase(package, phase, part.wanted) for phase in part.phases}
        found[part.view] = ForeignView(name=part.view, features=features, notes=notes.get(part.view, {}))
    return tuple(found.values())


def _of_phase(package: Part, phase: str, wanted: Any) -> tuple[str, ...]:
    start = f"{phase}."
    names = [name.removeprefix(start) for name in package.features if name.startswith(start)]
    return tuple(wanted(names))


def table_roots(package: Part, features: Path) -> dict[str, Path]:
    """Returns, by imported view, where its rows are kept beside the hospital's own features."""
    views = foreign_views(package)
    return {view.name: features / f"{view.name}-{digest(list(view.columns))[:8]}" for view in views}


def remarks_root(root: Path) -> Path:
    """Returns where the remarks on a table's rows are kept."""
    return root.with_name(f"{root.name}-qc")


def take_table(
    folder: Path, root: Path, view: ForeignView, center: str, key: bytes, rules: CaseRules, quiet_s: float = 0.0
) -> None:
    """Checks the hospital's table and stores its rows under pseudonyms, with what is said of the others.

    A table that did not change since is not read again.

    Args:
        folder: What the hospital sent.
        root: Where the view's rows go; beside it lies what is said of them.
        view: What the package needs.
        center: The hospital.
        key: Its pseudonym key.
        rules: The package's case rules, with who withdrew by now.
        quiet_s: A table that was touched within so many seconds is left for the next run.

    Raises:
        TableMissingError: There is none.
        TableTwiceError: There are several.
        TableUnreadableError: It is no table.
        ColumnMissingError: It lacks columns that the model needs; the message names them.
        MixedSettingsError: It was made with another version or other settings than the rows of development.
        NotNumbersError: A column of numbers has cells that are none.
        NothingToImportError: No row can be used.
    """
    path = table_path(folder, view.name, center)
    if quiet_s > 0 and path.stat().st_mtime > time.time() - quiet_s:
        return
    mark = {"made_from": digest([file_digest(path), sorted(rules.cohort.withdrawn)])}
    kept = root.with_name(f"{root.name}.json")
    if partition(root, center).is_file() and kept.is_file() and json.loads(kept.read_bytes()) == mark:
        return
    where = f"{view.name} table of center {center}"
    frame = read_file(path, (ID_COLUMN, PHASE_COLUMN))
    _check_made_alike(frame, view, where)
    found = _checked(frame, view, center, where)
    _exclude(found, frame, rules)
    names = {str(name): case_id(key, str(name)) for name in found.rows[PATIENT]}
    rows = found.rows.assign(case_id=found.rows[PATIENT].map(names))
    rows = rows[~rows["case_id"].isin(rules.cohort.withdrawn)]
    write_center(root, center, _stored(rows, view, center), view.schema())
    write_center(remarks_root(root), center, _remarks(found, rows, view.name, center, key, rules), QC)
    write_json(kept, mark)


def table_path(folder: Path, view: str, center: str) -> Path:
    """Returns the file that holds a view's table, however its name is written.

    Raises:
        TableMissingError: There is none.
        TableTwiceError: There are several.
    """
    wanted = {f"{view}{suffix}".lower() for suffix in SUFFIXES}
    found = [path for path in sorted(folder.glob("*")) if path.name.lower() in wanted and path.is_file()]
    if not found:
        raise TableMissingError(f"there is no {view}.csv (.tsv, .parquet, .xlsx)", where=f"center {center}")
    if len(found) > 1:
        raise TableTwiceError(f"{', '.join(path.name for path in found)} lie there together", where=f"center {center}")
    return found[0]


def _check_made_alike(frame: pd.DataFrame, view: ForeignView, where: str) -> None:
    """Compares version and settings, where both the table and the package tell of them."""
    told = [str(name) for name in frame if NOTES.search(str(name))]
    notes = sort_columns(frame[told], (), ()).notes if told else {}
    both = [name for name in ("version", "settings") if name in notes and name in view.notes]
    if both:
        sides = {"the model's patients": view.notes, "this table": notes}
        refuse_mixed({side: {name: own[name] for name in both} for side, own in sides.items()}, where)


def _checked(frame: pd.DataFrame, view: ForeignView, center: str, where: str) -> Checked:
    _require(frame, [ID_COLUMN], where)
    wanted, prefixes = _form(frame, view, where)
    own = [name for name in (ID_COLUMN, PHASE_COLUMN) if name in frame]
    cells = frame[[*own, *wanted]]
    taken = sort_columns(cells, own, ()).features  # complains of cells that are no numbers
    whole, notes = identified(cells, ID_COLUMN, center, None)
    empty = pd.DataFrame(np.nan, index=whole.index, columns=[name for name in wanted if name not in taken])
    whole = pd.concat([whole.drop(columns=wanted), numbers(whole, taken), empty], axis=1)
    if prefixes:
        whole, _ = by_phase(whole, wanted, prefixes)
    else:
        phases = whole[PHASE_COLUMN].map(phase_name) if PHASE_COLUMN in own else next(iter(view.features))
        whole = pd.concat([whole, pd.DataFrame({PHASE: phases}, index=whole.index)], axis=1)
        whole = whole[whole[PHASE].isin(list(view.features))]
    rows = whole.reindex(columns=[*OWN, *view.columns])
    for phase, names in view.features.items():  # what the model does not look at is no input of a score
        rows.loc[rows[PHASE] == phase, [name for name in view.columns if name not in names]] = np.nan
    doubled = _doubled(rows, view.columns)
    found = checked(rows[~doubled], list(view.columns), notes)
    found.remarks += [_two_rows(row) for row in rows[doubled].to_dict("records")]
    return found


def _form(frame: pd.DataFrame, view: ForeignView, where: str) -> tuple[list[str], list[str]]:
    """Returns the columns to take, and beginnings of their names that stand for phases; none where a row is a phase."""
    prefixed = [f"{phase}_{name}" for phase, names in view.features.items() for name in names]
    by_row = PHASE_COLUMN in frame or len(view.features) == 1
    if by_row and not set(prefixed) <= set(frame):
        _require(frame, list(view.columns), where)
        return list(view.columns), []
    _require(frame, prefixed, where)
    return prefixed, [f"{phase}_" for phase in view.features]


def _require(frame: pd.DataFrame, wanted: Sequence[str], where: str) -> None:
    missing = [name for name in wanted if name not in frame]
    if missing:
        seen = f"{len(missing)} of {len(wanted)} columns that the model needs are not there: {_listed(missing)}"
        raise ColumnMissingError(seen, where=where, remedy=_REMEDY)


def _doubled(rows: pd.DataFrame, columns: Sequence[str]) -> "pd.Series[bool]":
    """Returns which rows are of a patient who has two different ones in a phase; the others are not held up by him."""
    named = rows[rows[PATIENT] != ""]
    unique = named.drop_duplicates([PATIENT, PHASE, *columns])
    twice = unique[unique.duplicated([PATIENT, PHASE], keep=False)]
    keys = set(zip(twice[PATIENT], twice[PHASE], strict=True))
    return pd.Series([key in keys for key in zip(rows[PATIENT], rows[PHASE], strict=True)], index=rows.index)


def _two_rows(row: dict[Any, Any]) -> Remark:
    remedy = "leave one row of the patient in the table"
    return remark_on(row, "refused", "patient_doubled", "the patient has another row with other values", remedy)


def _exclude(found: Checked, frame: pd.DataFrame, rules: CaseRules) -> None:
    cohort = on_columns(rules.cohort, {str(name) for name in frame})
    if not cohort.include and not cohort.exclude:
        return
    cells = {number + 2: row for number, row in enumerate(frame.to_dict("records"))}
    out = []
    for index, row in found.rows.iterrows():
        reason = verdict(cohort, {str(name): value for name, value in cells[int(row[ROW])].items()})
        if reason:
            out.append(index)
            remedy = "nothing; the model's rules say so"
            found.remarks.append(remark_on(dict(row), "excluded", EXCLUDED, reason, remedy))
    found.rows = found.rows.drop(index=out)


def _stored(rows: pd.DataFrame, view: ForeignView, center: str) -> pd.DataFrame:
    """Returns the rows as they are kept; a row's fingerprint is of its values alone, so that a table may grow."""
    keys = {"center": center, "case_id": rows["case_id"], "phase": rows[PHASE], "roi": view.name, "observer": ""}
    frame = pd.concat([pd.DataFrame(keys, index=rows.index), rows[list(view.columns)]], axis=1)
    frame = frame.assign(fingerprint=row_hashes(frame, ["phase"], list(view.columns)))
    return frame.assign(value_hash=row_hashes(frame, [*KEY_COLUMNS, "fingerprint"], list(view.columns)))


def _remarks(found: Checked, rows: pd.DataFrame, view: str, center: str, key: bytes, rules: CaseRules) -> list[Row]:
    """Returns one row for each case, and one for each row of the file that something is said of."""
    taken = zip(rows["case_id"], rows[PHASE], strict=True)
    told = [qc_row(patient_key(center, name, phase, view), "ok", stage=STAGE) for name, phase in taken]
    for one in found.remarks:
        name = case_id(key, one.patient_id) if one.patient_id else ""
        if name and name in rules.cohort.withdrawn:
            continue
        words = {"code": one.code, "message": one.message, "remedy": one.remedy, "stage": STAGE}
        told.append(qc_row(patient_key(center, name, one.phase, view), one.status, item=f"row {one.row}", **words))
    return told


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(map(str, names[:_N_SHOWN]))}{' …' if len(names) > _N_SHOWN else ''}"


_REMEDY = "make the table with the tool and settings of the model's patients, and keep its column names"
