"""Schemas: the declared columns of a table with type, unit and description, carried into the Parquet files."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from featurestore.entities import KEY_COLUMNS

Kind = Literal["string", "float", "integer", "boolean"]

ARROW_TYPES: dict[Kind, pa.DataType] = {
    "string": pa.string(),
    "float": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One declared column.

    Args:
        name: The column's name.
        kind: Its type.
        unit: Its unit, empty where it has none.
        description: One line for people.
        code: A code of a published vocabulary, such as the IBSI's.
        source: Where its formula is published.
    """

    name: str
    kind: Kind = "float"
    unit: str = ""
    description: str = ""
    code: str = ""
    source: str = ""

    def field(self) -> pa.Field:
        """Returns the Arrow field with unit, description, code and source in its metadata."""
        notes = {"unit": self.unit, "description": self.description, "code": self.code, "source": self.source}
        return pa.field(self.name, ARROW_TYPES[self.kind], metadata={k: v for k, v in notes.items() if v} or None)


@dataclass(frozen=True, kw_only=True)
class TableSchema:
    """The declared columns of a table.

    Args:
        name: The table's name.
        keys: The columns that identify a row, `center` first; rows are sorted by them.
        columns: All other columns in their order.
        notes: Facts about the whole table, such as the settings' fingerprint.
    """

    name: str
    keys: tuple[str, ...] = KEY_COLUMNS
    columns: tuple[Column, ...]
    notes: dict[str, str] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """Returns all column names, keys first."""
        return (*self.keys, *(column.name for column in self.columns))

    def arrow(self) -> pa.Schema:
        """Returns the Arrow schema with units and descriptions in the field metadata."""
        keys = [pa.field(key, pa.string(), nullable=False) for key in self.keys]
        return pa.schema([*keys, *(column.field() for column in self.columns)], metadata=self.notes or None)


def columns_of(schema: pa.Schema, keys: Iterable[str] = KEY_COLUMNS) -> tuple[Column, ...]:
    """Returns the declared columns that an Arrow schema carries, keys left out."""
    kinds = {arrow: kind for kind, arrow in ARROW_TYPES.items()}
    skip = set(keys)
    return tuple(
        Column(
            name=item.name,
            kind=kinds[item.type],
            **{key.decode(): value.decode() for key, value in (item.metadata or {}).items()},
        )
        for item in schema
        if item.name not in skip
    )
