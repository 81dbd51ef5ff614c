"""Builds wheel and sdist from the last commit, twice, and looks at every file that is in them."""

import gzip
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("featurestore", "registry", "pipelines")
BESIDE = {
    "CHANGELOG.md",
    "CITATION.cff",
    "LICENSE",
    "MANIFEST.in",
    "PKG-INFO",
    "README.md",
    "pyproject.toml",
    "setup.cfg",
}
"""What a source archive holds besides the packages."""

_SECRETS = re.compile(
    rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\r?\n[A-Za-z0-9+/]|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|pypi-AgEI"
)
_HOMES = re.compile(rb"/(?:home|Users)/[a-z][\w.-]*/")


@dataclass(frozen=True, kw_only=True)
class Built:
    """The two archives of a release."""

    wheel: Path
    sdist: Path
    tree: Path


def build(folder: Path) -> Built:
    """Builds what is committed in two places at different paths and ends the release where the bytes differ.

    Args:
        folder: Where it works; the archives come to lie in `dist`.
    """
    epoch = _told("git", "log", "-1", "--format=%ct")
    made = [_build_once(folder / name, int(epoch)) for name in ("one", "another-place")]
    for first, second in zip(*made, strict=True):
        if first.read_bytes() != second.read_bytes():
            raise SystemExit(f"{first.name} is not the same when built twice")
    dist = folder / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir(parents=True)
    wheel, sdist = (Path(shutil.copy(path, dist / path.name)) for path in made[0])
    return Built(wheel=wheel, sdist=sdist, tree=folder / "one" / "tree")


def _build_once(folder: Path, epoch: int) -> tuple[Path, Path]:
    tree, out = folder / "tree", folder / "out"
    shutil.rmtree(folder, ignore_errors=True)
    tree.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(tree, filter="tar")
    env = os.environ | {"SOURCE_DATE_EPOCH": str(epoch), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(out), str(tree)], env=env, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    sdist.write_bytes(leveled(sdist.read_bytes(), epoch))
    return wheel, sdist


def leveled(archive: bytes, epoch: int) -> bytes:
    """Returns a tar.gz with the same files in one order, of one time and of nobody; setuptools stamps its own files."""
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as old,
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=epoch) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            content = old.extractfile(member).read() if member.isfile() else b""  # type: ignore[union-attr]
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.mode, member.pax_headers = 0o755 if member.isdir() else 0o644, {}
            new.addfile(member, io.BytesIO(content) if member.isfile() else None)
    return packed.getvalue()


def wheel_files(path: Path) -> dict[str, bytes]:
    """Returns a wheel's files, those about itself left out."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


def sdist_files(path: Path) -> dict[str, bytes]:
    """Returns a source archive's files by their place in the repository."""
    with tarfile.open(path) as archive:
        return {
            member.name.partition("/")[2]: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive.getmembers()
            if not member.isdir()
        }


def committed() -> dict[str, bytes]:
    """Returns the files of the packages as they are committed, links followed."""
    names = _told("git", "ls-tree", "-r", "--name-only", "HEAD", *PACKAGES).splitlines()
    return {name: (ROOT / name).read_bytes() for name in names}


def complaints(files: Mapping[str, bytes], wanted: set[str], allowed: set[str], places: tuple[str, ...]) -> list[str]:
    """Returns what is wrong with an archive's files.

    Args:
        files: Their names and contents.
        wanted: Names that must be there.
        allowed: Further names that may be there.
        places: Paths of this machine, which must stand nowhere.
    """
    found = [f"{name} is missing" for name in sorted(wanted - files.keys())]
    found += [f"{name} does not belong there" for name in sorted(files.keys() - wanted - allowed)]
    for name, content in sorted(files.items()):
        found += [f"{name} names a folder of this machine" for place in places if place.encode() in content]
        found += [f"{name} names a home" for _ in _HOMES.findall(content)]
        found += [f"{name} holds a secret" for _ in _SECRETS.findall(content)]
    return found


def check(built: Built) -> None:
    """Ends the release when one of the archives is not what was committed, or cannot be published."""
    wanted = set(committed())
    places = (str(ROOT), str(Path.home()) + "/", str(built.tree))
    found = [f"wheel: {text}" for text in complaints(wheel_files(built.wheel), wanted, set(), places)]
    sdist = sdist_files(built.sdist)
    own = {name for name in sdist if name.startswith("radmill.egg-info/")} | BESIDE
    found += [f"sdist: {text}" for text in complaints(sdist, wanted | (BESIDE - {"setup.cfg"}), own, places)]
    twine = [sys.executable, "-m", "twine", "check", "--strict", str(built.wheel), str(built.sdist)]
    done = subprocess.run(twine, capture_output=True, text=True)
    if found or done.returncode:
        raise SystemExit("\n".join([*found, done.stdout + done.stderr if done.returncode else ""]))


def _told(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
