"""What `make release` relies on: one version, packages with all their files, and checks that can fail."""

import fnmatch
import gzip
import io
import re
import tarfile
import tomllib
from pathlib import Path

import pytest

from proofs.release_bill import UnansweredError, verdict
from proofs.release_build import PACKAGES, complaints, leveled

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SAFE = {"name": "a", "version": "1", "vulns": []}
UNSAFE = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1"}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


def test_the_version_is_one() -> None:
    version = PROJECT["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest.group(1) in (version, "Unreleased")


def test_every_entry_of_the_changelog_says_whether_values_change() -> None:
    newest = (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1]
    titles = re.findall(r"^### (.*)$", newest, re.MULTILINE)
    assert titles
    assert all(re.search(r"\(changes values: (yes|no)\)$", title) for title in titles)
    assert "\n- " not in newest.partition("\n### ")[0]


def test_files_that_are_no_code_are_declared_to_be_packaged() -> None:
    """Templates, checklists and tables are read at run time; a forgotten one is missing after installation alone."""
    declared = [
        f"{package.replace('.', '/')}/{pattern}"
        for package, patterns in PROJECT["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
    ]
    for package in PACKAGES:
        assert (ROOT / package / "py.typed").is_file()
    files = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".typed") and "__pycache__" not in path.parts
    ]
    assert files
    forgotten = [name for name in files if not any(_matches(name, pattern) for pattern in declared)]
    assert not forgotten


def _matches(name: str, pattern: str) -> bool:
    """A star of setuptools stays within its folder."""
    return name.count("/") == pattern.count("/") and fnmatch.fnmatch(name, pattern)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("tests/test_x.py", b"", "does not belong"),
        ("a.py", b"open('/checkout/radmill/x')", "this machine"),
        ("a.py", b"see /home/somebody/data", "a home"),
        ("a.py", b"-----BEGIN PRIVATE KEY-----\nMC4CAQAw", "a secret"),
    ],
)
def test_what_must_not_be_published_is_found(name: str, content: bytes, told: str) -> None:
    (found,) = complaints({"a.py": b"", name: content}, {"a.py"}, set(), ("/checkout/radmill",))
    assert told in found


def test_a_missing_file_is_found_and_a_sound_archive_passes() -> None:
    assert complaints({}, {"a.py"}, set(), ()) == ["a.py is missing"]
    assert complaints({"a.py": b"x", "README.md": b""}, {"a.py"}, {"README.md"}, ("/checkout",)) == []


def test_a_source_archive_is_the_same_whoever_packs_it_when() -> None:
    first, second = (leveled(_packed(time, owner), 1_700_000_000) for time, owner in ((1, "one"), (2, "other")))
    assert first == second
    assert gzip.decompress(first) != gzip.decompress(_packed(1, "one"))
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        assert archive.extractfile("x-1/a.py").read() == b"print()\n"  # type: ignore[union-attr]


def _packed(time: int, owner: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("x-1/a.py")
        member.size, member.mtime, member.uname = 8, time, owner
        archive.addfile(member, io.BytesIO(b"print()\n"))
    return packed.getvalue()


def test_an_audit_that_looked_up_nothing_is_none() -> None:
    """pip-audit calls it a success: "No known vulnerabilities found"."""
    for found, control in (([], [UNSAFE]), ([SAFE, SKIPPED], [UNSAFE]), ([SAFE], [SAFE]), ([SAFE], [])):
        with pytest.raises(UnansweredError):
            verdict(found, control)
    assert "none known" in verdict([SAFE], [UNSAFE])
    with pytest.raises(SystemExit, match="CVE-1"):
        verdict([SAFE, UNSAFE], [UNSAFE])
