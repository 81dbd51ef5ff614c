"""The private file cache saves work and never hides a change."""

import os
from pathlib import Path

import pytest

from featurestore.errors import CaseError
from featurestore.fingerprints import bytes_digest
from pipelines.ingest.file_index import FileIndex, walk


def old(path: Path, content: bytes, time_ns: int = 10**18) -> Path:
    path.write_bytes(content)
    os.utime(path, ns=(time_ns, time_ns))
    return path


def test_unchanged_file_is_hashed_once(tmp_path) -> None:
    path = old(tmp_path / "a", b"one")
    index = FileIndex.open(tmp_path / "index.json")
    assert index.file("a", path).sha256 == bytes_digest(b"one")
    index.save()
    again = FileIndex.open(tmp_path / "index.json")
    assert again.file("a", path).sha256 == bytes_digest(b"one")
    assert (index.n_hashed, again.n_hashed) == (1, 0)


def test_changed_file_of_the_same_size_is_hashed_again(tmp_path) -> None:
    index = FileIndex.open(tmp_path / "index.json")
    index.file("a", old(tmp_path / "a", b"one"))
    assert index.file("a", old(tmp_path / "a", b"two", 10**18 + 1)).sha256 == bytes_digest(b"two")


def test_file_replaced_with_its_old_time_is_hashed_again(tmp_path) -> None:
    """`cp -p` or `rsync -t` over it: same size and time, another inode."""
    index = FileIndex.open(tmp_path / "index.json")
    path = old(tmp_path / "a", b"one")
    index.file("a", path)
    old(tmp_path / "b", b"two").replace(path)
    assert index.file("a", path).sha256 == bytes_digest(b"two")


def test_file_written_just_now_is_not_trusted(tmp_path) -> None:
    index = FileIndex.open(tmp_path / "index.json")
    path = tmp_path / "a"
    path.write_bytes(b"one")
    index.file("a", path)
    assert index.files == {}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 0}', b'{"format": 1, "files": {"a": [1]}}'])
def test_damaged_cache_costs_time_alone(tmp_path, content) -> None:
    (tmp_path / "index.json").write_bytes(content)
    index = FileIndex.open(tmp_path / "index.json")
    assert index.file("a", old(tmp_path / "a", b"one")).sha256 == bytes_digest(b"one")


def test_walk_follows_links_once_and_leaves_unfinished_files(tmp_path) -> None:
    (tmp_path / "one" / "two").mkdir(parents=True)
    for name in ("one/two/b.dcm", "one/a", ".hidden", "one/x.part", "one/~$clinical.csv"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "one" / "loop").symlink_to(tmp_path)
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    assert [relative for relative, _ in walk(tmp_path)] == ["one/a", "one/two/b.dcm"]


def test_file_named_as_dicom_and_none_is_a_problem(tmp_path) -> None:
    index = FileIndex.open(tmp_path / "index.json")
    with pytest.raises(CaseError):
        index.header(index.file("a.dcm", old(tmp_path / "a.dcm", b"")))
    assert index.header(index.file("a.txt", old(tmp_path / "a.txt", b"hello"))) is None
