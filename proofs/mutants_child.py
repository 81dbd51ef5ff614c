"""Runs one mutant: a copy of a process that has the libraries loaded, in which the changed module is imported.

No file is changed: the module's text is changed as it is imported. A mutant is noticed when a test fails, when it
cannot be imported, or when it takes a time or memory that the unchanged module is far from.
"""

import importlib.abc
import importlib.machinery
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

CPU_S = 15
"""The slowest tests of unchanged modules take about three seconds."""
WALL_S = 240
MEMORY_BYTES = 6 * 2**30
NOTICED, SURVIVED, ENDLESS, CRASHED = "noticed", "survived", "too long", "crashed"
LIBRARIES = ("numpy", "pandas", "scipy.stats", "scipy.ndimage", "scipy.special", "numba", "pywt", "SimpleITK", "pytest")


def load_libraries() -> None:
    """Imports what every child would import, but nothing of the repository."""
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for name in (*LIBRARIES, "MLstatkit", "sklearn.metrics", "statsmodels.api", "numba.extending", "pydantic"):
        __import__(name)


class _Changed(importlib.abc.MetaPathFinder):
    """Finds one module with changed text."""

    def __init__(self, path: Path, name: str, text: bytes) -> None:
        self._path, self._name, self._text = path, name, text

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> Any:
        if fullname != self._name:
            return None
        loader = _Loader(fullname, str(self._path), self._text)
        return importlib.machinery.ModuleSpec(fullname, loader, origin=str(self._path))


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, text: bytes) -> None:
        super().__init__(name, path)
        self._text = text

    def get_code(self, fullname: str) -> Any:
        return compile(self._text, self.path, "exec", dont_inherit=True)


class _Plain:
    """Lets the engine's modules use plain instructions, whichever test file runs."""

    def pytest_collection_finish(self) -> None:
        from tests.plain_kernels import plain_kernels

        self._kept = plain_kernels()
        self._kept.__enter__()


def run(root: Path, file: str, text: bytes, tests: tuple[str, ...]) -> tuple[str, str, float]:
    """Returns how a mutant ended, the first test that noticed it, and the seconds of processor time it took."""
    scratch = Path(tempfile.mkdtemp(prefix="mutant-"))
    told = scratch / "told"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = os.fork()
    if child == 0:
        _test(root, file, text, tests, scratch)
    status, is_late = _waited(child)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    first = told.read_text(encoding="utf-8") if told.is_file() else ""
    shutil.rmtree(scratch, ignore_errors=True)
    took_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _verdict(status, is_late), first, round(took_s, 2)


def _verdict(status: int, is_late: bool) -> str:
    if is_late or (os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)):
        return ENDLESS
    if os.WIFSIGNALED(status):
        return CRASHED
    return SURVIVED if os.WEXITSTATUS(status) == 0 else NOTICED


def _waited(child: int) -> tuple[int, bool]:
    begun = time.monotonic()
    pause_s = 0.01
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status, False
        if time.monotonic() - begun > WALL_S:
            os.killpg(child, signal.SIGKILL)
            return os.waitpid(child, 0)[1], True
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.2)


class _First:
    """Writes down the first test that failed."""

    def __init__(self, told: Path) -> None:
        self._told = told

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self._told.exists():
            self._told.write_text(report.nodeid, encoding="utf-8")

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and not self._told.exists():
            self._told.write_text(f"import: {report.nodeid}", encoding="utf-8")


def _test(root: Path, file: str, text: bytes, tests: tuple[str, ...], scratch: Path) -> None:
    code = 70
    try:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        silent = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(silent, number)
        os.chdir(root)
        sys.path.insert(0, str(root))
        sys.dont_write_bytecode = True
        sys.meta_path.insert(0, _Changed(root / file, file.removesuffix(".py").replace("/", "."), text))
        import pytest

        options = ["-x", "-q", "-p", "no:cacheprovider", "--tb=no", f"--basetemp={scratch / 'tmp'}"]
        code = int(pytest.main([*options, *tests], plugins=[_Plain(), _First(scratch / "told")]))
    finally:
        os._exit(code)
