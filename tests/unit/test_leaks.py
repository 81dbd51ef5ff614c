"""The search behind the privacy proof finds a secret in every kind of output, and nothing where there is none."""

import base64
import gzip
import io
import json
import sqlite3
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import matplotlib.figure
import numpy as np
import pandas as pd
import pytest

from tests.leaks import BURNT_IN, DIGITS, MARKER, find_leaks, leaks_in

SECRET = f"Müller {MARKER.title()}"
Write = Callable[[Path], object]


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside.json.gz", gzip.compress(json.dumps({"who": SECRET}).encode()))


def database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("create table notes (said text, packed blob)")
        connection.execute("insert into notes values ('', ?)", (zlib.compress(SECRET.encode()),))
    connection.close()


def committed_and_removed(path: Path) -> None:
    path.mkdir()
    (path / "file").write_text(SECRET)
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "a"], ["rm", "-q", "file"], ["gc", "-q"]):
        subprocess.run(["git", *command], cwd=path, check=True, capture_output=True)


def image(path: Path) -> None:
    figure = matplotlib.figure.Figure(figsize=(1, 1))
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Comment": SECRET})
    path.write_text(f'<img src="data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()}">')


WAYS: dict[str, Write] = {
    "plain": lambda path: path.write_text(f"a line\n{SECRET}"),
    "upper case": lambda path: path.write_text(SECRET.upper()),
    "utf-16": lambda path: path.write_text(SECRET, encoding="utf-16"),
    "latin-1": lambda path: path.write_text(SECRET, encoding="latin-1"),
    "hex": lambda path: path.write_text(SECRET.encode().hex()),
    "url": lambda path: path.write_text("".join(f"%{byte:02X}" for byte in SECRET.encode())),
    "quoted url": lambda path: path.write_text(quote(SECRET)),
    "base64": lambda path: path.write_bytes(base64.b64encode(SECRET.encode())),
    "base64, shifted by one": lambda path: path.write_bytes(base64.b64encode(b"x" + SECRET.encode() + b"yz")),
    "base64, shifted by two": lambda path: path.write_bytes(base64.urlsafe_b64encode(b"xy" + SECRET.encode())),
    "JSON escapes": lambda path: path.write_text("".join(f"\\u{ord(letter):04x}" for letter in SECRET)),
    "gzip": lambda path: path.write_bytes(gzip.compress(SECRET.encode())),
    "gzip in zip": zipped,
    "zlib": lambda path: path.write_bytes(zlib.compress(SECRET.encode())),
    "parquet": lambda path: pd.DataFrame({"who": [SECRET] * 9}).to_parquet(path),
    "parquet column": lambda path: pd.DataFrame({SECRET: [1]}).to_parquet(path, compression="zstd"),
    "parquet bytes": lambda path: pd.DataFrame({"who": [zlib.compress(SECRET.encode())]}).to_parquet(path),
    "database": database,
    "git": committed_and_removed,
    "picture in a page": image,
    "UID": lambda path: path.write_text(f"series 1.2.3.{DIGITS}.4"),
    "number": lambda path: pd.DataFrame({"id": [int(DIGITS)]}).to_parquet(path),
    "DICOM date": lambda path: path.write_text("born 18930714"),
    "DICOM time": lambda path: path.write_text("20970301120000"),
    "ISO date": lambda path: path.write_text("2097-03-01T12:00:00"),
    "date column": lambda path: pd.DataFrame({"on": [pd.Timestamp(1893, 7, 14)]}).to_parquet(path),
    "German date": lambda path: path.write_text("14.07.1893"),
    "American date": lambda path: path.write_text("7/14/1893"),
    "quoted date": lambda path: path.write_text("1893%2F07%2F14"),
    "date in words": lambda path: path.write_text("July 14, 1893"),
    "wide date": lambda path: path.write_text("1893-07-14", encoding="utf-16-le"),
    "voxels": lambda path: path.write_bytes(gzip.compress(np.pad(BURNT_IN, 9).astype(np.float32).tobytes())),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_is_found_in_every_kind_of_file(tmp_path: Path, way: str) -> None:
    WAYS[way](tmp_path / "output")
    assert find_leaks(tmp_path)


def test_a_secret_is_found_in_the_name_of_a_file_or_folder(tmp_path: Path) -> None:
    (tmp_path / f"a {MARKER}").mkdir()
    assert [leak.place for leak in find_leaks(tmp_path)] == ["the name of a file"]


def test_inputs_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key").write_text(SECRET)
    assert not find_leaks(tmp_path, [tmp_path / "private"])


def test_nothing_is_found_where_nothing_is() -> None:
    """Numbers and hashes that only resemble a date are none, and noise is noise."""
    assert not leaks_in("numbers", b"0.18930714 118930714 a18930714 1893071 seed 20240501 b20970301f 1.18930714e5")
    assert not leaks_in("noise", np.random.default_rng(0).bytes(1_000_000))
