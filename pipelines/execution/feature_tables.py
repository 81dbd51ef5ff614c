"""The tables that extract writes: features of the regions that models use, those of other observers, and `qc`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from featurestore.entities import KEY_COLUMNS, CaseKey
from featurestore.errors import CaseError, DamagedTableError
from featurestore.fingerprints import canonical_json, row_digest
from featurestore.schemas import Column, TableSchema
from featurestore.tables import centers_of, keep_centers, read_table, write_center
from pipelines.execution.regions import Recipe, Region
from pipelines.images.shuffling import SHUFFLED
from pipelines.ingest.views import QC, Row, Status, qc_row
from pipelines.radiomics.base import Features
from pipelines.radiomics.catalog import columns_of_phases, names

RADIOMICS, OBSERVERS, PERTURBED = "radiomics", "observers", "perturbed"
TABLES = (RADIOMICS, OBSERVERS, PERTURBED)
"""Of regions as they are stored. Those of shuffled voxels are in a table `shuffled` elsewhere, whose notes say so."""

STAGE = "extract"

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


def completed(features: Features, wanted: Sequence[str]) -> Features:
    """Returns the wanted features in order, NaN where there is no value."""
    return {name: features.get(name, float("nan")) for name in wanted}


def kept_features(root: Path, center: str, recipe: Recipe, regions: Mapping[Region, str]) -> dict[Region, Features]:
    """Returns the features of regions whose stored row still holds: same fingerprint, and the values that were written.

    Args:
        root: The table's folder.
        center: The partition.
        recipe: What decides features.
        regions: The center's regions in this table with their fingerprints.
    """
    stored = _stored_rows(root, center)
    kept = {}
    for region, fingerprint in regions.items():
        row = stored.get(region.key)
        wanted = names(recipe.by_phase[region.key.phase])
        if row is None or row["fingerprint"] != fingerprint or not row.keys() >= set(wanted):
            continue
        features = completed({name: row[name] for name in wanted if row[name] is not None}, wanted)
        if value_hash(region.key, fingerprint, features) == row["value_hash"]:
            kept[region] = features
    return kept


def write_features(
    root: Path, center: str, recipe: Recipe, rows: Mapping[Region, tuple[str, Features]], table: str
) -> None:
    """Writes one center's features.

    Args:
        root: The table's folder.
        center: The partition.
        recipe: What decides features.
        rows: Each region with its fingerprint and features.
        table: The table's name.
    """
    declared = schema(recipe, table)
    content = [
        {**region.key.columns(), **features, "fingerprint": mark, "value_hash": value_hash(region.key, mark, features)}
        for region, (mark, features) in rows.items()
    ]
    frame = pd.DataFrame(content, columns=list(declared.names()))
    texts = [*KEY_COLUMNS, *(column.name for column in _BOOKKEEPING)]
    numbers = [name for name in frame.columns if name not in texts]
    write_center(
        root, center, frame.astype({**dict.fromkeys(numbers, "float64"), **dict.fromkeys(texts, object)}), declared
    )


def write_qc(root: Path, center: str, rows: Sequence[Row]) -> None:
    """Writes one center's quality-control rows of extraction."""
    write_center(root, center, pd.DataFrame(rows, columns=list(QC.names()), dtype=object), QC)


def keep_only(features: Path, centers: Sequence[str], tables: Sequence[str] = TABLES) -> None:
    """Removes the partitions of other centers from all tables."""
    features.mkdir(parents=True, exist_ok=True)
    for table in (*tables, "qc"):
        keep_centers(features / table, centers)


def table_of(region: Region) -> str:
    """Returns the table that a region's features belong to."""
    if region.perturbation:
        return PERTURBED if region.is_perturbed else SHUFFLED
    return RADIOMICS if region.is_primary else OBSERVERS


def measured_row(region: Region, features: Features) -> Row:
    """Returns the `qc` row of a measured region: a remark when features have no value."""
    missing = Counter("_".join(name.split("_")[:2]) for name, value in features.items() if value != value)
    if not missing:
        return qc_row(region.key, "ok", stage=STAGE)
    groups = ", ".join(f"{group} {count}" for group, count in sorted(missing.items())[:6])
    more = f" and {len(missing) - 6} more groups" if len(missing) > 6 else ""
    message = f"{missing.total()} of {len(features)} features have no value: {groups}{more}"
    return qc_row(region.key, "warned", code="features_missing", message=message, remedy=_MISSING_REMEDY, stage=STAGE)


def stopped_row(region: Region, error: CaseError, cases: Path) -> Row:
    """Returns the `qc` row of a region that could not be measured; no path of this machine is in it."""
    message = error.what.replace(f"{cases}/", "")
    status: Status = "failed" if error.status == "failed" else "refused"
    return qc_row(region.key, status, code=error.code, message=message, remedy=error.remedy, stage=STAGE)


def _stored_rows(root: Path, center: str) -> dict[CaseKey, dict[str, Any]]:
    if center not in centers_of(root):
        return {}
    try:
        rows = read_table(root, centers=[center]).to_pylist()
        return {CaseKey(**{name: row[name] for name in KEY_COLUMNS}): row for row in rows}
    except (DamagedTableError, KeyError, OSError):
        return {}
