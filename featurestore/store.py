"""The store as a notebook reads it, in two lines: `store = Store("my-study")`, `store.frame("radiomics")`.

The root is a study's folder or the address of a published store, such as `s3://bucket/study`.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from featurestore.errors import InputError
from featurestore.tables import centers_of, read_table
from featurestore.training_sets import TrainingSet

if TYPE_CHECKING:
    import pyarrow as pa

    from featurestore.object_tables import ObjectTables

ROLES = ("development", "external")
TABLES = ("features", "views")
IMPORTED = "imported"
LABELS = "outcomes"
"""Not to be read here for external centers: their labels are opened by evaluation alone."""


class UnknownTableError(InputError):
    """There is no such table in the store."""

    default_remedy = "`radmill features list` shows those there are"


class Store:
    """A store of tables, read only.

    Args:
        root: A study's folder, or the address of a published store.
        version: Which version of a published store; the newest when left out.
        options: What fsspec needs to open the address, such as `endpoint_url`.
    """

    def __init__(self, root: str | Path, *, version: int | None = None, **options: Any) -> None:
        self.root = str(root)
        self.version = version
        self.options = options

    def tables(self) -> list[str]:
        """Returns the names of all tables, as `role/view`."""
        if self._published is not None:
            return sorted(self._published.manifest(self.version)["tables"])
        return sorted(self.folders())

    def centers(self, view: str, role: str = "development") -> list[str]:
        """Returns the centers that have rows of a view."""
        if self._published is not None:
            tables: dict[str, dict[str, Any]] = self._published.manifest(self.version)["tables"]
            return sorted(tables[self._name(view, role)])
        return centers_of(self.folders()[self._name(view, role)])

    def table(
        self,
        view: str,
        role: str = "development",
        *,
        centers: Iterable[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> "pa.Table":
        """Reads rows as an Arrow table; only what is asked for is read.

        Args:
            view: A feature view, imported or own, or one of cases, clinical, acquisition, qc.
            role: `development` or `external`; an imported view has one table for both.
            centers: Which centers; all when left out.
            columns: Which columns besides `center`; all when left out.

        Raises:
            UnknownTableError: There is no such table.
        """
        name = self._name(view, role)
        if self._published is not None:
            return self._published.read(name, centers=centers, columns=columns, version=self.version)
        return read_table(self.folders()[name], centers=centers, columns=columns)

    def frame(self, view: str, role: str = "development", **chosen: Any) -> pd.DataFrame:
        """Reads rows as a pandas frame; takes what `table` takes."""
        return self.table(view, role, **chosen).to_pandas()

    def training_set(self, service: str) -> TrainingSet:
        """Opens the frozen training set of a service, checked row by row.

        Raises:
            UnknownTableError: It was not assembled.
        """
        folder = Path(self.root) / "data" / "training" / service
        if not folder.is_dir():
            raise UnknownTableError("is not assembled", where=f"service {service}", remedy="`radmill run assemble`")
        return TrainingSet.load(folder)

    @cached_property
    def _published(self) -> "ObjectTables | None":
        if "://" not in self.root:
            return None
        from featurestore.object_tables import ObjectTables

        return ObjectTables(self.root, **self.options)

    def folders(self) -> dict[str, Path]:
        """Returns the folder of each table of a study; labels of external centers are not among them."""
        data = Path(self.root) / "data"
        own = {f"{role}/{p.name}": p for role in ROLES for kind in TABLES for p in (data / kind / role).glob("*")}
        labels = {f"development/{LABELS}": data / LABELS / "development"}
        imported = {f"{IMPORTED}/{p.name}": p for p in (data / IMPORTED).glob("*") if p.name != LABELS}
        qc = {f"{role}/extraction_qc": data / "features" / role / "qc" for role in ROLES}
        found = {**{n: p for n, p in own.items() if p.parts[-3] != "features" or p.name != "qc"}, **qc}
        return {name: path for name, path in {**found, **labels, **imported}.items() if centers_of(path)}

    def _name(self, view: str, role: str) -> str:
        known = self.tables()
        for name in (f"{role}/{view}", f"{IMPORTED}/{view}", view):
            if name in known:
                return name
        raise UnknownTableError(f"there are {', '.join(known) or 'no tables'}", where=f"{role}/{view}")
