"""Finds planted secrets in whatever files hold, decoded as far as a reader of them could decode."""

import base64
import bz2
import gzip
import io
import lzma
import re
import sqlite3
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MARKER = "zqvxjkwb"
"""Letters that stand in every planted text and nowhere else."""

DIGITS = "97313571428577"
"""Digits that stand in every planted UID and number."""

BIRTH_YEAR, STUDY_YEAR = 1893, 2097
"""Every planted date lies in one of these years, in which nothing else lies."""

BURNT_IN = np.array([2903, 2801, 2953, 2711, 2999, 2687, 2851, 2741], np.int16)
"""HU of the voxels in a row that stand for a name burnt into the image."""

_DEEPEST = 5
_DAMAGED = (zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATA_URI = re.compile(rb"base64,([A-Za-z0-9+/=\s%]{16,})")


@dataclass(frozen=True)
class Leak:
    """A place where a secret stands.

    Args:
        place: The file, and after `!` how it had to be read.
        excerpt: What stands there.
        is_burnt_in: Whether it is a name burnt into voxels.
    """

    place: str
    excerpt: str
    is_burnt_in: bool = False


def find_leaks(root: Path, inputs: Sequence[Path] = (), keys: Sequence[bytes] = ()) -> list[Leak]:
    """Returns every secret in names and contents of all files below a folder, `inputs` left out.

    Args:
        root: The folder.
        inputs: Folders below it that may hold secrets: what was sent, and what is kept private.
        keys: Secret keys, searched for as they are, in hexadecimal and in base64.
    """
    pattern = _with(keys)
    leaks: list[Leak] = []
    for path in sorted(root.rglob("*")):
        if any(path.is_relative_to(folder) for folder in inputs):
            continue
        place = path.relative_to(root).as_posix()
        leaks += leaks_in("the name of a file", place.encode("utf-8", "surrogateescape"), pattern)
        if path.name == ".git":
            for name, content in _git_objects(path.parent):
                leaks += leaks_in(f"{place}!{name}", content, pattern)
        if path.is_file() and not path.is_symlink():
            leaks += leaks_in(place, path.read_bytes(), pattern)
    return leaks


def leaks_in(place: str, content: bytes, pattern: re.Pattern[bytes] | None = None) -> list[Leak]:
    """Returns every secret in one file's bytes, each place once."""
    found, pattern = {}, pattern or _PATTERN
    for name, data in _readings(place, content):
        for match in pattern.finditer(data):
            burnt_in = match.group() in _BURNT_IN
            found.setdefault(name, Leak(place=name, excerpt=_excerpt(data, match), is_burnt_in=burnt_in))
        if b"\0" in data and (match := pattern.search(data.replace(b"\0", b""))):
            found.setdefault(name, Leak(place=name, excerpt=f"wide characters: {match.group()!r}"))
    return list(found.values())


def _readings(place: str, content: bytes, depth: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yields the bytes as they are, and everything that can be unpacked or decoded from them."""
    yield place, content
    if depth == _DEEPEST:
        return
    for magic, kind, unpack in _PACKED:
        if content.startswith(magic):
            for name, inner in _tolerant(unpack, content):
                yield from _readings(f"{place}!{kind}{name}", inner, depth + 1)
    for number, match in enumerate(_DATA_URI.finditer(content)):
        with suppress(ValueError):
            inner = base64.b64decode(re.sub(rb"[\s%].*", b"", match.group(1), flags=re.DOTALL) + b"==")
            yield from _readings(f"{place}!data {number}", inner, depth + 1)


def _tolerant(unpack: Callable[[bytes], Iterator[tuple[str, bytes]]], content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields what can be unpacked; a file may only look packed, or be cut off."""
    with suppress(OSError, EOFError, ValueError, pa.ArrowException, sqlite3.Error, *_DAMAGED):
        yield from unpack(content)


def _inflated(content: bytes) -> Iterator[tuple[str, bytes]]:
    yield "", zlib.decompressobj().decompress(content)


def _gzip(content: bytes) -> Iterator[tuple[str, bytes]]:
    yield "", gzip.decompress(content)


def _bz2(content: bytes) -> Iterator[tuple[str, bytes]]:
    yield "", bz2.decompress(content)


def _xz(content: bytes) -> Iterator[tuple[str, bytes]]:
    yield "", lzma.decompress(content)


def _zstd(content: bytes) -> Iterator[tuple[str, bytes]]:
    yield "", pa.CompressedInputStream(pa.BufferReader(content), "zstd").read()


def _zip(content: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            yield f" {member.filename}", archive.read(member)


def _tar(content: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            file = archive.extractfile(member)
            yield f" {member.name}", b"" if file is None else file.read()


def _parquet(content: bytes) -> Iterator[tuple[str, bytes]]:
    table = pq.read_table(pa.BufferReader(content))
    yield " schema", f"{table.schema.to_string()} {table.schema.metadata}".encode()
    for name in table.column_names:
        column = table.column(name)
        yield f" column {name}", "\n".join(map(str, column.to_pylist())).encode("utf-8", "surrogateescape")
    for name in table.column_names:
        if pa.types.is_binary(table.column(name).type) or pa.types.is_large_binary(table.column(name).type):
            yield f" bytes {name}", b"\n".join(part or b"" for part in table.column(name).to_pylist())


def _sqlite(content: bytes) -> Iterator[tuple[str, bytes]]:
    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(content[:18] + b"\1\1" + content[20:])  # as if no write-ahead log were beside it
        connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        names = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        for name in names:
            rows = connection.execute(f'select * from "{name}"')
            yield f" table {name}", "\n".join(map(str, rows)).encode("utf-8", "surrogateescape")
            for row in connection.execute(f'select * from "{name}"'):
                yield from ((f" blob of {name}", value) for value in row if isinstance(value, bytes))
    finally:
        connection.close()


def _png(content: bytes) -> Iterator[tuple[str, bytes]]:
    place = 8
    while place + 8 <= len(content):
        length, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        chunk = content[place + 8 : place + 8 + length]
        if kind in (b"zTXt", b"iTXt") and b"\0" in chunk:
            packed = chunk[chunk.index(b"x") :] if b"x" in chunk else b""
            yield f" {kind.decode()}", zlib.decompressobj().decompress(packed) if packed else chunk
        place += length + 12


_PACKED: tuple[tuple[bytes, str, Callable[[bytes], Iterator[tuple[str, bytes]]]], ...] = (
    (b"\x1f\x8b", "gzip", _gzip),
    (b"PK\x03\x04", "zip", _zip),
    (b"BZh", "bz2", _bz2),
    (b"\xfd7zXZ", "xz", _xz),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
    (b"x\x01", "zlib", _inflated),
    (b"x\x5e", "zlib", _inflated),
    (b"x\x9c", "zlib", _inflated),
    (b"x\xda", "zlib", _inflated),
    (b"PAR1", "parquet", _parquet),
    (b"SQLite format 3\0", "sqlite", _sqlite),
    (b"\x89PNG\r\n\x1a\n", "png", _png),
    (b"", "tar", lambda content: _tar(content) if content[257:262] == b"ustar" else iter(())),
)


def _git_objects(repository: Path) -> Iterator[tuple[str, bytes]]:
    """Yields every object that git keeps, packed or loose, reachable or not."""
    command = ["git", "cat-file", "--batch-all-objects", "--batch", "--buffer"]
    yield "objects", subprocess.run(command, cwd=repository, capture_output=True, check=True).stdout
    command = ["git", "log", "--all", "--patch", "--text"]
    yield "log", subprocess.run(command, cwd=repository, capture_output=True, check=False).stdout


def _excerpt(data: bytes, match: re.Match[bytes]) -> str:
    around = data[max(match.start() - 60, 0) : match.end() + 60]
    return around.decode("latin-1").replace("\n", " ")


def _written(text: str) -> Iterator[bytes]:
    """Yields regular expressions of the ways in which a text of plain letters or digits can be written."""
    letters = [re.escape(letter.encode()) for letter in text]
    yield b"(?i:" + b"".join(letters) + b")"
    for form in ("%%%02x", "\\\\u%04x", "&#%d;", "&#x%x;", "\\\\x%02x"):
        ways = [b"(?:" + b"|".join({(form % ord(c)).encode() for c in (a.lower(), a.upper())}) + b")" for a in text]
        yield b"(?i:" + b"".join(ways) + b")"
    for way in {text.lower(), text.upper(), text.title()}:
        yield b"(?i:" + way.encode().hex().encode() + b")"
        yield from _base64(way.encode())


def _base64(text: bytes) -> Iterator[bytes]:
    """Yields what is the same in the base64 of every text that holds this one, for each of the three places."""
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + text)
        whole = coded[-(-before * 4 // 3) : len(coded.rstrip(b"=")) - (1 if coded.endswith(b"=") else 0)]
        yield re.escape(whole)
        yield re.escape(whole.translate(bytes.maketrans(b"+/", b"-_")))


def _dates() -> Iterator[bytes]:
    year = f"(?:{BIRTH_YEAR}|{STUDY_YEAR})"
    month, day, mark = "(?:0?[1-9]|1[0-2])", "(?:0?[1-9]|[12][0-9]|3[01])", "(?:[-/._:]|%2[fF]|%2[dD]|\\s)"
    begins, ends = "(?<![0-9a-fA-F.])", "(?![0-9a-fA-F])"
    for form in (
        f"{begins}{year}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:[0-2][0-9]){{0,3}}{ends}",
        f"{begins}{year}{mark}{month}{mark}{day}(?![0-9])",
        f"{begins}{day}{mark}{month}{mark}{year}(?![0-9])",
        f"{begins}{month}{mark}{day}{mark}{year}(?![0-9])",
        f"(?i:(?:{_MONTHS})[a-z]*[ .,-]+(?:{day}[ .,-]+)?{year}(?![0-9]))",
    ):
        yield form.encode()


_BURNT_IN = {BURNT_IN.astype(kind).tobytes() for kind in ("<i2", ">i2", "<i4", "<f4", ">f4", "<f8")}
_PATTERN = re.compile(
    b"|".join([*_written(MARKER), *_written(DIGITS), *_dates(), *map(re.escape, _BURNT_IN)]), re.DOTALL
)


def _with(keys: Sequence[bytes]) -> re.Pattern[bytes]:
    """Returns the pattern of all planted secrets and of some keys."""
    ways = [b"(?i:" + key.hex().encode() + b")" for key in keys]
    ways += [re.escape(key) for key in keys]
    ways += [way for key in keys for way in _base64(key)]
    return re.compile(b"|".join([_PATTERN.pattern, *ways]), re.DOTALL) if ways else _PATTERN
