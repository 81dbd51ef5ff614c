"""The raw files of a case: what ingest read, what intake took in, and what lies on the disk now."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from featurestore.fingerprints import file_digest
from featurestore.tables import centers_of, read_frame
from pipelines.ingest.file_index import walk
from pipelines.ingest.pseudonyms import key_path, load_key, path_id
from pipelines.lineage.places import Room, Whose

SAME, OTHER, GONE, NO_RAW, NO_KEY = "same", "differs", "gone", "no raw data here", "no key here"


@dataclass(frozen=True, kw_only=True)
class RawFile:
    """One file that a center sent, by its pseudonym.

    Args:
        phase: The phase it was read for.
        roi: The region it was read for.
        kind: image, or the kind of file that holds the outline.
        path_id: The pseudonym of its path.
        sha256: Its hash as intake took it; empty when intake does not list it any more.
        n_bytes: Its size then.
        disk: How the file on the disk compares now.
    """

    phase: str
    roi: str
    kind: str
    path_id: str
    sha256: str
    n_bytes: int
    disk: str

    def plain(self) -> dict[str, object]:
        """Returns the file as JSON types."""
        return dict(vars(self))


def raw_files(whose: Whose, room: Room) -> list[RawFile]:
    """Returns the files that a patient's cases in a room were read from, each compared with the disk."""
    root, intake = room.places.views / "sources", room.places.intake
    if whose.center not in centers_of(root):
        return []
    rows = read_frame(root, centers=[whose.center])
    rows = rows[rows["case_id"] == whose.case_id]
    listed = read_frame(intake, centers=[whose.center]) if whose.center in centers_of(intake) else None
    known = {} if listed is None else listed.set_index("path_id")[["sha256", "bytes"]].to_dict("index")
    disk = Disk.of(whose, set(rows["path_id"]))
    files = []
    for row in rows.sort_values(["phase", "roi", "kind", "path_id"]).to_dict("records"):
        taken = known.get(row["path_id"], {"sha256": "", "bytes": 0})
        facts = {name: str(row[name]) for name in ("phase", "roi", "kind", "path_id")}
        told = disk.verdict(facts["path_id"], str(taken["sha256"]))
        files.append(RawFile(**facts, sha256=str(taken["sha256"]), n_bytes=int(taken["bytes"]), disk=told))
    return files


def paths_on_disk(whose: Whose) -> list[Path]:
    """Returns where a patient's raw files lie; their names may tell who he is."""
    wanted: set[str] = set()
    for root in (room.places.views / "sources" for room in whose.rooms):
        if whose.center in centers_of(root):
            rows = read_frame(root, centers=[whose.center])
            wanted |= set(rows.loc[rows["case_id"] == whose.case_id, "path_id"])
    return sorted(Disk.of(whose, wanted).paths.values()) if wanted else []


@dataclass(frozen=True)
class Disk:
    """The wanted files that are here, by pseudonym; `reason` says why none can be looked for."""

    paths: dict[str, Path]
    reason: str = ""

    @classmethod
    def of(cls, whose: Whose, wanted: set[str]) -> "Disk":
        """Looks for the wanted files of a patient's center."""
        folder, keys = whose.room.places.raw[whose.center], whose.room.places.keys
        if not folder.is_dir():
            return cls({}, NO_RAW)
        if not key_path(keys, whose.center).is_file():
            return cls({}, NO_KEY)
        return cls(dict(_found(folder, load_key(keys, whose.center), wanted)))

    def verdict(self, name: str, sha256: str) -> str:
        """Returns how a file compares with what intake took in."""
        if self.reason:
            return self.reason
        if name not in self.paths:
            return GONE
        return SAME if file_digest(self.paths[name]) == sha256 else OTHER


def _found(folder: Path, key: bytes, wanted: set[str]) -> Iterator[tuple[str, Path]]:
    for relative, path in walk(folder):
        name = path_id(key, relative)
        if name in wanted:
            yield name, path
