"""The files of a center, and a private cache of what they were found to be.

The cache knows a file by path, size, modification time and inode, so that an unchanged file is neither hashed nor
parsed again. It names patients and therefore lies under `private/`; deleting it costs time and changes nothing.
"""

import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featurestore.errors import CaseError, InputError
from featurestore.fingerprints import file_digest
from pipelines.ingest.headers import DicomHeader
from pipelines.ingest.problems import TruncatedFileError, UnreadableError
from pipelines.ingest.pseudonyms import write_private

FORMAT = 3
UNREADABLE = "unreadable"
"""Stands for the hash of a file that cannot be opened."""

_RACY_NS = 2_000_000_000
"""A file written this shortly before it was hashed could change again without a new time; git calls such files racy."""

_UNFINISHED = (".part", ".partial", ".filepart", ".crdownload", ".tmp")
_DICOM_SUFFIXES = (".dcm", ".ima", ".dicom")


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """One file that a center sent.

    Args:
        relative: Its path below the center's folder; it may name a patient.
        path: Where it is.
        n_bytes: Its size.
        sha256: Its hash.
        mtime_ns: When it was last changed.
    """

    relative: str
    path: Path
    n_bytes: int
    sha256: str
    mtime_ns: int = 0

    @property
    def folder(self) -> str:
        """The folder it lies in, below the center's."""
        return self.relative.rpartition("/")[0]

    @property
    def name(self) -> str:
        """Its name without the folder."""
        return self.relative.rpartition("/")[2]


@dataclass
class FileIndex:
    """What is known of a center's files.

    Args:
        path: Where the cache lies.
        files: By relative path: size, modification time, inode, hash.
        headers: By hash: the DICOM header without its path, none for another kind of file, a text for a problem.
        n_hashed: How many files had to be hashed since it was opened.
    """

    path: Path
    files: dict[str, tuple[int, int, int, str]] = field(default_factory=dict)
    headers: dict[str, dict[str, Any] | str | None] = field(default_factory=dict)
    n_hashed: int = 0
    _seen: set[str] = field(default_factory=set)

    @classmethod
    def open(cls, path: Path) -> "FileIndex":
        """Returns the cache at `path`; an empty one if it is missing, damaged or of another format."""
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            content = json.loads(path.read_bytes())
            if content["format"] == FORMAT:
                files = {name: (int(a), int(b), int(c), str(d)) for name, (a, b, c, d) in content["files"].items()}
                return cls(path=path, files=files, headers=dict(content["headers"]))
        return cls(path=path)

    def save(self, *, sweep: bool = False) -> None:
        """Stores the cache; with `sweep` without files that were not asked for since it was opened."""
        files = {name: known for name, known in self.files.items() if not sweep or name in self._seen}
        hashes = {known[3] for known in files.values()}
        headers = {name: header for name, header in self.headers.items() if name in hashes}
        content = {"format": FORMAT, "files": files, "headers": headers}
        write_private(self.path, json.dumps(content, separators=(",", ":")).encode())

    def file(self, relative: str, path: Path) -> SourceFile:
        """Returns a file with its hash, from the cache where the file is unchanged."""
        self._seen.add(relative)
        found = path.stat()
        identity = (found.st_size, found.st_mtime_ns, found.st_ino)
        known = self.files.get(relative)
        digest = known[3] if known is not None and known[:3] == identity else self._hash(relative, path, identity)
        return SourceFile(
            relative=relative, path=path, n_bytes=found.st_size, sha256=digest, mtime_ns=found.st_mtime_ns
        )

    def header(self, file: SourceFile) -> DicomHeader | None:
        """Returns a file's DICOM header; none if it is no DICOM file.

        Raises:
            CaseError: It is (or is named as) DICOM and cannot be read.
        """
        if file.sha256 not in self.headers:
            self.headers[file.sha256] = _parsed(file.path)
        known = self.headers[file.sha256]
        if isinstance(known, str):
            kind = TruncatedFileError if known.startswith(TruncatedFileError.code) else UnreadableError
            raise kind(known.partition(": ")[2])
        if known is None and file.name.lower().endswith(_DICOM_SUFFIXES):
            raise UnreadableError(f"a file of {file.n_bytes} bytes is named as DICOM and is none")
        return None if known is None else DicomHeader.from_plain({**known, "path": str(file.path)})

    def _hash(self, relative: str, path: Path, identity: tuple[int, int, int]) -> str:
        self.n_hashed += 1
        self.files.pop(relative, None)
        try:
            digest = file_digest(path)
        except OSError:
            return UNREADABLE
        if time.time_ns() - identity[1] > _RACY_NS:
            self.files[relative] = (*identity, digest)
        return digest


def walk(root: Path) -> Iterator[tuple[str, Path]]:
    """Yields relative path and path of every file below a center's folder, sorted; hidden and unfinished ones left out.

    Linked folders are followed, each real folder once.

    Raises:
        InputError: A folder cannot be listed.
    """
    visited: set[tuple[int, int]] = set()
    found: list[tuple[str, Path]] = []
    for folder, folders, names in os.walk(root, followlinks=True, onerror=_complain):
        here = os.stat(folder)
        if (here.st_dev, here.st_ino) in visited:
            folders.clear()
            continue
        visited.add((here.st_dev, here.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [Path(folder, name) for name in names if not is_unfinished(name)]
        found += [(path.relative_to(root).as_posix(), path) for path in paths if _is_file(path)]
    yield from sorted(found)


def is_unfinished(name: str) -> bool:
    """Returns whether a file is hidden, a lock of an office program, or still being copied."""
    return name.startswith((".", "~$")) or name.lower().endswith(_UNFINISHED)


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _complain(error: OSError) -> None:
    raise InputError(
        f"a folder of the raw data cannot be listed ({type(error).__name__})",
        where=Path(error.filename).name if error.filename else "",
        remedy="give the account that runs radmill the right to read it",
    )


def _parsed(path: Path) -> dict[str, Any] | str | None:
    from pipelines.ingest.dicom_header import read_header

    try:
        header = read_header(path)
    except CaseError as error:
        return f"{error.code}: {error.what}"
    except Exception as error:  # a damaged header may break the parser in any way, and only its own file
        return f"{UnreadableError.code}: a DICOM header that cannot be read ({type(error).__name__})"
    if header is None:
        return None
    return {name: value for name, value in header.plain().items() if name != "path" and value is not None}
