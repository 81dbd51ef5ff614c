"""Is this machine fit? Missing is told from broken, and each finding says what to do."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Literal

from featurestore.files import free_bytes
from pipelines.record import FEATURE_SET

Verdict = Literal["fit", "note", "unfit"]

OWN_PACKAGES = ("featurestore", "registry", "pipelines")
BASE = ("numpy", "scipy", "pandas", "pyarrow", "SimpleITK", "pydicom", "highdicom", "pywt", "numba", "safetensors")
STUDY = ("dask", "distributed", "dvc", "optuna", "sklearn", "statsmodels", "mlflow", "matplotlib", "jinja2")
REFERENCE = ("radiomics",)
MINIMUM_MEMORY_GB = 4.0
MINIMUM_DISK_GB = 5.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at: what was found, whether it will do, and what to do if not.

    Args:
        subject: What was looked at.
        found: What it is like.
        verdict: `unfit` stops or endangers a study, a `note` limits it.
        remedy: What to do.
        why: What happens otherwise.
        mend: Does what is safe, and returns what it did; none where a person must decide.
    """

    subject: str
    found: str
    verdict: Verdict = "fit"
    remedy: str = ""
    why: str = ""
    mend: Callable[[], str] | None = None

    def plain(self) -> dict[str, object]:
        """Returns the finding as a table row."""
        return {"subject": self.subject, "found": self.found, "verdict": self.verdict, "remedy": self.remedy}

    def explained(self) -> dict[str, object]:
        """Returns all of it as JSON types."""
        return {**self.plain(), "why": self.why, "fixable": self.mend is not None}


def examine(folder: Path) -> list[Finding]:
    """Looks at everything a study needs on this machine.

    Args:
        folder: Where the study is or will be; its file system's free space counts.
    """
    return [
        _python(),
        _cores(),
        _memory(),
        _disk(folder),
        _compiler(),
        _program("git"),
        *_git_name(folder),
        *(_owner(name) for name in OWN_PACKAGES),
        *(_library(name, "radmill") for name in BASE),
        *(_library(name, "radmill[study]") for name in STUDY),
        *(_library(name, "radmill[reference]") for name in REFERENCE),
        _torch(),
        Finding(subject="feature set", found=FEATURE_SET),
    ]


def total_memory_gb() -> float:
    """Returns this machine's memory in gigabytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _python() -> Finding:
    return Finding(subject="Python", found=".".join(str(part) for part in sys.version_info[:3]))


def _cores() -> Finding:
    return Finding(subject="cores", found=str(os.cpu_count()))


def _memory() -> Finding:
    found = total_memory_gb()
    if found >= MINIMUM_MEMORY_GB:
        return Finding(subject="memory", found=f"{found:.0f} GB")
    remedy = "use one worker (cluster.workers: 1) and small images, or a larger machine"
    why = "a worker holds a whole image and its filtered copies"
    return Finding(subject="memory", found=f"{found:.1f} GB", verdict="note", remedy=remedy, why=why)


def _disk(folder: Path) -> Finding:
    free = free_bytes(folder) / 1e9
    if free >= MINIMUM_DISK_GB:
        return Finding(subject="free disk", found=f"{free:.0f} GB")
    remedy = "free some space, or put the study on another disk"
    why = "crops, tables and DVC's cache need about as much as the raw images"
    return Finding(subject="free disk", found=f"{free:.1f} GB", verdict="note", remedy=remedy, why=why)


def _compiler() -> Finding:
    found = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if found:
        return Finding(subject="C compiler", found=Path(found).name)
    remedy = "only the reference engine (radmill[reference]) needs one to install"
    return Finding(subject="C compiler", found="none", verdict="note", remedy=remedy)


def private_files(folder: Path) -> list[Finding]:
    """Whoever reads a key can find out who is behind a pseudonym, and the lists beside it name patients outright."""
    private = folder / "private"
    if not private.is_dir():
        return []
    paths = [private, *sorted(path for path in private.rglob("*") if path.is_file() and not path.is_symlink())]
    open_to_others = [path for path in paths if path.stat().st_mode & 0o077]
    if not open_to_others:
        return [Finding(subject="private files", found=f"{len(paths)}, for their owner alone")]
    first = open_to_others[0].relative_to(folder).parts[:2]
    found = f"{len(open_to_others)} of {len(paths)} open to other users, such as in {'/'.join(first)}"
    why = "whoever reads a key can find out who is behind a pseudonym"

    def mend() -> str:
        for path in open_to_others:
            path.chmod(path.stat().st_mode & 0o700)
        return f"took others' rights from {len(open_to_others)} files and folders of private"

    return [
        Finding(
            subject="private files", found=found, verdict="unfit", remedy="chmod -R go= private", why=why, mend=mend
        )
    ]


def _program(name: str) -> Finding:
    if shutil.which(name):
        return Finding(subject=name, found="present")
    why = "settings, stage graph and the registry's ledger are kept in it"
    return Finding(subject=name, found="missing", verdict="unfit", remedy=f"install {name}", why=why)


def _git_name(folder: Path) -> list[Finding]:
    """Returns a note where git does not know who commits."""
    if not shutil.which("git"):
        return []
    here = folder if folder.is_dir() else Path.cwd()
    asked = subprocess.run(["git", "config", "user.email"], cwd=here, capture_output=True, text=True, check=False)
    if asked.stdout.strip():
        return []
    remedy = 'git config --global user.name "YOUR NAME" && git config --global user.email YOU@EXAMPLE.ORG'
    why = "`git commit` refuses, and radmill's own commits and the ledger name nobody"
    return [Finding(subject="git user", found="no name is set", verdict="note", remedy=remedy, why=why)]


def _owner(package: str) -> Finding:
    """Another distribution that ships a package of the same name would overwrite ours."""
    owners = sorted(set(packages_distributions().get(package, [])))
    if owners == ["radmill"]:
        return Finding(subject=f"package {package}", found="owned by radmill")
    found = f"owned by {', '.join(owners) or 'nobody'}"
    remedy = "install radmill alone in an environment of its own"
    why = "another distribution has a package of this name, and which of them runs is chance"
    return Finding(subject=f"package {package}", found=found, verdict="unfit", remedy=remedy, why=why)


def _library(module: str, source: str) -> Finding:
    """Tells a library that is missing from one that is there and breaks."""
    names = packages_distributions().get(module, [])
    if not names:
        verdict: Verdict = "unfit" if source == "radmill" else "note"
        why = "nothing runs without it" if source == "radmill" else f"it is needed for what {source} adds"
        return Finding(subject=module, found="missing", verdict=verdict, remedy=f"pip install '{source}'", why=why)
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever a broken library raises is the finding
        found = f"broken: {type(error).__name__}: {error}"
        remedy = f"pip install --force-reinstall {names[0]}"
        return Finding(
            subject=module, found=found, verdict="unfit", remedy=remedy, why="it is there and cannot be used"
        )
    return Finding(subject=module, found=_version(names[0]))


def has_torch() -> bool:
    """Returns whether PyTorch is installed."""
    return bool(packages_distributions().get("torch"))


def _torch() -> Finding:
    """Looks at PyTorch and for a GPU; where no settings ask for networks, a missing PyTorch is no lack."""
    if not has_torch():
        return Finding(subject="PyTorch", found="not installed; only networks (`deep`) need it: radmill[deep]")
    found = replace(_library("torch", "radmill[deep]"), subject="PyTorch")
    if found.verdict != "fit":
        return found
    gpu = "sees a GPU" if sees_gpu() else "sees no GPU: networks are trained on the processor"
    return replace(found, found=f"{found.found}, {gpu}")


def sees_gpu() -> bool:
    """Returns whether PyTorch sees a GPU."""
    from pipelines.models.resnet import device_of

    return device_of("auto") == "cuda"


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown version"
