"""Writes the tables of ingest, and keeps those of an earlier run where nothing can be read."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from featurestore.errors import InputError
from featurestore.files import write_json
from featurestore.fingerprints import digest
from featurestore.schemas import TableSchema
from featurestore.tables import centers_of, keep_centers, read_table, write_center
from pipelines.ingest.center_tables import CenterTables
from pipelines.ingest.places import IngestPlaces, NothingTakenInError
from pipelines.ingest.summary import IngestSummary, kept
from pipelines.ingest.views import ACQUISITION, CASES, QC, SOURCES, Row, clinical_schema, outcomes_schema
from pipelines.params import CaseRules
from pipelines.params.data import Center

MADE = "made.json"
"""Beside the views: by center, the hash of what its tables were made from."""


class RawNeededError(InputError):
    """Rules or intake changed and there are no raw data to apply them to."""

    default_remedy = "put the raw data back, or restore the params.yaml that the tables were made with"


def schemas(rules: CaseRules) -> dict[str, TableSchema]:
    """Returns the schemas of the tables, by name."""
    return {
        "cases": CASES,
        "acquisition": ACQUISITION,
        "clinical": clinical_schema(rules.ingest.clinical),
        "qc": QC,
        "sources": SOURCES,
        "outcomes": outcomes_schema(rules.label),
    }


def table_root(places: IngestPlaces, name: str) -> Path:
    """Returns a table's folder; the labels lie apart."""
    return places.outcomes if name == "outcomes" else places.views / name


def write_tables(
    places: IngestPlaces,
    rules: CaseRules,
    centers: Mapping[str, Center],
    tables: Mapping[str, CenterTables],
    *,
    labelled: bool = True,
) -> None:
    """Writes all tables of the centers and removes those of others; outcomes only of centers that are read with labels.

    Those of new hospitals are taken in by a step of its own.
    """
    for name, schema in schemas(rules).items():
        if name == "outcomes" and not labelled:
            continue
        root = table_root(places, name)
        root.mkdir(parents=True, exist_ok=True)
        for center, own in sorted(tables.items()):
            rows = pd.DataFrame(getattr(own, name), columns=list(schema.names()), dtype=object)
            write_center(root, center, rows, schema)
        keep_centers(root, centers)
    made = {center: made_from(places, rules, center, section) for center, section in centers.items()}
    write_json(places.views / MADE, made)


def made_from(places: IngestPlaces, rules: CaseRules, center: str, section: Center) -> str:
    """Returns the hash of what a center's tables are made from, apart from who withdrew: that needs no raw data."""
    content = {
        "rules": rules.model_dump(mode="json", exclude={"cohort": {"withdrawn"}}),
        "center": section.model_dump(mode="json", exclude={"folder", "key_id"}),
        "files": _rows(places.intake, center),
    }
    return digest(content)


def stored_tables(places: IngestPlaces, rules: CaseRules, center: str, wanted: Callable[[str], bool]) -> CenterTables:
    """Returns a center's rows of an earlier run, of the patients that `wanted` says; none if there was no run."""
    tables = CenterTables()
    for name, schema in schemas(rules).items():
        rows = [row for row in _rows(table_root(places, name), center) if wanted(str(row["case_id"]))]
        setattr(tables, name, [{column: row.get(column) for column in schema.names()} for row in rows])
    tables.carried = {str(row["case_id"]) for row in tables.cases}
    return tables


def keep_tables(places: IngestPlaces, rules: CaseRules, centers: Mapping[str, Center]) -> IngestSummary:
    """Keeps the tables of an earlier run, without patients who withdrew since.

    Raises:
        NothingTakenInError: There are none.
        RawNeededError: They were made under other rules or from other files.
    """
    made = _read_made(places.views / MADE)
    for center, section in centers.items():
        if center not in made or center not in centers_of(table_root(places, "qc")):
            raise NothingTakenInError("no raw data here, and no tables of an earlier run", where=f"center {center}")
        if made[center] != made_from(places, rules, center, section):
            raise RawNeededError("rules or files changed, and there are no raw data here", where=f"center {center}")
    withdrawn = set(rules.cohort.withdrawn)
    tables = {center: stored_tables(places, rules, center, lambda case: case not in withdrawn) for center in centers}
    write_tables(places, rules, centers, tables)
    for path in places.cases.glob("*/*"):
        if path.parent.name not in centers or path.name.split("_")[0] in withdrawn:
            path.unlink()
    return kept(tables, "there are no raw data here: the tables of an earlier run are kept")


def _rows(root: Path, center: str) -> list[Row]:
    return list(read_table(root, centers=[center]).to_pylist()) if center in centers_of(root) else []


def _read_made(path: Path) -> dict[str, str]:
    try:
        return {str(center): str(made) for center, made in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, AttributeError):
        return {}
