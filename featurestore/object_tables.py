"""Tables in an object store: new objects first, then one manifest that makes them visible, put only if it is new.

An object store has no rename. Objects are named by their content and never overwritten; version n of the store is the
object `manifests/<n>.json`, which is created once or not at all. A reader sees the newest whole version, a writer who
died leaves objects that no manifest names, and of two writers at once one is told to look again.
"""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from featurestore.errors import DamagedTableError, FaultError, InputError
from featurestore.fingerprints import bytes_digest, canonical_json
from featurestore.tables import centers_of, partition

Manifest = dict[str, Any]
ATTEMPTS = 20
_DIGITS = 8


class VersionGoneError(InputError):
    """The version that was asked for is not in the store."""

    default_remedy = "ask for one that is there, or for the newest by naming none"


class BusyStoreError(FaultError):
    """Others kept publishing while this version was being made."""

    default_remedy = "publish again when they have ended; nothing of this version is visible"


class ObjectTables:
    """A published store.

    Args:
        url: Its address, such as `s3://bucket/study`.
        options: What fsspec needs to open it, such as `endpoint_url`, `key` and `secret`.
    """

    def __init__(self, url: str, **options: Any) -> None:
        import fsspec

        self.fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False, **options)
        self.root = root.rstrip("/")

    def versions(self) -> list[int]:
        """Returns the versions there are, oldest first."""
        try:
            names = self.fs.ls(f"{self.root}/manifests", detail=False, refresh=True)
        except FileNotFoundError:
            return []
        stems = (name.rsplit("/", 1)[-1].removesuffix(".json") for name in names)
        return sorted(int(stem) for stem in stems if stem.isdigit())

    def manifest(self, version: int | None = None) -> Manifest:
        """Returns what a version holds: by table and center the object, its hash and its rows.

        Raises:
            VersionGoneError: There is no such version.
        """
        there = self.versions()
        wanted = version if version is not None else (there[-1] if there else None)
        if wanted is None:
            return {"version": 0, "tables": {}}
        if wanted not in there:
            span = f"there are {there[0]} to {there[-1]}" if there else "there is none"
            raise VersionGoneError(span, where=f"version {wanted}")
        content: Manifest = json.loads(self.fs.cat_file(self._manifest_path(wanted)))
        return content

    def publish(self, tables: Mapping[str, Path], gone: Iterable[str] = ()) -> int:
        """Makes a new version that has these tables beside those it had; returns its number.

        Args:
            tables: By name, the folder of a local table.
            gone: Names of tables that the new version no longer has.

        Raises:
            BusyStoreError: Others published all the while.
        """
        stored = {name: self._put_table(folder) for name, folder in tables.items()}
        left = set(gone)
        for _ in range(ATTEMPTS):
            before = self.manifest()
            kept = {name: rows for name, rows in before["tables"].items() if name not in left}
            content = {"version": before["version"] + 1, "tables": {**kept, **stored}}
            if content["tables"] == before["tables"]:
                return int(before["version"])
            if self._create(self._manifest_path(content["version"]), canonical_json(content, indent=2)):
                return int(content["version"])
        raise BusyStoreError(f"{ATTEMPTS} versions came between", where="object store")

    def read(
        self,
        name: str,
        *,
        centers: Iterable[str] | None = None,
        columns: Sequence[str] | None = None,
        version: int | None = None,
    ) -> pa.Table:
        """Reads rows of the named centers, or of all, sorted by center and key.

        Args:
            name: The table's name.
            centers: Which centers; all when left out.
            columns: Which columns besides `center`; all when left out.
            version: Which version; the newest when left out.

        Raises:
            VersionGoneError: There is no such version.
            DamagedTableError: The table is not in it, or an object is missing or unreadable.
        """
        tables = self.manifest(version)["tables"]
        if name not in tables:
            raise DamagedTableError("no such table in this version", where=f"table {name}")
        wanted = None if centers is None else set(centers)
        chosen = {center: told for center, told in sorted(tables[name].items()) if wanted is None or center in wanted}
        parts = [self._part(name, center, told, columns) for center, told in chosen.items()]
        if not parts:
            center, told = next(iter(tables[name].items()))
            return self._part(name, center, told, columns).slice(0, 0)
        return pa.concat_tables([part.cast(parts[0].schema) for part in parts])

    def verify(self, version: int | None = None) -> int:
        """Reads every object of a version against its hash and returns how many there are.

        Raises:
            DamagedTableError: An object is missing or not what was put.
        """
        n = 0
        for name, centers in self.manifest(version)["tables"].items():
            for center, told in centers.items():
                if bytes_digest(self._bytes(name, center, told)) != told["sha256"]:
                    raise DamagedTableError("the object is not what was put", where=f"{name}, center {center}")
                n += 1
        return n

    def _put_table(self, folder: Path) -> dict[str, dict[str, Any]]:
        stored = {}
        for center in centers_of(folder):
            data = partition(folder, center).read_bytes()
            sha256 = bytes_digest(data)
            key = f"objects/{sha256}.parquet"
            if not self._is_there(key, len(data)):
                self.fs.pipe_file(f"{self.root}/{key}", data)
            rows = pq.ParquetFile(io.BytesIO(data)).metadata.num_rows
            stored[center] = {"object": key, "sha256": sha256, "rows": rows}
        return stored

    def _is_there(self, key: str, n_bytes: int) -> bool:
        try:
            return int(self.fs.info(f"{self.root}/{key}", refresh=True)["size"]) == n_bytes
        except FileNotFoundError:
            return False

    def _create(self, path: str, data: bytes) -> bool:
        """Puts an object only if there is none of its name; returns whether it did."""
        try:
            self.fs.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
        return True

    def _manifest_path(self, version: int) -> str:
        return f"{self.root}/manifests/{version:0{_DIGITS}d}.json"

    def _bytes(self, name: str, center: str, told: Mapping[str, Any]) -> bytes:
        try:
            data: bytes = self.fs.cat_file(f"{self.root}/{told['object']}")
        except FileNotFoundError as error:
            raise DamagedTableError("an object is missing", where=f"{name}, center {center}") from error
        return data

    def _part(self, name: str, center: str, told: Mapping[str, Any], columns: Sequence[str] | None) -> pa.Table:
        try:
            with self.fs.open(f"{self.root}/{told['object']}", "rb") as handle:
                source = pq.ParquetFile(handle)
                wanted = [n for n in source.schema_arrow.names if columns is None or n in columns]
                part = source.read(columns=wanted)
        except (FileNotFoundError, pa.ArrowInvalid) as error:
            raise DamagedTableError(f"unreadable: {error}", where=f"{name}, center {center}") from error
        field = pa.field("center", pa.string(), nullable=False)
        return part.add_column(0, field, pa.array([center] * part.num_rows, pa.string()))
