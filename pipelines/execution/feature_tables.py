"""The tables that extract writes: features of the regions that models use, those of other observers, and `qc`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from featurestore.entities import KEY_COLUMNS, CaseKey
from featurestore.errors import CaseError, DamagedTableError
from featurestore.fingerprints import canonical_json, row_digest
from featurestore.row_digests import row_digests
from featurestore.schemas import Column, TableSchema
from featurestore.tables import partition, read_table, write_center
from pipelines.execution.regions import Recipe, Region
from pipelines.images.shuffling import SHUFFLED
from pipelines.ingest.views import QC, Row, Status, qc_row
from pipelines.radiomics.base import Features
from pipelines.radiomics.catalog import columns_of_phases

RADIOMICS, OBSERVERS, PERTURBED = "radiomics", "observers", "perturbed"
TABLES = (RADIOMICS, OBSERVERS, PERTURBED)
"""Of regions as they are stored. Those of shuffled voxels are in a table `shuffled` elsewhere, whose notes say so."""

STAGE = "extract"

Values = NDArray[np.float64]
"""The features of a region in the order of its phase's names, NaN where there is no value."""

_BOOKKEEPING = (
    Column(name="fingerprint", kind="string", description="all that decides the row: image, mask, settings, versions"),
    Column(name="value_hash", kind="string", description="the row as it was computed"),
)
_MISSING_REMEDY = "nothing, if the region is too small for these filters; else look at it in a viewer"


def schema(recipe: Recipe, table: str) -> TableSchema:
    """Returns the schema of a feature table: the union of all phases' features."""
    settings = {phase: one.plain() for phase, one in recipe.by_phase.items()}
    return TableSchema(
        name=table,
        columns=(*columns_of_phases(recipe.by_phase.values()), *_BOOKKEEPING),
        notes={
            "engine": recipe.engine,
            "feature_set": recipe.feature_set,
            "settings": canonical_json(settings).decode(),
            **({"voxels": SHUFFLED} if table == SHUFFLED else {}),
        },
    )


def value_hash(key: CaseKey, fingerprint: str, features: Features) -> str:
    """Returns the hash of a row: whose, made from what, and its values."""
    return row_digest({**key.columns(), "fingerprint": fingerprint, **features})


def kept_features(root: Path, center: str, recipe: Recipe, regions: Mapping[Region, str]) -> dict[Region, Values]:
    """Returns the values of regions whose stored row still holds: same fingerprint, and the values that were written.

    Args:
        root: The table's folder.
        center: The partition.
        recipe: What decides features.
        regions: The center's regions in this table with their fingerprints.
    """
    stored = _stored_table(root, center) if regions else None
    if stored is None:
        return {}
    keys = zip(*(stored[name].to_pylist() for name in KEY_COLUMNS), strict=True)
    at = {key: row for row, key in enumerate(keys)}
    marks, hashes = (stored[column.name].to_pylist() for column in _BOOKKEEPING)
    kept: dict[Region, Values] = {}
    for phase, names in recipe.names.items():
        found = {region: at.get(_key(region), -1) for region in regions if region.key.phase == phase}
        own = {region: row for region, row in found.items() if row >= 0 and marks[row] == regions[region]}
        values = _numbers(stored, names, list(own.values())) if own else None
        if values is not None:
            now = _value_hashes(list(own), [regions[region] for region in own], names, values)
            told = zip(own.items(), now, values, strict=True)
            kept |= {region: row for (region, place), mark, row in told if mark == hashes[place]}
    return kept


def write_features(
    root: Path, center: str, recipe: Recipe, rows: Mapping[Region, tuple[str, Values]], table: str
) -> None:
    """Writes one center's features.

    Args:
        root: The table's folder.
        center: The partition.
        recipe: What decides features.
        rows: Each region with its fingerprint and values.
        table: The table's name.
    """
    declared, regions = schema(recipe, table), list(rows)
    numbers = [column.name for column in declared.columns if column.kind == "float"]
    place = {name: column for column, name in enumerate(numbers)}
    matrix = np.full((len(rows), len(numbers)), np.nan, order="F")
    hashes = np.empty(len(rows), object)
    for phase, names in recipe.names.items():
        at = [row for row, region in enumerate(regions) if region.key.phase == phase]
        if at:
            values = np.stack([rows[regions[row]][1] for row in at])
            marks = [rows[regions[row]][0] for row in at]
            hashes[at] = _value_hashes([regions[row] for row in at], marks, names, values)
            matrix[np.ix_(at, [place[name] for name in names])] = values
    texts = {name: [getattr(region.key, name) for region in regions] for name in KEY_COLUMNS}
    texts |= {"fingerprint": [mark for mark, _ in rows.values()], "value_hash": list(hashes)}
    frame = pd.concat([pd.DataFrame(texts, dtype=object), pd.DataFrame(matrix, columns=numbers, copy=False)], axis=1)
    write_center(root, center, frame, declared)


def write_qc(root: Path, center: str, rows: Sequence[Row]) -> None:
    """Writes one center's quality-control rows of extraction."""
    write_center(root, center, pd.DataFrame(rows, columns=list(QC.names()), dtype=object), QC)


def table_of(region: Region) -> str:
    """Returns the table that a region's features belong to."""
    if region.perturbation:
        return PERTURBED if region.is_perturbed else SHUFFLED
    return RADIOMICS if region.is_primary else OBSERVERS


def measured_row(region: Region, names: Sequence[str], values: Values) -> Row:
    """Returns the `qc` row of a measured region: a remark when features have no value."""
    absent = np.flatnonzero(np.isnan(values)).tolist()
    missing = Counter("_".join(names[place].split("_")[:2]) for place in absent)
    if not missing:
        return qc_row(region.key, "ok", stage=STAGE)
    groups = ", ".join(f"{group} {count}" for group, count in sorted(missing.items())[:6])
    more = f" and {len(missing) - 6} more groups" if len(missing) > 6 else ""
    message = f"{missing.total()} of {len(names)} features have no value: {groups}{more}"
    return qc_row(region.key, "warned", code="features_missing", message=message, remedy=_MISSING_REMEDY, stage=STAGE)


def stopped_row(region: Region, error: CaseError, cases: Path) -> Row:
    """Returns the `qc` row of a region that could not be measured; no path of this machine is in it."""
    message = error.what.replace(f"{cases}/", "")
    status: Status = "failed" if error.status == "failed" else "refused"
    return qc_row(region.key, status, code=error.code, message=message, remedy=error.remedy, stage=STAGE)


def _stored_table(root: Path, center: str) -> Any:
    """Returns the Arrow table of a center; nothing where there is none that can be read."""
    if not partition(root, center).is_file():
        return None
    try:
        table = read_table(root, centers=[center])
    except (DamagedTableError, OSError):
        return None
    needed = {*KEY_COLUMNS, *(column.name for column in _BOOKKEEPING)}
    return table if needed <= set(table.column_names) else None


def _numbers(table: Any, names: Sequence[str], rows: Sequence[int]) -> Values | None:
    """Returns the values of rows, shape (n_rows, n_names); nothing where a column is absent or holds no numbers."""
    kinds = dict(zip(table.schema.names, map(str, table.schema.types), strict=True))
    if any(kinds.get(name) != "double" for name in names):
        return None
    values = np.empty((len(rows), len(names)), order="F")
    for place, name in enumerate(names):
        values[:, place] = table[name].to_numpy()[rows]
    return np.ascontiguousarray(values)


def _value_hashes(regions: Sequence[Region], marks: Sequence[str], names: Sequence[str], values: Values) -> list[str]:
    texts = {name: [getattr(region.key, name) for region in regions] for name in KEY_COLUMNS}
    return row_digests({**texts, "fingerprint": marks}, names, values)


def _key(region: Region) -> tuple[str, ...]:
    return tuple(region.key.columns().values())
