"""Makes a release: builds, looks into, installs and tests it; `python -m proofs.release FOLDER [--offline]`.

Each step's result is kept under the hash of the archives, so that the same command goes on where it was stopped.
Nothing is published.
"""

import argparse
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from proofs.release_bill import UnansweredError, audit, write_bill
from proofs.release_bounds import try_lowest, try_newest
from proofs.release_build import Built, build, check
from proofs.release_install import PYTHONS, archives, environment, interpreters, study_package, try_base, try_types

Row = dict[str, str]


class Steps:
    """Steps with their results, kept for these archives."""

    def __init__(self, built: Built, file: Path) -> None:
        hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (built.wheel, built.sdist)]
        self._file = file
        kept = json.loads(file.read_text()) if file.is_file() else {}
        self.found: dict[str, Any] = kept.get("steps", {}) if kept.get("archives") == hashes else {}
        self._hashes = hashes

    def do(self, name: str, work: Callable[[], Any]) -> Any:
        """Returns the result of a step, done now unless it was before."""
        if name not in self.found:
            self.found[name] = work()
            self._file.write_text(json.dumps({"archives": self._hashes, "steps": self.found}, indent=2) + "\n")
        told = self.found[name]
        rows = (
            told.items() if isinstance(told, dict) and name != "study" else [("", "done" if name == "study" else told)]
        )
        for step, result in rows:
            print(f"{name:16} {step:10} {result}", flush=True)
        return told


def main(folder: Path, offline: bool) -> None:
    """Makes the release."""
    built = build(folder)
    check(built)
    steps = Steps(built, folder / "steps.json")
    for path in (built.wheel, built.sdist):
        print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB, built twice to the same bytes; {_hash(path)}")
    there = interpreters()
    print(f"Pythons: {', '.join(there)}; not on this machine: {', '.join(set(PYTHONS) - there.keys()) or 'none'}")
    first, last = next(iter(there)), list(there)[-1]
    package = steps.do("study", lambda: _study(built, there[first], folder / "study"))
    for version, python in there.items():
        for kind, path in archives(built).items():
            steps.do(
                f"{version} {kind}", lambda p=python, a=path, f=folder / f"{version}-{kind}": _base(p, a, f, package)
            )
    steps.do("types", lambda: try_types(folder, folder / f"{first}-wheel" / "env" / "bin"))
    steps.do("lowest", lambda: try_lowest(built, there[first], folder / "lowest"))
    steps.do("newest", lambda: try_newest(built, there[last], folder / "newest"))
    for name, env in (("base", folder / f"{first}-wheel" / "env"), ("study", folder / "study" / "env")):
        print(f"{name}.cdx.json: {write_bill(env / 'bin' / 'python', built.wheel.parent / f'radmill-{name}.cdx.json')}")
    _audit(folder, offline)


def _study(built: Built, python: str, folder: Path) -> dict[str, Any]:
    bin_ = environment(folder / "env", python, [f"radmill[study] @ {built.wheel.resolve().as_uri()}"])
    return study_package(bin_, folder / "work")


def _base(python: str, archive: Path, folder: Path, package: dict[str, Any]) -> Row:
    return try_base(environment(folder / "env", python, [str(archive.resolve())]), folder / "work", package)


def _audit(folder: Path, offline: bool) -> None:
    try:
        print(f"audit: {audit(folder / 'audit.json')}")
    except UnansweredError as problem:
        print(f"audit: NOT DONE, no database of weaknesses answered: {problem}")
        if not offline:
            raise SystemExit(
                "a release is audited: run it where PyPI's JSON interface answers, or say --offline"
            ) from None


def _hash(path: Path) -> str:
    return f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Makes a release and publishes nothing.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("build/release"))
    parser.add_argument("--offline", action="store_true", help="go on without the audit when nobody answers")
    arguments = parser.parse_args()
    main(arguments.folder.resolve(), arguments.offline)
