"""What must hold after a fault, and after the run that follows it."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from featurestore.files import TEMPORARY
from featurestore.tables import centers_of, read_frame
from proofs.chaos_study import file_hash, made_files

_TRACE = "Traceback (most recent call last)"
_ENDING = 20
"""The lines that a person reads first when a run has ended. A worker without memory may have said more above."""
_CURE = re.compile(r"^  remedy: \S")


def ending_faults(code: int | None, told: str) -> list[str]:
    """Returns what is wrong with how a run ended that could answer: it must be done, or say in a few words why not.

    Args:
        code: Its exit code; nothing when it had to be ended.
        told: All that it printed.
    """
    if code is None:
        return ["it hangs"]
    lines = [line for line in told.splitlines() if line.strip()]
    ending = lines[-_ENDING:]
    traced = ["a traceback at its end"] if any(_TRACE in line for line in ending) else []
    if code == 0:
        return traced
    last = lines[-1] if lines else ""
    begins = [line for line in lines[-6:] if line.startswith("radmill: ")]
    if code not in (1, 2, 3) or not begins or not _CURE.match(last):
        traced.append(f"exit {code} without message and remedy at its end: {last[:200]}")
    return traced


def unwhole(study: Path, wanted: dict[str, str], *, is_strict: bool) -> list[str]:
    """Returns the files under a final name that are half written.

    Args:
        study: The study after a fault.
        wanted: The hashes of what an undisturbed run makes.
        is_strict: Whether each must be as an undisturbed run makes it; else it must be whole of its kind.
    """
    found = []
    for path in made_files(study):
        name = path.relative_to(study).as_posix()
        if is_temporary(path) or wanted.get(name) == file_hash(path):
            continue
        fault = "" if not is_strict and name in wanted else "not as in an undisturbed run"
        fault = _unreadable(path) or fault
        found += [f"{name}: {fault}"] if fault else []
    return found


def leftovers(study: Path) -> list[str]:
    """Returns the temporary files among the results."""
    return [path.relative_to(study).as_posix() for path in made_files(study) if is_temporary(path)]


def is_temporary(path: Path) -> bool:
    """Whether a file, or a folder around it, has a name that says it is not done: radmill's own, or DVC's."""
    return any(part.startswith(TEMPORARY) or part.endswith(".tmp") for part in path.parts)


def failed_cases(study: Path) -> list[str]:
    """Returns the codes of the cases on which the work broke, without their remedies none: each must have one."""
    codes = []
    for root in sorted((study / "data").glob("*/*/qc")):
        rows = read_frame(root) if centers_of(root) else pd.DataFrame({"status": []})
        for row in rows[rows["status"] == "failed"].to_dict("records"):
            codes.append(str(row["code"]) if row["remedy"] and row["message"] else f"{row['code']} without remedy")
    return codes


def _unreadable(path: Path) -> str:
    kind = next((reader for suffix, reader in _READERS.items() if path.name.endswith(suffix)), None)
    try:
        is_whole = kind is None or kind(path)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:120]}"
    return "" if is_whole else "cut off"


def _has_ending(*endings: bytes) -> Callable[[Path], bool]:
    return lambda path: path.read_bytes().rstrip().endswith(endings)


def _is_gzip(path: Path) -> bool:
    return bool(gzip.decompress(path.read_bytes()))


_READERS: dict[str, Callable[[Path], bool]] = {
    ".parquet": lambda path: pq.read_table(path) is not None,
    ".json": lambda path: json.loads(path.read_bytes()) is not None,
    ".gz": _is_gzip,
    ".html": _has_ending(b"</html>"),
    ".svg": _has_ending(b"</svg>"),
    ".png": lambda path: path.read_bytes()[-8:-4] == b"IEND",
    ".csv": lambda path: path.read_bytes().endswith(b"\n"),
    ".jsonl": lambda path: all(json.loads(line) is not None for line in path.read_bytes().splitlines()),
}
"""How one sees that a file of a kind is whole."""
