"""Which folders are centers."""

from collections.abc import Iterator
from pathlib import Path

from featurestore.errors import InputError
from pipelines.ingest.clinical import CLINICAL_FILE
from pipelines.ingest.discovery import CASES
from pipelines.ingest.file_index import walk
from pipelines.ingest.volume_cases import SUFFIXES
from pipelines.looking.found import as_name


class NoDataError(InputError):
    """There is nothing to look at."""

    default_remedy = "name the folder that has one sub-folder a center, or the folder of a single center"


class NoTableError(NoDataError):
    """No center can be told from a patient: folders of either kind hold images, and only a center's has a table."""

    default_remedy = "put each center's clinical.csv, with patient_id and the label, directly into its folder"


class SameNameError(InputError):
    """Two folders would be the same center."""

    default_remedy = "rename one of them to small letters, digits, _ and -"


def find_centers(root: Path) -> dict[str, Path]:
    """Returns the folders that are centers, by the name that radmill gives them.

    A folder with a clinical table of its own, or whose sub-folders are patients, is one center; else each of its
    sub-folders with files is one.

    Raises:
        NoDataError: There is no such folder, or no file in it.
        SameNameError: Two sub-folders have the same name but for case and signs.
    """
    if not root.is_dir():
        raise NoDataError("there is no such folder", where=root.name)
    below = [path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    if _is_center(root, below):
        return {_as_called(root): root}
    found = [path for path in below if next(walk(path), None) is not None]
    if not found:
        raise NoDataError("no clinical.csv in it, and no files in sub-folders", where=root.name)
    if not any(_has_table(path) for path in found):
        raise NoTableError("there is a clinical.csv neither in it nor in a folder directly below", where=root.name)
    named: dict[str, Path] = {}
    for path in found:
        name = as_name(path.name) or "center"
        if name in named:
            raise SameNameError(f"two folders would both be the center {name}", where=root.name)
        named[name] = path
    return named


def _as_called(root: Path) -> str:
    """Returns the name that a folder was given, be it a link's; `.` and `..` are called as what they are."""
    return as_name(root.absolute().name) or as_name(root.resolve().name) or "center"


def _is_center(root: Path, below: list[Path]) -> bool:
    names = {path.name.lower() for path in root.iterdir()}
    if names & {CLINICAL_FILE, CASES}:
        return True
    if any(_has_table(folder) for folder in below):
        return False
    return bool(below) and all(_is_patient(path) for path in below)


def _has_table(folder: Path) -> bool:
    return any(name.lower() == CLINICAL_FILE for name in _names(folder))


def _is_patient(folder: Path) -> bool:
    """Returns whether images lie directly in a folder, as those of one patient do."""
    return any(name.lower().endswith(SUFFIXES) for name in _names(folder))


def _names(folder: Path) -> Iterator[str]:
    yield from (path.name for path in folder.iterdir() if path.is_file())
