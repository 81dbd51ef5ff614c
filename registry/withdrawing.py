"""Taking a patient out of the kept training sets, and saying which versions had him."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from featurestore.erasure import erase, parquet_files, rows_of
from featurestore.training_sets import TABLE
from registry.keeping import dvc_add_again
from registry.ledger import Ledger
from registry.states import WITHDRAW, ModelVersion, RegistryState


@dataclass(frozen=True, kw_only=True)
class Withdrawn:
    """What a withdrawal met in the registry.

    Args:
        training_sets: Digests of the kept sets that had the patient.
        versions: The versions made from them; they cannot be made again.
    """

    training_sets: tuple[str, ...]
    versions: tuple[ModelVersion, ...]


def withdraw_patient(
    study: Path,
    ledger: Ledger,
    state: RegistryState,
    center: str,
    case_id: str,
    why: str,
    commit: Callable[[str], None],
) -> Withdrawn:
    """Does the work of `Registry.withdraw`; the caller holds the lock.

    The event is written before the rows go: a process that dies in between leaves a set that still holds him and an
    event that says he left, and the next call takes him out.
    """
    folder = ledger.path.parent / "training"
    holding = [path for path in sorted(folder.glob("*")) if _holds(path, center, case_id)]
    digests = tuple(path.name for path in holding)
    told = [e for e in ledger.events() if e.verb == WITHDRAW and _is_about(e.details, center, case_id)]
    known = {digest for event in told for digest in event.details["training_sets"]}
    had = tuple(version for version in state.versions.values() if version.training_set in {*digests, *known})
    if not told or set(digests) - known:
        new = [version.digest for version in had if version.training_set in set(digests) - known]
        details = {"center": center, "case_id": case_id, "training_sets": sorted(set(digests) - known), "versions": new}
        ledger.append(WITHDRAW, "", why=why, details=details)
    for path in holding:
        for file in parquet_files([path]):
            erase(file, center, case_id)
        dvc_add_again(study, path)
    commit(f"Withdraw patient {case_id[:12]}")
    return Withdrawn(training_sets=tuple(sorted({*digests, *known})), versions=had)


def _holds(folder: Path, center: str, case_id: str) -> bool:
    return (folder / TABLE).is_file() and rows_of(folder / TABLE, center, case_id) > 0


def _is_about(details: dict[str, object], center: str, case_id: str) -> bool:
    return details.get("center") == center and details.get("case_id") == case_id
