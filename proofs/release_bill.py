"""What a release is made of (CycloneDX), and whether any of it is known to be unsafe."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from proofs.release_build import ROOT

KNOWN_UNSAFE = "jinja2==2.10"
"""A release with published weaknesses: where it passes, nobody answered."""


def write_bill(environment: Path, file: Path) -> str:
    """Writes the bill of materials of an environment, twice, and ends the release where the two differ."""
    epoch = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True)
    env = os.environ | {"SOURCE_DATE_EPOCH": epoch.stdout.strip()}
    made = []
    for _ in range(2):
        command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--of", "JSON"]
        command += ["--pyproject", str(ROOT / "pyproject.toml"), "-o", str(file), str(environment)]
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        content = relative(json.loads(file.read_text()))
        file.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
        made.append(file.read_bytes())
    if made[0] != made[1]:
        raise SystemExit(f"{file.name} is not the same when written twice")
    return f"{len(content['components'])} components"


def relative(bill: dict[str, Any]) -> dict[str, Any]:
    """Returns the bill without links into this machine, which tell where the archives lay when they were installed."""
    for part in bill["components"]:
        links = [link for link in part.get("externalReferences", []) if not link["url"].startswith("file:")]
        part.pop("externalReferences", None)
        if links:
            part["externalReferences"] = links
    return bill


def audit(file: Path) -> str:
    """Looks all locked libraries up among known weaknesses.

    Raises:
        UnansweredError: Nobody could be asked.
        SystemExit: Some are known to be unsafe.
    """
    found = asked(ROOT / "requirements.lock", file)
    control = file.with_name("audit-control.txt")
    control.write_text(f"{KNOWN_UNSAFE}\n")
    return verdict(found, asked(control, file.with_name("audit-control.json")))


class UnansweredError(Exception):
    """The database of weaknesses did not answer."""


def asked(requirements: Path, file: Path) -> list[dict[str, Any]]:
    """Returns what pip-audit says of each library; nothing where it did not come so far."""
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    command += ["--format", "json", "--output", str(file), "--requirement", str(requirements)]
    subprocess.run(command, capture_output=True, text=True)
    found: list[dict[str, Any]] = json.loads(file.read_text())["dependencies"] if file.is_file() else []
    return found


def verdict(found: list[dict[str, Any]], control: list[dict[str, Any]]) -> str:
    """Says what an audit showed. pip-audit itself calls it a success when it could look up nothing.

    Raises:
        UnansweredError: Libraries were not looked up, or one known to be unsafe passed.
        SystemExit: Some are known to be unsafe.
    """
    skipped = [told["name"] for told in found if "skip_reason" in told]
    if not found or skipped:
        raise UnansweredError(f"{len(skipped)} of {len(found)} libraries were not looked up")
    if not any(told.get("vulns") for told in control):
        raise UnansweredError(f"{KNOWN_UNSAFE}, known to be unsafe, was not named")
    unsafe = [f"{told['name']} {told['version']}: {v['id']}" for told in found for v in told.get("vulns", [])]
    if unsafe:
        raise SystemExit("known to be unsafe:\n" + "\n".join(unsafe))
    return f"{len(found)} libraries, none known to be unsafe"
